//! The faults: what is done, and what must be said of it.

use std::fs;

use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use super::pki::{Ca, NOW, Tree, named, openssl, serving};
use crate::findings::{CauseId, Severity};
use crate::protocol::RefusalKind;

/// A fault.
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) plant: fn(&mut Tree),
    pub(super) severity: Severity,
    pub(super) cause: CauseId,
    /// How the subject ends.
    pub(super) at: &'static str,
}

pub(super) const fn fail(
    name: &'static str,
    cause: CauseId,
    at: &'static str,
    plant: fn(&mut Tree),
) -> Fault {
    Fault {
        name,
        plant,
        severity: Severity::Fail,
        cause,
        at,
    }
}

pub(super) const fn warn(
    name: &'static str,
    cause: CauseId,
    at: &'static str,
    plant: fn(&mut Tree),
) -> Fault {
    Fault {
        name,
        plant,
        severity: Severity::Warn,
        cause,
        at,
    }
}

const fn error(name: &'static str, cause: CauseId, at: &'static str, plant: fn(&mut Tree)) -> Fault {
    Fault {
        name,
        plant,
        severity: Severity::Error,
        cause,
        at,
    }
}

/// Ended on the first of February of 2026, and ends twenty days from now.
fn ended(params: &mut rcgen::CertificateParams) {
    params.not_after = rcgen::date_time_ymd(2026, 2, 1);
}

fn ending(params: &mut rcgen::CertificateParams) {
    params.not_after = rcgen::date_time_ymd(2026, 12, 20);
}

/// Returns every fault.
pub(super) fn all() -> impl Iterator<Item = &'static Fault> {
    [DATES, KEYS, CHAINS, NAMES, FILES].into_iter().flatten()
}

const DATES: &[Fault] = &[
    fail("api expired", CauseId::CertExpired, "/api.crt", |tree| {
        tree.pair("api", &tree.api(ended));
    }),
    fail("api ends soon", CauseId::CertExpiresSoon, "/api.crt", |tree| {
        tree.pair("api", &tree.api(ending));
    }),
    warn(
        "api ends in 80 days",
        CauseId::CertExpiresSoon,
        "/api.crt",
        |tree| {
            tree.pair(
                "api",
                &tree.api(|params| params.not_after = rcgen::date_time_ymd(2027, 2, 18)),
            );
        },
    ),
    fail(
        "controllers' client begins tomorrow",
        CauseId::CertNotYetValid,
        "/kcm.conf#users/u",
        |tree| {
            let name = "system:kube-controller-manager";
            tree.kubeconfig(
                "kcm.conf",
                &tree.ca.issue(name, |params| {
                    params.not_before = rcgen::date_time_ymd(2026, 12, 1);
                }),
            );
        },
    ),
    fail(
        "kubelet's client expired",
        CauseId::CertExpired,
        "/kubelet.conf#users/u",
        |tree| {
            tree.kubeconfig("kubelet.conf", &tree.node(ended));
        },
    ),
    fail("ca expired", CauseId::CertExpired, "/ca.crt", |tree| {
        tree.ca = Ca::new("kubernetes", ended);
        tree.pair("ca", &tree.ca.own);
    }),
    fail("etcd peer expired", CauseId::CertExpired, "/peer.crt", |tree| {
        tree.pair("peer", &tree.etcd.issue("server", ended));
    }),
    fail(
        "front proxy expired",
        CauseId::CertExpired,
        "/front.crt",
        |tree| {
            tree.pair("front", &tree.front.issue("front-proxy-client", ended));
        },
    ),
    warn(
        "public key of an expired certificate",
        CauseId::CertExpired,
        "/sa.crt",
        |tree| {
            tree.pair("sa", &tree.ca.issue("service-accounts", ended));
        },
    ),
    warn(
        "a leaf of a day near its end",
        CauseId::CertExpiresSoon,
        "/etcd-client.crt",
        |tree| {
            let pair = tree.etcd.issue("kube-apiserver-etcd-client", |params| {
                params.not_before = rcgen::date_time_ymd(2026, 11, 20);
                params.not_after = rcgen::date_time_ymd(2026, 12, 1);
            });
            tree.pair("etcd-client", &pair);
        },
    ),
    warn(
        "ca ends before what it signed",
        CauseId::CaEndsEarlier,
        "/ca.crt",
        |tree| {
            tree.ca = Ca::new("kubernetes", |params| {
                params.not_after = rcgen::date_time_ymd(2027, 6, 20);
            });
            tree.pair("ca", &tree.ca.own);
            tree.pair("api", &tree.api(|_| {}));
        },
    ),
    fail(
        "the host's clock is years behind",
        CauseId::CertByHostClock,
        "/api.crt",
        |tree| tree.clock = NOW - 400 * 86_400,
    ),
    warn(
        "the first certificate of kubelet.conf",
        CauseId::KubeletConfStale,
        "/kubelet.conf#users/u",
        |tree| {
            let pair = tree.node(|_| {});
            tree.write("kubelet-client-current.pem", pair.certificate + &pair.key);
            let directory = format!("--cert-dir={}", tree.path("").display());
            tree.flag("kubelet", directory.trim_end_matches('/'));
            tree.kubeconfig("kubelet.conf", &tree.node(ended));
        },
    ),
];

const KEYS: &[Fault] = &[
    fail("key of another", CauseId::CertKeyMismatch, "/api.crt", |tree| {
        tree.write("api.key", tree.read("front.key"));
    }),
    fail(
        "kubeconfig's key of another",
        CauseId::CertKeyMismatch,
        "/kubelet.conf#users/u",
        |tree| {
            let mut pair = tree.node(|_| {});
            pair.key = tree.read("front.key");
            tree.kubeconfig("kubelet.conf", &pair);
        },
    ),
    fail("key gone", CauseId::CertKeyMissing, "/api.crt", |tree| {
        fs::remove_file(tree.path("api.key")).unwrap();
    }),
    fail(
        "key's file holds none",
        CauseId::CertKeyMissing,
        "/etcd.crt",
        |tree| tree.write("etcd.key", tree.read("etcd.crt")),
    ),
    fail(
        "kubeconfig without key",
        CauseId::CertKeyMissing,
        "/kcm.conf#users/u",
        |tree| {
            let text = tree.read("kcm.conf");
            let at = text.find(", client-key-data").unwrap();
            tree.write("kcm.conf", text[..at].to_owned() + "}\n");
        },
    ),
    warn("ca's key elsewhere", CauseId::CertKeyMissing, "/ca.crt", |tree| {
        fs::remove_file(tree.path("ca.key")).unwrap();
    }),
    fail("key encrypted", CauseId::CertKeyEncrypted, "/front.crt", |tree| {
        let key = openssl("pkcs8 -topk8 -passout pass:x", tree.read("front.key").as_bytes());
        tree.write("front.key", key);
    }),
    fail(
        "halves of two keys",
        CauseId::CertKeyBroken,
        "/peer.crt",
        |tree| {
            let [one, other] =
                ["peer.key", "api.key"].map(|name| openssl("ec -outform DER", tree.read(name).as_bytes()));
            let mixed = [&one[..7], &other[7..39], &one[39..]].concat();
            tree.write("peer.key", openssl("base64", &mixed));
            let text = tree.read("peer.key");
            tree.write(
                "peer.key",
                format!("-----BEGIN EC PRIVATE KEY-----\n{text}-----END EC PRIVATE KEY-----\n"),
            );
        },
    ),
    fail(
        "key readable by others",
        CauseId::CertKeyReadable,
        "/kubelet.key",
        |tree| tree.mode("kubelet.key", 0o644),
    ),
    fail(
        "kubeconfig readable by others",
        CauseId::CertKeyReadable,
        "/kcm.conf",
        |tree| tree.mode("kcm.conf", 0o604),
    ),
    warn("key of another user", CauseId::CertKeyOwner, "/api.key", |tree| {
        tree.edit = Some(|reply| {
            for program in &mut reply.programs {
                program.uid = Some(0);
            }
            let mut files = reply.files.iter_mut();
            files.find(|file| file.path.ends_with("/api.key")).unwrap().uid = 1000;
        });
    }),
    warn(
        "rsa of 1024 bits",
        CauseId::CertKeyWeak,
        "/kubelet-client.crt",
        |tree| {
            let key = openssl("genrsa 1024", b"");
            tree.write("kubelet-client.key", key);
            signed_by_openssl(tree, "kubelet-client", "-sha256");
        },
    ),
    fail(
        "sha-1",
        CauseId::CertSignatureWeak,
        "/kubelet-client.crt",
        |tree| signed_by_openssl(tree, "kubelet-client", "-sha1"),
    ),
];

/// Lets openssl issue a certificate for a key that is there.
fn signed_by_openssl(tree: &Tree, name: &str, digest: &str) {
    let at = |name: &str| tree.path(name).display().to_string();
    let request = format!(
        "req -new -key {} -subj /CN=kube-apiserver-kubelet-client",
        at(&format!("{name}.key"))
    );
    let request = openssl(&request, b"");
    let sign = format!(
        "x509 -req {digest} -days 3000 -CA {} -CAkey {} -set_serial 7",
        at("ca.crt"),
        at("ca.key")
    );
    tree.write(&format!("{name}.crt"), openssl(&sign, &request));
}

const CHAINS: &[Fault] = &[
    fail(
        "signs clients by a ca that nobody believes",
        CauseId::CertIssuerUnknown,
        "/signing.crt",
        |tree| {
            tree.pair("signing", &Ca::new("other", |_| {}).own);
            let place = tree.path("signing").display().to_string();
            tree.without("--cluster-signing");
            tree.flag(
                "kube-controller-manager",
                &format!("--cluster-signing-cert-file={place}.crt --cluster-signing-key-file={place}.key"),
            );
        },
    ),
    fail(
        "gives pods another ca",
        CauseId::RootCaOther,
        "/pods.crt",
        |tree| {
            tree.pair("pods", &Ca::new("other", |_| {}).own);
            let place = tree.path("pods.crt").display().to_string();
            tree.without("--root-ca-file");
            tree.flag("kube-controller-manager", &format!("--root-ca-file={place}"));
        },
    ),
    fail(
        "ca before the leaf",
        CauseId::CertChainOrder,
        "/api.crt",
        |tree| {
            tree.write("api.crt", tree.read("ca.crt") + &tree.read("api.crt"));
        },
    ),
    fail(
        "client of a foreign ca",
        CauseId::CertIssuerUnknown,
        "/kubelet.conf#users/u",
        |tree| {
            let other = Ca::new("other", |_| {});
            let pair = other.issue("", |params| {
                named(params, "system:node:server", Some("system:nodes"));
            });
            tree.kubeconfig("kubelet.conf", &pair);
        },
    ),
    fail(
        "client of an older ca of the same name",
        CauseId::CertIssuerKey,
        "/kcm.conf#users/u",
        |tree| {
            let older = Ca::new("kubernetes", |_| {});
            tree.kubeconfig("kcm.conf", &older.issue("system:kube-controller-manager", |_| {}));
        },
    ),
    fail(
        "intermediate left out",
        CauseId::CertIssuerUnknown,
        "/etcd.crt",
        |tree| {
            let below = tree.etcd.below("etcd-intermediate");
            tree.pair(
                "etcd",
                &below.issue("server", |params| serving(params, &["server", "127.0.0.1"])),
            );
        },
    ),
    fail(
        "front proxy of the wrong ca",
        CauseId::CertIssuerUnknown,
        "/front.crt",
        |tree| {
            tree.pair("front", &tree.ca.issue("front-proxy-client", |_| {}));
        },
    ),
    fail(
        "etcd's client of the wrong ca",
        CauseId::CertIssuerUnknown,
        "/etcd-client.crt",
        |tree| {
            tree.pair(
                "etcd-client",
                &tree.ca.issue("kube-apiserver-etcd-client", |_| {}),
            );
        },
    ),
    fail(
        "a leaf is believed",
        CauseId::CertNotCa,
        "/front-ca.crt",
        |tree| {
            tree.write("front-ca.crt", tree.read("front.crt"));
        },
    ),
    fail(
        "a ca that may sign nothing",
        CauseId::CertNotCa,
        "/etcd-ca.crt",
        |tree| {
            tree.etcd = Ca::new("etcd-ca", |params| {
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            });
            tree.write("etcd-ca.crt", &tree.etcd.own.certificate);
        },
    ),
    warn("two cas of one name", CauseId::CaTwins, "/front-ca.crt", |tree| {
        tree.front = Ca::new("kubernetes", |_| {});
        tree.write("front-ca.crt", &tree.front.own.certificate);
        tree.pair("front", &tree.front.issue("front-proxy-client", |_| {}));
    }),
    fail(
        "kubeconfig of another cluster",
        CauseId::KubeconfigCa,
        "/kcm.conf#clusters/c",
        |tree| {
            let other = Ca::new("other", |_| {});
            let pair = tree.ca.issue("system:kube-controller-manager", |_| {});
            tree.kubeconfig_of(
                "kcm.conf",
                &pair,
                &other.own.certificate,
                "https://server.kubernetes.local:6443",
            );
        },
    ),
    fail(
        "kubelet signs for itself where it is checked",
        CauseId::CertIssuerUnknown,
        "/kubelet.crt",
        |tree| {
            let own = Ca::new("server@1", |params| serving(params, &["server"]));
            tree.pair("kubelet", &own.own);
        },
    ),
    warn(
        "kubelet signs for itself",
        CauseId::KubeletSelfSigned,
        "/kubelet.crt",
        |tree| {
            let own = Ca::new("server@1", |params| {
                params.is_ca = IsCa::ExplicitNoCa;
                serving(params, &["server"]);
            });
            tree.pair("kubelet", &own.own);
            for flag in [
                "--tls-cert-file",
                "--tls-private-key-file",
                "--kubelet-certificate-authority",
            ] {
                tree.without(flag);
            }
            let directory = format!("--cert-dir={}", tree.path("").display());
            tree.flag("kubelet", directory.trim_end_matches('/'));
        },
    ),
];

const NAMES: &[Fault] = &[
    fail("api may not serve", CauseId::CertUsage, "/api.crt", |tree| {
        let client = vec![ExtendedKeyUsagePurpose::ClientAuth];
        tree.pair("api", &tree.api(|params| params.extended_key_usages = client));
    }),
    fail(
        "kubelet may be no client",
        CauseId::CertUsage,
        "/kubelet.conf#users/u",
        |tree| {
            let server = vec![ExtendedKeyUsagePurpose::ServerAuth];
            tree.kubeconfig(
                "kubelet.conf",
                &tree.node(|params| params.extended_key_usages = server),
            );
        },
    ),
    fail(
        "a peer may be no client",
        CauseId::CertUsage,
        "/peer.crt",
        |tree| {
            let pair = tree.etcd.issue("server", |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                serving(params, &["192.168.10.100"]);
            });
            tree.pair("peer", &pair);
        },
    ),
    fail(
        "kubelet is no node",
        CauseId::CertIdentity,
        "/kubelet.conf#users/u",
        |tree| {
            tree.kubeconfig(
                "kubelet.conf",
                &tree.node(|params| named(params, "server", Some("system:nodes"))),
            );
        },
    ),
    fail(
        "kubelet is in no group",
        CauseId::CertIdentity,
        "/kubelet.conf#users/u",
        |tree| {
            tree.kubeconfig(
                "kubelet.conf",
                &tree.node(|params| named(params, "system:node:server", None)),
            );
        },
    ),
    fail(
        "kubelet is another node",
        CauseId::CertNodeOther,
        "/kubelet.conf#users/u",
        |tree| {
            tree.kubeconfig(
                "kubelet.conf",
                &tree.node(|params| named(params, "system:node:node-0", Some("system:nodes"))),
            );
        },
    ),
    warn(
        "controllers are called otherwise",
        CauseId::CertIdentity,
        "/kcm.conf#users/u",
        |tree| {
            tree.kubeconfig("kcm.conf", &tree.ca.issue("kube-controller-manager", |_| {}));
        },
    ),
    fail(
        "front proxy's name is not allowed",
        CauseId::CertIdentity,
        "/front.crt",
        |tree| {
            tree.pair("front", &tree.front.issue("aggregator", |_| {}));
        },
    ),
    fail(
        "api lacks the name of kubeconfigs",
        CauseId::CertNameMissing,
        "/api.crt",
        |tree| {
            tree.pair(
                "api",
                &tree.api(|params| serving(params, &["kubernetes.default.svc", "10.32.0.1"])),
            );
        },
    ),
    fail(
        "api lacks the service's address",
        CauseId::CertNameMissing,
        "/api.crt",
        |tree| {
            tree.pair(
                "api",
                &tree.api(|params| serving(params, &["server.kubernetes.local"])),
            );
        },
    ),
    fail(
        "names in CN alone",
        CauseId::CertNameMissing,
        "/etcd.crt",
        |tree| {
            tree.pair("etcd", &tree.etcd.issue("127.0.0.1", |_| {}));
        },
    ),
    fail(
        "kubelet lacks its node's name",
        CauseId::CertNameMissing,
        "/kubelet.crt",
        |tree| {
            tree.pair(
                "kubelet",
                &tree.ca.issue("server", |params| serving(params, &["node-7"])),
            );
        },
    ),
    fail(
        "a peer lacks its address",
        CauseId::CertNameMissing,
        "/peer.crt",
        |tree| {
            tree.pair(
                "peer",
                &tree
                    .etcd
                    .issue("server", |params| serving(params, &["192.168.10.7"])),
            );
        },
    ),
];

const FILES: &[Fault] = &[
    fail("der", CauseId::CertFileBroken, "/kubelet.crt", |tree| {
        let der = openssl("x509 -outform DER", tree.read("kubelet.crt").as_bytes());
        tree.write("kubelet.crt", der);
    }),
    fail("file gone", CauseId::CertFileMissing, "/etcd-ca.crt", |tree| {
        fs::remove_file(tree.path("etcd-ca.crt")).unwrap();
    }),
    fail("garbage", CauseId::CertFileBroken, "/api.crt", |tree| {
        tree.write("api.crt", "nothing");
    }),
    fail("cut off", CauseId::CertFileBroken, "/api.crt", |tree| {
        let text = tree.read("api.crt");
        tree.write("api.crt", &text[..text.len() / 2]);
    }),
    fail(
        "no certificate in the pem",
        CauseId::CertFileBroken,
        "/front.crt",
        |tree| {
            tree.write(
                "front.crt",
                "-----BEGIN CERTIFICATE-----\nAQIDBA==\n-----END CERTIFICATE-----\n",
            );
        },
    ),
    fail("empty", CauseId::CertFileBroken, "/ca.crt", |tree| {
        tree.write("ca.crt", "");
    }),
    fail(
        "kubeconfig's data is no base64",
        CauseId::CertFileBroken,
        "/kcm.conf",
        |tree| {
            tree.kubeconfig("other.conf", &tree.node(|_| {}));
            let whole = tree.read("other.conf");
            let at = whole.find("client-certificate-data: ").unwrap() + "client-certificate-data: ".len();
            tree.write(
                "kcm.conf",
                format!("{}'%%', client-key-data: ''}}\n", &whole[..at]),
            );
        },
    ),
    error("unreadable", CauseId::CertFileUnreadable, "/api.key", |tree| {
        tree.edit = Some(|reply| {
            let given = reply.programs.iter_mut().flat_map(|program| &mut program.files);
            let api = given
                .filter(|given| given.setting == "tls-private-key-file" && given.path.ends_with("/api.key"));
            api.for_each(|given| (given.file, given.unread) = (None, Some(RefusalKind::Denied)));
        });
    }),
    error(
        "a role without its program",
        CauseId::CertUserUnknown,
        "kube-apiserver",
        |tree| {
            tree.lines.retain(|line| !line.starts_with("kube-apiserver"));
        },
    ),
    warn(
        "believes any server",
        CauseId::KubeconfigInsecure,
        "/kcm.conf",
        |tree| {
            let text = tree
                .read("kcm.conf")
                .replace("{server:", "{insecure-skip-tls-verify: true, server:");
            tree.write("kcm.conf", text);
        },
    ),
];
