//! Healthy layouts: nothing of them may fail.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::carrier::local::certificates_of;
use pki::{Ca, Pair, named, serving};

fn fails(lines: &[String], below: &std::path::Path, host: &str) -> Vec<(Severity, CauseId, String)> {
    let mut reply = certificates_of::collect(lines, &[below]);
    reply.unix_seconds = NOW;
    let (site, elsewhere) = (site(), Elsewhere::default());
    let view = View::new(
        &reply,
        &elsewhere,
        host,
        site.host(host),
        Moment {
            now: NOW,
            days: Days::default(),
        },
    );
    assert!(!view.scene.places.is_empty());
    let of = |finding: Finding| {
        (
            finding.severity,
            finding.cause.id(),
            finding.subject.unwrap_or_default().to_string(),
        )
    };
    findings(&view)
        .into_iter()
        .map(of)
        .filter(|(severity, ..)| *severity != Severity::Warn)
        .collect()
}

#[test]
fn a_kubelet_that_rotates_and_signs_for_itself_with_its_leftovers_has_nothing_that_fails() {
    let mut tree = Tree::healthy();
    fs::create_dir(tree.path("pki")).unwrap();
    let pem = |pair: &Pair| pair.certificate.clone() + &pair.key;
    let old = tree.node(|params| params.not_after = rcgen::date_time_ymd(2026, 2, 1));
    tree.write("pki/kubelet-client-2026-01-01-00-00-00.pem", pem(&old));
    // Two months are left of a year: kubelets renew when 10 to 30 % are.
    let young = tree.node(|params| params.not_after = rcgen::date_time_ymd(2027, 1, 25));
    tree.write("pki/kubelet-client-2026-06-01-00-00-00.pem", pem(&young));
    symlink(
        tree.path("pki/kubelet-client-2026-06-01-00-00-00.pem"),
        tree.path("pki/kubelet-client-current.pem"),
    )
    .unwrap();
    let own = Ca::new("server@1", |params| {
        params.is_ca = rcgen::IsCa::ExplicitNoCa;
        serving(params, &["server"]);
    });
    tree.pair("pki/kubelet", &own.own);
    for flag in [
        "--tls-cert-file",
        "--tls-private-key-file",
        "--kubelet-certificate-authority",
    ] {
        tree.without(flag);
    }
    tree.flag(
        "kube-apiserver",
        &format!(
            "--tls-cert-file={0}/api.crt --tls-private-key-file={0}/api.key",
            tree.path("").display()
        ),
    );
    tree.flag("kubelet", &format!("--cert-dir={}", tree.path("pki").display()));
    assert_eq!(fails(&tree.lines, &tree.path(""), "server"), []);
    let reply = tree.collect();
    let current = reply
        .files
        .iter()
        .find(|file| file.path.ends_with("kubelet-client-current.pem"))
        .unwrap();
    assert!(
        current
            .names
            .iter()
            .any(|name| name.ends_with("kubelet-client-2026-06-01-00-00-00.pem")),
        "{current:?}"
    );
}

#[test]
fn an_external_ca_an_external_etcd_and_old_files_have_nothing_that_fails() {
    let mut tree = Tree::healthy();
    tree.lines.retain(|line| !line.starts_with("etcd "));
    fs::remove_file(tree.path("ca.key")).unwrap();
    tree.without("--cluster-signing-key-file");
    fs::create_dir(tree.path("expired")).unwrap();
    tree.pair(
        "expired/api",
        &tree.api(|params| params.not_after = rcgen::date_time_ymd(2026, 2, 1)),
    );
    let found = fails(&tree.lines, &tree.path(""), "server");
    assert_eq!(found.len(), 0, "{found:?}");
}

#[test]
fn an_intermediate_in_the_same_file_makes_the_chain_whole() {
    let tree = Tree::healthy();
    let below = tree.ca.below("intermediate");
    let mut pair = below.issue("", |params| {
        named(params, "system:node:server", Some("system:nodes"));
    });
    pair.certificate += &below.own.certificate;
    tree.kubeconfig("kubelet.conf", &pair);
    assert_eq!(fails(&tree.lines, &tree.path(""), "server"), []);
}

#[test]
fn a_ca_that_is_being_renewed_stands_with_the_old_one_and_neither_fails() {
    let tree = Tree::healthy();
    let new = Ca::new("kubernetes", |_| {});
    tree.write("ca.crt", tree.read("ca.crt") + &new.own.certificate);
    assert_eq!(fails(&tree.lines, &tree.path(""), "server"), []);
}

#[test]
fn a_name_that_another_certificate_of_the_api_server_has_is_not_missing() {
    let mut tree = Tree::healthy();
    tree.pair(
        "api",
        &tree.api(|params| serving(params, &["kubernetes.default.svc"])),
    );
    tree.pair(
        "public",
        &tree
            .ca
            .issue("public", |params| serving(params, &["server.kubernetes.local"])),
    );
    let at = tree.path("public").display().to_string();
    tree.flag("kube-apiserver", &format!("--tls-sni-cert-key={at}.crt,{at}.key"));
    assert_eq!(fails(&tree.lines, &tree.path(""), "server"), []);
}

/// The files of k3s' server by the names of its own sources (pkg/daemons/control/deps).
#[test]
fn the_tree_of_k3s_has_nothing_that_fails() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    for directory in ["server/tls/etcd", "agent"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    let write = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(at(name), text).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let pair = |name: &str, pair: &Pair| {
        write(&format!("{name}.crt"), &pair.certificate);
        write(&format!("{name}.key"), &pair.key);
    };
    let authority = |name: &str, file: &str| {
        let ca = Ca::new(&format!("k3s-{name}-ca@1764460800"), |_| {});
        pair(file, &ca.own);
        ca
    };
    let client = authority("client", "server/tls/client-ca");
    let server = authority("server", "server/tls/server-ca");
    let front = authority("request-header", "server/tls/request-header-ca");
    let etcd = authority("etcd-server", "server/tls/etcd/server-ca");
    let peer = authority("etcd-peer", "server/tls/etcd/peer-ca");
    for name in [
        "admin",
        "controller",
        "scheduler",
        "kube-apiserver",
        "kube-proxy",
        "k3s-controller",
        "supervisor",
    ] {
        pair(
            &format!("server/tls/client-{name}"),
            &client.issue(&format!("system:{name}"), |_| {}),
        );
    }
    pair(
        "server/tls/client-auth-proxy",
        &front.issue("system:auth-proxy", |_| {}),
    );
    pair(
        "server/tls/serving-kube-apiserver",
        &server.issue("kube-apiserver", |params| serving(params, &["kubernetes"])),
    );
    pair("server/tls/etcd/client", &etcd.issue("etcd-client", |_| {}));
    pair(
        "server/tls/etcd/server-client",
        &etcd.issue("etcd-server", |params| serving(params, &["localhost"])),
    );
    pair(
        "server/tls/etcd/peer-server-client",
        &peer.issue("etcd-peer", |params| serving(params, &["10.0.0.1"])),
    );
    let node = client.issue("", |params| {
        named(params, "system:node:server", Some("system:nodes"));
    });
    pair("agent/client-kubelet", &node);
    pair(
        "agent/serving-kubelet",
        &server.issue("server", |params| serving(params, &["server"])),
    );
    write("agent/client-ca.crt", &client.own.certificate);
    write("agent/server-ca.crt", &server.own.certificate);
    write(
        "agent/kubelet.kubeconfig",
        &format!(
            "clusters:\n- name: local\n  cluster: {{server: 'https://127.0.0.1:6444', certificate-authority: {0}/agent/server-ca.crt}}\n\
         contexts:\n- name: Default\n  context: {{cluster: local, user: user}}\ncurrent-context: Default\n\
         users:\n- name: user\n  user: {{client-certificate: {0}/agent/client-kubelet.crt, client-key: {0}/agent/client-kubelet.key}}\n",
            root.path().display()
        ),
    );
    let line = format!("k3s server --data-dir={}", root.path().display());
    assert_eq!(fails(std::slice::from_ref(&line), root.path(), "server"), []);
    // And what is wrong there is found.
    pair(
        "agent/client-kubelet",
        &server.issue("system:node:server", |_| {}),
    );
    let found = fails(&[line], root.path(), "server");
    assert!(
        found
            .iter()
            .any(|(_, cause, at)| *cause == CauseId::CertIssuerUnknown
                && at.ends_with("agent/client-kubelet.crt")),
        "{found:?}"
    );
}
