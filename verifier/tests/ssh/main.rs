//! The SSH carrier against a real sshd: who is let in, what is refused and how, and that nothing stays on a host.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bastions;
mod hostkeys;
mod keys;
mod sshd;
mod sudo;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use secrets::Secret;
use sshd::{KeyAgent, Kind, PASSWORD, SOON, Sshd, keygen};
use verifier::carrier::Agent;
use verifier::carrier::ssh::{
    self, Bastions, ConnectError, Escalation, HostKey, KeyState, Programs, Route, Target, accept, host_key,
};
use verifier::carrier::{Hosts, Pace, ReachKind};
use verifier::protocol::Clock;

fn programs() -> Programs {
    Arc::new(|platform| {
        (*platform == bundle::Platform::current()).then(|| PathBuf::from(env!("CARGO_BIN_EXE_verifier")))
    })
}

async fn connect(target: &Target) -> Result<Agent, ConnectError> {
    ssh::connect(target, &programs(), SOON, &Bastions::default()).await
}

async fn refused(target: &Target) -> ConnectError {
    match connect(target).await {
        Ok(_) => panic!("{target} let us in"),
        Err(error) => error,
    }
}

/// `inner` through `outer`, which lets the key of `inner` in, but whose host key is not known yet.
fn behind(inner: &Sshd, outer: &Sshd) -> Target {
    outer.authorize(&inner.path("id.pub"));
    let target = inner.target();
    Target {
        route: Route::Bastion(Box::new(Target {
            name: "127.0.0.1".to_owned(),
            port: outer.target().port,
            ..target.clone()
        })),
        ..target
    }
}

/// Adds the key of `host` to the known hosts of `target`.
fn know(target: &Target, host: &Sshd) {
    let mut known = fs::OpenOptions::new()
        .append(true)
        .open(&target.known_hosts)
        .unwrap();
    known
        .write_all(&fs::read(host.target().known_hosts).unwrap())
        .unwrap();
}

async fn shown(target: &Target) -> Result<HostKey, ConnectError> {
    host_key(target, SOON, &Bastions::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_brought_answers_and_leaves_nothing() {
    let host = Sshd::start(&Kind::default());
    let agent = connect(&host.target()).await.unwrap();
    assert_eq!(agent.hello().uid, 0);
    // Not even while it runs.
    assert!(host.left().is_empty());
    agent.ask(Clock {}, SOON).await.unwrap();
    drop(agent);
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_refused_with_its_fingerprint_until_it_is_pinned() {
    let host = Sshd::start(&Kind::default());
    let target = Target {
        known_hosts: host.path("pins"),
        ..host.target()
    };
    let error = refused(&target).await;
    let ConnectError::HostKeyUnknown { fingerprint, .. } = &error else {
        panic!("{error}")
    };
    let listed = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(host.path("host.pub"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains(fingerprint.as_str()));

    let key = shown(&target).await.unwrap();
    assert_eq!((key.state, &key.fingerprint), (KeyState::New, fingerprint));
    assert_eq!(accept(&target.known_hosts, &[key]).unwrap(), 1);
    connect(&target).await.unwrap();
    let key = shown(&target).await.unwrap();
    assert_eq!(key.state, KeyState::Known);
    assert_eq!(accept(&target.known_hosts, &[key]).unwrap(), 0);
    // OpenSSH reads the line as we do.
    let found = Command::new("ssh-keygen")
        .args(["-F", &format!("[127.0.0.1]:{}", target.port), "-f"])
        .arg(&target.known_hosts)
        .stdout(Stdio::null())
        .status();
    assert!(found.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn hashed_hosts_of_openssh_are_found_and_changed_and_revoked_keys_refused() {
    let host = Sshd::start(&Kind::default());
    let target = host.target();
    let hashed = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .stderr(Stdio::null())
        .arg(&target.known_hosts)
        .status();
    assert!(hashed.unwrap().success());
    assert!(
        fs::read_to_string(&target.known_hosts)
            .unwrap()
            .starts_with("|1|")
    );
    connect(&target).await.unwrap();

    keygen(&host.path("other"), "ed25519", "");
    let other = fs::read_to_string(host.path("other.pub")).unwrap();
    fs::write(
        &target.known_hosts,
        format!("\n[127.0.0.1]:{} {other}", target.port),
    )
    .unwrap();
    let error = refused(&target).await;
    assert!(
        matches!(error, ConnectError::HostKeyChanged { line: 2, .. }),
        "{error}"
    );
    let key = shown(&target).await.unwrap();
    assert_eq!(key.state, KeyState::Changed(2));
    assert_eq!(accept(&target.known_hosts, &[key]).unwrap(), 0);

    let own = fs::read_to_string(host.path("host.pub")).unwrap();
    fs::write(
        &target.known_hosts,
        format!("[127.0.0.1]:{} {own}@revoked * {own}", target.port),
    )
    .unwrap();
    let error = refused(&target).await;
    assert!(
        matches!(error, ConnectError::HostKeyRevoked { line: 2, .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_several_keys_shows_the_one_that_is_known() {
    let host = Sshd::start(&Kind::default());
    drop(host);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let rsa = dir.path().join("rsa");
    keygen(&rsa, "rsa", "");
    let host = Sshd::start(&Kind {
        config: &format!("HostKey {}", rsa.display()),
        ..Kind::default()
    });
    let target = host.target();
    let line = fs::read_to_string(rsa.with_extension("pub")).unwrap();
    fs::write(&target.known_hosts, format!("[127.0.0.1]:{} {line}", target.port)).unwrap();
    connect(&target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_a_refused_login_that_names_user_and_key() {
    let host = Sshd::start(&Kind::default());
    keygen(&host.path("wrong"), "ed25519", "");
    let error = refused(&Target {
        identity: Some(host.path("wrong")),
        // A socket that is left over does not hide why.
        key_agent: Some(host.path("no-agent")),
        ..host.target()
    })
    .await;
    let ConnectError::AuthFailed { user, tried, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (user.as_str(), tried.as_slice()),
        ("root", &[host.path("wrong").display().to_string()][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_keys_rsa_keys_and_keys_of_an_ssh_agent_open_the_door() {
    let host = Sshd::start(&Kind::default());
    for (name, kind, passphrase) in [
        ("locked", "ed25519", "secret"),
        ("rsa", "rsa", ""),
        ("held", "ecdsa", ""),
    ] {
        keygen(&host.path(name), kind, passphrase);
        let public = fs::read_to_string(host.path(name).with_extension("pub")).unwrap();
        let mut authorized = fs::OpenOptions::new()
            .append(true)
            .open(host.path("authorized"))
            .unwrap();
        authorized.write_all(public.as_bytes()).unwrap();
    }
    let locked = Target {
        identity: Some(host.path("locked")),
        ..host.target()
    };
    let error = refused(&locked).await;
    assert!(matches!(error, ConnectError::PassphraseNeeded { .. }), "{error}");
    connect(&Target {
        passphrase: Some(Secret::new("secret")),
        ..locked
    })
    .await
    .unwrap();
    connect(&Target {
        identity: Some(host.path("rsa")),
        ..host.target()
    })
    .await
    .unwrap();

    let agent = KeyAgent::start(&host, &[host.path("held")]);
    let connected = connect(&Target {
        identity: None,
        key_agent: Some(agent.socket()),
        ..host.target()
    })
    .await;
    connected.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_where_nothing_runs_is_passed_over() {
    let host = Sshd::start(&Kind {
        noexec: &["/root/.cache", "/var/tmp", "/run"],
        ..Kind::default()
    });
    let agent = connect(&host.target()).await.unwrap();
    assert!(host.left().is_empty());
    drop(agent);
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_runs_at_all_the_hash_to_allow_is_named() {
    let noexec = &["/root/.cache", "/var/tmp", "/tmp", "/run"];
    let host = Sshd::start(&Kind {
        noexec,
        ..Kind::default()
    });
    let error = refused(&host.target()).await;
    let ConnectError::NoExecDir { tried, sha256, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(tried.len(), 4, "{tried:?}");
    let summed = Command::new("sha256sum")
        .arg(env!("CARGO_BIN_EXE_verifier"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&summed.stdout).starts_with(sha256.as_str()));
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_hardened_host_the_agent_comes_through_sudo_with_a_password() {
    let host = Sshd::start(&Kind {
        config: "PermitRootLogin no\nDisableForwarding yes\nMaxSessions 2",
        noexec: &["/tmp", "/run"],
        sudoers: "Defaults use_pty\nDefaults lecture=always\nop ALL=(ALL) ALL",
        bashrc: "echo Welcome to node-0",
        ..Kind::default()
    });
    let agent = connect(&host.op(Some(PASSWORD))).await.unwrap();
    assert_eq!(agent.hello().uid, 0);
    assert!(host.left().is_empty());
    agent.ask(Clock {}, SOON).await.unwrap();
    drop(agent);
    host.nothing_is_left();

    let error = refused(&host.op(Some("wrong"))).await;
    assert!(matches!(error, ConnectError::SudoPasswordWrong { .. }), "{error}");
    let error = refused(&host.op(None)).await;
    assert!(
        matches!(error, ConnectError::SudoPasswordNeeded { .. }),
        "{error}"
    );
    let error = refused(&host.target()).await;
    assert!(matches!(error, ConnectError::AuthFailed { .. }), "{error}");
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_that_asks_nothing_gets_no_password() {
    let host = Sshd::start(&Kind {
        sudoers: "op ALL=(ALL) NOPASSWD: ALL",
        ..Kind::default()
    });
    assert_eq!(connect(&host.op(None)).await.unwrap().hello().uid, 0);
    assert_eq!(
        connect(&host.op(Some("not needed"))).await.unwrap().hello().uid,
        0
    );
    let plain = Target {
        escalation: Escalation::None,
        ..host.op(None)
    };
    assert_eq!(connect(&plain).await.unwrap().hello().uid, 5001);
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudo_that_refuses_is_told_in_its_own_words() {
    let host = Sshd::start(&Kind {
        sudoers: "op ALL=(ALL) /bin/true",
        ..Kind::default()
    });
    let error = refused(&host.op(Some(PASSWORD))).await;
    let ConnectError::SudoRefused { text, .. } = &error else {
        panic!("{error}")
    };
    assert!(text.contains("not allowed"), "{text}");
    let host = Sshd::start(&Kind {
        sudoers: "Defaults requiretty\nop ALL=(ALL) ALL",
        ..Kind::default()
    });
    let error = refused(&host.op(Some(PASSWORD))).await;
    assert!(matches!(error, ConnectError::SudoTerminal { .. }), "{error}");
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_runs_no_shell_is_told_in_its_own_words() {
    let host = Sshd::start(&Kind {
        shell: Some("/usr/sbin/nologin"),
        ..Kind::default()
    });
    let error = refused(&Target {
        escalation: Escalation::None,
        ..host.op(None)
    })
    .await;
    let ConnectError::NotStarted { text, .. } = &error else {
        panic!("{error}")
    };
    assert!(text.contains("not available"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_and_four_small_programs_are_enough() {
    let host = Sshd::start(&Kind {
        shell: Some("/bin/sh"),
        only: &["sh", "mkdir", "cat", "chmod", "uname"],
        ..Kind::default()
    });
    let plain = Target {
        escalation: Escalation::None,
        ..host.op(None)
    };
    let agent = connect(&plain).await.unwrap();
    assert_eq!(agent.hello().uid, 5001);
    assert!(host.left().is_empty());
    drop(agent);
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_sessions_are_named() {
    let host = Sshd::start(&Kind {
        config: "MaxSessions 1",
        ..Kind::default()
    });
    let error = refused(&host.target()).await;
    assert!(matches!(error, ConnectError::Sessions { .. }), "{error}");
    host.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn bastions_and_proxy_commands_lead_to_the_host() {
    let inner = Sshd::start(&Kind::default());
    let outer = Sshd::start(&Kind::default());
    let mut target = behind(&inner, &outer);
    let error = refused(&target).await;
    let ConnectError::BastionUnreached { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        matches!(source.error(), ConnectError::HostKeyUnknown { .. }),
        "the bastion's key is checked too: {error}"
    );

    know(&target, &outer);
    connect(&target).await.unwrap().ask(Clock {}, SOON).await.unwrap();

    let identity = target.identity.clone().unwrap();
    let command = format!(
        "ssh -W %h:%p -p {} -i {} -o UserKnownHostsFile={} root@127.0.0.1",
        outer.target().port,
        identity.display(),
        target.known_hosts.display()
    );
    target.route = Route::Command(command);
    connect(&target).await.unwrap().ask(Clock {}, SOON).await.unwrap();
    inner.nothing_is_left();
    outer.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_down_does_not_hinder_the_others() {
    let host = Sshd::start(&Kind::default());
    let up = host.target();
    let gone = Sshd::start(&Kind::default());
    let down = Target {
        name: "node-1".to_owned(),
        ..gone.target()
    };
    drop(gone);
    let hosts = Hosts::connect(&[up, down], &programs(), Pace::default(), &|_, _| {}).await;
    assert!(hosts.get("node-0").unwrap().is_ok());
    let Some(Err(error)) = hosts.get("node-1") else {
        panic!("node-1 is up")
    };
    assert_eq!(error.kind, ReachKind::Refused);
    assert_eq!(hosts.agents().count(), 1);
}

/// Runs in a process of its own, for the tests that kill it: connects with a program that it is given bit by bit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the victim of the tests that kill"]
async fn victim() {
    let var = |name: &str| std::env::var(name).unwrap();
    let target = Target {
        name: "node-0".to_owned(),
        address: "127.0.0.1".to_owned(),
        port: var("PORT").parse().unwrap(),
        user: "root".to_owned(),
        identity: Some(var("IDENTITY").into()),
        certificate: None,
        passphrase: None,
        key_agent: None,
        known_hosts: var("KNOWN_HOSTS").into(),
        escalation: Escalation::None,
        route: Route::Direct,
    };
    let program = PathBuf::from(var("PROGRAM"));
    let programs: Programs = Arc::new(move |_| Some(program.clone()));
    let agent = ssh::connect(&target, &programs, SOON, &Bastions::default())
        .await
        .unwrap();
    fs::write(var("READY"), "").unwrap();
    agent.ask(Clock {}, SOON).await.unwrap();
    std::future::pending::<()>().await;
}

fn start_victim(host: &Sshd, program: &std::path::Path) -> std::process::Child {
    let target = host.target();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored"])
        .env("PORT", target.port.to_string())
        .env("IDENTITY", target.identity.unwrap())
        .env("KNOWN_HOSTS", target.known_hosts)
        .env("PROGRAM", program)
        .env("READY", host.path("ready"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_in_the_middle_of_the_upload_nothing_is_left() {
    let host = Sshd::start(&Kind::default());
    let fifo = host.path("program");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut victim = start_victim(&host, &fifo);
    // Half a program, and then it waits for the rest.
    let mut half = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    half.write_all(&vec![0; 1024 * 1024]).unwrap();
    let arrived = || {
        let files = host
            .left()
            .into_iter()
            .map(|directory| directory.join("verifier"));
        files
            .filter_map(|file| file.metadata().ok())
            .any(|metadata| metadata.len() > 500_000)
    };
    while !arrived() {
        std::thread::sleep(Duration::from_millis(5));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    host.nothing_is_left();
}

#[test]
fn killed_while_the_agent_runs_nothing_is_left() {
    let host = Sshd::start(&Kind::default());
    let mut victim = start_victim(&host, env!("CARGO_BIN_EXE_verifier").as_ref());
    while !host.path("ready").exists() {
        assert!(victim.try_wait().unwrap().is_none(), "the victim ended early");
        std::thread::sleep(Duration::from_millis(5));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    host.nothing_is_left();
}
