//! Whose run it is: who runs it, which cluster it is about, which hosts.

use std::collections::BTreeMap;

use cli::Shown;

use crate::report::{By, ClusterEntry, HostEntry};
use crate::site::{Host, Site};
use crate::suite::Ctx;

/// What the API said of the cluster.
#[derive(Default)]
pub(super) struct Identified {
    /// Which cluster it is; absent where the API did not say.
    pub(super) entry: Option<ClusterEntry>,
    /// The versions of the kubelets, by the names of their Nodes.
    kubelets: BTreeMap<String, String>,
}

impl Identified {
    /// Asks which cluster it is. What cannot be had is absent: the checks say why the API does not answer.
    pub(super) async fn ask(ctx: &Ctx) -> Self {
        let Ok(api) = ctx.api() else {
            return Self::default();
        };
        let (identity, nodes) = futures::join!(api.identity(), api.nodes());
        let kubelets = nodes.iter().flat_map(|nodes| nodes.iter());
        Self {
            kubelets: kubelets
                .map(|node| (node.name.clone(), node.kubelet.clone()))
                .collect(),
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
        let entry = |host: &Host| HostEntry {
            name: Shown::new(&host.name),
            address: Shown::new(&host.address),
            roles: host.roles.iter().map(ToString::to_string).collect(),
            kubelet: self.kubelets.get(host.node()).map(Shown::new),
        };
        site.hosts.iter().map(entry).collect()
    }
}

/// Returns `user@host`, for colleagues who find the run's namespace.
pub(super) fn holder() -> String {
    let By { user, machine } = by();
    format!("{user}@{machine}")
}

/// Returns who runs this, and where.
pub(super) fn by() -> By {
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    By {
        user: Shown::new(&user),
        machine: Shown::new(&rustix::system::uname().nodename().to_string_lossy()),
    }
}
