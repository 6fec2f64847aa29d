//! `hosts.time`: something keeps the host's clock right. How far it is off `hosts.clock` judges.

use serde::{Deserialize, Serialize};

use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{Processes, TimeService, TimeSource, TimeSourceReply};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<HostsTime>("hosts.time", Scope::Host);

/// Programs that keep a clock right; of a longer name the kernel keeps 15 bytes.
const SERVICES: [&str; 13] = [
    "chronyd",
    "ntpd",
    "ntpsec",
    "openntpd",
    "systemd-timesyncd",
    "systemd-timesyn",
    "ntp-daemon",
    "ntpd-rs",
    "ptp4l",
    "phc2sys",
    "ts2phc",
    "timemaster",
    "sptp",
];

struct HostsTime;

#[derive(Serialize, Deserialize)]
struct Facts {
    /// The time services that run, by name.
    running: Vec<String>,
    told: TimeSourceReply,
}

impl Probe for HostsTime {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let names = Processes {
            names: SERVICES.map(str::to_owned).to_vec(),
        };
        let (processes, told) =
            futures::join!(ctx.ask(&host.name, names), ctx.ask(&host.name, TimeSource {}));
        let mut running: Vec<String> = processes?.into_iter().map(|process| process.name).collect();
        running.sort();
        running.dedup();
        Ok(Facts { running, told: told? })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        let services = &facts.running.join(", ");
        if facts.told.services.iter().any(|service| service.synchronised) {
            // Some services follow a source and leave the kernel's flag alone: chrony without rtcsync, or in a container.
            return Ok(Vec::new());
        }
        let unsynchronised = || Finding::warn(cause::TimeUnsynchronised { host, services });
        if !facts.told.services.is_empty() {
            // A service knows that it has lost its source hours before the kernel gives up.
            return Ok(vec![unsynchronised()]);
        }
        let missing = || Finding::warn(cause::TimeServiceMissing { host });
        let finding = match (facts.told.kernel, facts.running.is_empty()) {
            // Whatever it was: the machine below a container, a program that is not in our list.
            (Some(kernel), _) if kernel.synchronised => None,
            (_, true) => Some(missing()),
            (Some(_), false) => Some(unsynchronised()),
            (None, false) => Some(Finding::error(cause::TimeUnknown { host, services })),
        };
        Ok(finding.into_iter().collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let or = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let kernel = facts.told.kernel.map(|kernel| {
            let flag = if kernel.synchronised { "-" } else { "STA_UNSYNC" };
            format!("adjtimex: {flag}, maxerror {} us", kernel.max_error_micros)
        });
        let services = facts.told.services.iter().map(|service| {
            let TimeService {
                asked,
                synchronised,
                stratum,
            } = service;
            format!("{}: synchronised {synchronised}, stratum {stratum}", asked.word())
        });
        let running = format!("processes: {}", or(facts.running.join(", ")));
        let lines = [running].into_iter().chain(kernel).chain(services);
        Evidence::lines(phrase::TimeSources, lines).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::{KernelClock, TimeProtocol};

    fn judge(running: &[&str], kernel: Option<bool>, told: &[bool]) -> (Outcome, Option<CauseId>) {
        let service = |synchronised: &bool| TimeService {
            asked: TimeProtocol::Chrony,
            synchronised: *synchronised,
            stratum: 3,
        };
        let facts = Facts {
            running: running.iter().map(|name| (*name).to_owned()).collect(),
            told: TimeSourceReply {
                kernel: kernel.map(|synchronised| KernelClock {
                    synchronised,
                    max_error_micros: 1000,
                    estimated_error_micros: 100,
                }),
                services: told.iter().map(service).collect(),
            },
        };
        judged::<HostsTime>(&facts, &expect(&site(), "node-1"))
    }

    const PASS: (Outcome, Option<CauseId>) = (Outcome::Pass, None);

    #[test]
    fn a_kernel_that_somebody_keeps_right_passes_whoever_it_is() {
        assert_eq!(judge(&["systemd-timesyn"], Some(true), &[]), PASS);
        assert_eq!(judge(&["chronyd"], Some(true), &[true]), PASS);
        // A container of LXC, a machine whose hypervisor's tools do it.
        assert_eq!(judge(&[], Some(true), &[]), PASS);
    }

    #[test]
    fn a_service_s_own_word_counts_more_than_the_kernel_s_flag() {
        assert_eq!(judge(&["chronyd"], Some(false), &[true]), PASS);
        let lost = (Outcome::Warn, Some(CauseId::TimeUnsynchronised));
        assert_eq!(judge(&["chronyd"], Some(true), &[false]), lost);
        assert_eq!(judge(&["ntpd"], Some(false), &[false]), lost);
        assert_eq!(judge(&["systemd-timesyn"], Some(false), &[]), lost);
    }

    #[test]
    fn no_service_and_a_kernel_that_nobody_keeps_right_warn() {
        let missing = (Outcome::Warn, Some(CauseId::TimeServiceMissing));
        assert_eq!(judge(&[], Some(false), &[]), missing);
        assert_eq!(judge(&[], None, &[]), missing);
    }

    #[test]
    fn what_nobody_says_is_no_pass() {
        assert_eq!(
            judge(&["ptp4l"], None, &[]),
            (Outcome::Error, Some(CauseId::TimeUnknown))
        );
    }
}
