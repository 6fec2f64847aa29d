//! What is there: the Nodes and API servers that the API names, and what each host says of itself. Changes nothing.

mod api;
mod compare;
mod host;
mod merge;

use std::collections::BTreeMap;

use cli::chain;

use crate::carrier::Hosts;
use crate::site::Site;

pub use api::ApiSeen;
pub(super) use api::node_of;
pub(super) use compare::compare;
pub(super) use host::HostSeen;
pub use merge::{Found, candidates, merge};

/// What the hosts of a site say of themselves, by their names; an error is why one could not be asked.
pub type HostsSeen = BTreeMap<String, Result<HostSeen, String>>;

/// Asks every host that is connected.
pub async fn look(site: &Site, hosts: &Hosts) -> HostsSeen {
    let asked = site.hosts.iter().map(|host| async move {
        let seen = match hosts.get(&host.name) {
            Some(Ok(agent)) => HostSeen::ask(agent).await,
            Some(Err(error)) => Err(chain(error)),
            None => Err("it was not connected".to_owned()),
        };
        (host.name.clone(), seen)
    });
    futures::future::join_all(asked).await.into_iter().collect()
}
