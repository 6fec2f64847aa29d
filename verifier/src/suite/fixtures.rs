//! What several checks need: the run's namespace, a canary Secret, the Deployment, its pods on every worker, the Service
//! in front of them. Each is made once, on first demand, shared, with a deadline of its own, and removed at the end with
//! the namespace.

mod apart;
mod canaries;
mod certificates;
mod clocks;
mod echoes;
mod guarded;
mod guest;
mod image_stores;
mod namespace;
mod restarts;
mod shape;
mod volume;
pub(crate) mod why;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::{Check, Ctx, Server, Silent, Suite, servers};
use crate::cluster::{InCluster, Manifest, Permission, PodFacts, RunNamespace, ServiceFacts};
use crate::findings::{Unjudged, cause};
use crate::site::SuiteSettings;

pub use canaries::{Canaries, OwnCanary};
pub use certificates::Inventory;
pub use clocks::{Clocks, Reading};
pub use echoes::{EchoAt, Echoes, PORT as ECHO_PORT};
pub use guarded::GUARDED;
pub use image_stores::ImageStores;
pub use namespace::{Cleaned, Removal, clean, sweep};
pub use restarts::{Restarted, Restarts, Spares};
pub use volume::{Claimed, Worked, claim};
pub use workload::{Deployed, Spread, Takers};

/// A fixture, as a check names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixture {
    /// A Secret whose plaintext is known.
    Canary,
    /// The Deployment of the bundle, one replica of it.
    Deployment,
    /// Its pods: one on every worker that takes pods.
    Pods,
    /// The Service in front of the pods. It is made beside the Deployment and waits for nothing.
    Service,
    /// A pod that a policy shuts off.
    Guarded,
}

impl Fixture {
    /// Returns the check that judges its failure.
    pub const fn owner(self) -> &'static str {
        match self {
            Self::Canary => "secrets.roundtrip",
            Self::Deployment => "workload.deployment",
            Self::Pods => "workload.scale",
            Self::Service => "service.endpoints",
            Self::Guarded => "network.policy",
        }
    }

    /// Returns what making it asks of the API.
    pub fn permissions(self) -> impl Iterator<Item = Permission> {
        let own: &[Permission] = match self {
            Self::Canary => CANARY,
            Self::Deployment | Self::Pods | Self::Guarded => WORKLOAD,
            Self::Service => SERVICE,
        };
        NAMESPACE.iter().chain(own).copied()
    }
}

/// What a run asks of the API in a namespace that was there before: its Lease owns what it makes, and the cluster's garbage
/// collector removes it.
const GUEST: &[Permission] = &[
    Permission::across("get", "", "namespaces"),
    Permission::within("create", "coordination.k8s.io", "leases"),
    Permission::within("patch", "coordination.k8s.io", "leases"),
    Permission::within("get", "coordination.k8s.io", "leases"),
    Permission::within("list", "coordination.k8s.io", "leases"),
    Permission::within("delete", "coordination.k8s.io", "leases"),
    Permission::within("list", "", "pods"),
    Permission::within("delete", "", "pods"),
    Permission::within("get", "", "secrets"),
    Permission::within("get", "apps", "deployments"),
    Permission::within("get", "", "services"),
    Permission::within("get", "networking.k8s.io", "networkpolicies"),
];

/// Returns what checks ask of the API at a site, each with who asks for it. Where the site names a namespace, none is made.
pub fn permissions<'a>(
    checks: impl IntoIterator<Item = &'a Check>,
    settings: &SuiteSettings,
) -> BTreeMap<Permission, BTreeSet<&'static str>> {
    let mut asked: BTreeMap<Permission, BTreeSet<&'static str>> = BTreeMap::new();
    for check in checks {
        let makes = check.needs.iter().chain(check.wants).next().is_some();
        let guest: &[Permission] = if makes && settings.namespace.is_some() {
            GUEST
        } else {
            &[]
        };
        let spared = |permission: &Permission| {
            let is_own = NAMESPACE.contains(permission) && permission.resource == "namespaces";
            settings.namespace.is_some() && is_own && !check.permissions.contains(permission)
        };
        let own = check.asks().filter(|permission| !spared(permission));
        for permission in own.chain(guest.iter().copied()) {
            asked.entry(permission).or_default().insert(check.id);
        }
    }
    asked
}

/// What the run's namespace asks of the API.
const NAMESPACE: &[Permission] = &[
    Permission::across("create", "", "namespaces"),
    Permission::across("get", "", "namespaces"),
    Permission::across("list", "", "namespaces"),
    Permission::across("delete", "", "namespaces"),
    Permission::within("create", "coordination.k8s.io", "leases"),
    Permission::within("patch", "coordination.k8s.io", "leases"),
    Permission::within("get", "coordination.k8s.io", "leases"),
];
const CANARY: &[Permission] = &[
    Permission::within("create", "", "secrets"),
    Permission::within("delete", "", "secrets"),
];
const WORKLOAD: &[Permission] = &[
    Permission::within("create", "apps", "deployments"),
    Permission::within("get", "apps", "deployments"),
    Permission::within("patch", "apps", "deployments/scale"),
    Permission::within("list", "", "pods"),
    Permission::within("delete", "", "pods"),
    Permission::within("list", "", "events"),
    Permission::across("list", "", "nodes"),
];
const SERVICE: &[Permission] = &[
    Permission::within("create", "", "services"),
    Permission::within("list", "discovery.k8s.io", "endpointslices"),
];

/// A Secret whose plaintext is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The plaintext.
    pub value: String,
}

/// The fixtures of a run.
pub struct Fixtures {
    holder: String,
    keep: bool,
    /// Whether anybody ever asked for the namespace.
    asked: AtomicBool,
    clocks: OnceCell<Result<Clocks, Unjudged>>,
    namespace: OnceCell<Result<RunNamespace, Unjudged>>,
    servers: OnceCell<Arc<BTreeMap<String, Result<Server, Silent>>>>,
    certificates: OnceCell<Arc<Inventory>>,
    image_stores: OnceCell<Arc<ImageStores>>,
    canary: OnceCell<Result<Canary, Unjudged>>,
    canaries: OnceCell<Result<Arc<Canaries>, Unjudged>>,
    takers: OnceCell<Result<Takers, Unjudged>>,
    in_cluster: OnceCell<Result<Arc<InCluster>, Unjudged>>,
    deployed: OnceCell<Result<Deployed, Unjudged>>,
    spread: OnceCell<Result<Spread, Unjudged>>,
    service: OnceCell<Result<ServiceFacts, Unjudged>>,
    echoes: OnceCell<Result<Echoes, Unjudged>>,
    guarded: OnceCell<Result<PodFacts, Unjudged>>,
    spares: OnceCell<Result<Arc<Spares>, Unjudged>>,
    restarts: OnceCell<Result<Arc<Restarts>, Unjudged>>,
    beat: namespace::Beat,
    /// How long each took that was made.
    times: Mutex<Vec<(&'static str, Duration)>>,
}

impl Fixtures {
    pub(super) fn new(holder: String, keep: bool) -> Self {
        Self {
            holder,
            keep,
            asked: AtomicBool::new(false),
            clocks: OnceCell::new(),
            namespace: OnceCell::new(),
            servers: OnceCell::new(),
            certificates: OnceCell::new(),
            image_stores: OnceCell::new(),
            canary: OnceCell::new(),
            canaries: OnceCell::new(),
            takers: OnceCell::new(),
            in_cluster: OnceCell::new(),
            deployed: OnceCell::new(),
            spread: OnceCell::new(),
            service: OnceCell::new(),
            echoes: OnceCell::new(),
            guarded: OnceCell::new(),
            spares: OnceCell::new(),
            restarts: OnceCell::new(),
            beat: namespace::Beat::default(),
            times: Mutex::new(Vec::new()),
        }
    }

    /// Makes a fixture if nobody has yet, and says whether checks can go on with it.
    pub async fn state(&self, ctx: &Ctx, fixture: Fixture) -> Result<(), Unjudged> {
        let needs = || {
            Unjudged::skip(cause::Needs {
                what: &fixture.owner(),
            })
        };
        ctx.makes()?;
        let usable = match fixture {
            Fixture::Canary => self.canary(ctx).await.map(|_| true)?,
            Fixture::Service => self.service(ctx).await.map(|_| true)?,
            Fixture::Guarded => self.guarded(ctx).await.map(|_| true)?,
            Fixture::Deployment => self.deployed(ctx).await?.is_available(),
            Fixture::Pods => self.spread(ctx).await?.pods.iter().any(PodFacts::is_up),
        };
        if usable { Ok(()) } else { Err(needs()) }
    }

    /// Returns what time each host has.
    pub async fn clocks(&self, ctx: &Ctx) -> Result<Clocks, Unjudged> {
        if ctx.is_past() {
            // What a clock showed then is no measure against another one.
            return Err(Unjudged::skip(cause::OnlyLive));
        }
        self.once("clocks", &self.clocks, || clocks::measure(ctx)).await
    }

    /// Returns the run's namespace.
    pub async fn namespace(&self, ctx: &Ctx) -> Result<RunNamespace, Unjudged> {
        ctx.makes()?;
        self.asked.store(true, Ordering::Relaxed);
        self.once("namespace", &self.namespace, || namespace::make(ctx, self))
            .await
    }

    /// Returns what the API server of each control-plane host said of itself, by the hosts' names, each asked once.
    pub async fn servers(&self, ctx: &Ctx) -> Arc<BTreeMap<String, Result<Server, Silent>>> {
        let ask = || async { Arc::new(servers::all(ctx).await) };
        Arc::clone(self.servers.get_or_init(ask).await)
    }

    /// Returns the certificates and keys of every host, each asked once.
    pub async fn certificates(&self, ctx: &Ctx) -> Arc<Inventory> {
        let ask = || async { Arc::new(certificates::all(ctx).await) };
        Arc::clone(self.certificates.get_or_init(ask).await)
    }

    /// Returns what images every worker holds, each asked once.
    pub async fn image_stores(&self, ctx: &Ctx) -> Arc<ImageStores> {
        let ask = || async { Arc::new(image_stores::all(ctx).await) };
        Arc::clone(self.image_stores.get_or_init(ask).await)
    }

    /// Returns the canaries that were written through the API servers of the control-plane hosts, each through its own.
    pub async fn canaries(&self, ctx: &Ctx) -> Result<Arc<Canaries>, Unjudged> {
        let make = || async { canaries::make(ctx).await.map(Arc::new) };
        self.once("canaries of the servers", &self.canaries, make).await
    }

    /// Waits until the run's Secrets are stored, where its checks write some. None are made for who only reads.
    pub async fn written(&self, ctx: &Ctx) {
        if CANARY
            .iter()
            .all(|permission| ctx.permissions.contains(permission))
        {
            // Whether they could be made is other checks' to say.
            let _ = self.canaries(ctx).await;
        }
    }

    /// Returns the canary Secret.
    pub async fn canary(&self, ctx: &Ctx) -> Result<Canary, Unjudged> {
        self.once("canary", &self.canary, || make_canary(ctx)).await
    }

    /// Returns which Nodes get the suite's pods.
    async fn takers(&self, ctx: &Ctx) -> Result<Takers, Unjudged> {
        self.once("takers", &self.takers, || workload::takers(ctx)).await
    }

    /// Returns how the Deployment with one replica went.
    pub async fn deployed(&self, ctx: &Ctx) -> Result<Deployed, Unjudged> {
        self.once("deployment", &self.deployed, || workload::deploy(ctx))
            .await
    }

    /// Returns how the pods were spread over the workers.
    pub async fn spread(&self, ctx: &Ctx) -> Result<Spread, Unjudged> {
        self.once("scaling", &self.spread, || workload::spread(ctx)).await
    }

    /// Returns the Service in front of the pods.
    pub async fn service(&self, ctx: &Ctx) -> Result<ServiceFacts, Unjudged> {
        self.once("service", &self.service, || make_service(ctx)).await
    }

    /// Returns what the run's pods are told of the API.
    pub async fn in_cluster(&self, ctx: &Ctx) -> Result<Arc<InCluster>, Unjudged> {
        let ask = || async {
            let namespace = self.namespace(ctx).await?;
            Ok(Arc::new(Box::pin(ctx.api()?.in_cluster(&namespace)).await?))
        };
        self.once("what pods are told", &self.in_cluster, ask).await
    }

    /// Returns the echo servers in the pods.
    pub async fn echoes(&self, ctx: &Ctx) -> Result<Echoes, Unjudged> {
        self.once("echo servers", &self.echoes, || echoes::start(ctx))
            .await
    }

    /// Returns the pod that one check shuts off.
    pub async fn guarded(&self, ctx: &Ctx) -> Result<PodFacts, Unjudged> {
        self.once("pod to shut off", &self.guarded, || guarded::make(ctx))
            .await
    }

    /// Returns the pods that are there to be taken away.
    pub async fn spares(&self, ctx: &Ctx) -> Result<Arc<Spares>, Unjudged> {
        let make = || async { restarts::spares(ctx).await.map(Arc::new) };
        self.once("spare pods", &self.spares, make).await
    }

    /// Returns what came back of what was taken away.
    pub async fn restarts(&self, ctx: &Ctx) -> Result<Arc<Restarts>, Unjudged> {
        let make = || async { restarts::make(ctx).await.map(Arc::new) };
        self.once("restarts", &self.restarts, make).await
    }

    /// Returns how long each fixture took that was made, in the order in which they were ready. What one needs of another
    /// is in its own time too.
    pub fn times(&self) -> Vec<(&'static str, Duration)> {
        self.times.lock().map(|times| times.clone()).unwrap_or_default()
    }

    async fn once<T, F>(
        &self,
        name: &'static str,
        cell: &OnceCell<Result<T, Unjudged>>,
        make: impl FnOnce() -> F,
    ) -> Result<T, Unjudged>
    where
        T: Clone,
        F: Future<Output = Result<T, Unjudged>>,
    {
        let timed = || async {
            let since = Instant::now();
            let made = make().await;
            if let Ok(mut times) = self.times.lock() {
                times.push((name, since.elapsed()));
            }
            made
        };
        cell.get_or_init(timed).await.clone()
    }
}

/// Returns one of the suite's objects from the bundle.
fn manifest(ctx: &Ctx, file: &str, kind: &str) -> Result<Manifest, Unjudged> {
    let suite: &Suite = ctx
        .suite
        .as_ref()
        .ok_or_else(|| Unjudged::skip(cause::NoBundle))?;
    let path = format!("manifests/smoke/{file}");
    let bytes = suite
        .manifests
        .get(&path)
        .ok_or_else(|| Unjudged::skip(cause::NoSuite))?;
    let mut manifest = Manifest::parse(&path, bytes, kind).map_err(|error| Unjudged::internal(&error))?;
    if kind == "Deployment" {
        shape::shape(&mut manifest, &ctx.site.suite);
    }
    Ok(manifest)
}

async fn make_canary(ctx: &Ctx) -> Result<Canary, Unjudged> {
    let api = ctx.api()?;
    let manifest = manifest(ctx, "secret.yaml", "Secret")?;
    let namespace = ctx.fixtures().namespace(ctx).await?;
    let value = new_value(ctx);
    let made = api.make_secret(&namespace, &ctx.run, manifest, &value).await?;
    Ok(Canary {
        namespace: namespace.name,
        name: made.name,
        value,
    })
}

/// Returns a plaintext that nobody else has.
fn new_value(ctx: &Ctx) -> String {
    format!("verifier-canary-{}-{:016x}", ctx.run, crate::suite::random())
}

async fn make_service(ctx: &Ctx) -> Result<ServiceFacts, Unjudged> {
    let api = ctx.api()?;
    let manifest = manifest(ctx, "service.yaml", "Service")?;
    let namespace = ctx.fixtures().namespace(ctx).await?;
    Ok(api.make_service(&namespace, &ctx.run, manifest).await?)
}
