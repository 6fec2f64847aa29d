//! A directory that somebody names, with no program that uses it: what is there is judged by itself and by what stands beside
//! it, and nothing that is only odd is wrong.

use std::fs;
use std::os::unix::fs::symlink;

use super::pki::{Ca, NOW, Tree, named, openssl, serving};
use crate::carrier::local::certificates_of;
use crate::certs::{Days, Elsewhere, Moment};
use crate::checks::certs::files::findings;
use crate::checks::certs::view::View;
use crate::findings::{CauseId, Severity};

/// Ended long ago.
fn ended(params: &mut rcgen::CertificateParams) {
    params.not_after = rcgen::date_time_ymd(2026, 2, 1);
}

/// Writes the files of a control plane as kubeadm names them into a directory of the tree.
fn kubeadm(tree: &Tree) {
    for directory in ["k", "k/pki", "k/pki/etcd"] {
        fs::create_dir(tree.path(directory)).unwrap();
    }
    tree.pair("k/pki/ca", &tree.ca.own);
    tree.pair("k/pki/apiserver", &tree.api(|_| {}));
    tree.pair(
        "k/pki/apiserver-kubelet-client",
        &tree.ca.issue("kube-apiserver-kubelet-client", |_| {}),
    );
    tree.write("k/pki/etcd/ca.crt", &tree.etcd.own.certificate);
    tree.pair(
        "k/pki/etcd/peer",
        &tree
            .etcd
            .issue("server", |params| serving(params, &["192.168.10.100"])),
    );
    let tokens = openssl("genrsa 2048", b"");
    tree.write("k/pki/sa.pub", openssl("rsa -pubout", &tokens));
    tree.write("k/pki/sa.key", tokens);
    let admin = tree.ca.issue("", |params| {
        named(params, "kubernetes-admin", Some("kubeadm:cluster-admins"));
    });
    tree.kubeconfig("k/admin.conf", &admin);
}

/// What is found below a path of the tree.
fn found(tree: &Tree, path: &str) -> Vec<(Severity, CauseId, String)> {
    let path = fs::canonicalize(tree.path(path)).unwrap();
    let reply = certificates_of::below(&path);
    let mut reply = reply;
    // The tests have a time of their own.
    reply.unix_seconds = NOW;
    let moment = Moment {
        now: NOW,
        days: Days::default(),
    };
    let elsewhere = Elsewhere::default();
    let view = View::new(&reply, &elsewhere, "here", None, moment);
    let of = |finding: crate::findings::Finding| {
        let subject = finding.subject.unwrap_or_default().to_string();
        (finding.severity, finding.cause.id(), subject)
    };
    findings(&view).into_iter().map(of).collect()
}

#[test]
fn odd_and_right_shapes_have_nothing_wrong() {
    let tree = Tree::healthy();
    kubeadm(&tree);
    // A CA that is being renewed, cross-signed and of its own.
    let next = Ca::new("next", |_| {});
    tree.write(
        "k/pki/next-ca.crt",
        next.own.certificate.clone() + &tree.front.own.certificate,
    );
    // For mail: it serves nobody.
    let mail = tree.ca.issue("mail", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::EmailProtection];
    });
    tree.pair("k/mail", &mail);
    // What begins like a certificate and is none, what is empty, what is old, what leads in circles.
    tree.write("k/store.p12", [0x30, 0x82, 1, 2, 3]);
    tree.write("k/empty.crt", "");
    tree.write("k/wireguard.key", "qCkLmQ==");
    tree.write(
        "k/request.csr",
        openssl(
            "req -new -newkey rsa:2048 -nodes -subj /CN=x -keyout /dev/null",
            b"",
        ),
    );
    for old in ["expired", "pki-old", "backup_2025"] {
        fs::create_dir(tree.path(&format!("k/{old}"))).unwrap();
        tree.pair(&format!("k/{old}/apiserver"), &tree.api(ended));
    }
    symlink(tree.path("k"), tree.path("k/pki/up")).unwrap();
    symlink("self.crt", tree.path("k/self.crt")).unwrap();
    assert_eq!(found(&tree, "k"), []);
}

#[test]
fn folders_may_have_any_names() {
    let tree = Tree::healthy();
    kubeadm(&tree);
    for folder in ["users", "clusters", "backup", "old"] {
        fs::create_dir(tree.path(folder)).unwrap();
        fs::create_dir(tree.path(&format!("{folder}/me"))).unwrap();
        fs::rename(tree.path("k"), tree.path(&format!("{folder}/me/k"))).unwrap();
        let path = format!("{folder}/me/k");
        assert_eq!(found(&tree, &path), [], "{folder}");
        tree.write(&format!("{path}/pki/apiserver.key"), tree.read("front.key"));
        let wrong = found(&tree, &path);
        assert_eq!(wrong.len(), 1, "{folder}: {wrong:?}");
        assert_eq!(wrong[0].1, CauseId::CertKeyMismatch, "{folder}");
        tree.pair(&format!("{path}/pki/apiserver"), &tree.api(|_| {}));
        fs::rename(tree.path(&path), tree.path("k")).unwrap();
    }
}

type Planted = (&'static str, fn(&Tree), Severity, CauseId, &'static str);

const PLANTED: &[Planted] = &[
    (
        "behind a link",
        |tree| {
            fs::create_dir(tree.path("elsewhere")).unwrap();
            tree.pair("elsewhere/a", &tree.api(ended));
            symlink(tree.path("elsewhere"), tree.path("k/more")).unwrap();
        },
        Severity::Fail,
        CauseId::CertExpired,
        "/more/a.crt",
    ),
    (
        "the kubeconfig's CA is of another cluster",
        |tree| {
            let other = Ca::new("kubernetes", |_| {});
            let admin = tree.ca.issue("admin", |_| {});
            let server = "https://server.kubernetes.local:6443";
            tree.kubeconfig_of("k/admin.conf", &admin, &other.own.certificate, server);
        },
        Severity::Fail,
        CauseId::KubeconfigCa,
        "/admin.conf#clusters/c",
    ),
    (
        "the kubeconfig calls by another name",
        |tree| {
            let admin = tree.ca.issue("admin", |_| {});
            tree.kubeconfig_of(
                "k/admin.conf",
                &admin,
                &tree.ca.own.certificate,
                "https://balancer:6443",
            );
        },
        Severity::Fail,
        CauseId::CertNameMissing,
        "/admin.conf",
    ),
    (
        "a kubeconfig without a context, whose user has ended",
        |tree| {
            tree.kubeconfig("k/other.conf", &tree.ca.issue("admin", ended));
            let text = tree.read("k/other.conf").replace("current-context: x", "");
            tree.write("k/other.conf", text);
        },
        Severity::Fail,
        CauseId::CertExpired,
        "/other.conf#users/u",
    ),
    (
        "a kubeconfig that is no yaml",
        |tree| {
            let text = tree.read("k/admin.conf").replace("users:", "users:\n\t- {");
            tree.write("k/admin.conf", text);
        },
        Severity::Fail,
        CauseId::CertFileBroken,
        "/admin.conf",
    ),
    (
        "a peer that may be no client",
        |tree| {
            let pair = tree.etcd.issue("server", |params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
                serving(params, &["192.168.10.100"]);
            });
            tree.pair("k/pki/etcd/peer", &pair);
        },
        Severity::Fail,
        CauseId::CertUsage,
        "/etcd/peer.crt",
    ),
    (
        "an api server without names",
        |tree| tree.pair("k/pki/apiserver", &tree.ca.issue("kube-apiserver", |_| {})),
        Severity::Fail,
        CauseId::CertNameless,
        "/apiserver.crt",
    ),
    (
        "a key that was emptied",
        |tree| tree.write("k/pki/apiserver.key", ""),
        Severity::Fail,
        CauseId::CertFileBroken,
        "/apiserver.key",
    ),
    (
        "a note in place of a key",
        |tree| tree.write("k/pki/apiserver.key", "in the safe"),
        Severity::Fail,
        CauseId::CertFileBroken,
        "/apiserver.key",
    ),
    (
        "tokens of another key",
        |tree| tree.write("k/pki/sa.key", openssl("genrsa 2048", b"")),
        Severity::Fail,
        CauseId::TokenKeyOther,
        "/sa.key",
    ),
    (
        "one CA for the front proxy and for clients",
        |tree| tree.write("k/pki/front-proxy-ca.crt", &tree.ca.own.certificate),
        Severity::Warn,
        CauseId::FrontProxyShared,
        "/front-proxy-ca.crt",
    ),
    (
        "cert.pem and the key.pem of another",
        |tree| {
            let pair = tree.api(|_| {});
            tree.write("k/cert.pem", pair.certificate);
            tree.write("k/key.pem", tree.read("front.key"));
        },
        Severity::Fail,
        CauseId::CertKeyMismatch,
        "/cert.pem",
    ),
    (
        "an intermediate that has ended",
        |tree| {
            let below = tree.ca.below_with("middle", ended);
            let mut pair = below.issue("x", |params| serving(params, &["x"]));
            pair.certificate += &below.own.certificate;
            tree.pair("k/x", &pair);
        },
        Severity::Fail,
        CauseId::CertExpired,
        "/x.crt[2]",
    ),
    (
        "a CA that is none",
        |tree| {
            let none = Ca::new("none", |params| params.is_ca = rcgen::IsCa::ExplicitNoCa);
            tree.write("k/none.crt", &none.own.certificate);
            tree.pair("k/x", &none.issue("x", |params| serving(params, &["x"])));
        },
        Severity::Fail,
        CauseId::CertChainRefused,
        "/x.crt",
    ),
    (
        "an empty file beside its key",
        |tree| tree.write("k/pki/apiserver.crt", ""),
        Severity::Fail,
        CauseId::CertFileBroken,
        "/apiserver.crt",
    ),
    (
        "a certificate that is cut off",
        |tree| {
            let text = tree.read("k/pki/apiserver.crt");
            tree.write("k/pki/apiserver.crt", &text[..300]);
        },
        Severity::Fail,
        CauseId::CertFileBroken,
        "/apiserver.crt",
    ),
];

#[test]
fn what_is_wrong_in_a_named_directory_is_found_at_its_place() {
    let mut missed = Vec::new();
    for (name, plant, severity, cause, at) in PLANTED {
        let tree = Tree::healthy();
        kubeadm(&tree);
        plant(&tree);
        let found = found(&tree, "k");
        let is = |(one, other, subject): &(Severity, CauseId, String)| {
            one == severity && other == cause && subject.ends_with(at)
        };
        if !found.iter().any(is) {
            missed.push(format!("{name}: {found:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn of_more_files_than_a_program_is_given_each_is_judged() {
    let tree = Tree::healthy();
    fs::create_dir(tree.path("many")).unwrap();
    let good = tree.api(|_| {});
    for number in 0..700 {
        // Different bytes, one certificate.
        tree.write(
            &format!("many/{number}.crt"),
            format!("{number}\n{}", good.certificate),
        );
    }
    tree.pair("many/last", &tree.api(ended));
    let found = found(&tree, "many");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].2.ends_with("/many/last.crt"));
}
