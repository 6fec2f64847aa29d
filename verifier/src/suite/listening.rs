//! Where a host's own processes of certain programs listen: an answer says something of a program only if that program
//! holds the port. A balancer on the same host answers for others.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{AskFailure, Ctx};
use crate::protocol::{Listeners, Process, Processes};

/// How long an agent may take to list processes, and sockets.
const LIST: Duration = Duration::from_secs(10);

/// The processes of some programs on a host, and the TCP addresses on which they listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listening {
    /// The processes.
    pub(crate) processes: Vec<Process>,
    /// Where they listen.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether there may be more: the agent may not see which sockets some of them hold.
    pub(crate) hidden: bool,
}

/// Looks for the processes of these programs on a host.
///
/// # Errors
/// Where they cannot be listed.
pub(crate) async fn look(ctx: &Ctx, host: &str, programs: &[&str]) -> Result<Listening, AskFailure> {
    let names = programs.iter().map(|name| (*name).to_owned()).collect();
    let processes = ctx.ask_within(host, Processes { names }, LIST).await?;
    let pids: Vec<i32> = processes.iter().map(|process| process.pid).collect();
    if pids.is_empty() {
        return Ok(Listening::default());
    }
    let listeners = ctx.ask_within(host, Listeners { pids }, LIST).await;
    let (addresses, hidden) = listeners.map_or((Vec::new(), true), |found| (found.addresses, found.hidden));
    Ok(Listening {
        processes,
        addresses,
        hidden,
    })
}

impl Listening {
    /// Returns the address at which a process that listens on a port is reached on its own host, by loopback where it
    /// can be.
    pub(crate) fn at(&self, port: u16) -> Option<SocketAddr> {
        let mut found: Vec<SocketAddr> = self
            .addresses
            .iter()
            .filter(|address| address.port() == port)
            .map(|address| reachable(*address))
            .collect();
        found.sort_by_key(|address| (!address.ip().is_loopback(), *address));
        found.into_iter().next()
    }

    /// Returns the value that a flag of one of the processes has: `--name=value` or `--name value`.
    pub(crate) fn flag(&self, name: &str) -> Option<&str> {
        let lines = self.processes.iter();
        lines.into_iter().find_map(|process| process.flag(name))
    }
}

/// Returns an address at which a listener is reached on its own host.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        // Go listens on both families at once by a socket of the second, and that one may have no loopback.
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

#[cfg(test)]
pub(super) mod tests {
    use secrets::MaskedArguments;

    use super::*;

    /// Returns an API server's process with its arguments, and where it listens.
    pub(in crate::suite) fn listening(addresses: &[&str], arguments: &[&str]) -> Listening {
        Listening {
            processes: vec![Process {
                pid: 7,
                parent: 1,
                name: "kube-apiserver".to_owned(),
                arguments: MaskedArguments::new(arguments),
                state: 'S',
                age_seconds: 100,
                cgroup: String::new(),
            }],
            addresses: addresses.iter().map(|one| one.parse().unwrap()).collect(),
            hidden: false,
        }
    }

    #[test]
    fn a_listener_on_any_address_is_reached_by_loopback() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:10256"), "127.0.0.1:10256");
        assert_eq!(at("[::]:10256"), "127.0.0.1:10256");
        assert_eq!(at("192.168.10.101:10256"), "192.168.10.101:10256");
    }

    #[test]
    fn a_port_is_at_a_process_only_where_it_listens_there() {
        let found = listening(&["192.168.10.100:8443", "[::]:6444", "0.0.0.0:8443"], &[]);
        assert_eq!(found.at(8443), Some("127.0.0.1:8443".parse().unwrap()));
        assert_eq!(found.at(6444), Some("127.0.0.1:6444".parse().unwrap()));
        assert_eq!(found.at(6443), None);
    }

    #[test]
    fn a_flag_is_read_in_both_forms() {
        let found = listening(
            &[],
            &["kube-apiserver", "--secure-port=8443", "--bind-address", "::"],
        );
        assert_eq!(found.flag("secure-port"), Some("8443"));
        assert_eq!(found.flag("bind-address"), Some("::"));
        assert_eq!(found.flag("secure"), None);
    }
}
