//! Runs checks side by side. Each has a deadline of its own; one that panics or hangs hides no other; whatever
//! happens there is a row for each check and each member of its scope, and what the run made is removed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Cause, CauseId, Check, Ctx, Evidence, Member, Outcome, Scope, Trouble, Verdict};
use crate::site::Role;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest single wait.
    pub timeout: Duration,
    /// The whole run.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(1),
            deadline: Duration::from_mins(10),
        }
    }
}

/// What a run tells while it runs.
#[derive(Clone, Debug)]
pub enum Event {
    /// The checks begin: so many rows will come at least.
    Begun {
        /// How many.
        rows: usize,
    },
    /// A check looks at a member.
    Looking {
        /// The check.
        id: &'static str,
        /// The host.
        host: Option<String>,
    },
    /// A row is there.
    Row(Box<Row>),
    /// Something that a person should know.
    Note(String),
    /// What the run made is being removed.
    Cleaning,
}

/// The sender of events. When nobody listens any more, events are dropped.
#[derive(Clone)]
pub struct Watch(pub mpsc::Sender<Event>);

impl Watch {
    /// Tells an event.
    pub async fn tell(&self, event: Event) {
        // A reporter that is gone must not stop the run.
        let _ = self.0.send(event).await;
    }
}

/// A result: one check, one member.
#[derive(Clone, Debug)]
pub struct Row {
    /// The check.
    pub id: &'static str,
    /// The host; absent where the scope is the cluster.
    pub host: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// What the check proves.
    pub summary: &'static str,
    /// Why it is no pass.
    pub cause: Option<Cause>,
    /// Further causes.
    pub also: Vec<Cause>,
    /// What a person can look at.
    pub evidence: Vec<Evidence>,
    /// The facts that were judged.
    pub facts: Option<serde_json::Value>,
}

/// A check on its way.
struct Job {
    check: Check,
    member: Member,
    since: Instant,
}

/// Runs the checks and returns the rows, in the order of the list and of the site's hosts. The caller removes the
/// fixtures afterwards ([`super::fixtures::Fixtures::remove`]), also when `stop` was cancelled.
pub async fn run(ctx: Arc<Ctx>, checks: &[Check], watch: &Watch, stop: &CancellationToken) -> Vec<Row> {
    let begun = Instant::now();
    let wanted = checks.iter().any(|check| check.strangers) && !stop.is_cancelled();
    let strangers = if wanted { strangers(&ctx).await } else { Vec::new() };
    let mut tasks = JoinSet::new();
    let mut jobs: HashMap<Id, Job> = HashMap::new();
    let mut order = Vec::new();
    for check in checks {
        let mut members = members(&ctx, check.scope);
        if check.strangers {
            members.extend(strangers.iter().cloned());
        }
        for member in members {
            order.push((check.id, member.host.clone()));
            let task = look(Arc::clone(&ctx), *check, member.clone(), watch.clone());
            let id = tasks.spawn(task).id();
            jobs.insert(
                id,
                Job {
                    check: *check,
                    member,
                    since: Instant::now(),
                },
            );
        }
    }
    watch.tell(Event::Begun { rows: order.len() }).await;
    let mut rows = Vec::with_capacity(order.len());
    let left = ctx.limits.deadline.saturating_sub(begun.elapsed());
    let end = tokio::time::sleep(left);
    tokio::pin!(end);
    let cut = loop {
        tokio::select! {
            joined = tasks.join_next_with_id() => match joined {
                None => break None,
                Some(joined) => if let Some(row) = ended(joined, &mut jobs) {
                    watch.tell(Event::Row(Box::new(row.clone()))).await;
                    rows.push(row);
                },
            },
            () = stop.cancelled() => break Some(Cause::new(CauseId::Interrupted)),
            () = &mut end => break Some(Cause::new(CauseId::RunLate).with("seconds", ctx.limits.deadline.as_secs())),
        }
    };
    tasks.shutdown().await;
    if let Some(cause) = cut {
        for job in jobs.into_values() {
            let row = job.row(Trouble::error(cause.clone()).into(), None);
            watch.tell(Event::Row(Box::new(row.clone()))).await;
            rows.push(row);
        }
    }
    rows.sort_by_key(|row| {
        order
            .iter()
            .position(|(id, host)| *id == row.id && *host == row.host)
    });
    rows
}

impl Job {
    fn row(self, verdict: Verdict, facts: Option<serde_json::Value>) -> Row {
        Row {
            id: self.check.id,
            host: self.member.host,
            outcome: verdict.outcome,
            took: self.since.elapsed(),
            summary: self.check.summary,
            cause: verdict.cause,
            also: verdict.also,
            evidence: verdict.evidence,
            facts,
        }
    }
}

type Looked = (Verdict, Option<serde_json::Value>);

/// Returns the row of a task that ended, whichever way.
fn ended(joined: Result<(Id, Looked), JoinError>, jobs: &mut HashMap<Id, Job>) -> Option<Row> {
    match joined {
        Ok((id, (verdict, facts))) => jobs.remove(&id).map(|job| job.row(verdict, facts)),
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
            Some(job.row(
                Trouble::internal(&format!("the check broke: {message}")).into(),
                None,
            ))
        }
    }
}

/// Returns whom a scope means.
fn members(ctx: &Ctx, scope: Scope) -> Vec<Member> {
    let role = match scope {
        Scope::Cluster => return vec![Member { host: None }],
        Scope::ControlPlane => Some(Role::ControlPlane),
        Scope::Worker => Some(Role::Worker),
        Scope::Host => None,
    };
    let hosts = ctx
        .site
        .hosts
        .iter()
        .filter(|host| role.is_none_or(|role| host.roles.contains(&role)));
    hosts
        .map(|host| Member {
            host: Some(host.name.clone()),
        })
        .collect()
}

/// Returns the Nodes of the API that the site file does not know. Where the API does not answer there are none: the
/// checks that ask it say so.
async fn strangers(ctx: &Ctx) -> Vec<Member> {
    let Ok(api) = ctx.api() else {
        return Vec::new();
    };
    let nodes = api.nodes().await.unwrap_or_default();
    let unknown = nodes
        .into_iter()
        .filter(|node| ctx.site.host_of_node(&node.name).is_none());
    unknown
        .map(|node| Member {
            host: Some(node.name),
        })
        .collect()
}

/// Looks at one member: the host's agent, the fixtures, then the facts and the judgement.
async fn look(ctx: Arc<Ctx>, check: Check, member: Member, watch: Watch) -> Looked {
    let host = member.host.clone();
    watch
        .tell(Event::Looking {
            id: check.id,
            host: host.clone(),
        })
        .await;
    if let Some(name) = host
        .as_deref()
        .filter(|name| !check.without_agent && ctx.site.host(name).is_some())
        && let Err(trouble) = ctx.reach(name)
    {
        return (trouble.into(), None);
    }
    for fixture in check.needs {
        let state = ctx.fixtures().state(&ctx, *fixture).await;
        if state.is_err() && fixture.owner() != check.id {
            let cause = Cause::new(CauseId::Needs).with("what", fixture.owner());
            return (Trouble::skip(cause).into(), None);
        }
    }
    // A check asks several things, each with a deadline of its own; this one ends what none of them ended.
    let longest = ctx.limits.timeout * 2;
    match tokio::time::timeout(longest, check.gather(&ctx, &member)).await {
        Ok(Ok(facts)) => (check.judge(&facts, &ctx.expect(&member)), Some(facts)),
        Ok(Err(trouble)) => (trouble.into(), None),
        Err(_) => {
            let cause = Cause::new(CauseId::HungCheck).with("seconds", longest.as_secs());
            (Trouble::error(cause).into(), None)
        }
    }
}

#[cfg(test)]
mod tests;
