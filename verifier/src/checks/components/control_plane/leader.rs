//! Who leads: the Leases of kube-scheduler and kube-controller-manager in kube-system.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterError, LeaderFacts};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble};
use crate::suite::{Ctx, cause_of};

/// How long the API server may take: when it is down, this check says so by its process.
const ANSWER: Duration = Duration::from_secs(5);
/// A holder whose clock is off renews all the same: then the Lease changes within this.
const AGAIN: Duration = Duration::from_secs(4);

/// What the Leases say.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Leaders {
    /// They were read.
    Read(Read),
    /// They could not be.
    Unread(Cause),
}

/// The Leases, and when they were read.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Read {
    /// By name.
    leases: BTreeMap<String, LeaderFacts>,
    /// The time by the API server's clock.
    now: Timestamp,
    /// Those that were seen to be renewed while we looked.
    renewed: Vec<String>,
}

/// Reads the Leases; a second time where one is too old, because a clock may be off.
pub(super) async fn look(ctx: &Ctx) -> Leaders {
    let first = match read(ctx).await {
        Ok(first) => first,
        Err(trouble) => return Leaders::Unread(trouble.cause),
    };
    if LED.iter().all(|name| finding(&first, name).is_none()) {
        return Leaders::Read(first);
    }
    tokio::time::sleep(AGAIN).await;
    match read(ctx).await {
        Ok(mut second) => {
            let renewed = |name: &&&str| {
                let at = |read: &Read| read.leases.get(**name).and_then(|lease| lease.renewed);
                at(&first) != at(&second)
            };
            second.renewed = LED
                .iter()
                .filter(renewed)
                .map(|name| (*name).to_owned())
                .collect();
            Leaders::Read(second)
        }
        Err(trouble) => Leaders::Unread(trouble.cause),
    }
}

/// The components that elect a leader.
const LED: [&str; 2] = ["kube-scheduler", "kube-controller-manager"];

async fn read(ctx: &Ctx) -> Result<Read, Trouble> {
    let api = ctx.api()?;
    let reading = async {
        let leases = api.leaders().await?;
        Ok(Read {
            leases,
            now: api.now().await?,
            renewed: Vec::new(),
        })
    };
    let late = |_| {
        let cause = Cause::new(CauseId::ApiLate).with("operation", "list leases in kube-system");
        let cause = cause.with("server", api.server());
        Trouble::error(cause.with("seconds", ANSWER.as_secs()))
    };
    let read = tokio::time::timeout(ANSWER, reading).await.map_err(late)?;
    read.map_err(|error: ClusterError| Trouble::error(cause_of(&error)))
}

/// Returns what is wrong with a component's Lease. One that is not there is no fault: a single instance may run without
/// electing a leader.
pub(super) fn finding(read: &Read, component: &str) -> Option<Finding> {
    let lease = read.leases.get(component)?;
    let of = || Cause::new(CauseId::LeaderLost).with("component", component);
    if read.renewed.iter().any(|name| name == component) {
        return None;
    }
    let age = lease.age(read.now)?;
    lease.is_stale(read.now).then(|| {
        let holder = if lease.holder.is_empty() {
            "nobody"
        } else {
            &lease.holder
        };
        Finding::fail(of().with("age", age.as_secs()).with("holder", holder))
    })
}

impl Leaders {
    pub(super) fn evidence(&self) -> Option<Evidence> {
        let Self::Read(read) = self else {
            return None;
        };
        let line = |name: &&str| {
            let lease = read.leases.get(*name)?;
            let renewed = lease
                .renewed
                .map_or_else(|| "never".to_owned(), |at| at.to_string());
            Some(format!(
                "{name}: held by {}, renewed {renewed}, good for {} s",
                lease.holder, lease.seconds
            ))
        };
        let lines: Vec<String> = LED.iter().filter_map(line).collect();
        Evidence::lines(format!("Leases in kube-system, looked at {}", read.now), &lines)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn read() -> Read {
        let lease = |name: &str| LeaderFacts {
            holder: format!("server_{name}"),
            renewed: "2026-11-23T09:00:05Z".parse().ok(),
            seconds: 15,
        };
        Read {
            leases: LED.iter().map(|name| ((*name).to_owned(), lease(name))).collect(),
            now: "2026-11-23T09:00:07Z".parse().unwrap(),
            renewed: Vec::new(),
        }
    }

    /// Returns Leases that are renewed in time.
    pub(in crate::checks::components::control_plane) fn leaders() -> Leaders {
        Leaders::Read(read())
    }

    /// Returns Leases of which one is a minute old.
    pub(in crate::checks::components::control_plane) fn stale(name: &str) -> Leaders {
        let mut read = read();
        read.leases.get_mut(name).unwrap().renewed = "2026-11-23T08:59:05Z".parse().ok();
        Leaders::Read(read)
    }

    #[test]
    fn a_lease_is_lost_when_its_time_and_a_little_more_is_over() {
        let mut read = read();
        assert!(finding(&read, LED[0]).is_none());
        read.now = "2026-11-23T09:00:24Z".parse().unwrap();
        assert!(finding(&read, LED[0]).is_none());
        read.now = "2026-11-23T09:00:26Z".parse().unwrap();
        assert!(finding(&read, LED[0]).is_some());
        // Other sites choose other times.
        read.leases.get_mut(LED[0]).unwrap().seconds = 137;
        assert!(finding(&read, LED[0]).is_none());
    }

    #[test]
    fn a_lease_that_is_renewed_by_a_clock_that_is_off_is_held() {
        let mut read = read();
        read.now = "2026-11-23T09:10:00Z".parse().unwrap();
        assert!(finding(&read, LED[1]).is_some());
        read.renewed.push(LED[1].to_owned());
        assert!(finding(&read, LED[1]).is_none());
    }

    #[test]
    fn without_an_election_there_is_no_lease_and_no_fault() {
        let mut read = read();
        read.leases.clear();
        assert!(finding(&read, LED[0]).is_none());
    }
}
