//! Where processes listen: a component's port may be another than the usual one, and its configuration need not say so.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use procfs::ProcError;
use procfs::net::TcpState;
use procfs::process::{FDTarget, Process};

use super::FactError;
use crate::protocol::ListenersReply;

/// Returns the TCP addresses on which the processes listen. What may not be looked at is left out, and said so; a process
/// that has ended listens nowhere.
pub(crate) fn listeners(pids: &[i32]) -> Result<ListenersReply, FactError> {
    let mut sockets = BTreeSet::new();
    let mut hidden = false;
    for pid in pids {
        let open = match Process::new(*pid).and_then(|process| process.fd()) {
            Ok(open) => open,
            Err(error) => {
                hidden |= matches!(error, ProcError::PermissionDenied(_));
                continue;
            }
        };
        for target in open.filter_map(Result::ok).map(|fd| fd.target) {
            if let FDTarget::Socket(inode) = target {
                sockets.insert(inode);
            }
        }
    }
    // A kernel without IPv6 has no tcp6.
    let all = procfs::net::tcp().map_err(FactError::Sockets)?;
    let all = all.into_iter().chain(procfs::net::tcp6().unwrap_or_default());
    let found: BTreeSet<SocketAddr> = all
        .filter(|entry| entry.state == TcpState::Listen && sockets.contains(&entry.inode))
        .map(|entry| entry.local_address)
        .collect();
    Ok(ListenersReply {
        addresses: found.into_iter().collect(),
        hidden,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_this_process_is_found_while_it_listens() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let ours = [std::process::id().cast_signed()];
        let found = listeners(&ours).unwrap();
        assert!(found.addresses.contains(&address) && !found.hidden);
        drop(socket);
        assert!(!listeners(&ours).unwrap().addresses.contains(&address));
    }
}
