//! From a site file to how a person logs in to its hosts.

use std::path::PathBuf;

use crate::findings::{Login, Logins};
use crate::site::{Become, Host, Role, Site, Ssh};

/// Returns how the hosts of a site are logged into by hand: with what its file says, from wherever one stands.
pub fn logins(site: &Site) -> Logins {
    let login = |host: &Host| {
        let ssh = everywhere(site.ssh_of(host));
        Login {
            command: ssh.command(&host.address),
            address: host.address.clone(),
            sudo: ssh.r#become.unwrap_or_default() == Become::Sudo,
            runtime: host.runtime.clone(),
        }
    };
    // Findings name a host, or the Node that it is.
    let both = |host: &Host| [host.node(), &host.name].map(|name| (name.to_owned(), login(host)));
    let control_plane = site
        .with_role(Role::ControlPlane)
        .chain(site.with_role(Role::Etcd));
    let first = control_plane.chain(&site.hosts).next();
    let logins = Logins::new(
        site.hosts.iter().flat_map(both),
        first.map(|host| host.name.clone()),
    );
    logins.with_kubeconfig(whole(site.kubeconfig.clone()).display().to_string())
}

/// Returns a path that leads to the same file from any directory.
fn whole(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Returns the settings with paths that lead to the same files from any directory.
fn everywhere(ssh: Ssh) -> Ssh {
    Ssh {
        identity: ssh.identity.map(whole),
        certificate: ssh.certificate.map(whole),
        known_hosts: ssh.known_hosts.map(whole),
        ..ssh
    }
}
