//! Faults that openssl does not see: what Go refuses though names and signatures are right, and what leads nowhere.

use rcgen::{
    BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, NameConstraints,
    SanType,
};

use super::faults::{Fault, fail, warn};
use super::pki::{Ca, Tree, named, serving};
use crate::findings::CauseId;

/// Makes etcd's authority anew, and what it signed.
fn etcd_of(tree: &mut Tree, edit: impl FnOnce(&mut rcgen::CertificateParams)) {
    tree.etcd = Ca::new("etcd-ca", edit);
    tree.write("etcd-ca.crt", &tree.etcd.own.certificate);
    let client = tree.etcd.issue("kube-apiserver-etcd-client", |_| {});
    tree.pair("etcd-client", &client);
    for (name, host) in [("etcd", "127.0.0.1"), ("peer", "192.168.10.100")] {
        let pair = tree
            .etcd
            .issue("server", |params| serving(params, &["server", host]));
        tree.pair(name, &pair);
    }
}

/// Puts an authority between etcd's and what etcd serves.
fn over(tree: &Tree, edit: impl FnOnce(&mut rcgen::CertificateParams)) {
    let below = tree.etcd.below_with("etcd-intermediate", edit);
    let mut pair = below.issue("server", |params| serving(params, &["server", "127.0.0.1"]));
    pair.certificate += &below.own.certificate;
    tree.pair("etcd", &pair);
}

/// Replaces a text in a kubeconfig.
fn edit(tree: &Tree, name: &str, from: &str, to: &str) {
    let text = tree.read(name);
    assert!(text.contains(from), "{name} has {from}");
    tree.write(name, text.replacen(from, to, 1));
}

pub(super) const REFUSED: &[Fault] = &[
    fail(
        "intermediate that is no ca",
        CauseId::CertChainRefused,
        "/etcd.crt",
        |tree| over(tree, |params| params.is_ca = IsCa::ExplicitNoCa),
    ),
    fail("path too long", CauseId::CertChainRefused, "/etcd.crt", |tree| {
        etcd_of(tree, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        });
        over(tree, |_| {});
    }),
    fail(
        "names that the ca may not give",
        CauseId::CertChainRefused,
        "/etcd.crt",
        |tree| {
            etcd_of(tree, |params| {
                params.name_constraints = Some(NameConstraints {
                    permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
                    excluded_subtrees: Vec::new(),
                });
            });
        },
    ),
    fail(
        "a ca for clients alone",
        CauseId::CertChainRefused,
        "/etcd.crt",
        |tree| {
            etcd_of(tree, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            });
        },
    ),
    fail(
        "a critical extension of one's own",
        CauseId::CertRefused,
        "/api.crt",
        |tree| {
            let mut own = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
            own.set_criticality(true);
            tree.pair("api", &tree.api(|params| params.custom_extensions = vec![own]));
        },
    ),
    warn(
        "a peer that may sign",
        CauseId::CertMaySign,
        "/peer.crt",
        |tree| {
            let pair = tree.etcd.issue("server", |params| {
                serving(params, &["192.168.10.100"]);
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            });
            tree.pair("peer", &pair);
        },
    ),
    fail(
        "a server without names",
        CauseId::CertNameless,
        "/api.crt",
        |tree| {
            tree.pair("api", &tree.ca.issue("kube-apiserver", |_| {}));
        },
    ),
    warn(
        "an address among the names",
        CauseId::CertAddressAsName,
        "/api.crt",
        |tree| {
            tree.pair(
                "api",
                &tree.api(|params| {
                    let address = SanType::DnsName("10.0.0.7".try_into().unwrap());
                    params.subject_alt_names.push(address);
                }),
            );
        },
    ),
    warn(
        "a kubelet that may do all",
        CauseId::CertMasters,
        "/kubelet.conf#users/u",
        |tree| {
            tree.kubeconfig(
                "kubelet.conf",
                &tree.node(|params| named(params, "system:node:server", Some("system:masters"))),
            );
        },
    ),
    warn(
        "one ca for clients and the front proxy",
        CauseId::FrontProxyShared,
        "/front-ca.crt",
        |tree| {
            tree.write("front-ca.crt", &tree.ca.own.certificate);
            tree.pair("front", &tree.ca.issue("front-proxy-client", |_| {}));
        },
    ),
    fail(
        "one ca for clients and the front proxy, whoever it names",
        CauseId::FrontProxyShared,
        "/front-ca.crt",
        |tree| {
            tree.write("front-ca.crt", &tree.ca.own.certificate);
            tree.pair("front", &tree.ca.issue("front-proxy-client", |_| {}));
            tree.without("--requestheader-allowed-names");
        },
    ),
    fail(
        "tokens are signed with another key",
        CauseId::TokenKeyOther,
        "/sa.key",
        |tree| tree.write("sa.key", tree.read("front.key")),
    ),
    fail(
        "a context that is not there",
        CauseId::KubeconfigDangling,
        "/kcm.conf",
        |tree| edit(tree, "kcm.conf", "current-context: x", "current-context: y"),
    ),
    fail(
        "no context at all",
        CauseId::KubeconfigDangling,
        "/kubelet.conf",
        |tree| edit(tree, "kubelet.conf", "current-context: x", ""),
    ),
    fail(
        "a user that is not there",
        CauseId::KubeconfigDangling,
        "/kcm.conf",
        |tree| edit(tree, "kcm.conf", "user: u}", "user: v}"),
    ),
    warn(
        "a user with nothing to log in with",
        CauseId::KubeconfigBare,
        "/kcm.conf",
        |tree| {
            let text = tree.read("kcm.conf");
            let at = text.find("{client-certificate-data").unwrap();
            tree.write("kcm.conf", text[..at].to_owned() + "{}\n");
        },
    ),
    fail(
        "a key in the certificate's place",
        CauseId::CertFileBroken,
        "/api.crt",
        |tree| tree.write("api.crt", tree.read("api.key")),
    ),
    fail(
        "a certificate in the kubeconfig's place",
        CauseId::CertFileBroken,
        "/kcm.conf",
        |tree| tree.write("kcm.conf", tree.read("ca.crt")),
    ),
    fail("a byte order mark", CauseId::CertFileBroken, "/api.crt", |tree| {
        tree.write("api.crt", format!("\u{feff}{}", tree.read("api.crt")));
    }),
    fail(
        "openssl's own kind of certificate",
        CauseId::CertFileBroken,
        "/api.crt",
        |tree| {
            let text = tree.read("api.crt").replace("CERTIFICATE", "TRUSTED CERTIFICATE");
            tree.write("api.crt", text);
        },
    ),
];
