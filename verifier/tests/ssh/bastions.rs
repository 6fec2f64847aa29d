//! Bastions, and an sshd that closes connections at random.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use verifier::carrier::ssh::{self, Bastions, ConnectError, KeyState, Programs, Route, Target};
use verifier::carrier::{Hosts, Pace, ReachKind};
use verifier::protocol::Clock;

use crate::sshd::{Kind, SOON, Sshd, keygen};
use crate::{behind, connect, know, programs, refused, shown};

/// A program that ends at once, in words of its own: that it ran shows that a host was reached.
fn small(host: &Sshd) -> Programs {
    let path: PathBuf = host.path("small-program");
    fs::write(&path, "#!/bin/sh\necho here I am >&2; exit 3\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Arc::new(move |_| Some(path.clone()))
}

/// All ports of `inner` behind one bastion.
fn many(inner: &Sshd, outer: &Sshd) -> Vec<Target> {
    let first = behind(inner, outer);
    know(&first, outer);
    let key = fs::read_to_string(inner.path("host.pub")).unwrap();
    let mut known = fs::OpenOptions::new()
        .append(true)
        .open(&first.known_hosts)
        .unwrap();
    for port in inner.ports() {
        write!(known, "[127.0.0.1]:{port} {key}").unwrap();
    }
    let target = |port: &u16| Target {
        name: format!("w{port}"),
        port: *port,
        ..first.clone()
    };
    inner.ports().iter().map(target).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dozen_hosts_share_one_login_to_a_bastion_with_the_usual_settings() {
    // An sshd listens on 16 ports at most.
    let inner: Vec<Sshd> = (0..2)
        .map(|_| {
            Sshd::start(&Kind {
                config: "MaxStartups 500",
                ports: 12,
                ..Kind::default()
            })
        })
        .collect();
    let outer = Sshd::start(&Kind {
        config: "MaxStartups 10:30:100\nLogLevel VERBOSE",
        ..Kind::default()
    });
    let mut targets = many(&inner[0], &outer);
    inner[1].authorize(&inner[0].path("id.pub"));
    let first = targets[0].clone();
    for target in many(&inner[1], &outer) {
        let known = fs::read_to_string(&target.known_hosts).unwrap();
        fs::write(
            &first.known_hosts,
            fs::read_to_string(&first.known_hosts).unwrap() + &known,
        )
        .unwrap();
        targets.push(Target {
            name: target.name,
            port: target.port,
            ..first.clone()
        });
    }
    assert_eq!(targets.len(), 24);
    let inner = &inner[0];
    let hosts = Hosts::connect(&targets, &small(inner), Pace::default(), &|_, _| {}).await;
    for (name, host) in hosts.all() {
        let error = host.err().unwrap();
        assert_eq!(error.kind, ReachKind::NotStarted, "{name}: {error}");
        assert!(error.to_string().contains("here I am"), "{name}: {error}");
    }
    assert_eq!(outer.said("Accepted publickey"), 1);
    inner.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bastion_that_refuses_is_asked_once_and_is_no_failure_of_the_hosts() {
    let inner = Sshd::start(&Kind {
        ports: 6,
        ..Kind::default()
    });
    let outer = Sshd::start(&Kind {
        config: "LogLevel VERBOSE",
        ..Kind::default()
    });
    let targets = many(&inner, &outer);
    fs::write(outer.path("authorized"), "").unwrap();
    let hosts = Hosts::connect(&targets, &small(&inner), Pace::default(), &|_, _| {}).await;
    for (_, host) in hosts.all() {
        let kind = &host.err().unwrap().kind;
        assert!(matches!(kind, ReachKind::BastionUnreached { .. }), "{kind:?}");
    }
    // It writes that down a moment after it said so.
    outer.wait_for("Failed publickey");
    assert_eq!(outer.said("Failed publickey"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_bastion_that_breaks_is_made_anew() {
    let inner = Sshd::start(&Kind::default());
    let outer = Sshd::start(&Kind::default());
    let target = behind(&inner, &outer);
    know(&target, &outer);
    let bastions = Bastions::default();
    let agent = ssh::connect(&target, &programs(), SOON, &bastions).await.unwrap();
    outer.cut();
    assert!(agent.ask(Clock {}, SOON).await.is_err());
    let agent = ssh::connect(&target, &programs(), SOON, &bastions).await.unwrap();
    agent.ask(Clock {}, SOON).await.unwrap();
    assert_eq!(outer.said("Accepted publickey"), 2);
    drop(agent);
    inner.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn bastions_behind_bastions_lead_to_the_host() {
    let inner = Sshd::start(&Kind::default());
    let middle = Sshd::start(&Kind::default());
    let outer = Sshd::start(&Kind::default());
    let mut target = behind(&inner, &middle);
    let Route::Bastion(bastion) = &mut target.route else {
        unreachable!()
    };
    outer.authorize(&inner.path("id.pub"));
    bastion.route = Route::Bastion(Box::new(Target {
        port: outer.target().port,
        ..(**bastion).clone()
    }));
    know(&target, &middle);
    let error = refused(&target).await;
    assert!(
        cli::chain(&error).contains(&outer.target().port.to_string()),
        "{error}"
    );
    know(&target, &outer);
    connect(&target).await.unwrap().ask(Clock {}, SOON).await.unwrap();
    assert_eq!(outer.said("Accepted publickey"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bastion_that_gets_no_further_says_so() {
    let inner = Sshd::start(&Kind::default());
    let outer = Sshd::start(&Kind::default());
    let target = behind(&inner, &outer);
    know(&target, &outer);
    drop(inner);
    let identity = outer.path("id");
    let target = Target {
        route: match target.route {
            Route::Bastion(bastion) => Route::Bastion(Box::new(Target {
                identity: Some(identity),
                known_hosts: outer.target().known_hosts,
                ..*bastion
            })),
            route => route,
        },
        known_hosts: outer.target().known_hosts,
        ..target
    };
    let error = refused(&target).await;
    assert!(matches!(error, ConnectError::BastionConnects { .. }), "{error}");

    let strict = Sshd::start(&Kind {
        config: "AllowTcpForwarding no",
        ..Kind::default()
    });
    let inner = Sshd::start(&Kind::default());
    let target = behind(&inner, &strict);
    know(&target, &strict);
    let error = refused(&target).await;
    assert!(matches!(error, ConnectError::Bastion { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_sshd_drops_is_tried_again() {
    let host = Sshd::start(&Kind {
        config: "MaxStartups 1:100:1\nLoginGraceTime 0\nLogLevel VERBOSE",
        ..Kind::default()
    });
    let target = host.target();
    let idle = TcpStream::connect(("127.0.0.1", target.port)).unwrap();
    host.wait_for("Connection from");
    let connecting = tokio::spawn(async move { shown(&target).await });
    host.wait_for("drop connection");
    drop(idle);
    assert_eq!(connecting.await.unwrap().unwrap().state, KeyState::Known);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_closes_every_connection_is_told_in_these_words() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let closing = std::thread::spawn(move || {
        let mut closed = 0;
        for stream in server.incoming().take(9) {
            let mut stream = stream.unwrap();
            // Half of them in the middle of the key exchange.
            if closed % 2 == 1 {
                let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
            }
            closed += 1;
        }
        closed
    });
    let host = Sshd::start(&Kind::default());
    let error = refused(&Target {
        port,
        ..host.target()
    })
    .await;
    let ConnectError::Dropped { times, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((*times, closing.join().unwrap()), (9, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_command_that_is_not_there_is_not_tried_again() {
    let host = Sshd::start(&Kind::default());
    let target = Target {
        route: Route::Command("no-such-program %h".to_owned()),
        ..host.target()
    };
    let error = refused(&target).await;
    let ConnectError::ProxyEnded { status, .. } = &error else {
        panic!("{error}")
    };
    assert!(status.contains("127"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_talks_without_end_holds_up_nobody_behind_the_same_bastion() {
    let loud = Sshd::start(&Kind {
        shell: Some("/bin/sh"),
        config: "ForceCommand cat /dev/zero",
        ..Kind::default()
    });
    let quiet = Sshd::start(&Kind::default());
    let outer = Sshd::start(&Kind::default());
    let mut targets = Vec::new();
    for host in [&loud, &quiet] {
        let target = behind(host, &outer);
        know(&target, &outer);
        targets.push(Target {
            name: format!("w{}", target.port),
            ..target
        });
    }
    // One key for both, so that they share the bastion.
    loud.authorize(&quiet.path("id.pub"));
    let known = fs::read_to_string(&targets[0].known_hosts).unwrap();
    fs::write(
        &targets[1].known_hosts,
        known + &fs::read_to_string(&targets[1].known_hosts).unwrap(),
    )
    .unwrap();
    let (route, known) = (targets[1].route.clone(), targets[1].known_hosts.clone());
    targets[0] = Target {
        identity: targets[1].identity.clone(),
        known_hosts: known,
        route,
        ..targets[0].clone()
    };
    let pace = Pace {
        deadline: std::time::Duration::from_secs(20),
        ..Pace::default()
    };
    let hosts = Hosts::connect(&targets, &programs(), pace, &|_, _| {}).await;
    assert_eq!(outer.said("Accepted publickey"), 1);
    assert!(hosts.get(&targets[0].name).unwrap().is_err());
    let agent = hosts.get(&targets[1].name).unwrap().unwrap();
    agent.ask(Clock {}, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_bastion_key_is_not_logged_into() {
    let inner = Sshd::start(&Kind::default());
    let outer = Sshd::start(&Kind::default());
    let target = behind(&inner, &outer);
    keygen(&inner.path("other"), "ed25519", "");
    let other = fs::read_to_string(inner.path("other.pub")).unwrap();
    let mut known = fs::OpenOptions::new()
        .append(true)
        .open(&target.known_hosts)
        .unwrap();
    writeln!(known, "[127.0.0.1]:{} {other}", outer.target().port).unwrap();
    let error = refused(&target).await;
    let ConnectError::BastionUnreached { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        matches!(source.error(), ConnectError::HostKeyChanged { .. }),
        "{error}"
    );
    assert_eq!(outer.said("Accepted publickey"), 0);
}
