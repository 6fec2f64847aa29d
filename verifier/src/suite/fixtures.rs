//! What several checks need: the run's namespace, a canary Secret, the Deployment, its pods on every worker, the Service
//! in front of them. Each is made once, on first demand, shared, with a deadline of its own, and removed at the end with
//! the namespace.

mod clocks;
mod namespace;
pub(crate) mod why;
mod workload;

use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::{Ctx, Suite};
use crate::cluster::{Manifest, Permission, RunNamespace, ServiceFacts};
use crate::findings::{Cause, CauseId, Trouble};

pub use clocks::{Clocks, Reading};
pub use namespace::{Cleaned, Removal, clean, sweep};
pub use workload::{Deployed, Spread};

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
}

impl Fixture {
    /// Returns the check that judges its failure.
    pub const fn owner(self) -> &'static str {
        match self {
            Self::Canary => "secrets.roundtrip",
            Self::Deployment => "workload.deployment",
            Self::Pods => "workload.scale",
            Self::Service => "service.endpoints",
        }
    }

    /// Returns what making it asks of the API.
    pub const fn permissions(self) -> &'static [Permission] {
        const SPACE: [Permission; 7] = [
            Permission::across("create", "", "namespaces"),
            Permission::across("get", "", "namespaces"),
            Permission::across("list", "", "namespaces"),
            Permission::across("delete", "", "namespaces"),
            Permission::within("create", "coordination.k8s.io", "leases"),
            Permission::within("patch", "coordination.k8s.io", "leases"),
            Permission::within("get", "coordination.k8s.io", "leases"),
        ];
        const CANARY: [Permission; 8] = with(SPACE, Permission::within("create", "", "secrets"));
        const WORKLOAD: [Permission; 14] = {
            let all = with::<7, 8>(SPACE, Permission::within("create", "apps", "deployments"));
            let all = with::<8, 9>(all, Permission::within("get", "apps", "deployments"));
            let all = with::<9, 10>(all, Permission::within("patch", "apps", "deployments/scale"));
            let all = with::<10, 11>(all, Permission::within("list", "", "pods"));
            let all = with::<11, 12>(all, Permission::within("delete", "", "pods"));
            let all = with::<12, 13>(all, Permission::within("list", "", "events"));
            with::<13, 14>(all, Permission::across("list", "", "nodes"))
        };
        const SERVICE: [Permission; 9] = {
            let all = with::<7, 8>(SPACE, Permission::within("create", "", "services"));
            with::<8, 9>(
                all,
                Permission::within("list", "discovery.k8s.io", "endpointslices"),
            )
        };
        match self {
            Self::Canary => &CANARY,
            Self::Deployment | Self::Pods => &WORKLOAD,
            Self::Service => &SERVICE,
        }
    }
}

/// Returns the permissions with one more.
const fn with<const N: usize, const M: usize>(list: [Permission; N], last: Permission) -> [Permission; M] {
    let mut all = [last; M];
    let mut at = 0;
    while at < N {
        all[at] = list[at];
        at += 1;
    }
    all
}

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
    clocks: OnceCell<Result<Clocks, Trouble>>,
    namespace: OnceCell<Result<RunNamespace, Trouble>>,
    canary: OnceCell<Result<Canary, Trouble>>,
    deployed: OnceCell<Result<Deployed, Trouble>>,
    spread: OnceCell<Result<Spread, Trouble>>,
    service: OnceCell<Result<ServiceFacts, Trouble>>,
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
            canary: OnceCell::new(),
            deployed: OnceCell::new(),
            spread: OnceCell::new(),
            service: OnceCell::new(),
            beat: namespace::Beat::default(),
            times: Mutex::new(Vec::new()),
        }
    }

    /// Makes a fixture if nobody has yet, and says whether checks can go on with it.
    pub async fn state(&self, ctx: &Ctx, fixture: Fixture) -> Result<(), Trouble> {
        let needs = || Trouble::skip(Cause::new(CauseId::Needs).with("what", fixture.owner()));
        let usable = match fixture {
            Fixture::Canary => self.canary(ctx).await.map(|_| true)?,
            Fixture::Service => self.service(ctx).await.map(|_| true)?,
            Fixture::Deployment => self.deployed(ctx).await?.is_available(),
            Fixture::Pods => self
                .spread(ctx)
                .await?
                .pods
                .iter()
                .any(crate::cluster::PodFacts::is_up),
        };
        if usable { Ok(()) } else { Err(needs()) }
    }

    /// Returns what time each host has.
    pub async fn clocks(&self, ctx: &Ctx) -> Result<Clocks, Trouble> {
        self.once("clocks", &self.clocks, || clocks::measure(ctx)).await
    }

    /// Returns the run's namespace.
    pub async fn namespace(&self, ctx: &Ctx) -> Result<RunNamespace, Trouble> {
        self.asked.store(true, Ordering::Relaxed);
        self.once("namespace", &self.namespace, || namespace::make(ctx, self))
            .await
    }

    /// Returns the canary Secret.
    pub async fn canary(&self, ctx: &Ctx) -> Result<Canary, Trouble> {
        self.once("canary", &self.canary, || make_canary(ctx)).await
    }

    /// Returns how the Deployment with one replica went.
    pub async fn deployed(&self, ctx: &Ctx) -> Result<Deployed, Trouble> {
        self.once("deployment", &self.deployed, || workload::deploy(ctx))
            .await
    }

    /// Returns how the pods were spread over the workers.
    pub async fn spread(&self, ctx: &Ctx) -> Result<Spread, Trouble> {
        self.once("scaling", &self.spread, || workload::spread(ctx)).await
    }

    /// Returns the Service in front of the pods.
    pub async fn service(&self, ctx: &Ctx) -> Result<ServiceFacts, Trouble> {
        self.once("service", &self.service, || make_service(ctx)).await
    }

    /// Returns how long each fixture took that was made, in the order in which they were ready. What one needs of another
    /// is in its own time too.
    pub fn times(&self) -> Vec<(&'static str, Duration)> {
        self.times.lock().map(|times| times.clone()).unwrap_or_default()
    }

    async fn once<T, F>(
        &self,
        name: &'static str,
        cell: &OnceCell<Result<T, Trouble>>,
        make: impl FnOnce() -> F,
    ) -> Result<T, Trouble>
    where
        T: Clone,
        F: Future<Output = Result<T, Trouble>>,
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
fn manifest(ctx: &Ctx, file: &str, kind: &str) -> Result<Manifest, Trouble> {
    let suite: &Suite = ctx
        .suite
        .as_ref()
        .ok_or_else(|| Trouble::skip(Cause::new(CauseId::NoBundle)))?;
    let path = format!("manifests/smoke/{file}");
    let bytes = suite
        .manifests
        .get(&path)
        .ok_or_else(|| Trouble::skip(Cause::new(CauseId::NoSuite)))?;
    Manifest::parse(&path, bytes, kind).map_err(|error| Trouble::internal(&error))
}

async fn make_canary(ctx: &Ctx) -> Result<Canary, Trouble> {
    let api = ctx.api()?;
    let manifest = manifest(ctx, "secret.yaml", "Secret")?;
    let namespace = ctx.fixtures().namespace(ctx).await?;
    let value = format!("verifier-canary-{}-{:016x}", ctx.run, crate::suite::random());
    let name = api.make_secret(&namespace, &ctx.run, manifest, &value).await?;
    Ok(Canary {
        namespace: namespace.name,
        name,
        value,
    })
}

async fn make_service(ctx: &Ctx) -> Result<ServiceFacts, Trouble> {
    let api = ctx.api()?;
    let manifest = manifest(ctx, "service.yaml", "Service")?;
    let namespace = ctx.fixtures().namespace(ctx).await?;
    Ok(api.make_service(&namespace, &ctx.run, manifest).await?)
}
