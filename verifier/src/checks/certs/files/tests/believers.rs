//! To whom a certificate is shown on other hosts: one that refuses it is enough, and one that it is not shown to is none.

use super::pki::{Ca, NOW, Tree};
use super::{facts, site};
use crate::carrier::local::certificates_of;
use crate::certs::Elsewhere;
use crate::checks::certs::files::findings;
use crate::findings::CauseId;

/// Returns what is found on the server of a tree, each with its place and by whom it is used, where node-1 runs a program that
/// believes `ca`: `CA` in its line.
fn beside(tree: &Tree, ca: &Ca, line: &str) -> Vec<(CauseId, String, String)> {
    tree.write("node-1.crt", &ca.own.certificate);
    let line = line.replace("CA", &tree.path("node-1.crt").display().to_string());
    let mut elsewhere = Elsewhere::default();
    elsewhere.add("node-1", &certificates_of::collect(&[line], &[]));
    let mut reply = tree.collect();
    reply.unix_seconds = NOW;
    let mut facts = facts(reply);
    facts.elsewhere = elsewhere;
    let site = site();
    let view = facts.view("server", site.host("server"));
    let told = findings(&view).into_iter().map(|finding| {
        let place = finding.subject.unwrap_or_default().to_string();
        let used = finding.cause.args().get("used").map(ToString::to_string);
        let name = place.rsplit('/').next().unwrap_or_default().to_owned();
        (finding.cause.id(), name, used.unwrap_or_default())
    });
    told.collect()
}

fn refused(place: &str, used: &str) -> Vec<(CauseId, String, String)> {
    vec![(CauseId::CertIssuerUnknown, place.to_owned(), used.to_owned())]
}

#[test]
fn the_kubelet_that_does_not_believe_the_api_server_is_told() {
    let tree = Tree::healthy();
    let line = "kubelet --client-ca-file=CA";
    assert_eq!(beside(&tree, &tree.ca, line), []);
    let shown = "kube-apiserver kubelet-client-certificate → node-1";
    assert_eq!(
        beside(&tree, &Ca::new("other", |_| {}), line),
        refused("kubelet-client.crt", shown)
    );
}

#[test]
fn an_api_server_that_does_not_believe_what_the_others_do_is_told() {
    let tree = Tree::healthy();
    let found = beside(
        &tree,
        &Ca::new("other", |_| {}),
        "kube-apiserver --client-ca-file=CA",
    );
    assert!(
        found
            .iter()
            .all(|(cause, ..)| *cause == CauseId::CertIssuerUnknown),
        "{found:?}"
    );
    let refused = |shown: &str| found.iter().any(|(.., used)| used == shown);
    assert!(refused("kubelet kubeconfig/users/u → node-1"), "{found:?}");
    assert!(
        refused("kube-controller-manager cluster-signing-cert-file → node-1"),
        "{found:?}"
    );
}

#[test]
fn members_of_one_cluster_must_believe_each_other_and_another_etcd_need_not() {
    let tree = Tree::healthy();
    let other = Ca::new("other", |_| {});
    let member = "etcd --peer-trusted-ca-file=CA --initial-cluster=a=https://192.168.10.91:2380,b=https://192.168.10.100:2380";
    assert_eq!(beside(&tree, &tree.etcd, member), []);
    assert_eq!(
        beside(&tree, &other, member),
        refused("peer.crt", "etcd peer-cert-file → node-1")
    );
    let stranger = "etcd --peer-trusted-ca-file=CA --initial-cluster=a=https://192.168.10.91:2380";
    assert_eq!(beside(&tree, &other, stranger), []);
}

#[test]
fn a_member_that_an_api_server_is_told_must_believe_it_and_another_etcd_need_not() {
    let mut tree = Tree::healthy();
    tree.without("--etcd-servers");
    tree.flag(
        "kube-apiserver",
        "--etcd-servers=https://127.0.0.1:2379,https://192.168.10.91:2379",
    );
    let other = Ca::new("other", |_| {});
    let member = "etcd --trusted-ca-file=CA --advertise-client-urls=https://192.168.10.91:2379";
    assert_eq!(beside(&tree, &tree.etcd, member), []);
    assert_eq!(
        beside(&tree, &other, member),
        refused("etcd-client.crt", "kube-apiserver etcd-certfile → node-1")
    );
    let stranger = "etcd --trusted-ca-file=CA --advertise-client-urls=https://192.168.10.77:2379";
    assert_eq!(beside(&tree, &other, stranger), []);
}

#[test]
fn an_etcd_of_somebody_else_beside_an_api_server_need_not_believe_it() {
    let mut tree = Tree::healthy();
    tree.without("--etcd-servers");
    tree.flag("kube-apiserver", "--etcd-servers=https://192.168.10.91:2379");
    let other = Ca::new("other", |_| {});
    tree.pair("etcd-client", &other.issue("kube-apiserver-etcd-client", |_| {}));
    let member = "etcd --trusted-ca-file=CA --advertise-client-urls=https://192.168.10.91:2379";
    assert_eq!(beside(&tree, &other, member), []);
}
