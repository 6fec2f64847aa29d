//! From a site to connected hosts and an open API.

use cli::chain;

use crate::carrier::ssh::{Programs, Target};
use crate::carrier::{Agent, Hosts, Pace, ReachError};
use crate::cluster::{Cluster, ClusterError, Target as ApiTarget};
use crate::findings::{Phrase, phrase};
use crate::site::{Site, Via};
use crate::suite::through;

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
    let marks = site.suite.labels.clone();
    let Via::Host(name) = &site.api else {
        return Ok(target.open(None)?.marked(marks));
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
    Ok(target.open(Some(through(agent, server)))?.marked(marks))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::carrier::local;

    #[tokio::test]
    async fn the_api_is_reached_through_a_host_with_the_kubeconfigs_login_and_without_a_port_of_our_own() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (stream, _) = server.accept().unwrap();
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            (&stream)
                .write_all(
                    b"HTTP/1.1 200 OK\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\ncontent-length: 2\r\n\r\n{}",
                )
                .unwrap();
            head.join("\n").to_ascii_lowercase()
        });
        let dir = tempfile::tempdir().unwrap();
        // Nobody but the host knows this name's address; here it is that of the server.
        let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
            clusters: [{name: c, cluster: {server: 'http://api.invalid:1/prefix'}}]\n\
            contexts: [{name: c, context: {cluster: c, user: u}}]\n\
            users: [{name: u, user: {token: t0}}]\n";
        let path = dir.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig).unwrap();
        let agent = local::agent().await.unwrap();
        let target = ApiTarget::read(&path).await.unwrap();
        let cluster = target.open(Some(through(agent, address.to_string()))).unwrap();
        assert_eq!(cluster.now().await.unwrap().as_second(), 1_700_000_000);
        let head = answering.join().unwrap();
        assert!(head.starts_with("get /prefix/version "), "{head}");
        assert!(head.contains("authorization: bearer t0"), "{head}");
        assert!(head.contains("host: api.invalid:1"), "{head}");
    }
}
