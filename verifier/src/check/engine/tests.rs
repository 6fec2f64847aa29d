//! The engine with checks that pass, break, hang, and with an API server that lies.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::check::{About, CtxParts, Expect, Probe};
use crate::checks;
use crate::cluster::{Cluster, ClusterError, Target};
use crate::hosts::Hosts;

#[derive(Serialize, Deserialize)]
struct Nothing;

/// A check that does what its type says.
struct Passes;
struct Panics;
struct Hangs;

impl Probe for Passes {
    type Facts = Nothing;
    async fn gather(_: &Ctx, _: &Member) -> Result<Nothing, Trouble> {
        Ok(Nothing)
    }
    fn judge(_: &Nothing, _: &Expect<'_>) -> Verdict {
        Verdict::pass()
    }
}

impl Probe for Panics {
    type Facts = Nothing;
    async fn gather(_: &Ctx, _: &Member) -> Result<Nothing, Trouble> {
        Ok(Nothing)
    }
    fn judge(_: &Nothing, _: &Expect<'_>) -> Verdict {
        panic!("a defect")
    }
}

impl Probe for Hangs {
    type Facts = Nothing;
    async fn gather(_: &Ctx, _: &Member) -> Result<Nothing, Trouble> {
        std::future::pending().await
    }
    fn judge(_: &Nothing, _: &Expect<'_>) -> Verdict {
        Verdict::pass()
    }
}

const fn check<P: Probe>(id: &'static str, scope: Scope) -> Check {
    Check::of::<P>(About {
        id,
        scope,
        needs: &[],
        permissions: &[],
        summary: "s",
        explain: "e",
        by_hand: "b",
    })
}

const SITE: &str = "apiVersion: site/v1\nkubeconfig: k\nhosts:\n\
    - {name: server, address: 192.168.10.100, roles: [control-plane, etcd]}\n\
    - {name: node-0, address: 192.168.10.101, roles: [worker]}\n";

fn context(api: Result<Cluster, ClusterError>, limits: Limits) -> Arc<Ctx> {
    Ctx::new(CtxParts {
        run: "test".to_owned(),
        holder: "root@test".to_owned(),
        site: crate::site::parse("site.yaml", SITE, Path::new("")).unwrap(),
        suite: None,
        hosts: Hosts::default(),
        api,
        limits,
        permissions: checks::ALL.iter().flat_map(Check::permissions).collect(),
        keep: false,
    })
}

fn no_api() -> Result<Cluster, ClusterError> {
    Err(ClusterError::Kubeconfig {
        path: "k".into(),
        reason: "none".to_owned(),
    })
}

async fn rows(ctx: Arc<Ctx>, checks: &[Check], stop: &CancellationToken) -> Vec<Row> {
    let (sender, receiver) = mpsc::channel(8);
    // A reporter that is gone must not stop the run.
    drop(receiver);
    run(ctx, checks, &Watch(sender), stop).await
}

fn seen(rows: &[Row]) -> Vec<(&'static str, Outcome, Option<CauseId>)> {
    rows.iter()
        .map(|row| (row.id, row.outcome, row.cause.as_ref().map(|cause| cause.id)))
        .collect()
}

#[tokio::test]
async fn a_check_that_breaks_or_hangs_hides_no_other() {
    let limits = Limits {
        timeout: Duration::from_millis(20),
        deadline: Duration::from_mins(1),
    };
    let checks = [
        check::<Panics>("a.panics", Scope::Cluster),
        check::<Hangs>("a.hangs", Scope::Cluster),
        check::<Passes>("a.passes", Scope::Cluster),
    ];
    let rows = rows(context(no_api(), limits), &checks, &CancellationToken::new()).await;
    assert_eq!(
        seen(&rows),
        [
            ("a.panics", Outcome::Error, Some(CauseId::Internal)),
            ("a.hangs", Outcome::Error, Some(CauseId::HungCheck)),
            ("a.passes", Outcome::Pass, None),
        ]
    );
}

#[tokio::test]
async fn a_run_that_is_stopped_or_too_long_has_a_row_for_every_check() {
    let short = Limits {
        timeout: Duration::from_mins(1),
        deadline: Duration::from_millis(30),
    };
    let checks = [
        check::<Hangs>("a.hangs", Scope::Cluster),
        check::<Passes>("a.passes", Scope::Cluster),
    ];
    let late = rows(context(no_api(), short), &checks, &CancellationToken::new()).await;
    assert_eq!(late[0].cause.as_ref().unwrap().id, CauseId::RunLate);
    assert_eq!(late[1].outcome, Outcome::Pass);
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = rows(context(no_api(), Limits::default()), &checks, &stop).await;
    assert_eq!(stopped.len(), 2);
    assert_eq!(stopped[0].cause.as_ref().unwrap().id, CauseId::Interrupted);
}

#[tokio::test]
async fn a_host_without_an_agent_makes_its_checks_errors_one_for_each_member() {
    let checks = [
        check::<Passes>("a.worker", Scope::Worker),
        check::<Passes>("a.host", Scope::Host),
    ];
    let rows = rows(
        context(no_api(), Limits::default()),
        &checks,
        &CancellationToken::new(),
    )
    .await;
    let hosts: Vec<&str> = rows.iter().map(|row| row.host.as_deref().unwrap()).collect();
    assert_eq!(hosts, ["node-0", "server", "node-0"]);
    assert!(
        rows.iter()
            .all(|row| row.cause.as_ref().unwrap().id == CauseId::HostUnreachable)
    );
}

/// Answers `200 {}` to everything, until the test ends.
async fn liar() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(lie(stream));
        }
    });
    address
}

async fn lie(mut stream: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
                      date: Mon, 23 Nov 2026 18:22:10 GMT\r\n\r\n{}";
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_server_that_answers_the_same_to_everything_never_passes() {
    let address = liar().await;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("kubeconfig");
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&path, kubeconfig).unwrap();
    let api = Target::read(&path).await.unwrap().open(None).unwrap();
    assert!(api.nodes().await.is_err() && api.node_leases().await.is_err());
    let owner = crate::cluster::Owner {
        run: "test",
        holder: "root@test",
        keep: false,
    };
    let made = api.make_space(owner, jiff::Timestamp::UNIX_EPOCH).await;
    assert!(
        matches!(made, Err(ClusterError::NotKubernetes { .. })),
        "{made:?}"
    );
    let rows = rows(
        context(Ok(api), Limits::default()),
        checks::ALL,
        &CancellationToken::new(),
    )
    .await;
    assert!(
        rows.iter().all(|row| row.outcome != Outcome::Pass),
        "{:?}",
        seen(&rows)
    );
    let of = |id: &str| {
        rows.iter()
            .find(|row| row.id == id)
            .and_then(|row| row.cause.as_ref())
            .map(|cause| cause.id)
    };
    assert_eq!(of("api.ready"), Some(CauseId::ApiNotKubernetes));
    assert_eq!(of("api.permissions"), Some(CauseId::ApiNotKubernetes));
}
