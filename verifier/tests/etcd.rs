//! One key of a real etcd, plain and over TLS: what of its value leaves the host, and what never does.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::cache::Cache;
use lab::components::{self, Set};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use verifier::carrier::{AskError, local};
use verifier::protocol::{EtcdAnswer, EtcdGet, EtcdMember, EtcdStatus, EtcdTls, EtcdValue};

const SOON: Duration = Duration::from_mins(1);
const KEY: &str = "/registry/secrets/default/canary";

struct Etcd {
    child: Child,
    programs: PathBuf,
    url: String,
    dir: tempfile::TempDir,
    tls: bool,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A CA, and one certificate of it for server and client.
fn certificates(dir: &Path) {
    let key = || KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, key()).unwrap();
    let leaf_key = key();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&leaf_key, &ca)
        .unwrap();
    fs::write(dir.join("ca.crt"), ca.pem()).unwrap();
    fs::write(dir.join("etcd.crt"), leaf.pem()).unwrap();
    fs::write(dir.join("etcd.key"), leaf_key.serialize_pem()).unwrap();
}

impl Etcd {
    fn start(tls: bool) -> Self {
        let components = components::ensure(&Cache::user().unwrap(), &[Set::Core], &|_| {}).unwrap();
        let programs = components.directory("etcd").unwrap().to_owned();
        let dir = tempfile::tempdir().unwrap();
        certificates(dir.path());
        let scheme = if tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", free_port());
        let peers = format!("http://127.0.0.1:{}", free_port());
        let mut command = Command::new(programs.join("etcd"));
        command.arg("--data-dir").arg(dir.path().join("data"));
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args([
            "--listen-peer-urls",
            &peers,
            "--initial-advertise-peer-urls",
            &peers,
        ]);
        command.args(["--initial-cluster", &format!("default={peers}")]);
        if tls {
            for (option, file) in [
                ("--trusted-ca-file", "ca.crt"),
                ("--cert-file", "etcd.crt"),
                ("--key-file", "etcd.key"),
            ] {
                command.arg(option).arg(dir.path().join(file));
            }
            command.arg("--client-cert-auth");
        }
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let etcd = Self {
            child,
            programs,
            url,
            dir,
            tls,
        };
        let start = Instant::now();
        while !etcd.ctl(&["endpoint", "health"], b"") {
            assert!(start.elapsed() < SOON, "etcd does not start");
        }
        etcd
    }

    fn ctl(&self, arguments: &[&str], input: &[u8]) -> bool {
        let mut command = Command::new(self.programs.join("etcdctl"));
        command.args(["--endpoints", &self.url]).args(arguments);
        if self.tls {
            for (option, file) in [
                ("--cacert", "ca.crt"),
                ("--cert", "etcd.crt"),
                ("--key", "etcd.key"),
            ] {
                command.arg(option).arg(self.path(file));
            }
        }
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait().unwrap().success()
    }

    fn put(&self, value: &[u8]) {
        assert!(self.ctl(&["put", KEY], value));
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn ask(&self) -> EtcdGet {
        EtcdGet {
            endpoints: vec![self.url.clone()],
            tls: None,
            key: KEY.to_owned(),
            needles: vec!["hunter2".to_owned(), "aHVudGVyMg==".to_owned()],
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn get(ask: EtcdGet) -> Option<EtcdValue> {
    let agent = local::agent().await.unwrap();
    agent.ask(ask, SOON).await.unwrap().value
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_value_only_prefix_length_and_a_masked_dump_leave_the_host() {
    let etcd = Etcd::start(false);
    assert_eq!(get(etcd.ask()).await, None);

    etcd.put(b"k8s\0\x0a\x0cclassified aHVudGVyMg==");
    let value = get(etcd.ask()).await.unwrap();
    assert_eq!(
        (value.prefix.as_str(), value.length, value.found.as_slice()),
        ("", 29, &[1][..])
    );
    assert!(value.hexdump.contains("k8s."), "{}", value.hexdump);
    assert!(!value.hexdump.contains("classified"), "{}", value.hexdump);

    etcd.put(b"k8s:enc:aescbc:v1:key1:\x01\x02\x80\xffcipher");
    let encrypted = get(etcd.ask()).await.unwrap();
    assert_eq!(
        (encrypted.prefix.as_str(), encrypted.length),
        ("k8s:enc:aescbc:v1:key1:", 33)
    );
    assert!(encrypted.found.is_empty());
    assert!(encrypted.revision > value.revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_passed_over() {
    let etcd = Etcd::start(false);
    etcd.put(b"{}");
    let mut ask = etcd.ask();
    ask.endpoints
        .insert(0, format!("http://127.0.0.1:{}", free_port()));
    assert_eq!(get(ask).await.unwrap().length, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_files_of_the_host_open_it_and_without_them_it_stays_shut() {
    let etcd = Etcd::start(true);
    etcd.put(b"{}");
    let open = EtcdTls {
        ca: etcd.path("ca.crt"),
        cert: Some(etcd.path("etcd.crt")),
        key: Some(etcd.path("etcd.key")),
    };
    let ask = |tls: EtcdTls| EtcdGet {
        tls: Some(tls),
        ..etcd.ask()
    };
    assert_eq!(get(ask(open.clone())).await.unwrap().length, 2);

    let agent = local::agent().await.unwrap();
    let anonymous = EtcdTls {
        cert: None,
        key: None,
        ..open.clone()
    };
    let refused = agent.ask(ask(anonymous), SOON).await;
    assert!(matches!(refused, Err(AskError::Refused(_))), "{refused:?}");
    let nowhere = EtcdTls {
        ca: etcd.path("none.crt"),
        ..open
    };
    let Err(AskError::Refused(refusal)) = agent.ask(ask(nowhere), SOON).await else {
        panic!("read without a CA")
    };
    assert!(refusal.text.contains("none.crt"), "{refusal}");
}

async fn status(url: &str, tls: Option<EtcdTls>) -> EtcdAnswer {
    let agent = local::agent().await.unwrap();
    let ask = EtcdStatus {
        endpoints: vec![url.to_owned()],
        tls,
        timeout_millis: 2000,
    };
    agent.ask(ask, SOON).await.unwrap().remove(0).answer
}

fn member(answer: EtcdAnswer) -> EtcdMember {
    let EtcdAnswer::Member(member) = answer else {
        panic!("{answer:?}")
    };
    *member
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_says_how_it_is_and_a_stopped_one_is_silent() {
    let etcd = Etcd::start(false);
    let well = member(status(&etcd.url, None).await);
    assert_eq!(well.leader.as_ref(), Some(&well.id));
    assert_eq!((well.alarms, well.unread), (Some(Vec::new()), None));
    assert!(well.size > 0 && well.quota.is_some_and(|quota| quota > well.size));
    let members = well.members.unwrap();
    assert_eq!((members.len(), members[0].id.as_str()), (1, well.id.as_str()));
    assert_eq!(members[0].urls, std::slice::from_ref(&etcd.url));

    let closed = format!("http://127.0.0.1:{}", free_port());
    assert_eq!(status(&closed, None).await, EtcdAnswer::Refused);

    let signal = |name: &str| {
        let pid = etcd.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    signal("STOP");
    assert_eq!(status(&etcd.url, None).await, EtcdAnswer::Silent);
    signal("CONT");
    member(status(&etcd.url, None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_a_member_tells_only_whom_it_knows() {
    let etcd = Etcd::start(true);
    let open = EtcdTls {
        ca: etcd.path("ca.crt"),
        cert: Some(etcd.path("etcd.crt")),
        key: Some(etcd.path("etcd.key")),
    };
    member(status(&etcd.url, Some(open.clone())).await);
    let anonymous = EtcdTls {
        cert: None,
        key: None,
        ..open
    };
    let answer = status(&etcd.url, Some(anonymous)).await;
    assert!(matches!(answer, EtcdAnswer::Broken { .. }), "{answer:?}");
}
