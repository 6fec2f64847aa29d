//! Ends a lab: every process, namespace, cgroup, mount and file of it. Finds them by the lab's name alone, so that it
//! works after anything, and does no harm when repeated.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::cgroups::Cgroups;
use crate::run::{join, run};
use crate::{Error, Paths, network, processes};

/// How long killed processes may take to go. A full disk or a busy machine makes it long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Ends the lab. The caller holds its lock.
pub(crate) fn down(paths: &Paths, cgroups: &Cgroups) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    let handles = network::handles(paths);
    let namespaces: BTreeSet<u64> = handles
        .iter()
        .filter_map(|handle| processes::namespace(handle))
        .collect();
    let all = || cgroups.named(&paths.global_prefix());
    end_processes(paths, &all, &namespaces, deadline)?;
    for handle in &handles {
        network::delete(handle)?;
    }
    // Once more: from here on no process of a killed `up` can enter a namespace of the lab any more.
    end_processes(paths, &all, &namespaces, deadline)?;
    Cgroups::remove(&all(), deadline)?;
    for mount in mounts(paths.dir())?.iter().rev() {
        run(Command::new("umount").args(["-n", "-l"]).arg(mount))?;
    }
    // Loaded images are many files: each host's are removed by a thread of its own.
    thread::scope(|scope| {
        let hosts = fs::read_dir(paths.hosts()).into_iter().flatten().flatten();
        let threads: Vec<_> = hosts
            .map(|host| scope.spawn(move || remove(&host.path(), deadline)))
            .collect();
        threads.into_iter().try_for_each(join)
    })?;
    remove(paths.dir(), deadline)
}

/// Removes a directory with all that is in it, again while helpers of a killed `up` still write their last file.
fn remove(dir: &Path, deadline: Instant) -> Result<(), Error> {
    loop {
        match fs::remove_dir_all(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && Instant::now() < deadline => {}
            Err(error) => return Err(Error::file("removing", dir)(error)),
        }
    }
}

/// Returns what is left of a lab, as words for a person: empty after [`down`].
pub(crate) fn left(paths: &Paths, cgroups: &Cgroups) -> Result<Vec<String>, Error> {
    let text = |path: &PathBuf| path.display().to_string();
    let mut left: Vec<String> = network::handles(paths).iter().map(text).collect();
    left.extend(cgroups.named(&paths.global_prefix()).iter().map(text));
    left.extend(mounts(paths.dir())?.iter().map(text));
    if paths.dir().exists() {
        left.push(paths.dir().display().to_string());
    }
    Ok(left)
}

/// Ends the processes in these network namespaces and cgroups, until there are none.
pub(crate) fn end_processes(
    paths: &Paths,
    cgroups: &dyn Fn() -> Vec<PathBuf>,
    namespaces: &BTreeSet<u64>,
    deadline: Instant,
) -> Result<(), Error> {
    loop {
        let mut pids = processes::inside(namespaces);
        pids.extend(Cgroups::processes(&cgroups()));
        if pids.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Left {
                name: paths.name().to_owned(),
                what: format!("processes {pids:?}"),
            });
        }
        processes::kill(&pids);
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns what is mounted in this mount namespace below a directory, in the order of mounting. Hosts mount in
/// namespaces of their own; what is here was put by hand or by a fault.
fn mounts(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let path = "/proc/self/mountinfo";
    let text = fs::read_to_string(path).map_err(Error::file("reading", path))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|mount| mount.starts_with(dir))
        .collect())
}
