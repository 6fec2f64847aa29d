//! What a host holds in free text, asked of the real agent, whose bytes are looked at as they come: each kind of secret of
//! the mask's own list is planted in journals, in containers' logs and in arguments.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpListener;
use tokio::process::Command;
use verifier::carrier::Agent;
use verifier::protocol::{ContainerLog, EtcdGet, HttpProbe, HttpReply, Journal, Place, Processes};

const SOON: Duration = Duration::from_secs(30);
const KINDS: &str = include_str!("../../../secrets/tests/kinds.toml");
/// Where the kubelet keeps logs; the folder below it is this test's own.
const LOGS: &str = "/var/log/pods";
const POD: [&str; 3] = ["verifier-secrets", "planted", "0c0ffee0-7"];

/// A text with secrets in it.
struct Kind {
    text: String,
    hidden: Vec<String>,
}

fn kinds() -> Vec<Kind> {
    let file: toml::Table = toml::from_str(KINDS).unwrap();
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let kind = |kind: &toml::Value| Kind {
        text: text(&kind["text"]),
        hidden: kind["hidden"].as_array().unwrap().iter().map(text).collect(),
    };
    file["kind"].as_array().unwrap().iter().map(kind).collect()
}

/// Keeps what is read through it.
struct Tee<R> {
    inner: R,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Tee<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.seen
            .lock()
            .unwrap()
            .extend_from_slice(&buf.filled()[before..]);
        read
    }
}

/// The agent as a host runs it, with all that it ever said.
struct Host {
    agent: Agent,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Host {
    /// Starts it with a folder of programs before all others.
    async fn start(programs: &Path) -> Self {
        let path = std::env::var("PATH").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_verifier"))
            .arg("agent")
            .env("PATH", format!("{}:{path}", programs.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let seen = Arc::default();
        let reader = Tee {
            inner: child.stdout.take().unwrap(),
            seen: Arc::clone(&seen),
        };
        let writer = child.stdin.take().unwrap();
        let agent = Agent::open(reader, writer, child, SOON).await.unwrap();
        Self { agent, seen }
    }

    /// Returns what it said since this was asked last.
    fn said(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.seen.lock().unwrap())).into_owned()
    }
}

/// Returns the lines of a text, each behind the same words.
fn behind(head: &str, text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("{head}{line}\n")).collect();
    lines.concat()
}

/// Writes a journalctl that prints the file of a unit's name, and each kind's text as a journal has it.
fn journals(directory: &Path, kinds: &[Kind]) {
    let program = directory.join("journalctl");
    fs::write(
        &program,
        format!("#!/bin/sh\ncat \"{}/$5\"\n", directory.display()),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for (number, kind) in kinds.iter().enumerate() {
        let lines = behind("2026-11-25T09:00:00+0000 node-0 app[12]: ", &kind.text);
        fs::write(directory.join(number.to_string()), lines).unwrap();
    }
}

/// The folder of a pod's logs, removed when it goes.
struct Logs(PathBuf);

impl Logs {
    fn write(kinds: &[Kind]) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: it writes a container's log where the kubelet would"
        );
        let logs = Self(Path::new(LOGS).join(POD.join("_")));
        for (number, kind) in kinds.iter().enumerate() {
            let directory = logs.0.join(format!("c{number}"));
            fs::create_dir_all(&directory).unwrap();
            let lines = behind("2026-11-25T09:00:00.000000000Z stdout F ", &kind.text);
            fs::write(directory.join("0.log"), lines).unwrap();
        }
        logs
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // Only where nothing else is in it.
        let _ = fs::remove_dir(LOGS);
    }
}

/// Returns which of the secrets of a kind stand in a text, with it.
fn leaks(kind: &Kind, said: &str) -> Vec<String> {
    let out = kind.hidden.iter().filter(|hidden| said.contains(*hidden));
    out.map(|hidden| format!("{hidden} of\n  {}\nin\n  {said}", kind.text))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kind_of_secret_leaves_a_host_in_a_journal_or_a_container_s_log() {
    let directory = tempfile::tempdir().unwrap();
    let kinds = kinds();
    assert!(kinds.len() >= 100, "{}", kinds.len());
    journals(directory.path(), &kinds);
    let _logs = Logs::write(&kinds);
    let host = Host::start(directory.path()).await;
    let mut wrong = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        host.said();
        let ask = Journal {
            unit: number.to_string(),
            lines: 500,
        };
        let journal = host.agent.ask(ask, SOON).await.unwrap();
        assert_eq!(journal.len(), kind.text.lines().count(), "{}", kind.text);
        let [namespace, pod, uid] = POD.map(str::to_owned);
        let ask = ContainerLog {
            namespace,
            pod,
            uid,
            container: format!("c{number}"),
            containing: String::new(),
        };
        let log = host.agent.ask(ask, SOON).await.unwrap();
        assert_eq!(log.len(), journal.len(), "{}", kind.text);
        wrong.extend(leaks(kind, &host.said()));
    }
    assert!(
        wrong.is_empty(),
        "{} came out:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_argument_of_a_process_brings_a_secret_out() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path()).await;
    let arguments = [
        "--header=Authorization: Basic dXNlcjpodW50ZXIy",
        "--requirepass",
        "hunter2",
        "-phunter2",
        "--db-username-password=hunter2",
        "--set",
        "{\"password\":\"hunter2\"}",
        "--token",
        "abcdef.hunter2hunter2ab",
        "mysql://root:hunter2@db/x",
    ];
    // It says that it runs, and waits; its arguments are of no use to it.
    let mut process = Command::new("sh")
        .args(["-c", "echo; read line; :", "planted"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = [0];
    process
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut said)
        .await
        .unwrap();
    let pid = i32::try_from(process.id().unwrap()).unwrap();
    let ask = Processes {
        names: ["sh", "dash", "bash"].map(str::to_owned).to_vec(),
    };
    let found = host.agent.ask(ask, SOON).await.unwrap();
    let found = found.iter().find(|process| process.pid == pid).unwrap();
    assert_eq!(found.arguments.len(), 4 + arguments.len());
    let said = host.said();
    process.kill().await.unwrap();
    for secret in ["hunter2", "dXNlcjpodW50ZXIy"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_and_what_an_error_quotes_is_masked() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path()).await;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = server.local_addr().unwrap();
    let body = "ok\nfailed: {\"password\":\"hunter2\"}\n-----BEGIN PRIVATE KEY-----\naHVudGVyMg\n";
    let serving = tokio::spawn(async move {
        let (mut stream, _) = server.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\nServer: nginx\r\nSet-Cookie: session=hunter2\r\nWWW-Authenticate: Bearer hunter2hunter2hunter2\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let probe = HttpProbe {
        to,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        from: Place::Host,
        timeout_millis: 5000,
        keep_body: 4096,
    };
    let reply = host.agent.ask(probe, SOON).await.unwrap();
    serving.await.unwrap();
    let HttpReply::Answer { headers, body, .. } = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(headers["server"], "nginx");
    assert!(body.starts_with("ok\nfailed: "), "{body}");
    // An endpoint with a login in it, as somebody may write it into a site file or a unit.
    let ask = EtcdGet {
        endpoints: vec!["http://root:hunter2@127.0.0.1:1".to_owned()],
        tls: None,
        key: "/a".to_owned(),
        needles: Vec::new(),
    };
    host.agent.ask(ask, SOON).await.unwrap_err();
    let said = host.said();
    for secret in ["hunter2", "aHVudGVyMg"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}
