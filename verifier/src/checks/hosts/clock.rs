//! `hosts.clock`: each host's clock against all others and this machine's, with the measurement's own error, and against
//! the newest image of the bundle.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::suite::fixtures::Reading;
use crate::suite::{Check, Created, Ctx, Expect, Member, Probe, Scope};

/// Above this it warns, in microseconds.
const WARN: i64 = 500_000;
/// Above this it fails, in microseconds.
const FAIL: i64 = 1_000_000;

pub(super) const CHECK: Check = Check::of::<HostsClock>("hosts.clock", Scope::Host);

struct HostsClock;

#[derive(Serialize, Deserialize)]
struct Facts {
    /// All clocks that could be read, by host, against this machine's.
    clocks: BTreeMap<String, Reading>,
    /// This machine's time when they were judged.
    now: Timestamp,
    /// The newest image of the bundle.
    newest: Option<Created>,
}

impl Probe for HostsClock {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let clocks = ctx.fixtures().clocks(ctx).await?;
        if let Some(Err(cause)) = clocks.get(&host.name) {
            return Err(Unjudged::error(cause.clone()));
        }
        let read = clocks
            .into_iter()
            .filter_map(|(host, clock)| Some((host, clock.ok()?)));
        Ok(Facts {
            clocks: read.collect(),
            now: ctx.now(),
            newest: ctx.suite.as_ref().and_then(|suite| suite.newest.clone()),
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        let missing = || Unjudged::internal(&"the host's clock is not among those that were read");
        let own = *facts.clocks.get(host).ok_or_else(missing)?;
        let findings = facts.off(host, own).into_iter();
        Ok(findings.chain(facts.before_image(host, own)).collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let line = |(host, clock): (&String, &Reading)| {
            let (offset, error) = (seconds(clock.offset_micros), seconds(clock.error_micros));
            format!("{host}: {offset} s (± {error} s)")
        };
        Evidence::lines(phrase::Clocks, facts.clocks.iter().map(line))
            .into_iter()
            .collect()
    }
}

impl Facts {
    /// Returns a finding where the host's clock is off, or was measured too roughly to say so.
    fn off(&self, host: &str, own: Reading) -> Option<Finding> {
        let middle = self.middle(own);
        let off = own.offset_micros.saturating_sub(middle.offset_micros);
        let error = own.error_micros.saturating_add(middle.error_micros);
        let size = off.saturating_abs();
        let (seconds, error_seconds) = (&seconds(size), &seconds(error));
        if error > size.max(WARN) {
            // It may be far larger than it seems, or nothing at all.
            return Some(Finding::error(cause::ClockUnmeasured {
                host: &host,
                seconds,
                error: error_seconds,
            }));
        }
        let cause = if off < 0 {
            Cause::from(cause::ClockBehind {
                host: &host,
                seconds,
                error: error_seconds,
            })
        } else {
            Cause::from(cause::ClockAhead {
                host: &host,
                seconds,
                error: error_seconds,
            })
        };
        if size > FAIL {
            Some(Finding::fail(cause))
        } else {
            (size > WARN).then(|| Finding::warn(cause))
        }
    }

    /// Returns a finding where the host's clock stands before the newest image was made.
    fn before_image(&self, host: &str, own: Reading) -> Option<Finding> {
        let newest = self.newest.as_ref()?;
        let offset = SignedDuration::from_micros(own.offset_micros);
        let now = self.now.checked_add(offset).ok()?;
        (now < newest.created).then(|| {
            Finding::warn(cause::ClockBeforeImage {
                host: &host,
                image: &newest.image,
                created: &newest.created,
                now: &now.strftime("%FT%TZ"),
            })
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
    use crate::checks::testing::{self, expect, site};
    use crate::findings::{CauseId, Outcome};

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
            clocks: clocks.iter().map(reading).collect(),
            now: "2026-11-23T09:00:00Z".parse().unwrap(),
            newest: Some(Created {
                created: created.parse().unwrap(),
                image: "docker.io/library/nginx:1.29".to_owned(),
            }),
        };
        let site = site();
        testing::judged::<HostsClock>(&facts, &expect(&site, "server"))
    }

    const PASS: (Outcome, Option<CauseId>) = (Outcome::Pass, None);
    const AHEAD: Option<CauseId> = Some(CauseId::ClockAhead);
    const BEHIND: Option<CauseId> = Some(CauseId::ClockBehind);

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
        for (offset, outcome, cause) in [
            (600, Outcome::Warn, AHEAD),
            (-700, Outcome::Warn, BEHIND),
            (1200, Outcome::Fail, AHEAD),
            (-90_000, Outcome::Fail, BEHIND),
        ] {
            let clocks = [("server", offset, 2), others[0], others[1]];
            assert_eq!(judged(&clocks), (outcome, cause), "{offset}");
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
        assert_eq!(judged(&[("server", 1500, 1)]), (Outcome::Fail, AHEAD));
    }

    #[test]
    fn what_was_measured_too_roughly_is_an_error_unless_it_is_off_all_the_same() {
        let others = [("node-0", 0, 1), ("node-1", 0, 1)];
        let rough = |offset, error| judged(&[("server", offset, error), others[0], others[1]]);
        assert_eq!(rough(0, 800), (Outcome::Error, Some(CauseId::ClockUnmeasured)));
        assert_eq!(rough(900, 1500), (Outcome::Error, Some(CauseId::ClockUnmeasured)));
        assert_eq!(rough(5000, 1500), (Outcome::Fail, AHEAD));
        assert_eq!(rough(600, 400), (Outcome::Warn, AHEAD));
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
