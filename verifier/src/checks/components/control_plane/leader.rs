//! Who leads: the Leases of kube-scheduler and kube-controller-manager in kube-system.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterError, LeaderFacts};
use crate::findings::{Cause, Evidence, Finding, Line, Unjudged, cause, phrase};
use crate::suite::Ctx;

/// How long the API server may take: when it is down, this check says so by its process.
const ANSWER: Duration = Duration::from_secs(5);
/// The components that elect a leader.
const LED: [&str; 2] = ["kube-scheduler", "kube-controller-manager"];

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
}

/// Reads the Leases.
pub(super) async fn look(ctx: &Ctx) -> Leaders {
    match read(ctx).await {
        Ok(read) => Leaders::Read(read),
        Err(unjudged) => Leaders::Unread(unjudged.into_cause()),
    }
}

async fn read(ctx: &Ctx) -> Result<Read, Unjudged> {
    let api = ctx.api()?;
    let reading = async {
        let leases = Arc::unwrap_or_clone(api.leaders().await?);
        let now = api.now().await?;
        Ok::<_, ClusterError>(Read { leases, now })
    };
    let late = |_| {
        Unjudged::error(cause::ApiTimeout {
            operation: &"list leases in kube-system",
            server: &api.server(),
            seconds: &ANSWER.as_secs(),
        })
    };
    Ok(tokio::time::timeout(ANSWER, reading).await.map_err(late)??)
}

/// Returns what is wrong with a component's Lease. One that is not there is no fault: a single instance may run without
/// electing a leader. A holder whose clock is off renews all the same: the cause says when, so that of two readings only
/// those with the same time show the same.
pub(super) fn finding(read: &Read, component: &str) -> Option<Finding> {
    let lease = read.leases.get(component)?;
    let renewed = lease.renewed.filter(|_| lease.is_stale(read.now))?;
    let age = lease.age(read.now)?.as_secs();
    let cause: Cause = if lease.holder.is_empty() {
        let (component, renewed, age) = (&component, &renewed, &age);
        cause::LeaderAbsent {
            component,
            renewed,
            age,
        }
        .into()
    } else {
        cause::LeaderLost {
            component: &component,
            holder: &lease.holder,
            renewed: &renewed,
            age: &age,
        }
        .into()
    };
    Some(Finding::fail(cause))
}

impl Leaders {
    /// Returns what was read, for a person.
    pub(super) fn evidence(&self) -> Option<Evidence> {
        let Self::Read(read) = self else {
            return None;
        };
        let lines = LED
            .iter()
            .filter_map(|name| Some(line(name, read.leases.get(*name)?)));
        Evidence::lines(phrase::LeaderLeases { now: &read.now }, lines)
    }
}

fn line(component: &str, lease: &LeaderFacts) -> Line {
    let (holder, seconds) = (&lease.holder, &lease.seconds);
    let Some(renewed) = &lease.renewed else {
        return Line::said(phrase::LeaseUnrenewed {
            component: &component,
        });
    };
    if holder.is_empty() {
        return Line::said(phrase::LeaseReleased {
            component: &component,
            renewed,
            seconds,
        });
    }
    Line::said(phrase::LeaseHeld {
        component: &component,
        holder,
        renewed,
        seconds,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::findings::CauseId;

    fn read() -> Read {
        let lease = |name: &str| LeaderFacts {
            holder: format!("server_{name}"),
            renewed: "2026-11-23T09:00:05Z".parse().ok(),
            seconds: 15,
        };
        Read {
            leases: LED.iter().map(|name| ((*name).to_owned(), lease(name))).collect(),
            now: "2026-11-23T09:00:07Z".parse().unwrap(),
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
        let mut first = read();
        first.now = "2026-11-23T09:10:00Z".parse().unwrap();
        let mut second = first.clone();
        second.now = "2026-11-23T09:10:03Z".parse().unwrap();
        let stays = |second: &Read| {
            let of = |read| finding(read, LED[1]).unwrap();
            of(&first).cause.is_same(&of(second).cause)
        };
        assert!(stays(&second));
        second.leases.get_mut(LED[1]).unwrap().renewed = "2026-11-23T09:00:07Z".parse().ok();
        assert!(!stays(&second));
    }

    #[test]
    fn a_lease_that_was_given_up_names_nobody() {
        let mut read = read();
        read.now = "2026-11-23T09:10:00Z".parse().unwrap();
        let id = |read: &Read| finding(read, LED[0]).unwrap().cause.id();
        assert_eq!(id(&read), CauseId::LeaderLost);
        read.leases.get_mut(LED[0]).unwrap().holder.clear();
        assert_eq!(id(&read), CauseId::LeaderAbsent);
    }

    #[test]
    fn without_an_election_there_is_no_lease_and_no_fault() {
        let mut read = read();
        read.leases.clear();
        assert!(finding(&read, LED[0]).is_none());
    }
}
