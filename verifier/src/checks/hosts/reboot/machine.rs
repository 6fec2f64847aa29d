//! Whether the machine itself comes back as it is: its name, its file systems, its packet filter.

use std::fmt::Display;

use crate::findings::{Finding, cause};
use crate::protocol::{MountDiffers, MountFacts, PersistenceReply, Process};
use crate::site::{Host, Role};

/// Returns the directories of a host that hold what must not be lost.
pub(super) fn directories(host: &Host, processes: &[Process]) -> Vec<String> {
    let flag = |program: &str, name: &str, usual: &str| {
        let mut processes = processes.iter().filter(|process| process.name == program);
        let named = processes.find_map(|process| process.flag(name));
        named
            .filter(|path| path.starts_with('/'))
            .unwrap_or(usual)
            .to_owned()
    };
    let mut directories = vec!["/var/lib/rancher".to_owned(), "/etc/kubernetes".to_owned()];
    if host.roles.contains(&Role::Worker) {
        directories.push(flag("kubelet", "root-dir", "/var/lib/kubelet"));
        directories.push(flag("containerd", "root", "/var/lib/containerd"));
    }
    if host.roles.contains(&Role::ControlPlane) {
        directories.push("/var/lib/kubernetes".to_owned());
    }
    if host.roles.contains(&Role::Etcd) {
        directories.push(flag("etcd", "data-dir", "/var/lib/etcd"));
    }
    directories
}

/// Returns that a kubelet comes back as another Node: it is called after its host unless it is told otherwise.
pub(super) fn hostname(kept: &PersistenceReply, processes: &[Process], host: &Host) -> Option<Finding> {
    let (now, at_boot) = (&kept.hostname.now, kept.hostname.at_boot.as_ref()?);
    let mut kubelets = processes.iter().filter(|process| process.name == "kubelet");
    let follows = kubelets.any(|kubelet| kubelet.flag("hostname-override").is_none());
    let differs = !now.is_empty() && !now.eq_ignore_ascii_case(at_boot);
    (follows && differs).then(|| {
        let cause = cause::HostnameOtherwise {
            host: &host.name,
            now,
            at_boot,
        };
        Finding::fail(cause).of(now)
    })
}

/// Returns the file systems that are not now as they are then.
pub(super) fn mounts(mounts: &[MountFacts], host: &dyn Display) -> Vec<Finding> {
    let of_mount = |mount: &MountFacts| {
        let (source, path) = (&mount.source, &mount.path);
        let finding = match mount.differs {
            MountDiffers::NoDevice => Finding::fail(cause::MountWithoutDevice { host, source, path }),
            MountDiffers::Unmounted => Finding::warn(cause::MountReturns { host, source, path }),
            MountDiffers::InMemory => Finding::fail(cause::DataInMemory { host, source, path }),
        };
        finding.of(path)
    };
    mounts.iter().map(of_mount).collect()
}

/// Returns the packet filters that come back.
pub(super) fn firewalls(units: &[String], host: &dyn Display) -> Vec<Finding> {
    let returns = |unit: &String| Finding::warn(cause::FirewallReturns { unit, host }).of(unit);
    units.iter().map(returns).collect()
}
