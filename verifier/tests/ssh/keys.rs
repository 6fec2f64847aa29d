//! Which keys, certificates and algorithms are taken, on both sides.

use std::fs;
use std::path::Path;

use verifier::carrier::ssh::{ConnectError, KeyState, Target};
use verifier::protocol::Clock;

use crate::sshd::{KeyAgent, Kind, SOON, Sshd, keygen, run};
use crate::{connect, refused, shown};

/// Signs `key.pub` with the authority `ca`; further arguments are ssh-keygen's.
fn sign(ca: &Path, key: &Path, arguments: &[&str]) {
    let public = key.with_extension("pub");
    let mut all = vec!["-q", "-s", ca.to_str().unwrap(), "-I", "test"];
    all.extend(arguments);
    all.push(public.to_str().unwrap());
    run("ssh-keygen", &all);
}

/// A host that lets in whoever has a certificate of the authority `ca`, and nobody else.
fn with_authority(kind: &str) -> (tempfile::TempDir, Sshd) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    keygen(&dir.path().join("ca"), kind, "");
    let ca = dir.path().join("ca.pub");
    let host = Sshd::start(&Kind {
        config: &format!("TrustedUserCAKeys {}", ca.display()),
        ..Kind::default()
    });
    fs::write(host.path("authorized"), "").unwrap();
    (dir, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_beside_the_key_opens_the_door_for_every_type_of_key() {
    let (ca, host) = with_authority("ed25519");
    let error = refused(&host.target()).await;
    assert!(matches!(error, ConnectError::AuthFailed { .. }), "{error}");
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = host.path(kind);
        keygen(&key, kind, "");
        sign(&ca.path().join("ca"), &key, &["-n", "root", "-V", "+1h"]);
        let target = Target {
            identity: Some(key),
            ..host.target()
        };
        connect(&target).await.unwrap().ask(Clock {}, SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_site_names_is_offered_with_the_key_of_a_file_or_of_an_agent() {
    let (ca, host) = with_authority("rsa");
    for kind in ["ed25519", "rsa"] {
        let key = host.path(kind);
        keygen(&key, kind, "");
        sign(&ca.path().join("ca"), &key, &["-n", "root", "-V", "+1h"]);
        let elsewhere = host.path("elsewhere-cert.pub");
        fs::rename(host.path(&format!("{kind}-cert.pub")), &elsewhere).unwrap();
        let with_file = Target {
            identity: Some(key.clone()),
            certificate: Some(elsewhere.clone()),
            ..host.target()
        };
        connect(&with_file).await.unwrap();
        // ssh-add would take the certificate too, did it lie beside.
        let agent = KeyAgent::start(&host, &[key]);
        let with_agent = Target {
            identity: None,
            key_agent: Some(agent.socket()),
            ..with_file
        };
        connect(&with_agent).await.unwrap();
        let bare = Target {
            certificate: None,
            ..with_agent
        };
        let error = refused(&bare).await;
        assert!(matches!(error, ConnectError::AuthFailed { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_an_agent_holds_is_offered() {
    let (ca, host) = with_authority("ed25519");
    for kind in ["ed25519", "rsa"] {
        let key = host.path(kind);
        keygen(&key, kind, "");
        sign(&ca.path().join("ca"), &key, &["-n", "root", "-V", "+1h"]);
        let agent = KeyAgent::start(&host, &[key]);
        let target = Target {
            identity: None,
            key_agent: Some(agent.socket()),
            ..host.target()
        };
        connect(&target).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_certificate_may_be_refused_is_told() {
    let (ca, host) = with_authority("ed25519");
    let tried = async |arguments: &[&str]| {
        sign(&ca.path().join("ca"), &host.path("id"), arguments);
        match refused(&host.target()).await {
            ConnectError::AuthFailed { tried, .. } => tried.join("; "),
            error => panic!("{error}"),
        }
    };
    let other = tried(&["-n", "alice", "-V", "+1h"]).await;
    assert!(other.contains(r#"is for "alice", not for "root""#), "{other}");
    let ended = tried(&["-n", "root", "-V", "20200101:20200102"]).await;
    assert!(ended.contains("it ended at 2020-01-02"), "{ended}");
    fs::write(host.path("id-cert.pub"), "nonsense").unwrap();
    let error = refused(&host.target()).await;
    assert!(
        error.to_string().contains("id-cert.pub, which cannot be read"),
        "{error}"
    );
    let named = Target {
        certificate: Some(host.path("id-cert.pub")),
        ..host.target()
    };
    let error = refused(&named).await;
    assert!(matches!(error, ConnectError::Certificate { .. }), "{error}");
}

/// A host with a certificate of an authority, and the target that knows the authority alone.
fn certified(arguments: &[&str], kind: &str) -> (tempfile::TempDir, Sshd, Target) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = dir.path();
    for name in ["ca", "certified"] {
        keygen(&path.join(name), kind, "");
    }
    let mut all = vec!["-h"];
    all.extend(arguments);
    sign(&path.join("ca"), &path.join("certified"), &all);
    let host = Sshd::start(&Kind {
        config: &format!(
            "HostKey {0}/certified\nHostCertificate {0}/certified-cert.pub",
            path.display()
        ),
        ..Kind::default()
    });
    let ca = fs::read_to_string(path.join("ca.pub")).unwrap();
    let known_hosts = host.path("authorities");
    fs::write(&known_hosts, format!("@cert-authority 127.0.0.*,node-* {ca}")).unwrap();
    let target = Target {
        known_hosts,
        ..host.target()
    };
    (dir, host, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_an_authority_vouches_for_is_known() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let (_dir, host, target) = certified(&["-n", "node-0", "-V", "+1h"], kind);
        connect(&target).await.unwrap().ask(Clock {}, SOON).await.unwrap();
        assert_eq!(shown(&target).await.unwrap().state, KeyState::Known);
        host.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_certificate_that_proves_nothing_is_refused_with_its_flaw() {
    for (arguments, flaw) in [
        (&["-n", "node-1", "-V", "+1h"][..], r#"is for "node-1""#),
        (&["-n", "node-0", "-V", "20200101:20200102"], "ended at 2020"),
        (&["-V", "+1h"], "names nobody"),
    ] {
        let (_dir, host, target) = certified(arguments, "ed25519");
        let error = refused(&target).await;
        assert!(matches!(error, ConnectError::HostCertificate { .. }), "{error}");
        let text = cli::chain(&error);
        assert!(text.contains(flaw), "{text}");
        // As with OpenSSH, the key in it can still be pinned.
        let key = shown(&target).await.unwrap();
        assert_eq!(key.state, KeyState::New);
        verifier::carrier::ssh::accept(&target.known_hosts, &[key]).unwrap();
        connect(&target).await.unwrap();
        host.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_authority_vouches_for_nobody() {
    let (dir, _host, target) = certified(&["-n", "node-0", "-V", "+1h"], "ed25519");
    let ca = fs::read_to_string(dir.path().join("ca.pub")).unwrap();
    let known = fs::read_to_string(&target.known_hosts).unwrap();
    fs::write(&target.known_hosts, format!("{known}@revoked * {ca}")).unwrap();
    let error = refused(&target).await;
    assert!(
        matches!(error, ConnectError::HostKeyRevoked { line: 2, .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_strict_profiles_are_spoken_with() {
    let profiles = [
        // FIPS 140 with curves alone, as crypto-policies of RHEL write it.
        "KexAlgorithms ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521\n\
         Ciphers aes256-gcm@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes128-ctr\n\
         MACs hmac-sha2-256-etm@openssh.com,hmac-sha1-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256\n",
        "KexAlgorithms ecdh-sha2-nistp256",
        "KexAlgorithms ecdh-sha2-nistp384\nCiphers aes128-ctr\nMACs hmac-sha1",
        "KexAlgorithms ecdh-sha2-nistp521\nCiphers aes192-ctr\nMACs hmac-sha2-512",
        // FIPS without curves.
        "KexAlgorithms diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512\nCiphers aes256-ctr\n",
        // dev-sec and ssh-audit.
        "KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256\n\
         Ciphers chacha20-poly1305@openssh.com\nMACs hmac-sha2-512-etm@openssh.com,umac-128-etm@openssh.com\n",
        "KexAlgorithms diffie-hellman-group18-sha512\nCiphers aes128-gcm@openssh.com\nMACs umac-128@openssh.com\n",
    ];
    for profile in profiles {
        let host = Sshd::start(&Kind {
            config: profile,
            ..Kind::default()
        });
        assert_eq!(
            shown(&host.target()).await.unwrap().state,
            KeyState::Known,
            "{profile}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_in_common_both_lists_are_told() {
    let host = Sshd::start(&Kind {
        config: "KexAlgorithms sntrup761x25519-sha512@openssh.com",
        ..Kind::default()
    });
    let error = refused(&host.target()).await;
    let ConnectError::NothingInCommon { ours, theirs, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        theirs.iter().any(|name| name.starts_with("sntrup761x25519")),
        "{theirs:?}"
    );
    assert!(ours.iter().any(|name| name == "ecdh-sha2-nistp256"), "{ours:?}");
    assert!(
        !ours.iter().any(|name| name.starts_with("kex-strict")),
        "{ours:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rsa_keys_of_a_file_and_of_an_agent_sign_with_sha_2_and_short_ones_are_refused() {
    let host = Sshd::start(&Kind {
        config: "PubkeyAcceptedAlgorithms rsa-sha2-256,rsa-sha2-512",
        ..Kind::default()
    });
    let key = host.path("rsa");
    keygen(&key, "rsa", "");
    host.authorize(&host.path("rsa.pub"));
    connect(&Target {
        identity: Some(key.clone()),
        ..host.target()
    })
    .await
    .unwrap();
    let agent = KeyAgent::start(&host, &[key]);
    connect(&Target {
        identity: None,
        key_agent: Some(agent.socket()),
        ..host.target()
    })
    .await
    .unwrap();
    let short = host.path("short");
    run(
        "ssh-keygen",
        &[
            "-q",
            "-t",
            "rsa",
            "-b",
            "1024",
            "-N",
            "",
            "-f",
            short.to_str().unwrap(),
        ],
    );
    let error = refused(&Target {
        identity: Some(short),
        ..host.target()
    })
    .await;
    assert!(cli::chain(&error).contains("2048"), "{}", cli::chain(&error));
}
