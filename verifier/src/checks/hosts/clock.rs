//! `hosts.clock`: each host's clock against all others and this machine's, with the measurement's own error, and against
//! the newest image of the bundle.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::findings::{Cause, CauseId, Evidence, Finding, Outcome, Trouble, Verdict};
use crate::suite::fixtures::Reading;
use crate::suite::{About, Check, Created, Ctx, Expect, Member, Probe, Scope};

/// Above this it warns, in microseconds.
const WARN: i64 = 500_000;
/// Above this it fails, in microseconds.
const FAIL: i64 = 1_000_000;

pub(super) const CHECK: Check = Check::of::<HostsClock>(About {
    id: "hosts.clock",
    scope: Scope::Host,
    needs: &[],
    permissions: &[],
    summary: "the host's clock agrees with the others",
    explain: "Asks every host for its time, several times, and takes the quickest answer: its clock is compared with \
the median of all clocks, that of the machine the verifier runs on included. More than 0.5 s off warns, more than 1 s \
fails, and where the measurement's own error (half the round trip) is larger than that it is an error. Leases, \
certificates that were just issued, tokens and etcd's elections rest on clocks that agree. A clock that stands before \
the newest image of the bundle was made warns: all clocks may be wrong together.\n\nUsual causes of failure, \
in order: a closed network has no time server, or chrony and systemd-timesyncd do not reach it; a virtual machine was \
suspended; the clock was set by hand; the hardware clock keeps local time.\n\nWhere to look: `timedatectl`, `chronyc \
tracking`, the journal of the time service on the host.",
    by_hand: "date -u; ssh {host} date -u; ssh {host} timedatectl",
});

struct HostsClock;

#[derive(Clone, Serialize, Deserialize)]
struct Facts {
    host: String,
    /// All clocks that could be read, by host, against this machine's.
    clocks: BTreeMap<String, Reading>,
    /// This machine's time when they were judged.
    now: Timestamp,
    /// The newest image of the bundle.
    newest: Option<Created>,
}

impl Probe for HostsClock {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?.name.clone();
        let clocks = ctx.fixtures().clocks(ctx).await?;
        if let Some(Err(cause)) = clocks.get(&host) {
            return Err(Trouble::error(cause.clone()));
        }
        let read = clocks
            .into_iter()
            .filter_map(|(host, clock)| Some((host, clock.ok()?)));
        Ok(Facts {
            host,
            clocks: read.collect(),
            now: Timestamp::now(),
            newest: ctx.suite.as_ref().and_then(|suite| suite.newest.clone()),
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Verdict {
        let line = |(host, clock): (&String, &Reading)| {
            format!(
                "{host}: {} s (± {} s)",
                seconds(clock.offset_micros),
                seconds(clock.error_micros)
            )
        };
        let lines: Vec<String> = facts.clocks.iter().map(line).collect();
        let evidence = Evidence::lines("clocks against this machine's", &lines);
        match facts.findings() {
            Some(mut findings) => {
                findings.extend(facts.before_image());
                Verdict::of(findings).with(evidence)
            }
            None => Trouble::internal(&"the host's clock is not among those that were read").into(),
        }
    }
}

impl Facts {
    fn findings(&self) -> Option<Vec<Finding>> {
        let own = *self.clocks.get(&self.host)?;
        let middle = self.middle(own);
        let off = own.offset_micros.saturating_sub(middle.offset_micros);
        let error = own.error_micros.saturating_add(middle.error_micros);
        let size = off.saturating_abs();
        let cause = |id| {
            Cause::new(id)
                .with("host", &self.host)
                .with("seconds", seconds(size))
                .with("direction", if off < 0 { "behind" } else { "ahead of" })
                .with("error", seconds(error))
        };
        let outcome = if error > size.max(WARN) {
            // It may be far larger than it seems, or nothing at all.
            Outcome::Error
        } else if size > FAIL {
            Outcome::Fail
        } else if size > WARN {
            Outcome::Warn
        } else {
            return Some(Vec::new());
        };
        let id = match outcome {
            Outcome::Error => CauseId::ClockUnmeasured,
            _ => CauseId::ClockOff,
        };
        Some(vec![Finding {
            outcome,
            cause: cause(id),
        }])
    }

    /// Returns a finding where the host's clock stands before the newest image was made.
    fn before_image(&self) -> Option<Finding> {
        let newest = self.newest.as_ref()?;
        let own = self.clocks.get(&self.host)?;
        let now = self
            .now
            .checked_add(SignedDuration::from_micros(own.offset_micros))
            .ok()?;
        (now < newest.created).then(|| {
            let cause = Cause::new(CauseId::ClockBeforeImage).with("host", &self.host);
            let cause = cause
                .with("now", now.strftime("%FT%TZ"))
                .with("image", &newest.image);
            Finding::warn(cause.with("created", newest.created))
        })
    }

    /// Returns the median of all clocks and this machine's. Of an even number the one of the two in the middle that is
    /// farther away: of two clocks that differ nobody knows which is right, and neither may pass for that.
    fn middle(&self, own: Reading) -> Reading {
        let ours = Reading {
            offset_micros: 0,
            error_micros: 0,
        };
        let mut all: Vec<Reading> = self.clocks.values().copied().chain([ours]).collect();
        all.sort_by_key(|clock| clock.offset_micros);
        let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
        let far = |clock: Reading| {
            clock
                .offset_micros
                .saturating_sub(own.offset_micros)
                .saturating_abs()
        };
        if far(low) > far(high) { low } else { high }
    }
}

/// Returns microseconds as seconds with three digits.
fn seconds(micros: i64) -> String {
    let millis = micros / 1000;
    let sign = if micros < 0 { "-" } else { "" };
    format!("{sign}{}.{:03}", millis.abs() / 1000, millis.abs() % 1000)
}

#[cfg(test)]
mod tests {
    //! Recorded facts: one kernel has one clock, so that no lab can have a host whose time is off.

    use super::*;
    use crate::checks::testing::{expect, seen, site};

    /// Judges `server` among clocks that are so many milliseconds off, each with its error.
    fn judged(clocks: &[(&str, i64, i64)]) -> (Outcome, Option<CauseId>) {
        judged_with(clocks, "2026-01-09T00:00:00Z")
    }

    /// The same, with an image of that time; it is 2026-11-23 on this machine.
    fn judged_with(clocks: &[(&str, i64, i64)], created: &str) -> (Outcome, Option<CauseId>) {
        let reading = |(host, offset, error): &(&str, i64, i64)| {
            let reading = Reading {
                offset_micros: offset * 1000,
                error_micros: error * 1000,
            };
            ((*host).to_owned(), reading)
        };
        let facts = Facts {
            host: "server".to_owned(),
            clocks: clocks.iter().map(reading).collect(),
            now: "2026-11-23T09:00:00Z".parse().unwrap(),
            newest: Some(Created {
                created: created.parse().unwrap(),
                image: "docker.io/library/nginx:1.29".to_owned(),
            }),
        };
        let site = site();
        let kept = serde_json::to_value(&facts).unwrap();
        seen(&CHECK.judge(&kept, &expect(&site, "server")))
    }

    const PASS: (Outcome, Option<CauseId>) = (Outcome::Pass, None);
    const OFF: Option<CauseId> = Some(CauseId::ClockOff);

    #[test]
    fn clocks_that_agree_pass() {
        assert_eq!(
            judged(&[("server", 2, 1), ("node-0", -3, 1), ("node-1", 0, 1)]),
            PASS
        );
        assert_eq!(judged(&[("server", 499, 1)]), PASS);
    }

    #[test]
    fn half_a_second_warns_and_a_second_fails_in_both_directions() {
        let others = [("node-0", 0, 1), ("node-1", 4, 1)];
        for (offset, outcome) in [
            (600, Outcome::Warn),
            (-700, Outcome::Warn),
            (1200, Outcome::Fail),
            (-90_000, Outcome::Fail),
        ] {
            let clocks = [("server", offset, 2), others[0], others[1]];
            assert_eq!(judged(&clocks), (outcome, OFF), "{offset}");
        }
    }

    #[test]
    fn a_host_that_agrees_passes_though_another_and_this_machine_are_off() {
        assert_eq!(
            judged(&[("server", 1, 1), ("node-0", 5000, 1), ("node-1", 3, 1)]),
            PASS
        );
        // This machine is a minute behind all of them.
        assert_eq!(
            judged(&[
                ("server", 60_000, 1),
                ("node-0", 60_001, 1),
                ("node-1", 60_002, 1)
            ]),
            PASS
        );
    }

    #[test]
    fn of_two_clocks_that_differ_nobody_knows_which_is_right() {
        assert_eq!(judged(&[("server", 1500, 1)]), (Outcome::Fail, OFF));
    }

    #[test]
    fn what_was_measured_too_roughly_is_an_error_unless_it_is_off_all_the_same() {
        let others = [("node-0", 0, 1), ("node-1", 0, 1)];
        let rough = |offset, error| judged(&[("server", offset, error), others[0], others[1]]);
        assert_eq!(rough(0, 800), (Outcome::Error, Some(CauseId::ClockUnmeasured)));
        assert_eq!(rough(900, 1500), (Outcome::Error, Some(CauseId::ClockUnmeasured)));
        assert_eq!(rough(5000, 1500), (Outcome::Fail, OFF));
        assert_eq!(rough(600, 400), (Outcome::Warn, OFF));
    }

    #[test]
    fn a_clock_before_the_newest_image_warns_though_all_agree() {
        let clocks = [("server", 1, 1), ("node-0", 2, 1)];
        assert_eq!(
            judged_with(&clocks, "2026-11-24T00:00:00Z"),
            (Outcome::Warn, Some(CauseId::ClockBeforeImage))
        );
    }

    #[test]
    fn times_are_told_to_the_millisecond() {
        assert_eq!(
            (seconds(-1_500_999), seconds(999)),
            ("-1.500".to_owned(), "0.000".to_owned())
        );
    }
}
