//! Runs checks side by side. Each has a deadline of its own; one that panics or hangs hides no other; whatever
//! happens there is a row for each check and each member of its scope, and what the run made is removed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::event::{Event, Events, Row};
use super::still::Still;
use super::{AGAIN, Check, Ctx, Kept, Member, Motion, Scope, Seen, strangers};
use crate::certs::Listed;
use crate::cluster::ClusterError;
use crate::distribution::Distribution;
use crate::findings::{Cause, Finding, Outcome, Unjudged, Verdict, cause};
use crate::images::HostImages;
use crate::site::{Role, Site};

/// What pods bring and take away counts only if it still shows after this: on a busy node one comes or goes for so long.
const SETTLED: Duration = Duration::from_secs(10);
/// Looks at once: what they hold in memory, and what they ask of the API at once, does not grow with the cluster.
const LOOKS: usize = 256;

/// A check on its way.
struct Job {
    check: Check,
    member: Member,
    since: Instant,
}

/// Runs the checks and returns the rows, in the order of the list and of the site's hosts. The caller removes the
/// fixtures afterwards ([`super::fixtures::Fixtures::remove`]), also when `stop` was cancelled.
pub async fn run(ctx: Arc<Ctx>, checks: &[Check], events: &Events, stop: &CancellationToken) -> Vec<Row> {
    let mut started = Started::default();
    let mut moves = checks.iter().any(|check| check.motion == Motion::Moves);
    if moves {
        ctx.will_move();
    }
    for check in checks {
        let members = members(&ctx.site, check.scope);
        if members.is_empty() {
            started.nobody(*check);
        }
        for member in members {
            started.look(&ctx, *check, member, events);
        }
    }
    events
        .tell(Event::Begun {
            rows: started.order.len(),
        })
        .await;
    let mut rows = Vec::with_capacity(started.order.len());
    // An API server that does not answer must not hold up the checks that need none.
    let mut unknown = Box::pin(unknown_nodes(&ctx));
    let mut awaited = checks.iter().any(|check| check.scope == Scope::Node);
    let end = tokio::time::sleep(ctx.limits.deadline);
    // Made beside the others' pods: what is taken away must have started before anybody reads.
    let mut spares = Box::pin(async {
        // How they went who takes them away asks itself.
        let _ = ctx.fixtures().spares(&ctx).await;
    });
    tokio::pin!(end);
    let cut = loop {
        if started.tasks.is_empty() && !awaited {
            break None;
        }
        tokio::select! {
            Some(joined) = started.tasks.join_next_with_id() => {
                if let Some(row) = ended(joined, &mut started.jobs) {
                    events.tell(Event::Row(Box::new(row.clone()))).await;
                    rows.push(row);
                }
            },
            () = &mut spares, if moves => moves = false,
            found = &mut unknown, if awaited => {
                awaited = false;
                for check in checks.iter().filter(|check| check.scope == Scope::Node) {
                    for member in &found {
                        started.look(&ctx, *check, member.clone(), events);
                    }
                }
            },
            () = stop.cancelled() => break Some(cause::Interrupted.into()),
            () = &mut end => break Some(cause::RunTimeout { seconds: &ctx.limits.deadline.as_secs() }.into()),
        }
    };
    started.close(rows, checks, cut, events).await
}

/// Returns the rows of checks that never ran: each an error with the reason.
pub fn not_run<'a>(site: &Site, checks: impl Iterator<Item = &'a Check>, reason: &Cause) -> Vec<Row> {
    let row = |(check, member): (&Check, Member)| {
        let job = Job {
            check: *check,
            member,
            since: Instant::now(),
        };
        job.row(Looked::not(Unjudged::Error(reason.clone())))
    };
    let members = checks.flat_map(|check| {
        members(site, check.scope)
            .into_iter()
            .map(move |member| (check, member))
    });
    members.map(row).collect()
}

/// What a look waits for, and what waits for it.
struct Turn {
    slots: Arc<Semaphore>,
    still: Option<Still>,
}

/// What was set going.
struct Started {
    tasks: JoinSet<Looked>,
    /// A slot for each look that is under way.
    slots: Arc<Semaphore>,
    jobs: HashMap<Id, Job>,
    /// Check and host of every row to come, those of unknown Nodes last.
    order: Vec<(&'static str, Option<String>)>,
}

impl Default for Started {
    fn default() -> Self {
        Self {
            tasks: JoinSet::new(),
            slots: Arc::new(Semaphore::new(LOOKS)),
            jobs: HashMap::new(),
            order: Vec::new(),
        }
    }
}

impl Started {
    /// Sets a task going.
    fn look(&mut self, ctx: &Arc<Ctx>, check: Check, member: Member, events: &Events) {
        self.order.push((check.id, member.host.clone()));
        let turn = Turn {
            slots: Arc::clone(&self.slots),
            still: (check.motion == Motion::Still).then(|| ctx.reading()),
        };
        let task = look(Arc::clone(ctx), check, member.clone(), events.clone(), turn);
        let id = self.tasks.spawn(task).id();
        let since = Instant::now();
        self.jobs.insert(id, Job { check, member, since });
    }

    /// Sets going what ends at once: the row of a check that has nobody to look at, which would else not be there at all.
    fn nobody(&mut self, check: Check) {
        self.order.push((check.id, None));
        let role = role(check.scope).map_or_else(String::new, |role| role.to_string());
        let reason = Unjudged::skip(cause::ScopeEmpty { role: &role });
        let id = self.tasks.spawn(async { Looked::not(reason) }).id();
        let (member, since) = (Member { host: None }, Instant::now());
        self.jobs.insert(id, Job { check, member, since });
    }

    /// Ends what still runs, each with that cause, and returns all rows in the order of the report.
    async fn close(
        mut self,
        mut rows: Vec<Row>,
        checks: &[Check],
        cut: Option<Cause>,
        events: &Events,
    ) -> Vec<Row> {
        self.tasks.shutdown().await;
        if let Some(cause) = cut {
            for job in self.jobs.into_values() {
                let row = job.row(Looked::not(Unjudged::Error(cause.clone())));
                events.tell(Event::Row(Box::new(row.clone()))).await;
                rows.push(row);
            }
        }
        let places = self.order.iter().enumerate();
        let places: HashMap<_, _> = places
            .map(|(place, (id, host))| ((*id, host.as_deref()), place))
            .collect();
        rows.sort_by_cached_key(|row| {
            let check = checks.iter().position(|check| check.id == row.id);
            (check, places.get(&(row.id, row.host.as_deref())).copied())
        });
        rows
    }
}

impl Job {
    fn row(self, looked: Looked) -> Row {
        Row {
            id: self.check.id,
            host: self.member.host,
            took: self.since.elapsed().saturating_sub(looked.waited),
            verdict: looked.verdict,
            seen: looked.seen,
            distribution: looked.distribution,
            by_hand: None,
            certificates: looked.certificates,
            images: looked.images,
        }
    }
}

/// What a look came to.
struct Looked {
    verdict: Verdict,
    seen: Option<Kept>,
    distribution: Distribution,
    certificates: Vec<Listed>,
    images: HostImages,
    /// How long it waited for what other checks make: their time, not its own.
    waited: Duration,
}

impl Looked {
    /// Returns a look that never came to facts.
    fn not(unjudged: Unjudged) -> Self {
        Self {
            verdict: unjudged.into(),
            seen: None,
            distribution: Distribution::default(),
            certificates: Vec::new(),
            images: HostImages::default(),
            waited: Duration::ZERO,
        }
    }
}

/// Returns the row of a task that ended, whichever way.
fn ended(joined: Result<(Id, Looked), JoinError>, jobs: &mut HashMap<Id, Job>) -> Option<Row> {
    match joined {
        Ok((id, looked)) => jobs.remove(&id).map(|job| job.row(looked)),
        Err(error) => {
            let job = jobs.remove(&error.id())?;
            let message = error.try_into_panic().map_or_else(
                |error| error.to_string(),
                |panic| {
                    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                    text.or_else(|| panic.downcast_ref::<String>().cloned())
                        .unwrap_or_default()
                },
            );
            let unjudged = Unjudged::internal(&format!("the check broke: {message}"));
            Some(job.row(Looked::not(unjudged)))
        }
    }
}

/// Returns whom a scope means.
fn members(site: &Site, scope: Scope) -> Vec<Member> {
    if scope == Scope::Cluster {
        return vec![Member { host: None }];
    }
    let role = role(scope);
    let hosts = site
        .hosts
        .iter()
        .filter(|host| role.is_none_or(|role| host.roles.contains(&role)));
    hosts
        .map(|host| Member {
            host: Some(host.name.clone()),
        })
        .collect()
}

/// Returns the role that a scope means; none where it means all hosts, or none of them.
const fn role(scope: Scope) -> Option<Role> {
    match scope {
        Scope::ControlPlane => Some(Role::ControlPlane),
        Scope::Worker | Scope::Node => Some(Role::Worker),
        Scope::Cluster | Scope::Host => None,
    }
}

/// Returns the Nodes of the API that the site file does not know, and behind them one member without a name where there
/// are more of them. Where the API does not answer there are none: the checks that ask it say so.
async fn unknown_nodes(ctx: &Ctx) -> Vec<Member> {
    let Ok(api) = ctx.api() else {
        return Vec::new();
    };
    match api.nodes().await {
        Ok(nodes) => strangers::members(&ctx.site, &nodes),
        // What such a server says of Nodes is refused as a whole: a result of its own says so, whatever the hosts' come to.
        Err(ClusterError::NotKubernetes { .. }) => vec![Member { host: None }],
        Err(_) => Vec::new(),
    }
}

/// Looks at one member: the host's agent, the fixtures, then the facts and the judgement.
async fn look(ctx: Arc<Ctx>, check: Check, member: Member, events: Events, turn: Turn) -> Looked {
    let host = member.host.clone();
    events
        .tell(Event::Looking {
            id: check.id,
            host: host.clone(),
        })
        .await;
    let known = host.as_deref().filter(|name| ctx.site.host(name).is_some());
    if let Some(name) = known.filter(|_| !check.without_agent)
        && let Err(unjudged) = ctx.reach(name)
    {
        return Looked::not(unjudged);
    }
    let since = Instant::now();
    let ready = fixtures(&ctx, check).await;
    let own = check.needs.iter().any(|fixture| fixture.owner() == check.id);
    let waited = if own { Duration::ZERO } else { since.elapsed() };
    if let Err(unjudged) = ready {
        return Looked {
            waited,
            ..Looked::not(unjudged)
        };
    }
    // The semaphore is never closed.
    let _slot = turn.slots.acquire().await;
    // A check asks several things, each with a deadline of its own; this one ends what none of them ended.
    let longest = ctx.limits.timeout * 2;
    let seen = match tokio::time::timeout(longest, see(&ctx, check, &member)).await {
        Ok(seen) => seen,
        Err(_) => Err(Unjudged::error(cause::CheckTimeout {
            seconds: &longest.as_secs(),
        })),
    };
    drop(turn.still);
    let distribution = match known {
        Some(name) => ctx.distribution(name).await,
        None => Distribution::default(),
    };
    let expect = ctx.expect(&member);
    let looked = match seen {
        Ok(seen) => Looked {
            verdict: check.judge(&seen, &expect),
            certificates: check.certificates(&seen, &expect),
            images: check.images(&seen, &expect),
            seen: Some(seen.kept()),
            distribution,
            waited,
        },
        Err(unjudged) => Looked {
            distribution,
            waited,
            ..Looked::not(unjudged)
        },
    };
    Looked {
        verdict: owned(&ctx, check, looked.verdict).await,
        ..looked
    }
}

/// Returns the verdict of a check that looks at what the run made: where something went wrong and somebody has taken the
/// run's namespace, it says that and nothing of the cluster.
async fn owned(ctx: &Ctx, check: Check, verdict: Verdict) -> Verdict {
    let looks = !check.needs.is_empty() || !check.wants.is_empty();
    if !looks || matches!(verdict.outcome(), Outcome::Pass | Outcome::Skip) {
        return verdict;
    }
    match ctx.fixtures().taken(ctx).await {
        Some(taken) => Verdict::of(Err(taken), verdict.evidence().to_vec()),
        None => verdict,
    }
}

/// Reads; once more where the first reading shows something that may pass by itself; and looks deeper where something
/// stands then.
async fn see(mut ctx: &Ctx, check: Check, member: &Member) -> Result<Seen, Unjudged> {
    let expect = ctx.expect(member);
    let mut seen = Seen {
        facts: check.gather(ctx, member).await?,
        again: None,
        depth: None,
    };
    let unsure = |findings: &[Finding]| check.confirmed && findings.iter().any(|finding| !finding.sure);
    if check
        .judge_readings(&seen, &expect)
        .is_ok_and(|findings| unsure(&findings))
    {
        let still = check.motion == Motion::Still;
        ctx = ctx.again(if still { SETTLED } else { AGAIN }).await;
        seen.again = Some(check.gather(ctx, member).await?);
    }
    if let Ok(findings) = check.judge_readings(&seen, &expect) {
        seen.depth = check.trace(ctx, member, seen.last(), &findings).await;
    }
    Ok(seen)
}

/// Waits for the fixtures that a check needs or wants.
async fn fixtures(ctx: &Ctx, check: Check) -> Result<(), Unjudged> {
    for fixture in check.wants {
        // How they went the check asks itself.
        let _ = ctx.fixtures().state(ctx, *fixture).await;
    }
    if check.motion == Motion::Still && ctx.is_to_move() {
        // What starts does not stand still.
        let _ = ctx.fixtures().spares(ctx).await;
    }
    if !check.needs.is_empty() {
        ctx.makes()?;
    }
    for fixture in check.needs {
        let state = ctx.fixtures().state(ctx, *fixture).await;
        if state.is_err() && fixture.owner() != check.id {
            return Err(Unjudged::skip(cause::Needs {
                what: &fixture.owner(),
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! The engine with checks that pass, break, hang, and with an API server that lies.

    use std::path::Path;

    use serde::{Deserialize, Serialize};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

    use super::*;
    use crate::carrier::Hosts;
    use crate::checks;
    use crate::cluster::{Cluster, testing};
    use crate::findings::{CauseId, Judged, Outcome};
    use crate::suite::{CtxParts, Expect, Limits, Probe};

    #[derive(Serialize, Deserialize)]
    struct Nothing;

    /// A check that does what its type says.
    struct Passes;
    struct Panics;
    struct Hangs;

    impl Probe for Passes {
        type Facts = Nothing;
        async fn gather(_: &Ctx, _: &Member) -> Result<Nothing, Unjudged> {
            Ok(Nothing)
        }
        fn judge(_: &Nothing, _: &Expect<'_>) -> Judged {
            Ok(Vec::new())
        }
    }

    impl Probe for Panics {
        type Facts = Nothing;
        async fn gather(_: &Ctx, _: &Member) -> Result<Nothing, Unjudged> {
            Ok(Nothing)
        }
        fn judge(_: &Nothing, _: &Expect<'_>) -> Judged {
            panic!("a defect")
        }
    }

    impl Probe for Hangs {
        type Facts = Nothing;
        async fn gather(_: &Ctx, _: &Member) -> Result<Nothing, Unjudged> {
            std::future::pending().await
        }
        fn judge(_: &Nothing, _: &Expect<'_>) -> Judged {
            Ok(Vec::new())
        }
    }

    const fn check<P: Probe>(id: &'static str, scope: Scope) -> Check {
        Check::of::<P>(id, scope)
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
            permissions: checks::all().flat_map(Check::asks).collect(),
            keep: false,
            snapshot: None,
            days: crate::certs::Days::default(),
            depth: crate::protocol::StoreDepth::Ends,
            when: crate::suite::When::Now,
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
        run(ctx, checks, &Events::new(sender), stop).await
    }

    fn seen(rows: &[Row]) -> Vec<(&'static str, Outcome, Option<CauseId>)> {
        rows.iter()
            .map(|row| (row.id, row.outcome(), row.verdict.cause().map(Cause::id)))
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
                ("a.hangs", Outcome::Error, Some(CauseId::CheckTimeout)),
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
        assert_eq!(late[0].verdict.cause().unwrap().id(), CauseId::RunTimeout);
        assert_eq!(late[1].outcome(), Outcome::Pass);
        let stop = CancellationToken::new();
        stop.cancel();
        let stopped = rows(context(no_api(), Limits::default()), &checks, &stop).await;
        assert_eq!(stopped.len(), 2);
        assert_eq!(stopped[0].verdict.cause().unwrap().id(), CauseId::Interrupted);
    }

    #[tokio::test]
    async fn a_scope_without_hosts_is_a_row_that_says_so() {
        let mut ctx = context(no_api(), Limits::default());
        let site = &mut Arc::get_mut(&mut ctx).unwrap().site;
        site.hosts.retain(|host| !host.roles.contains(&Role::Worker));
        let checks = [check::<Passes>("a.worker", Scope::Worker)];
        let rows = rows(ctx, &checks, &CancellationToken::new()).await;
        assert_eq!(
            seen(&rows),
            [("a.worker", Outcome::Skip, Some(CauseId::ScopeEmpty))]
        );
        assert_eq!(rows[0].host, None);
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
                .all(|row| row.verdict.cause().unwrap().id() == CauseId::HostNotConnected)
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
        let api = testing::at(liar().await).await;
        assert!(api.nodes().await.is_err() && api.node_leases().await.is_err());
        let made = api.make_namespace("test", false).await;
        assert!(
            matches!(made, Err(ClusterError::NotKubernetes { .. })),
            "{made:?}"
        );
        let rows = rows(
            context(Ok(api), Limits::default()),
            &checks::all().copied().collect::<Vec<_>>(),
            &CancellationToken::new(),
        )
        .await;
        assert!(
            rows.iter().all(|row| row.outcome() != Outcome::Pass),
            "{:?}",
            seen(&rows)
        );
        let of = |id: &str| {
            rows.iter()
                .find(|row| row.id == id)
                .and_then(|row| row.verdict.cause())
                .map(Cause::id)
        };
        assert_eq!(of("api.ready"), Some(CauseId::ApiNotKubernetes));
        assert_eq!(of("api.permissions"), Some(CauseId::ApiNotKubernetes));
    }
}
