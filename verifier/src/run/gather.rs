//! What `verifier gather` does: asks this machine, and an API server where a kubeconfig was given, all that the checks ask, twice,
//! and keeps the answers. It changes nothing and judges nothing.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::look::HostSeen;
use super::{identity, kubelets, past};
use crate::carrier::{Agent, Hosts, OpenError, local};
use crate::cluster::{Cluster, NodeFacts, Target as ApiTarget};
use crate::findings::{Phrase, phrase};
use crate::gathered::{Header, Reading, written};
use crate::protocol::{
    Ask, Backup, Chains, CriImageStatus, CriImages, ErrorCounters, Interfaces, Names, Persistence, Processes,
    RouteAsk, RouteLookups, Routes, Sysctls,
};
use crate::site::{Host, Role, Site};
use crate::suite::{self, AGAIN, Check, Ctx, CtxParts, Events, Limits, When};

/// How long an agent may take for what no check asks.
const ANSWER: Duration = Duration::from_secs(30);
/// For how many Nodes the API server is asked at once.
const AT_ONCE: usize = 8;
/// Where backups of etcd lie on many sites, where no site file says it: k3s, RKE2, and by custom.
const BACKUPS: [&str; 5] = [
    "/var/lib/rancher/k3s/server/db/snapshots",
    "/var/lib/rancher/rke2/server/db/snapshots",
    "/var/backups/etcd",
    "/var/lib/etcd-backup",
    "/opt/etcd-backup",
];
/// How a backup is read, as the check of backups does with the longest wait that a judge has.
const BACKUP_MILLIS: u64 = 55_000;

/// What is to be gathered.
pub struct Gathering {
    /// The site, where its file lies on this machine: then all is asked just as its checks ask it.
    pub site: Option<Site>,
    /// What this host is called in the site file; absent: its own name and addresses say it.
    pub name: Option<String>,
    /// The kubeconfig by which the API server is asked; absent: it is not.
    pub kubeconfig: Option<PathBuf>,
    /// The checks whose questions are asked.
    pub checks: Vec<Check>,
    /// How long all of it may take.
    pub deadline: Duration,
}

/// Why nothing was gathered.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// This machine cannot be asked.
    #[error("this machine cannot be asked")]
    Agent(#[source] OpenError),
    /// It is not of the site.
    #[error("the site file has no host that is this machine, {hostname}")]
    Stranger {
        /// What the machine calls itself.
        hostname: String,
    },
    /// The kubeconfig cannot be used.
    #[error("the API server cannot be asked")]
    Api(#[source] crate::cluster::ClusterError),
    /// It took too long.
    #[error("it was not ready within {} s", .0.as_secs())]
    Late(Duration),
    /// Somebody stopped it.
    #[error("interrupted")]
    Interrupted,
}

/// What was gathered: the bytes of the file, and how many answers are in it.
pub struct GatheredFile {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many questions were answered.
    pub answers: usize,
    /// The name that the host has.
    pub host: String,
    /// Whether an API server was asked too.
    pub api: bool,
}

/// Gathers.
///
/// # Errors
/// When this machine or the API server cannot be asked at all, when it took too long or was stopped.
pub async fn gather(
    order: Gathering,
    say: &(dyn Fn(Phrase) + Sync),
    stop: &CancellationToken,
) -> Result<GatheredFile, GatherError> {
    let deadline = order.deadline;
    tokio::select! {
        gathered = Box::pin(all(order, say)) => gathered,
        () = tokio::time::sleep(deadline) => Err(GatherError::Late(deadline)),
        () = stop.cancelled() => Err(GatherError::Interrupted),
    }
}

async fn all(order: Gathering, say: &(dyn Fn(Phrase) + Sync)) -> Result<GatheredFile, GatherError> {
    let began = Timestamp::now();
    let agent = local::agent().await.map_err(GatherError::Agent)?;
    let interfaces = agent.ask(Interfaces {}, ANSWER).await.unwrap_or_default();
    let addresses = interfaces.into_iter().flat_map(|one| one.addresses);
    let addresses: Vec<IpAddr> = addresses.map(|address| address.addr()).collect();
    let mut header = Header::new(agent.hello().clone(), addresses, identity::user(), began);
    header.name.clone_from(&order.name);
    header.api = order.kubeconfig.is_some();
    let (host, site) = match order.site {
        Some(site) => (of_site(&header, &site)?, site),
        None => alone(&agent, &header).await,
    };
    let api = match &order.kubeconfig {
        Some(path) => Some(open(path).await?),
        None => None,
    };
    let asking = Asking {
        agent,
        host: host.clone(),
        site,
        api,
    };
    say(phrase::GatherReads { host: &host }.into());
    let first = Box::pin(asking.reading(&order.checks)).await;
    tokio::time::sleep(AGAIN).await;
    say(phrase::GatherReadsAgain { host: &host }.into());
    let confirmed: Vec<Check> = order.checks.into_iter().filter(|check| check.confirmed).collect();
    let second = Box::pin(asking.reading(&confirmed)).await;
    Ok(GatheredFile {
        answers: first.all().len() + second.all().len(),
        bytes: written(&header, &[first, second], Timestamp::now()),
        host,
        api: header.api,
    })
}

async fn open(path: &std::path::Path) -> Result<Cluster, GatherError> {
    let target = ApiTarget::read(path).await.map_err(GatherError::Api)?;
    let api = target.open(None).map_err(GatherError::Api)?;
    api.only_read();
    Ok(api)
}

/// Returns which host of the site this machine is.
fn of_site(header: &Header, site: &Site) -> Result<String, GatherError> {
    let found = past::owner(header, site).map(|host| host.name.clone());
    found.ok_or_else(|| GatherError::Stranger {
        hostname: header.host.hostname.clone(),
    })
}

/// Returns a site of this machine alone, as it says itself what it does.
async fn alone(agent: &Agent, header: &Header) -> (String, Site) {
    let hostname = header.host.hostname.clone();
    let name = header.name.clone().unwrap_or(hostname);
    let seen = HostSeen::ask(agent).await.ok();
    let roles = seen.as_ref().and_then(|seen| seen.roles().ok());
    let roles = roles.filter(|roles| !roles.is_empty());
    let address = header.addresses.iter().find(|address| !address.is_loopback());
    let address = address.map_or_else(|| "127.0.0.1".to_owned(), ToString::to_string);
    let mut host = Host::new(&name, address, roles.unwrap_or_else(|| vec![Role::Worker]));
    // Which of them the site file means is not known here: all are asked about.
    let others = header.addresses.iter().filter(|address| !address.is_loopback());
    host.node_ips = others.copied().collect();
    host.pod_cidrs = seen.as_ref().map(HostSeen::bridge_networks).unwrap_or_default();
    let etcd = seen.as_ref().and_then(HostSeen::etcd).unwrap_or_default();
    let site = Site {
        hosts: vec![host],
        etcd,
        ..Site::default()
    };
    (name, site)
}

/// Whom to ask.
struct Asking {
    agent: Agent,
    host: String,
    site: Site,
    api: Option<Cluster>,
}

impl Asking {
    /// Asks everything once.
    async fn reading(&self, checks: &[Check]) -> Arc<Reading> {
        let reading = Arc::new(Reading::default());
        let agent = self.agent.keeping(Arc::clone(&reading));
        let api = self.api.clone().map(|api| api.keeping(Arc::clone(&reading)));
        let mut hosts = Hosts::default();
        hosts.insert(&self.host, agent.clone());
        let ctx = Ctx::new(CtxParts {
            run: String::new(),
            holder: String::new(),
            site: self.site.clone(),
            suite: None,
            hosts,
            api: api.clone().ok_or_else(Cluster::ungathered),
            limits: Limits::default(),
            permissions: checks.iter().flat_map(Check::reads).collect(),
            keep: false,
            snapshot: None,
            days: crate::certs::Days::default(),
            depth: crate::protocol::StoreDepth::Ends,
            when: When::Gathered,
        });
        // Nobody looks at the rows: whoever judges has the site file, and this may not.
        let events = Events::new(mpsc::channel(1).0);
        let stop = CancellationToken::new();
        let looks = suite::run(Arc::clone(&ctx), checks, &events, &stop);
        futures::join!(looks, self.what_a_site_asks(&agent, api.as_ref()));
        reading
    }

    /// Asks what checks ask only with the site file or the bundle at hand, as far as it can be known without.
    async fn what_a_site_asks(&self, agent: &Agent, api: Option<&Cluster>) {
        let nodes = async {
            match api {
                Some(api) => api.nodes().await.ok(),
                None => None,
            }
        };
        let identity = async {
            if let Some(api) = api {
                api.identity().await;
            }
        };
        let (nodes, ()) = futures::join!(nodes, identity);
        let nodes = nodes.as_ref().map_or(&[][..], |nodes| nodes.as_slice());
        if let Some(api) = api {
            pods(api, nodes).await;
        }
        let names = nodes.iter().map(|node| node.name.clone());
        let names = Names {
            names: names.chain([Names::NOBODY.to_owned()]).collect(),
            of_file: true,
        };
        let forwarding = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];
        let forwarding = Sysctls {
            keys: forwarding.map(str::to_owned).to_vec(),
        };
        let chains = Chains {
            containing: Vec::new(),
        };
        let kubelets = Processes {
            names: kubelets::programs(),
        };
        futures::join!(
            ask(agent, names),
            ask(agent, ways(nodes.iter().flat_map(|node| &node.pod_cidrs))),
            ask(agent, forwarding),
            ask(agent, chains),
            ask(agent, kubelets),
            ask(agent, ErrorCounters {}),
            images(agent),
            routes_at_boot(agent),
            self.backups(agent),
        );
    }

    /// Looks for backups of etcd where many sites keep them, if the site file does not say where.
    async fn backups(&self, agent: &Agent) {
        if !self.site.text.is_empty() {
            return;
        }
        let asked = BACKUPS.iter().map(|directory| {
            let ask = Backup {
                directory: (*directory).to_owned(),
                prefix: self.site.etcd.prefix.clone(),
                millis: BACKUP_MILLIS,
            };
            agent.ask(ask, Duration::from_mins(1))
        });
        futures::future::join_all(asked).await;
    }
}

/// Asks which pods are on each Node: what runs on a host is compared with them, and the hosts of the site are not known here.
async fn pods(api: &Cluster, nodes: &[NodeFacts]) {
    let asked = nodes.iter().map(|node| api.pods_of(&node.name));
    futures::stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn ask<A: Ask>(agent: &Agent, ask: A) {
    // What it says is kept, and that it says nothing is too.
    let _ = agent.ask(ask, ANSWER).await;
}

/// Returns the question which way packets go: to all that a route leads to, to what the Nodes say, and to nowhere.
fn ways<'a>(networks: impl Iterator<Item = &'a String>) -> RouteLookups {
    let networks = networks.filter_map(|network| network.parse::<IpNet>().ok());
    let inside = networks.filter_map(|network| network.hosts().nth(1));
    let everywhere = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
    RouteLookups {
        asks: RouteLookups::NOWHERE
            .into_iter()
            .chain(inside)
            .map(|to| RouteAsk { to, from: None })
            .collect(),
        within: everywhere
            .into_iter()
            .filter_map(|all| IpNet::new(all, 0).ok())
            .collect(),
    }
}

/// Asks what sets each route by a next hop: which of them lead to pods the site file says.
async fn routes_at_boot(agent: &Agent) {
    let Ok(routes) = agent.ask(Routes {}, ANSWER).await else {
        return;
    };
    let by_hop = routes
        .into_iter()
        .filter(|route| route.via.is_some() && route.destination.prefix_len() > 0);
    let all = Persistence {
        units: Vec::new(),
        keys: Vec::new(),
        modules: Vec::new(),
        networks: by_hop
            .map(|route| route.destination)
            .take(Persistence::MOST)
            .collect(),
        inputs: Vec::new(),
        directories: Vec::new(),
    };
    ask(agent, all).await;
}

/// Asks for every image by every name that it has: a bundle may name any of them.
async fn images(agent: &Agent) {
    let socket = None;
    let Ok(images) = agent.ask(CriImages { socket }, ANSWER).await else {
        return;
    };
    let names = images.into_iter().flat_map(|image| {
        let names = image.tags.into_iter().chain(image.digests);
        names.chain([image.id])
    });
    let asked = names.map(|reference| {
        let socket = None;
        agent.ask(CriImageStatus { socket, reference }, ANSWER)
    });
    futures::future::join_all(asked).await;
}

impl GatherError {
    /// Returns whether the command was used wrongly.
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Stranger { .. })
    }
}
