//! What a check may ask: the site, the bundle, the agents, the API, the fixtures. The only way out for a check.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bundle::nodes::{EVERYWHERE, ImageNodes};
use bundle::{AtomicFile, Index};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OnceCell};

use super::Expect;
use super::failure::AskFailure;
use super::fixtures::Fixtures;
use super::still::{Still, Stillness};
use crate::carrier::{Agent, Hosts, ReachError, local};
use crate::certs::Days;
use crate::cluster::{Cluster, ClusterError, Permission, PodFacts};
use crate::distribution::Distribution;
use crate::findings::{Evidence, Unjudged, cause, phrase};
use crate::protocol::{Ask, CriPods, Existing, HttpProbe, HttpReply, Journal, StoreDepth};
use crate::site::{Host, LOCAL, Site};

/// What looks wrong while things move counts only if it still does after this.
pub const AGAIN: Duration = Duration::from_secs(3);
/// A container runtime that answers takes milliseconds.
const RUNTIME: Duration = Duration::from_secs(15);
/// A look at some file names takes milliseconds.
const LOOK: Duration = Duration::from_secs(5);
/// What an agent may take beside the time of a probe itself.
const MARGIN: Duration = Duration::from_secs(5);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest single wait.
    pub timeout: Duration,
    /// The whole run.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(1),
            deadline: Duration::from_mins(10),
        }
    }
}

/// Whom a check judges this time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The host's name; absent where the scope is the cluster. A Node that the site file does not know stands here
    /// under its own name.
    pub host: Option<String>,
}

/// What the suite runs: of a bundle, or an image that is on the nodes already.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The bundle's index; absent: only an image was named.
    pub index: Option<Index>,
    /// Which of its images are for some nodes only.
    pub nodes: ImageNodes,
    /// The identity of the bundle; absent: only an image was named.
    pub identity: Option<bundle::Digest>,
    /// What stands below `manifests/smoke/`, by path.
    pub manifests: BTreeMap<String, Vec<u8>>,
    /// The image that was made last; absent where none says when it was.
    pub newest: Option<Created>,
}

/// When an image was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Created {
    /// When.
    pub created: Timestamp,
    /// The image's name.
    pub image: String,
}

/// When what is looked at was there.
#[derive(Clone)]
pub enum When {
    /// Now, and what the checks need may be made.
    Now,
    /// Now, and nothing may be made: what is said is kept for others to judge.
    Gathered,
    /// When it was gathered: nothing can be made any more.
    Then {
        /// The time of it, by the clock of whoever gathered.
        at: Timestamp,
        /// The second reading; absent: this is it.
        again: Option<Arc<Ctx>>,
    },
}

/// What a [`Ctx`] is made of.
pub struct CtxParts {
    /// The run: the ending of its namespace.
    pub run: String,
    /// Who runs: `user@host`, for colleagues who find the namespace.
    pub holder: String,
    /// The site.
    pub site: Site,
    /// The bundle; absent: none was given.
    pub suite: Option<Suite>,
    /// The hosts, connected or not.
    pub hosts: Hosts,
    /// The API server.
    pub api: Result<Cluster, ClusterError>,
    /// How long things may take.
    pub limits: Limits,
    /// What the chosen checks ask of the API.
    pub permissions: BTreeSet<Permission>,
    /// Whether what the run makes is left there.
    pub keep: bool,
    /// Where the snapshot of etcd is kept that the run reads; absent: nowhere.
    pub snapshot: Option<AtomicFile>,
    /// How close the end of a certificate may come.
    pub days: Days,
    /// How much of the stores of images is read.
    pub depth: StoreDepth,
    /// When what is looked at was there.
    pub when: When,
}

/// What a check may ask.
pub struct Ctx {
    /// The run: the ending of its namespace.
    pub run: String,
    /// The site.
    pub site: Site,
    /// The bundle; absent: none was given.
    pub suite: Option<Suite>,
    /// How long things may take.
    pub limits: Limits,
    /// What the chosen checks ask of the API.
    pub permissions: BTreeSet<Permission>,
    /// How close the end of a certificate may come.
    pub days: Days,
    /// How much of the stores of images is read.
    pub depth: StoreDepth,
    when: When,
    hosts: Hosts,
    api: Result<Cluster, ClusterError>,
    fixtures: Fixtures,
    /// Where the snapshot of etcd is kept, until it is.
    pub(super) snapshot: Option<Mutex<Option<AtomicFile>>>,
    still: Arc<Stillness>,
    distributions: BTreeMap<String, OnceCell<Distribution>>,
}

impl Ctx {
    /// Returns the context of a run. Nothing is asked or made yet.
    pub fn new(parts: CtxParts) -> Arc<Self> {
        Arc::new(Self {
            fixtures: Fixtures::new(parts.holder, parts.keep),
            snapshot: parts.snapshot.map(|file| Mutex::new(Some(file))),
            still: Arc::default(),
            distributions: parts
                .site
                .hosts
                .iter()
                .map(|host| (host.name.clone(), OnceCell::new()))
                .collect(),
            run: parts.run,
            site: parts.site,
            suite: parts.suite,
            limits: parts.limits,
            permissions: parts.permissions,
            days: parts.days,
            depth: parts.depth,
            when: parts.when,
            hosts: parts.hosts,
            api: parts.api,
        })
    }

    /// Returns the API server.
    pub fn api(&self) -> Result<&Cluster, Unjudged> {
        self.api.as_ref().map_err(|error| Unjudged::from(error.clone()))
    }

    /// Returns the time at which what is looked at was there.
    pub fn now(&self) -> Timestamp {
        match &self.when {
            When::Now | When::Gathered => Timestamp::now(),
            When::Then { at, .. } => *at,
        }
    }

    /// Returns why nothing can be made for the checks, where it cannot.
    pub(super) fn makes(&self) -> Result<(), Unjudged> {
        match &self.when {
            When::Now => Ok(()),
            When::Gathered | When::Then { .. } => Err(Unjudged::skip(cause::OnlyLive)),
        }
    }

    /// Returns whether what is looked at was gathered before.
    pub(crate) const fn is_past(&self) -> bool {
        matches!(self.when, When::Then { .. })
    }

    /// Waits so long until a second reading says something new, and returns where it is read.
    pub(super) async fn again(&self, pause: Duration) -> &Self {
        match &self.when {
            When::Now => tokio::time::sleep(pause).await,
            // Whoever gathers reads everything twice anyway.
            When::Gathered => {}
            When::Then { again, .. } => return again.as_deref().unwrap_or(self),
        }
        self
    }

    /// Returns what several checks need.
    pub const fn fixtures(&self) -> &Fixtures {
        &self.fixtures
    }

    /// Returns a reading of what must stand still until it is dropped.
    pub(super) fn reading(&self) -> Still {
        self.still.reading()
    }

    /// Says that something is to be taken away in this run.
    pub(super) fn will_move(&self) {
        self.still.will_move();
    }

    /// Returns whether something is to be taken away in this run.
    pub(super) fn is_to_move(&self) -> bool {
        self.still.is_to_move()
    }

    /// Waits until all have read what must stand still meanwhile, no longer than `most`.
    pub async fn still(&self, most: Duration) {
        self.still.over(most).await;
    }

    /// Returns the agent of a host, or why there is none in the host's own words.
    pub fn agent(&self, host: &str) -> Result<&Agent, Option<&ReachError>> {
        match self.hosts.get(host) {
            Some(found) => found.map_err(Some),
            None => Err(None),
        }
    }

    /// Returns the host that a member names.
    pub fn host<'a>(&'a self, member: &Member) -> Result<&'a Host, Unjudged> {
        let name = member.host.as_deref().unwrap_or_default();
        let missing = || Unjudged::internal(&format!("{name:?} is no host of the site"));
        self.site.host(name).ok_or_else(missing)
    }

    /// Asks the agent of a host; the wait has the run's longest single wait as its deadline.
    pub async fn ask<A: Ask>(&self, host: &str, ask: A) -> Result<A::Reply, AskFailure> {
        self.ask_within(host, ask, self.limits.timeout).await
    }

    /// Asks the agent of a host, with a deadline.
    pub async fn ask_within<A: Ask>(
        &self,
        host: &str,
        ask: A,
        deadline: Duration,
    ) -> Result<A::Reply, AskFailure> {
        let agent = self
            .agent(host)
            .map_err(|error| AskFailure::unreached(host, error))?;
        let asked = agent.ask(ask, deadline).await;
        asked.map_err(|error| AskFailure::of(host, error))
    }

    /// Asks the container runtime of a host, through its agent. A runtime that does not answer is named as such.
    pub async fn ask_runtime<A: Ask>(&self, host: &str, ask: A) -> Result<A::Reply, Unjudged> {
        self.ask_runtime_within(host, ask, RUNTIME.min(self.limits.timeout))
            .await
    }

    /// Asks the container runtime of a host for what may take longer.
    pub async fn ask_runtime_within<A: Ask>(
        &self,
        host: &str,
        ask: A,
        deadline: Duration,
    ) -> Result<A::Reply, Unjudged> {
        let asked = self.ask_within(host, ask, deadline).await;
        asked.map_err(|failure| match failure.message() {
            Some(message) => Unjudged::error(cause::RuntimeSilent { message: &message }),
            None => failure.into(),
        })
    }

    /// Returns the id of the sandbox that a pod runs in on a host.
    pub async fn sandbox_of(&self, host: &Host, pod: &PodFacts) -> Result<String, Unjudged> {
        let socket = host.runtime.clone();
        let runtime = self.ask_runtime(&host.name, CriPods { socket }).await?;
        let mut sandboxes = runtime.sandboxes.into_iter().map(|network| network.sandbox);
        let sandbox = sandboxes.find(|sandbox| sandbox.ready && sandbox.uid == pod.uid);
        let unknown = || Unjudged::error(cause::SandboxUnknown { pod: &pod.name });
        Ok(sandbox.ok_or_else(unknown)?.id)
    }

    /// Makes an HTTP request from a host, through its agent; from this machine where the place is [`LOCAL`].
    pub async fn probe_from(&self, place: &str, probe: HttpProbe) -> Result<HttpReply, Unjudged> {
        if place == LOCAL {
            return local::probe(probe)
                .await
                .map_err(|error| Unjudged::internal(&error));
        }
        let deadline = Duration::from_millis(probe.timeout_millis) + MARGIN;
        Ok(self.ask_within(place, probe, deadline).await?)
    }

    /// Returns the last lines of a unit's journal as evidence; none where they cannot be had.
    pub async fn journal(&self, host: &str, unit: &str) -> Option<Evidence> {
        let ask = Journal {
            unit: unit.to_owned(),
            lines: 20,
        };
        let lines = self.ask_within(host, ask, Duration::from_secs(5)).await.ok()?;
        Evidence::lines(
            phrase::Journal {
                unit: &unit,
                host: &host,
            },
            lines,
        )
    }

    /// Returns how a host is laid out: hints name its own units, paths and tools. Asked once a host; where it cannot be
    /// asked, the page's layout stands in.
    pub async fn distribution(&self, host: &str) -> Distribution {
        let Some(cell) = self.distributions.get(host) else {
            return Distribution::default();
        };
        let ask = async {
            let marks = Existing {
                paths: Distribution::marks(),
            };
            let existing = self.ask_within(host, marks, LOOK).await;
            existing.map_or_else(|_| Distribution::default(), |files| Distribution::of(&files))
        };
        *cell.get_or_init(|| ask).await
    }

    /// Returns why a host's checks cannot look, or nothing where they can.
    pub fn reach(&self, host: &str) -> Result<(), Unjudged> {
        let agent = self
            .agent(host)
            .map_err(|error| AskFailure::unreached(host, error));
        Ok(agent.map(drop)?)
    }

    /// Returns what judges measure against.
    pub fn expect<'a>(&'a self, member: &Member) -> Expect<'a> {
        Expect {
            site: &self.site,
            index: self.suite.as_ref().and_then(|suite| suite.index.as_ref()),
            nodes: self.suite.as_ref().map_or(&EVERYWHERE, |suite| &suite.nodes),
            host: member.host.as_deref().and_then(|name| self.site.host(name)),
        }
    }
}
