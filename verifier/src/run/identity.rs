//! Whose run it is: who runs it, which cluster it is about, which hosts.

use std::collections::BTreeMap;

use cli::Shown;

use crate::protocol::HelloReply;
use crate::report::{By, ClusterEntry, HostEntry};
use crate::site::{Host, Site};
use crate::suite::Ctx;

/// What the API said of the cluster, and the agents of their hosts.
#[derive(Default)]
pub(super) struct Identified {
    /// Which cluster it is; absent where the API did not say.
    pub(super) entry: Option<ClusterEntry>,
    /// The Nodes of the API, by name: the versions of kubelet and runtime.
    nodes: BTreeMap<String, (String, String)>,
    /// What the agents said of themselves, by the names of their hosts.
    agents: BTreeMap<String, HelloReply>,
}

impl Identified {
    /// Asks which cluster it is. What cannot be had is absent: the checks say why the API does not answer.
    pub(super) async fn ask(ctx: &Ctx) -> Self {
        let hello = |host: &Host| Some((host.name.clone(), ctx.agent(&host.name).ok()?.hello().clone()));
        let agents = ctx.site.hosts.iter().filter_map(hello).collect();
        let Ok(api) = ctx.api() else {
            return Self {
                agents,
                ..Self::default()
            };
        };
        let (identity, nodes) = futures::join!(api.identity(), api.nodes());
        let nodes = nodes.iter().flat_map(|nodes| nodes.iter());
        Self {
            nodes: nodes
                .map(|node| (node.name.clone(), (node.kubelet.clone(), node.runtime.clone())))
                .collect(),
            agents,
            entry: identity.map(|identity| ClusterEntry {
                server: Shown::new(api.server()),
                version: identity.version.as_ref().map(Shown::new),
                uid: identity.uid.as_ref().map(Shown::new),
                ca: api.authority().map(str::to_owned),
            }),
        }
    }

    /// Returns the hosts of a site, in the order of its file.
    pub(super) fn hosts(&self, site: &Site) -> Vec<HostEntry> {
        let entry = |host: &Host| {
            let (node, agent) = (self.nodes.get(host.node()), self.agents.get(&host.name));
            HostEntry {
                name: Shown::new(&host.name),
                address: Shown::new(&host.address),
                roles: host.roles.iter().map(ToString::to_string).collect(),
                kubelet: node.map(|(kubelet, _)| Shown::new(kubelet)),
                runtime: node.map(|(_, runtime)| Shown::new(runtime)),
                kernel: agent.map(|agent| Shown::new(&agent.kernel)),
                system: agent.and_then(|agent| agent.system.as_ref()).map(Shown::new),
                boot: agent.and_then(|agent| agent.boot.as_ref()).map(Shown::new),
                node: (host.node() != host.name).then(|| Shown::new(host.node())),
                // The report asks the logins.
                login: None,
            }
        };
        site.hosts.iter().map(entry).collect()
    }
}

/// Returns `user@host`, for colleagues who find the run's namespace.
pub(super) fn holder() -> String {
    let By { user, machine } = by();
    format!("{user}@{machine}")
}

/// Returns who runs this.
pub(super) fn user() -> String {
    std::env::var("USER").unwrap_or_else(|_| "root".to_owned())
}

/// Returns who runs this, and where.
pub(super) fn by() -> By {
    By {
        user: Shown::new(&user()),
        machine: Shown::new(&rustix::system::uname().nodename().to_string_lossy()),
    }
}
