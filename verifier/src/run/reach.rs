//! From a site to connected hosts and an open API.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use cli::chain;
use tokio::net::{TcpListener, TcpStream};

use crate::carrier::ssh::{Programs, Target};
use crate::carrier::{Agent, Hosts, Pace, ReachError};
use crate::cluster::{Cluster, ClusterError, Detour, Target as ApiTarget};
use crate::findings::{Phrase, phrase};
use crate::site::{Site, Via};

/// How long a byte stream through a host may take to be opened.
const DIAL: Duration = Duration::from_secs(10);

/// Connects to the hosts and tells of each one that cannot be reached why, at once.
pub async fn connect(targets: &[Target], programs: &Programs, say: &(dyn Fn(Phrase) + Sync)) -> Hosts {
    say(phrase::Connecting {
        hosts: &targets.len(),
    }
    .into());
    let report = |host: &str, reached: &Result<Agent, ReachError>| {
        if let Err(error) = reached {
            let reason = &chain(error);
            say(phrase::HostUnreached { host: &host, reason }.into());
        }
    };
    Hosts::connect(targets, programs, Pace::default(), &report).await
}

/// Opens the API server: straight, or through a host of the site.
pub async fn open_api(site: &Site, hosts: &Hosts) -> Result<Cluster, ClusterError> {
    let target = ApiTarget::read(&site.kubeconfig).await?;
    let Via::Host(name) = &site.api else {
        return target.open(None);
    };
    let server = target.address();
    let lost = |reason: String| ClusterError::Unreachable {
        operation: format!("connect via {name}"),
        server: server.clone(),
        reason,
    };
    let agent = match hosts.get(name) {
        Some(Ok(agent)) => agent.clone(),
        Some(Err(error)) => return Err(lost(chain(error))),
        None => return Err(lost("it was not connected".to_owned())),
    };
    let through = forward(agent, server.clone())
        .await
        .map_err(|error| lost(error.to_string()))?;
    target.open(Some(&Detour { through }))
}

/// Listens on loopback and carries each connection to `to`, as the agent's host resolves it. Ends with the process.
async fn forward(agent: Agent, to: String) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(carry(agent.clone(), to.clone(), stream));
        }
    });
    Ok(address)
}

/// Carries one connection. Its end is all that the other side needs to know.
async fn carry(agent: Agent, to: String, mut stream: TcpStream) {
    if let Ok(mut far) = agent.dial(&to, DIAL).await {
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut far).await;
    }
}
