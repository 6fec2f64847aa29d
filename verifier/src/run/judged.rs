//! A run over what was gathered: the same checks, over agents and an API server that say what was kept of them. Nobody is
//! asked and nothing is made.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use super::accepted;
use super::counters::Counted;
use super::identity::Identified;
use super::past::{self, FactsFile, Past};
use super::steps::{self, Step};
use super::{Order, Reporters, Run, carried, kubelets};
use crate::carrier::{Agent, Hosts, ReachError, ReachKind};
use crate::cluster::{Cluster, ClusterError};
use crate::findings::{Finding, Outcome, Verdict, cause, phrase};
use crate::gathered::{Gathered, Reading};
use crate::report::Report;
use crate::suite::{self, Check, Ctx, CtxParts, Event, Row, Suite, When};

/// Judges what was gathered, and returns the report.
pub async fn judge(
    order: Order,
    files: Vec<FactsFile>,
    reporters: Reporters,
    stop: &CancellationToken,
) -> Report {
    let mut order = order;
    order
        .site
        .accept_on(Timestamp::now().to_zoned(TimeZone::UTC).date());
    let (mut run, showing) = Run::begin(&order, reporters);
    let rows = run.judge(order, &files, stop).await;
    run.end(&rows, showing).await
}

impl Run {
    /// Judges and returns the checks' rows.
    async fn judge(&mut self, mut order: Order, files: &[FactsFile], stop: &CancellationToken) -> Vec<Row> {
        let since = Instant::now();
        let now = Timestamp::now();
        let past = past::sort(files, &order.site, now);
        let suite = match order.work.bundles() {
            [] => Ok(None),
            [bundle] => carried::read(bundle).map(Some),
            bundles => carried::together(bundles),
        };
        let suite = match suite {
            Ok(suite) => suite,
            Err(error) => return self.refused(&order.checks, &error, since.elapsed()).await,
        };
        let mut findings = past.findings.clone();
        let api = match api_of(&past).await {
            Ok(api) => api,
            Err(finding) => {
                findings.push(*finding);
                None
            }
        };
        if api.is_none() {
            findings.push(Finding::warn(cause::ApiUngathered));
        }
        let [first, second] = [0, 1].map(|reading| Told::of(&past, &order, api, reading));
        let found = kubelets::complete(&mut order.site, &first.hosts, first.api.as_ref().ok()).await;
        self.site.hosts.clone_from(&order.site.hosts);
        if !found.is_empty() {
            let hosts = &found.join(", ");
            let note = phrase::KubeletsFound { hosts }.into();
            self.events.tell(Event::Note(note)).await;
        }
        let at = past.time(now);
        let again = second.ctx(self, &order, suite.clone(), When::Then { at, again: None });
        let when = When::Then {
            at,
            again: Some(Arc::clone(&again)),
        };
        let ctx = first.ctx(self, &order, suite, when);
        let rows = self.looks(&ctx, &again, &order.checks, stop).await;
        for note in accepted::notes(&self.site.accept, &rows) {
            self.events.tell(Event::Note(note)).await;
        }
        let says_nothing = rows.iter().all(|row| row.outcome() == Outcome::Skip);
        if says_nothing {
            findings.push(Finding::error(cause::FactsSayNothing));
        }
        self.of_files(&past, findings, since).await;
        rows
    }

    /// Runs the checks and compares what the two readings counted.
    async fn looks(
        &mut self,
        ctx: &Arc<Ctx>,
        again: &Arc<Ctx>,
        checks: &[Check],
        stop: &CancellationToken,
    ) -> Vec<Row> {
        let events = self.events.clone();
        let (before, after, rows, cluster) = futures::join!(
            Box::pin(Counted::take(ctx)),
            Box::pin(Counted::take(again)),
            Box::pin(suite::run(Arc::clone(ctx), checks, &events, stop)),
            Box::pin(Identified::ask(ctx))
        );
        self.cluster = cluster;
        for (host, findings) in before.grown(&after) {
            let row = steps::row(Step::Counters, Some(&host), findings, std::time::Duration::ZERO);
            self.step(row).await;
        }
        self.laps.end("checks");
        rows
    }

    /// Says of each host, and of all files together, what was judged and what is wrong with it.
    async fn of_files(&mut self, past: &Past<'_>, findings: Vec<Finding>, since: Instant) {
        for host in self.site.hosts.clone() {
            let own = past.of_hosts.get(&host.name).cloned().unwrap_or_default();
            let evidence = past.of.get(&host.name).and_then(|file| past::evidence(file));
            let row = steps::row(Step::Facts, Some(&host.name), Vec::new(), since.elapsed());
            let verdict = Verdict::of(Ok(own), evidence.into_iter().collect());
            self.step(Row { verdict, ..row }).await;
        }
        if !findings.is_empty() {
            self.step(steps::row(Step::Facts, None, findings, since.elapsed()))
                .await;
        }
    }
}

/// Returns the file whose API server is judged.
async fn api_of<'a>(past: &Past<'a>) -> Result<Option<&'a Gathered>, Box<Finding>> {
    let mut asked = Vec::new();
    for (host, gathered) in past.used() {
        if let Ok(api) = Cluster::told(Arc::clone(&gathered.readings[0]), Arc::default()) {
            asked.push((host, gathered, api.identity().await));
        }
    }
    past::api(&asked)
}

/// What one reading of all files says.
struct Told {
    hosts: Hosts,
    api: Result<Cluster, ClusterError>,
}

impl Told {
    fn of(past: &Past<'_>, order: &Order, api: Option<&Gathered>, reading: usize) -> Self {
        let mut hosts = Hosts::default();
        let mut readings: BTreeMap<String, Arc<Reading>> = BTreeMap::new();
        for (host, gathered) in past.used() {
            let said = &gathered.readings[reading];
            hosts.insert(host, Agent::told(gathered.header.host.clone(), Arc::clone(said)));
            readings.insert(host.to_owned(), Arc::clone(said));
        }
        for host in &order.site.hosts {
            if !readings.contains_key(&host.name) {
                hosts.lacks(ReachError {
                    kind: ReachKind::Ungathered,
                    host: host.name.clone(),
                    source: Box::new(io::Error::other("no file of its facts was given")),
                });
            }
        }
        let api = api.ok_or_else(Cluster::ungathered);
        let api = api.and_then(|api| Cluster::told(Arc::clone(&api.readings[reading]), Arc::new(readings)));
        Self { hosts, api }
    }

    fn ctx(self, run: &Run, order: &Order, suite: Option<Suite>, when: When) -> Arc<Ctx> {
        Ctx::new(CtxParts {
            run: run.id.clone(),
            holder: String::new(),
            site: order.site.clone(),
            suite,
            hosts: self.hosts,
            api: self.api,
            limits: order.limits,
            permissions: order.checks.iter().flat_map(Check::reads).collect(),
            keep: false,
            snapshot: None,
            days: order.days,
            depth: order.depth,
            when,
        })
    }
}
