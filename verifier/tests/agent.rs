//! The protocol end to end, in process: the same code as over SSH, without a host.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use verifier::carrier::{Agent, AskError, OpenError, local};
use verifier::protocol::{Clock, EtcdGet, HttpProbe, Place, Processes, VERSION};

const SOON: Duration = Duration::from_secs(10);

async fn silent_server() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn probe(to: SocketAddr) -> HttpProbe {
    HttpProbe {
        to,
        method: "GET".to_owned(),
        path: "/".to_owned(),
        from: Place::Host,
        timeout_millis: 60_000,
        keep_body: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_says_who_it_is() {
    let agent = local::agent().await.unwrap();
    assert_eq!(agent.hello().protocol, VERSION);
    assert_eq!(agent.hello().platform, bundle::Platform::current().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_are_all_answered() {
    let agent = local::agent().await.unwrap();
    let asks = (0..60).map(|_| agent.ask(Clock {}, SOON));
    let replies = futures::future::join_all(asks).await;
    assert!(replies.iter().all(Result::is_ok));
    let found = agent.ask(Processes { names: Vec::new() }, SOON).await.unwrap();
    assert!(found.iter().any(|process| process.pid == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_too_long_ends_at_its_deadline_and_hinders_no_other() {
    let agent = local::agent().await.unwrap();
    let (_listener, address) = silent_server().await;
    let start = Instant::now();
    let slow = agent.ask(probe(address), Duration::from_millis(300)).await;
    // Both ends have the same deadline; whichever comes first says so.
    let late = match &slow {
        Err(AskError::Deadline(_)) => true,
        Err(AskError::Refused(refusal)) => refusal.text.contains("did not finish within"),
        _ => false,
    };
    assert!(late, "{slow:?}");
    assert!(start.elapsed() < SOON);
    agent.ask(Clock {}, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_waited_for_any_more_is_stopped_on_the_host() {
    let agent = local::agent().await.unwrap();
    let (listener, address) = silent_server().await;
    let asking = tokio::spawn({
        let agent = agent.clone();
        async move { agent.ask(probe(address), Duration::from_mins(1)).await }
    });
    let (mut connection, _) = listener.accept().await.unwrap();
    asking.abort();
    let mut rest = Vec::new();
    // The agent closes its connection: else this would last the probe's minute.
    tokio::time::timeout(SOON, connection.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialled_stream_carries_bytes_both_ways_until_both_ends_close() {
    let agent = local::agent().await.unwrap();
    let (listener, address) = silent_server().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut reader, mut writer) = stream.split();
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let stream = agent.dial(Place::Host, &address.to_string(), SOON).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let back = tokio::spawn(async move {
        let mut back = Vec::new();
        reader.read_to_end(&mut back).await.unwrap();
        back
    });
    writer.write_all(&sent).await.unwrap();
    writer.shutdown().await.unwrap();
    assert!(back.await.unwrap() == sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_refuses_is_named_in_the_refusal() {
    let agent = local::agent().await.unwrap();
    let (listener, address) = silent_server().await;
    drop(listener);
    let Err(AskError::Refused(refusal)) = agent.dial(Place::Host, &address.to_string(), SOON).await else {
        panic!("dialled a closed port");
    };
    assert!(refusal.text.contains(&address.to_string()), "{refusal}");
    let ask = EtcdGet {
        endpoints: vec![format!("http://{address}")],
        tls: None,
        key: "/registry/x".to_owned(),
        needles: Vec::new(),
    };
    let Err(AskError::Refused(refusal)) = agent.ask(ask, SOON).await else {
        panic!("etcd answered")
    };
    assert!(refusal.text.contains(&address.to_string()), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn something_that_is_no_agent_is_told_with_what_it_said() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    theirs
        .write_all(b"This account is currently not available.\n")
        .await
        .unwrap();
    drop(theirs);
    let (reader, writer) = tokio::io::split(ours);
    let Err(OpenError::Silent { noise }) = Agent::open(reader, writer, (), SOON).await else {
        panic!("opened");
    };
    assert_eq!(noise, "This account is currently not available.");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_another_protocol_is_refused_with_both_versions() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    theirs.write_all(b"\x01verifier-agent/99\n").await.unwrap();
    let (reader, writer) = tokio::io::split(ours);
    let Err(OpenError::Version { theirs, .. }) = Agent::open(reader, writer, (), SOON).await else {
        panic!("opened");
    };
    assert_eq!(theirs, "of protocol 99");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_connection_ends_requests_end_too() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(theirs);
    let serving = tokio::spawn(verifier::host::serve(reader, writer));
    let (reader, writer) = tokio::io::split(ours);
    let agent = Agent::open(reader, writer, (), SOON).await.unwrap();
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    let asked = agent.ask(Clock {}, SOON).await;
    assert!(
        matches!(asked, Err(AskError::Gone | AskError::Broken(_))),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_ends_when_nobody_holds_it_any_more() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(theirs);
    let serving = tokio::spawn(verifier::host::serve(reader, writer));
    let (reader, writer) = tokio::io::split(ours);
    drop(Agent::open(reader, writer, (), SOON).await.unwrap());
    tokio::time::timeout(SOON, serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_to_which_nobody_talks_any_more_ends_by_itself() {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_verifier"))
        .args(["agent", "--silence", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let agent = Agent::open(stdout, stdin, (), SOON).await.unwrap();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        agent.ask(Clock {}, SOON).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Its stdin stays open, as sshd leaves it where the network was cut.
    let ended = tokio::time::timeout(SOON, child.wait()).await;
    assert!(ended.unwrap().unwrap().success());
    drop(agent);
}
