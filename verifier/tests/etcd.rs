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
use verifier::protocol::{
    EtcdAnswer, EtcdGet, EtcdMember, EtcdObjects, EtcdProof, EtcdSnapshot, EtcdStatus, EtcdTls, EtcdValue,
};

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

/// What stands before values, of each provider.
const WRITERS: [&str; 5] = [
    "k8s:enc:aescbc:v1:key1:",
    "k8s:enc:aesgcm:v1:key1:",
    "k8s:enc:secretbox:v1:box:",
    "k8s:enc:kms:v1:old:",
    "k8s:enc:kms:v2:vault:",
];

impl Etcd {
    /// Puts many keys, a hundred at a time.
    fn put_all(&self, puts: &[(String, String)]) {
        for some in puts.chunks(100) {
            let lines = some.iter().map(|(key, value)| format!("put {key} \"{value}\"\n"));
            let text = format!("\n{}\n\n", lines.collect::<String>());
            assert!(self.ctl(&["txn"], text.as_bytes()));
        }
    }

    fn objects(&self, paths: &[&str]) -> EtcdObjects {
        EtcdObjects {
            endpoints: vec![self.url.clone()],
            tls: None,
            prefix: "/registry".to_owned(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            usual: vec![WRITERS[0].to_owned()],
            millis: 60_000,
        }
    }

    fn source(&self) -> EtcdSnapshot {
        EtcdSnapshot {
            endpoints: vec![self.url.clone()],
            tls: None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn among_ten_thousand_secrets_one_plaintext_and_one_of_an_old_key_are_found_and_a_snapshot_says_the_same()
 {
    let etcd = Etcd::start(false);
    let secret = |at: usize| {
        let value = match at {
            4321 => "{\\\"kind\\\":\\\"Secret\\\"}".to_owned(),
            7654 => format!("{}cipher", WRITERS[0].replace("key1", "key0")),
            _ => format!("{}{}", WRITERS[0], "x".repeat(1000 + at % 500)),
        };
        (
            format!("/registry/secrets/ns-{:02}/secret-{at:05}", at % 50),
            value,
        )
    };
    let secrets: Vec<(String, String)> = (0..10_000).map(secret).collect();
    etcd.put_all(&secrets);
    let others = [
        ("/registry/secretsx/a/b", "plain"),
        ("/registry/example.com/widgets/a/b", WRITERS[2]),
        ("/registry/configmaps/a/b", "plain"),
        ("compact_rev_key", "1"),
    ];
    etcd.put_all(&others.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let agent = local::agent().await.unwrap();
    let start = Instant::now();
    let found = agent.ask(etcd.objects(&["secrets"]), SOON).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(
        (found.total, found.looked_at, found.whole),
        (10_003, 10_000, true)
    );
    let groups: Vec<(&str, u64, &str)> = found
        .groups
        .iter()
        .map(|group| (group.writer.as_str(), group.count, group.named[0].as_str()))
        .collect();
    let expected = [
        ("", 1, "secrets/ns-21/secret-04321"),
        ("k8s:enc:aescbc:v1:key0:", 1, "secrets/ns-04/secret-07654"),
        (WRITERS[0], 9_998, "secrets/ns-00/secret-00000"),
    ];
    assert_eq!(groups, expected);
    assert_eq!(found.groups[2].named.len(), 3);
    let all = agent.ask(etcd.objects(&[""]), SOON).await.unwrap();
    assert_eq!((all.looked_at, all.groups.len()), (10_003, 6));

    let ask = EtcdProof {
        source: etcd.source(),
        prefix: "/registry".to_owned(),
        keys: vec![secrets[0].0.clone(), "/registry/secrets/none".to_owned()],
        most: 1 << 30,
    };
    let facts = agent.ask(ask, SOON).await.unwrap().facts.unwrap();
    assert!(facts.is_whole() && facts.problem_count == 0, "{facts:?}");
    assert_eq!((facts.keys, facts.others), (10_004, 1));
    let groups: Vec<(&str, u64)> = facts
        .groups
        .iter()
        .filter(|group| group.path == "secrets")
        .map(|group| (group.writer.as_str(), group.count))
        .collect();
    assert_eq!(groups, expected.map(|(writer, count, _)| (writer, count)));
    assert_eq!(facts.found, [Some(WRITERS[0].to_owned()), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_any_size_and_of_every_provider_are_read_page_by_page() {
    let etcd = Etcd::start(false);
    for (at, writer) in WRITERS.iter().enumerate() {
        let key = format!("/registry/secrets/a/{at}");
        assert!(etcd.ctl(&["put", &key], format!("{writer}\x01\x02").as_bytes()));
    }
    let large = "x".repeat(1_400_000);
    for at in 0..40 {
        let key = format!("/registry/secrets/large/{at:02}");
        assert!(etcd.ctl(&["put", &key], format!("{}{large}", WRITERS[1]).as_bytes()));
    }
    let agent = local::agent().await.unwrap();
    let found = agent.ask(etcd.objects(&["secrets"]), SOON).await.unwrap();
    assert!(found.whole);
    let counts: Vec<(&str, u64)> = found
        .groups
        .iter()
        .map(|group| (group.writer.as_str(), group.count))
        .collect();
    let mut expected = WRITERS.map(|writer| (writer, if writer == WRITERS[1] { 41 } else { 1 }));
    expected.sort_unstable();
    assert_eq!(counts, expected);
    let limited = EtcdObjects {
        millis: 0,
        ..etcd.objects(&["secrets"])
    };
    assert!(!agent.ask(limited, SOON).await.unwrap().whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_comes_whole_through_the_agent_and_is_restored_by_etcds_own_program() {
    let etcd = Etcd::start(false);
    let secret = |at: usize| {
        (
            format!("/registry/secrets/a/{at:03}"),
            format!("{}{}", WRITERS[0], "x".repeat(at * 9)),
        )
    };
    let secrets: Vec<(String, String)> = (0..600).map(secret).collect();
    etcd.put_all(&secrets);
    assert!(etcd.ctl(&["del", "/registry/secrets/a/000"], b""));
    assert!(etcd.ctl(&["compact", "4"], b""));
    let agent = local::agent().await.unwrap();
    let (begun, mut stream) = agent.download(etcd.source(), SOON).await.unwrap();
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes)
        .await
        .unwrap();
    assert_eq!(begun.bytes, bytes.len() as u64);
    let file = etcd.dir.path().join("snapshot.db");
    fs::write(&file, &bytes).unwrap();
    let verifier = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_verifier"))
            .args(arguments)
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            words,
        )
    };
    let path = file.display().to_string();
    let (code, text, words) = verifier(&["snapshot", "inspect", &path, "--json"]);
    assert_eq!(code, Some(0), "{text}{words}");
    let seen: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&seen["whole"], &seen["snapshot"]["keys"]),
        (&true.into(), &599.into()),
        "{seen}"
    );
    assert!(seen["snapshot"]["version"].as_str().is_some(), "{seen}");

    let program = etcd.programs.join("etcdutl").display().to_string();
    let restored = etcd.path("restored");
    let (code, text, words) = verifier(&["snapshot", "restore", &path, &restored, "--etcdutl", &program]);
    assert_eq!(code, Some(0), "{text}{words}");
    assert!(
        text.contains("599 keys") && fs::exists(format!("{restored}/member/snap/db")).unwrap(),
        "{text}"
    );
    // Nothing is ever overwritten.
    let (code, ..) = verifier(&["snapshot", "restore", &path, &restored, "--etcdutl", &program]);
    assert_eq!(code, Some(64));

    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let (code, ..) = verifier(&["snapshot", "inspect", &path]);
    assert_eq!(code, Some(1));
    let other = etcd.path("other");
    let (code, _, words) = verifier(&["snapshot", "restore", &path, &other, "--etcdutl", &program]);
    assert!(code == Some(2) && !fs::exists(&other).unwrap(), "{words}");
}
