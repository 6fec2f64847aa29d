//! The end of a run: what it made is removed, and its report is made and given to the reporters.

use std::path::Path;
use std::time::{Duration, Instant};

use cli::chain;

use super::touched::Watched;
use super::{Reporters, Run, Step, accepted, identity, logins, removal, steps};
use crate::findings::{Finding, cause, phrase};
use crate::report::{About, Ended, Measure, Report};
use crate::suite::fixtures::Removal;
use crate::suite::{Ctx, Event, Row};

impl Run {
    /// Removes what the run made.
    pub(super) async fn remove(&mut self, ctx: &Ctx) {
        let since = Instant::now();
        let findings = match ctx.fixtures().remove(ctx).await {
            Removal::Nothing => return,
            Removal::Kept { namespace, own } => {
                let (namespace, run) = (&namespace, &self.id);
                let note = if own {
                    phrase::NamespaceKept { namespace, run }.into()
                } else {
                    phrase::GuestKept { namespace, run }.into()
                };
                return self.events.tell(Event::Note(note)).await;
            }
            Removal::Gone => Vec::new(),
            Removal::Taken { namespace } => vec![Finding::error(cause::NamespaceTaken {
                namespace: &namespace,
            })],
            Removal::Late { namespace, held_by } => vec![removal::late(&namespace, &held_by)],
            Removal::Stays { namespace, objects } => vec![Finding::error(cause::ObjectsStay {
                namespace: &namespace,
                objects: &objects.join(", "),
            })],
            Removal::Failed { namespace, error } => vec![Finding::error(cause::NamespaceNotRemoved {
                namespace: &namespace,
                reason: &chain(&error),
            })],
        };
        self.step(steps::row(Step::Removal, None, findings, since.elapsed()))
            .await;
    }

    /// Makes the report and gives it to the reporters, one after the other: what one of them cannot write is a result in
    /// the report that the next ones get.
    pub(super) fn report(mut self, checks: &[Row], reporters: Reporters) -> Report {
        let mut report = self.made(checks);
        let mut written = Vec::new();
        let mut unshown = None;
        for mut reporter in reporters {
            let rows: Vec<Row> = self.steps.iter().chain(checks).cloned().collect();
            let ended = Ended {
                report: &report,
                rows: &rows,
                measure: Measure {
                    site: &self.site.text,
                    index: self.bundle.as_ref().map(|bundle| bundle.index.as_ref()),
                },
                laps: self.laps.all(),
                written: &written,
                unshown: unshown.as_deref(),
            };
            match reporter.finish(&ended) {
                Ok(()) => written.extend(reporter.place().map(Path::to_owned)),
                // What is shown is no part of the verdict.
                Err(error) if error.is_of_showing() => unshown = Some(chain(&error)),
                Err(error) => {
                    let reason = &chain(&error);
                    let finding = Finding::error(cause::ReportUnwritten { reason });
                    self.steps
                        .push(steps::row(Step::Report, None, vec![finding], Duration::ZERO));
                    report = self.made(checks);
                }
            }
        }
        report
    }

    fn made(&self, checks: &[Row]) -> Report {
        let rows: Vec<Row> = self.steps.iter().chain(checks).cloned().collect();
        let about = About {
            run: self.id.clone(),
            started: self.started,
            took: self.since.elapsed(),
            bundle: self.bundle.as_ref().map(|bundle| bundle.id.clone()),
            made: self
                .bundle
                .as_ref()
                .map(|bundle| bundle.made.clone())
                .unwrap_or_default(),
            by: identity::by(),
            cluster: self.cluster.entry.clone(),
            hosts: self.cluster.hosts(&self.site),
            logins: logins(&self.site),
            selection: self.selection.clone(),
            not_run: self.left.clone(),
            restarted: self.restarted,
            suite: self.site.suite.clone(),
            touched: self.watched.as_ref().map(Watched::entry),
            acceptances: accepted::entries(&self.site.accept, checks),
        };
        Report::new(about, &rows)
    }
}
