//! Boots a lab: what takes long first and into the cache, then the network, the hosts' files, the hosts, Kubernetes, and
//! the registry of the connected side.

use std::fs;
use std::thread;

use crate::cache::Cache;
use crate::components::{self, Set};
use crate::host::Boot;
use crate::images::{self, Collection};
use crate::keys::Keys;
use crate::network::Network;
use crate::registry::{self, Registry};
use crate::rootfs::{self, Tree};
use crate::run::{join, write};
use crate::state::{Lock, Owner, Phase, Record};
use crate::tool::Say;
use crate::{
    CONNECTED, Error, Host, HostSpec, Lab, Layout, SERVER, hardened, kubernetes, machine, processes, site,
};

/// Where the registry of the connected side listens, in its namespace.
pub const REGISTRY: &str = "127.0.0.1:5000";
const REGISTRY_PORT: u16 = 5000;
/// Where the API server listens.
const API_PORT: u16 = 6443;

/// Makes everything that labs need, and the programs that ours are compared with if asked for.
pub(crate) fn prepare(peers: bool, say: Say<'_>) -> Result<(), Error> {
    require(false, say)?;
    let cache = Cache::user()?;
    let sets = [
        Set::Core,
        Set::Old,
        Set::OldRegistry,
        Set::Dns,
        Set::Kms,
        Set::Peers,
    ];
    let sets = if peers { &sets[..] } else { &sets[..5] };
    components::ensure(&cache, sets, say)?;
    for tree in [Tree::Plain, Tree::Balanced] {
        rootfs::ensure(&cache, tree, say)?;
    }
    registry::populate(&cache, Collection::Served, say)?;
    registry::populate(&cache, Collection::Dns, say)?;
    images::archives_for_dns(&cache, say)?;
    if peers {
        registry::populate(&cache, Collection::Bench, say)?;
    }
    Ok(())
}

/// What a boot takes beyond the lab's options.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The lab's lock.
    pub(crate) lock: &'a Lock,
    /// What the caller adds to hosts.
    pub(crate) extra: &'a [HostSpec],
    /// The process that the lab shall not outlive.
    pub(crate) owner: Option<Owner>,
}

/// Boots the lab, of which nothing is there yet.
pub(crate) fn boot(lab: &Lab, plan: Plan<'_>, say: Say<'_>) -> Result<(), Error> {
    let bare = lab.options.bare;
    require(bare, say)?;
    create_directories(lab)?;
    machine::require_plain(lab.paths.dir())?;
    let mut record = Record::new(&lab.options, plan.owner);
    record.write(&lab.paths)?;
    // Before the root file system, which takes long too: it says at once when there is no Go.
    let specs = if bare {
        Vec::new()
    } else {
        kubernetes::prepare(&lab.options, &lab.layout, &lab.paths, say)?
    };
    let lower = rootfs::ensure(&Cache::user()?, tree(&lab.layout), say)?;
    machine::raise_limits()?;
    let boot = Boot::of(lab, &lower);
    say(&format!("booting {} hosts", lab.layout.closed().count()));
    thread::scope(|scope| {
        let network = scope.spawn(|| create_network(lab, plan.lock));
        let staged = scope.spawn(|| stage(lab, &boot, &[&specs, plan.extra].concat()));
        join(network)?;
        join(staged)
    })?;
    thread::scope(|scope| {
        let registry = (!bare).then(|| scope.spawn(|| serve(lab, say)));
        each(&lab.layout, |host| {
            let init = boot.start(host)?;
            boot.wait_for_units(host, init)
        })?;
        if !bare {
            // Cheap looks first: each of the wait's own costs a process, and the cores are busy.
            boot.wait_for_listener(lab.layout.host(SERVER)?, API_PORT)?;
            let on = |host: &str, argv: &[&str]| lab.command(host, argv);
            kubernetes::wait_ready(&lab.layout, &on, say)?;
            kubernetes::back_up(&lab.layout, &on)?;
            if lab.options.dns {
                kubernetes::start_dns(&lab.layout, &on, say)?;
            }
        }
        registry.map_or(Ok(()), join)
    })?;
    record.phase = Phase::Up;
    record.write(&lab.paths)?;
    say(&format!("lab {} is up", lab.options.name));
    Ok(())
}

/// Returns which tree a lab's hosts share.
pub(crate) fn tree(layout: &Layout) -> Tree {
    if layout.is_balanced() {
        Tree::Balanced
    } else {
        Tree::Plain
    }
}

/// Checks what the machine must have, and installs what it lacks.
fn require(bare: bool, say: Say<'_>) -> Result<(), Error> {
    machine::require_kernel()?;
    machine::ensure_programs(&machine::PROGRAMS, say)?;
    if bare {
        return Ok(());
    }
    machine::ensure_packages(&[&components::PACKAGES[..], &images::PACKAGES].concat(), say)
}

fn create_directories(lab: &Lab) -> Result<(), Error> {
    let dirs = [lab.paths.admin(), lab.paths.media(), lab.paths.connected()];
    let hosts = lab.layout.closed().map(|host| lab.paths.host(&host.name));
    for dir in dirs.into_iter().chain(hosts) {
        fs::create_dir_all(&dir).map_err(Error::file("making", &dir))?;
    }
    Ok(())
}

fn create_network(lab: &Lab, lock: &Lock) -> Result<(), Error> {
    let network = Network {
        layout: &lab.layout,
        paths: &lab.paths,
        lock,
    };
    network.create_namespaces()?;
    network.create_switch()?;
    network.configure(lab.layout.host(CONNECTED)?)?;
    each(&lab.layout, |host| network.configure(host))
}

/// Writes all files of all hosts.
fn stage(lab: &Lab, boot: &Boot<'_>, specs: &[HostSpec]) -> Result<(), Error> {
    if lab.options.hardened {
        hardened::create_password(&lab.paths)?;
    }
    Keys::create(&lab.layout, &lab.paths)?;
    write(
        &lab.paths.machines(),
        site::machines(&lab.layout).as_bytes(),
        0o644,
    )?;
    let site_file = lab.paths.media().join("site.yaml");
    write(
        &site_file,
        site::site(&lab.options, &lab.layout).as_bytes(),
        0o644,
    )?;
    each(&lab.layout, |host| {
        boot.stage(host)?;
        let specs = specs.iter().filter(|spec| spec.host == host.name);
        specs.into_iter().try_for_each(|spec| boot.add(spec))
    })
}

/// Starts the connected side's registry again if it has ended.
pub(crate) fn revive(lab: &Lab, say: Say<'_>) -> Result<(), Error> {
    let namespace = processes::namespace(&lab.paths.netns(CONNECTED));
    let inside = processes::inside(&namespace.into_iter().collect());
    if lab.options.bare || inside.iter().any(|pid| processes::listens(*pid, REGISTRY_PORT)) {
        return Ok(());
    }
    say("its registry has ended, starting it again");
    serve(lab, say)
}

/// Starts the connected side's registry; it ends with the lab.
fn serve(lab: &Lab, say: Say<'_>) -> Result<(), Error> {
    let storage = if lab.options.dns {
        registry::Storage::Dns
    } else {
        registry::Storage::Images
    };
    let options = registry::Options {
        storage,
        port: REGISTRY_PORT,
        namespace: Some(lab.paths.global_name(CONNECTED)),
        parent: Some(lab.paths.connected()),
        ..registry::Options::default()
    };
    Registry::start_in(&Cache::user()?, &options, say)?.detach();
    Ok(())
}

/// Does something for every host of the closed side at once, and returns the first error.
fn each(layout: &Layout, work: impl Fn(&Host) -> Result<(), Error> + Sync) -> Result<(), Error> {
    each_of(layout.closed(), work)
}

/// Does something for these hosts at once, and returns the first error.
pub(crate) fn each_of<'a>(
    hosts: impl Iterator<Item = &'a Host>,
    work: impl Fn(&Host) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = hosts.map(|host| scope.spawn(move || work(host))).collect();
        // All are waited for before the first error counts.
        let results: Vec<_> = threads.into_iter().map(join).collect();
        results.into_iter().collect()
    })
}
