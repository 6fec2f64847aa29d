//! A run: connect, check the bundle, load it, run the checks, remove what was made, report. It owns the events and all
//! results; the exit code is the report's.

mod accepted;
mod by_hand;
mod carried;
mod counters;
mod coverage;
mod ending;
mod gather;
mod identity;
mod judged;
mod kubelets;
mod laps;
mod load;
mod look;
mod order;
mod past;
pub mod plan;
mod policies;
mod provenance;
mod reach;
mod reboot;
mod removal;
mod site_check;
mod snapshot;
mod steps;
mod touched;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bundle::ReadError;
use cli::chain;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::carrier::Hosts;
use crate::cluster::Permission;
use crate::findings::{Finding, cause, phrase};
use crate::load::{Depth, LoadError, Reading};
use crate::report::{Report, Reporter, Selection};
use crate::site::Site;
use crate::suite::fixtures::{permissions, sweep};
use crate::suite::{self, Check, Ctx, CtxParts, Event, Events, Row, When, random};
use counters::Counted;
use identity::Identified;
use laps::Laps;
use order::Given;
use touched::Watched;

pub use by_hand::logins;
pub use gather::{GatherError, GatheredFile, Gathering, gather};
pub use judged::judge;
pub use kubelets::running;
pub use load::{How, Workers, keep, load_all, workers};
pub use look::{ApiSeen, Found, HostsSeen, candidates, look, merge};
pub use order::{Loading, Order, Work};
pub use past::FactsFile;
pub use provenance::provenance;
pub use reach::{connect, open_api};
pub use snapshot::{SaveError, Saved, Saving, save};
pub use steps::Step;

/// What a run asks of the API whatever its checks: whose cluster it is, and on which hosts kubelets run. Without them a report
/// says less, and no verdict changes.
pub const PERMISSIONS: &[Permission] = &[
    Permission::across("get", "", "namespaces"),
    Permission::across("list", "", "nodes"),
];

/// What the removal of what dead runs left asks of the API. Who may not leaves it to others.
const SWEEPS: &[Permission] = &[
    Permission::across("list", "", "namespaces"),
    Permission::across("get", "coordination.k8s.io", "leases"),
    Permission::across("patch", "coordination.k8s.io", "leases"),
    Permission::across("list", "", "pods"),
    Permission::across("delete", "", "pods"),
    Permission::across("delete", "", "namespaces"),
];

/// How many events may wait for the reporters.
const WAITING: usize = 256;

/// Who draws and keeps a run, in the order in which the report is given to them.
pub type Reporters = Vec<Box<dyn Reporter>>;

/// Carries out an order and returns the report. Whatever happens, there is a result for each check and each member of
/// its scope; `stop` ends the run early, with what was made removed.
pub async fn run(order: Order, reporters: Reporters, stop: &CancellationToken) -> Report {
    let mut order = order;
    order
        .site
        .accept_on(Timestamp::now().to_zoned(TimeZone::UTC).date());
    let (mut run, showing) = Run::begin(&order, reporters);
    let rows = run.all(order, stop).await;
    run.end(&rows, showing).await
}

/// Compares the site file of an order with what is there and returns the report; nothing is changed.
pub async fn check_site(order: Order, reporters: Reporters, stop: &CancellationToken) -> Report {
    let (mut run, showing) = Run::begin(&order, reporters);
    let interrupted = tokio::select! {
        () = run.compare_site(&order) => false,
        () = stop.cancelled() => true,
    };
    if interrupted {
        let finding = Finding::error(cause::Interrupted);
        let row = steps::row(Step::Site, None, vec![finding], run.since.elapsed());
        run.step(row).await;
    }
    run.end(&[], showing).await
}

/// Reports rows that need no connection: of files that somebody named.
pub async fn report(order: &Order, rows: &[Row], reporters: Reporters) -> Report {
    let (run, showing) = Run::begin(order, reporters);
    run.events.tell(Event::Begun { rows: rows.len() }).await;
    for row in rows {
        run.events.tell(Event::Row(Box::new(row.clone()))).await;
    }
    run.end(rows, showing).await
}

/// The task that shows events; it ends with the reporters.
type Showing = tokio::task::JoinHandle<Reporters>;

/// Shows events until there are no more; returns the reporters. One that cannot show an event is told no more of them.
fn show(mut events: mpsc::Receiver<Event>, mut reporters: Reporters) -> Reporters {
    let mut broken = vec![false; reporters.len()];
    while let Some(event) = events.blocking_recv() {
        for (reporter, broken) in reporters.iter_mut().zip(&mut broken) {
            *broken = *broken || reporter.event(&event).is_err();
        }
    }
    reporters
}

/// A run on its way.
struct Run {
    started: Timestamp,
    since: Instant,
    /// The ending of its namespace.
    id: String,
    site: Site,
    bundle: Option<Given>,
    events: Events,
    laps: Laps,
    selection: Selection,
    /// The checks that were not chosen.
    left: Vec<&'static str>,
    cluster: Identified,
    /// Whether every host was started again since an earlier report.
    restarted: bool,
    /// What it touches.
    watched: Option<Watched>,
    /// The results of its own steps.
    steps: Vec<Row>,
}

impl Run {
    fn begin(order: &Order, reporters: Reporters) -> (Self, Showing) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let showing = tokio::task::spawn_blocking(move || show(receiver, reporters));
        let run = Self {
            started: Timestamp::now(),
            since: Instant::now(),
            id: format!("{:010x}", random() >> 24),
            site: order.site.clone(),
            bundle: order.work.given(),
            events: Events::new(sender),
            laps: Laps::start(),
            selection: order.selection.clone(),
            left: order.not_run.clone(),
            cluster: Identified::default(),
            restarted: false,
            watched: None,
            steps: Vec::new(),
        };
        (run, showing)
    }

    async fn end(mut self, rows: &[Row], showing: Showing) -> Report {
        // The reporters' channel ends with its last sender.
        self.events = Events::new(mpsc::channel(1).0);
        // The task ends with the events; it can only break by a defect, and the report is made all the same.
        let reporters = showing.await.unwrap_or_default();
        self.report(rows, reporters)
    }

    /// Does it all and returns the checks' rows.
    async fn all(&mut self, mut order: Order, stop: &CancellationToken) -> Vec<Row> {
        let told = self.events.clone();
        let say = |talk| told.nudge(Some(Event::Talk(talk)));
        let since = Instant::now();
        let hosts = tokio::select! {
            hosts = connect(&order.targets, &order.programs, &say) => hosts,
            () = stop.cancelled() => return suite::not_run(&self.site, order.checks.iter(), &cause::Interrupted.into()),
        };
        self.laps.end("connections");
        let api = open_api(&order.site, &hosts).await;
        if let (true, Ok(api)) = (order.reads, &api) {
            api.only_read();
        }
        let found = kubelets::complete(&mut order.site, &hosts, api.as_ref().ok()).await;
        self.site.hosts.clone_from(&order.site.hosts);
        self.watched = Some(Watched::new(&order, &hosts, api.as_ref().ok()));
        if !found.is_empty() {
            let hosts = &found.join(", ");
            self.events
                .tell(Event::Note(phrase::KubeletsFound { hosts }.into()))
                .await;
        }
        let suite = async {
            match &order.work {
                Work::Load(loading) => self.check_and_load(loading, &hosts).await.map(Some),
                Work::Bundle(bundle) => carried::read(bundle).map(Some),
                Work::Check(loading) => self.check_and_load(loading, &Hosts::default()).await.map(Some),
                Work::Compare(bundles) => carried::together(bundles),
                Work::Image(image) => Ok(Some(carried::around(image))),
                Work::Nothing => Ok(None),
            }
        };
        let suite = tokio::select! {
            suite = suite => suite,
            () = stop.cancelled() => return suite::not_run(&self.site, order.checks.iter(), &cause::Interrupted.into()),
        };
        let suite = match suite {
            Ok(suite) => suite,
            Err(error) => return self.refused(&order.checks, &error, since.elapsed()).await,
        };
        let permissions = permissions(&order.checks, &order.site.suite);
        let permissions = permissions.into_keys().collect();
        let ctx = Ctx::new(CtxParts {
            run: self.id.clone(),
            holder: identity::holder(),
            site: order.site.clone(),
            suite,
            hosts,
            api,
            limits: order.limits,
            permissions,
            keep: order.keep,
            snapshot: order.snapshot.take(),
            days: order.days,
            depth: order.depth,
            when: When::Now,
        });
        let rows = self.checks(&ctx, &order, stop).await;
        for what in self.watched.iter().flat_map(|watched| watched.entry().beyond) {
            let note = phrase::PlanBeyond { what: &what };
            self.events.tell(Event::Note(note.into())).await;
        }
        for note in accepted::notes(&self.site.accept, &rows) {
            self.events.tell(Event::Note(note)).await;
        }
        if let Some(before) = &order.after_reboot {
            self.rebooted(before).await;
        }
        for (host, unseen) in coverage::judge(&self.site, &order.checks, &rows) {
            let row = steps::row(Step::Coverage, Some(&host), vec![unseen], Duration::ZERO);
            self.step(row).await;
        }
        rows
    }

    /// Loads the bundle and proves it in one pass, so that the medium is read once, whoever lacks anything; returns what the
    /// suite uses of it.
    async fn check_and_load(
        &mut self,
        Loading { bundle, pin, ledger }: &Loading,
        hosts: &Hosts,
    ) -> Result<suite::Suite, ReadError> {
        let since = Instant::now();
        let policies = policies::policies(&self.site, hosts).await;
        if !policies.is_empty() {
            self.step(steps::row(Step::Load, None, policies, since.elapsed()))
                .await;
        }
        let workers = workers(&self.site, hosts, &bundle.image_nodes()?);
        let how = How {
            pin: *pin,
            reading: Reading::ToTheEnd,
            depth: Depth::Records,
            keep: carried::wanted(bundle.index()),
        };
        let ended = match load_all(bundle, workers.reached, how, &self.events).await {
            Ok(ended) => ended,
            Err(LoadError::Bundle { source }) => return Err(source),
            Err(error @ LoadError::Reader) => {
                let reason = &chain(&error);
                let finding = Finding::error(cause::LoadStopped { reason });
                self.step(steps::row(Step::Load, None, vec![finding], since.elapsed()))
                    .await;
                return carried::read(bundle);
            }
        };
        let good = phrase::BundleGood {
            file: &bundle.path().display(),
            bundle: &bundle.id(),
        };
        self.events.tell(Event::Talk(good.into())).await;
        self.events.tell(Event::Note(provenance(bundle.origin()))).await;
        let loaded = ended.hosts.values().any(Result::is_ok);
        if let Some(told) = loaded.then(|| keep(ledger, bundle)).flatten() {
            self.events.tell(Event::Note(told)).await;
        }
        self.step(steps::row(Step::Bundle, None, Vec::new(), since.elapsed()))
            .await;
        for row in load::rows(&workers.unreached, &ended.hosts, since.elapsed()) {
            self.step(row).await;
        }
        self.laps.end("load");
        carried::of(bundle, ended.kept)
    }

    /// Runs the checks beside the removal of what dead runs left, and removes what was made.
    async fn checks(&mut self, ctx: &Arc<Ctx>, order: &Order, stop: &CancellationToken) -> Vec<Row> {
        let (checks, reads) = (&order.checks, order.reads);
        let swept = tokio::spawn({
            let (ctx, events) = (Arc::clone(ctx), self.events.clone());
            async move {
                if reads {
                    return;
                }
                for note in sweep(&ctx).await {
                    events.tell(Event::Note(note)).await;
                }
            }
        });
        let events = self.events.clone();
        let (before, rows, cluster) = futures::join!(
            Box::pin(Counted::take(ctx)),
            Box::pin(suite::run(Arc::clone(ctx), checks, &events, stop)),
            Box::pin(Identified::ask(ctx))
        );
        self.cluster = cluster;
        for (host, findings) in before.grown(&Counted::take(ctx).await) {
            self.step(steps::row(Step::Counters, Some(&host), findings, Duration::ZERO))
                .await;
        }
        self.laps.end("checks");
        self.events.tell(Event::Cleaning).await;
        self.remove(ctx).await;
        self.laps.end("removal");
        // It has deadlines of its own; a run that was interrupted does not wait for it.
        if stop.is_cancelled() {
            swept.abort();
        }
        let _ = swept.await;
        self.laps.add(ctx.fixtures().times());
        rows
    }

    /// Says of each host whether it was started again since an earlier report.
    async fn rebooted(&mut self, before: &Report) {
        let judged = reboot::judge(before, &self.cluster, &self.site);
        self.restarted = judged.iter().all(|(_, findings)| findings.is_empty());
        for (host, findings) in judged {
            self.step(steps::row(
                Step::Reboot,
                host.as_deref(),
                findings,
                Duration::ZERO,
            ))
            .await;
        }
    }

    /// Keeps the result of a step, and tells of it.
    async fn step(&mut self, row: Row) {
        self.events.tell(Event::Row(Box::new(row.clone()))).await;
        self.steps.push(row);
    }

    /// Returns the rows of a run whose bundle cannot be used: bad, or not to be read.
    async fn refused(&mut self, checks: &[Check], error: &ReadError, took: Duration) -> Vec<Row> {
        let message = &chain(error);
        let finding = if error.is_contents() {
            Finding::fail(cause::BundleBad { message })
        } else {
            Finding::error(cause::BundleUnreadable { message })
        };
        self.step(steps::row(Step::Bundle, None, vec![finding], took))
            .await;
        let what = &Step::Bundle.id();
        suite::not_run(&self.site, checks.iter(), &cause::Needs { what }.into())
    }
}
