//! Restarts hosts, as a machine that loses its power and gets it back: all processes end at once, and what lay in memory
//! alone (routes, packet filters, settings, cgroups, /run) is gone. What lies on its disks stays.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::boot::each_of;
use crate::cache::Cache;
use crate::cgroups::Cgroups;
use crate::down::{PATIENCE, end_processes};
use crate::host::Boot;
use crate::network::Network;
use crate::state::Lock;
use crate::tool::Say;
use crate::{Error, Host, Lab, boot, processes, rootfs};

/// Restarts these hosts at the same time and returns when their units have been started, whether all of them run or not.
pub(crate) fn restart(lab: &Lab, hosts: &[&Host], lock: &Lock, say: Say<'_>) -> Result<(), Error> {
    if let Some(host) = hosts.iter().find(|host| !host.boots()) {
        return Err(Error::Options(format!(
            "{} has no systemd and is not restarted: it is a way in, not a part of the cluster",
            host.name
        )));
    }
    let lower = rootfs::ensure(&Cache::user()?, boot::tree(&lab.layout), say)?;
    let boot = Boot::of(lab, &lower);
    let network = Network {
        layout: &lab.layout,
        paths: &lab.paths,
        lock,
    };
    each_of(hosts.iter().copied(), |host| {
        end(lab, host)?;
        network.replug(host)?;
        let init = boot.start(host)?;
        match boot.wait_for_units(host, init) {
            // Which of them failed is what somebody restarts a host for.
            Err(Error::Units { host, failed, .. }) => {
                say(&format!("{host} is up, and these units failed: {failed}"));
                Ok(())
            }
            other => other,
        }
    })
}

/// Ends all processes of a host and removes its cgroups.
fn end(lab: &Lab, host: &Host) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    let namespaces: BTreeSet<u64> = processes::namespace(&lab.paths.netns(&host.name))
        .into_iter()
        .collect();
    let cgroups = || lab.cgroups.of(&lab.paths.global_name(&host.name));
    end_processes(&lab.paths, &cgroups, &namespaces, deadline)?;
    Cgroups::remove(&cgroups(), deadline)
}
