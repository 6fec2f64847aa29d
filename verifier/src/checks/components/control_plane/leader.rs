//! Who leads: the Leases of kube-scheduler and kube-controller-manager in kube-system.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::checks::components::component::{Component, ComponentState};
use crate::cluster::{ClusterError, LeaderFacts};
use crate::findings::{Cause, Evidence, Finding, Line, Unjudged, cause, phrase};
use crate::protocol::{Process, Setting, SettingReply, Settled};
use crate::suite::Ctx;

/// How long the API server may take: when it is down, this check says so by its process.
const ANSWER: Duration = Duration::from_secs(15);
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

/// Whether a component of a host elects a leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Election {
    /// It does, under the usual name.
    Held,
    /// It does not, or under another name, or inside another program which may leave it out.
    #[default]
    Untold,
    /// Its configuration could not be read.
    Unknown,
}

/// Returns whether a component elects a leader, as its process was told.
async fn election(ctx: &Ctx, host: &str, component: &Component, seen: &ComponentState) -> Election {
    let own = |process: &&Process| process.state != 'Z' && component.is_own(process);
    let Some(process) = seen.processes.iter().flatten().find(own) else {
        return Election::Untold;
    };
    let renamed = ["leader-elect-resource-name", "leader-elect-resource-namespace"];
    if renamed.iter().any(|name| process.flag(name).is_some()) {
        return Election::Untold;
    }
    let ask = Setting {
        pid: process.pid,
        of: Settled::LeaderElection,
    };
    match ctx.ask_within(host, ask, ANSWER).await {
        Ok(SettingReply { unread: false, value }) if value.as_deref() == Some("false") => Election::Untold,
        Ok(SettingReply { unread: false, .. }) => Election::Held,
        Ok(_) | Err(_) => Election::Unknown,
    }
}

/// Returns what is wrong with a component's Lease. One that is not there is no fault where no leader is elected: a single
/// instance need not. A holder whose clock is off renews all the same: the cause says when, so that of two readings only
/// those with the same time show the same.
pub(super) fn finding(read: &Read, component: &str, election: Election) -> Option<Finding> {
    let Some(lease) = read.leases.get(component) else {
        let component = &component;
        return match election {
            Election::Held => Some(Finding::fail(cause::LeaderNever { component })),
            Election::Untold => None,
            Election::Unknown => Some(Finding::error(cause::LeaderUnknown { component })),
        };
    };
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
    /// Returns whether a component elects a leader, where its Lease is not there to show it.
    pub(super) async fn election(
        &self,
        ctx: &Ctx,
        host: &str,
        component: &Component,
        seen: &ComponentState,
    ) -> Election {
        match self {
            Self::Read(read) if !read.leases.contains_key(component.name) => {
                election(ctx, host, component, seen).await
            }
            _ => Election::Untold,
        }
    }

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

    /// Returns that there are no Leases.
    pub(in crate::checks::components::control_plane) fn nobody() -> Leaders {
        let mut read = read();
        read.leases.clear();
        Leaders::Read(read)
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
        assert!(finding(&read, LED[0], Election::Held).is_none());
        read.now = "2026-11-23T09:00:24Z".parse().unwrap();
        assert!(finding(&read, LED[0], Election::Held).is_none());
        read.now = "2026-11-23T09:00:26Z".parse().unwrap();
        assert!(finding(&read, LED[0], Election::Held).is_some());
        // Other sites choose other times.
        read.leases.get_mut(LED[0]).unwrap().seconds = 137;
        assert!(finding(&read, LED[0], Election::Held).is_none());
    }

    #[test]
    fn a_lease_that_is_renewed_by_a_clock_that_is_off_is_held() {
        let mut first = read();
        first.now = "2026-11-23T09:10:00Z".parse().unwrap();
        let mut second = first.clone();
        second.now = "2026-11-23T09:10:03Z".parse().unwrap();
        let stays = |second: &Read| {
            let of = |read| finding(read, LED[1], Election::Held).unwrap();
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
        let id = |read: &Read| finding(read, LED[0], Election::Held).unwrap().cause.id();
        assert_eq!(id(&read), CauseId::LeaderLost);
        read.leases.get_mut(LED[0]).unwrap().holder.clear();
        assert_eq!(id(&read), CauseId::LeaderAbsent);
    }

    #[test]
    fn who_elects_a_leader_and_has_never_led_has_no_lease() {
        let mut read = read();
        read.leases.clear();
        let id = |election| finding(&read, LED[0], election).map(|finding| finding.cause.id());
        assert_eq!(id(Election::Untold), None);
        assert_eq!(id(Election::Held), Some(CauseId::LeaderNever));
        assert_eq!(id(Election::Unknown), Some(CauseId::LeaderUnknown));
    }
}
