//! `hosts.restarts`: no component of the host is started again and again. Between two ends it answers, and all else passes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reboot::programs;
use crate::checks::components::component;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{Processes, Restarts};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<HostsRestarts>("hosts.restarts", Scope::Host);

/// What has run for longer does not end again and again, in seconds.
const LONG: u64 = 600;
/// So often a component may end until what it waits for is there, after a host's start.
const MOST: u32 = 5;

struct HostsRestarts;

#[derive(Serialize, Deserialize)]
struct Facts {
    /// The units whose process has not run for long.
    young: Vec<Young>,
    /// How often systemd has started each of them by itself; it counts from the last start by hand.
    restarts: BTreeMap<String, u32>,
}

/// A unit whose process has not run for long.
#[derive(Serialize, Deserialize)]
struct Young {
    unit: String,
    process: String,
    seconds: u64,
}

impl Probe for HostsRestarts {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let names = Processes {
            names: programs(host).map(str::to_owned).collect(),
        };
        let processes = ctx.ask(&host.name, names).await?;
        let young = processes.iter().filter(|process| process.age_seconds < LONG);
        let young = young.filter_map(|process| {
            Some(Young {
                unit: component::unit(process)?,
                process: process.name.clone(),
                seconds: process.age_seconds,
            })
        });
        let young: Vec<Young> = young.take(Restarts::MOST).collect();
        let mut units: Vec<String> = young.iter().map(|young| young.unit.clone()).collect();
        units.sort();
        units.dedup();
        let restarts = if units.is_empty() {
            BTreeMap::new()
        } else {
            ctx.ask(&host.name, Restarts { units }).await?
        };
        Ok(Facts { young, restarts })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        let again = facts.young.iter().filter_map(|young| {
            let restarts = facts.restarts.get(&young.unit).filter(|count| **count >= MOST)?;
            let Young {
                unit,
                process,
                seconds,
            } = young;
            let cause = cause::UnitRestarts {
                process,
                host,
                unit,
                restarts,
                seconds,
            };
            Some(Finding::warn(cause).of(unit))
        });
        Ok(again.collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let lines = facts.young.iter().map(|young| {
            let count = facts.restarts.get(&young.unit);
            let count = count.map_or_else(|| "-".to_owned(), ToString::to_string);
            format!(
                "{} {}: {} s, NRestarts {count}",
                young.unit, young.process, young.seconds
            )
        });
        Evidence::lines(phrase::RestartsCounted, lines)
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn judge(restarts: u32) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            young: vec![Young {
                unit: "kubelet.service".to_owned(),
                process: "kubelet".to_owned(),
                seconds: 7,
            }],
            restarts: BTreeMap::from([("kubelet.service".to_owned(), restarts)]),
        };
        judged::<HostsRestarts>(&facts, &expect(&site(), "node-0"))
    }

    #[test]
    fn what_ended_a_few_times_at_the_start_is_no_finding_and_what_ends_again_and_again_is() {
        assert_eq!(judge(4), (Outcome::Pass, None));
        assert_eq!(judge(5), (Outcome::Warn, Some(CauseId::UnitRestarts)));
    }
}
