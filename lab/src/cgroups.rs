//! The hosts' cgroups: one directory a host in each hierarchy, on machines with version 1, version 2 or both.
//!
//! Touches only directories below /sys/fs/cgroup whose names begin with the lab's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Error;

/// Where the machine has its hierarchies.
const ROOT: &str = "/sys/fs/cgroup";
/// Where processes that enter a host later are on version 2: only leaves hold processes there.
const LEAF: &str = "lab.exec";

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where it is mounted on the machine.
    mount: PathBuf,
    /// The mount option that names it (`memory`, `cpu,cpuacct`, `name=systemd`); none for version 2.
    option: Option<String>,
}

/// The hierarchies of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroups {
    hierarchies: Vec<Hierarchy>,
}

impl Cgroups {
    /// Reads which hierarchies this machine has.
    pub(crate) fn read() -> Result<Self, Error> {
        let path = "/proc/self/mountinfo";
        let text = fs::read_to_string(path).map_err(Error::file("reading", path))?;
        let hierarchies = parse(&text);
        let usable = |h: &Hierarchy| h.option.as_deref().is_none_or(|option| option == "name=systemd");
        if hierarchies.iter().any(usable) {
            return Ok(Self { hierarchies });
        }
        Err(Error::Missing {
            what: format!("a cgroup hierarchy for systemd below {ROOT}"),
            hint: format!("mount cgroup2 on {ROOT}: mount -t cgroup2 cgroup2 {ROOT}"),
        })
    }

    /// Makes the directories of one host and returns them.
    pub(crate) fn create(&self, name: &str) -> Result<Vec<PathBuf>, Error> {
        self.hierarchies
            .iter()
            .map(|hierarchy| hierarchy.create(name))
            .collect()
    }

    /// Returns the directories that a process entering a running host joins: the host's own, or on version 2, where
    /// only leaves hold processes, a leaf of it.
    pub(crate) fn entrance(&self, name: &str) -> Vec<PathBuf> {
        self.hierarchies
            .iter()
            .map(|hierarchy| {
                let dir = hierarchy.mount.join(name);
                match hierarchy.option {
                    Some(_) => dir,
                    None => dir.join(LEAF),
                }
            })
            .collect()
    }

    /// Returns how a host mounts them, a word each: `VERSION:OPTION:DIRECTORY`.
    pub(crate) fn words(&self) -> String {
        let words: Vec<String> = self
            .hierarchies
            .iter()
            .map(|hierarchy| {
                let below = hierarchy.mount.strip_prefix(ROOT).unwrap_or(Path::new(""));
                match &hierarchy.option {
                    Some(option) => format!("1:{option}:{}", below.display()),
                    None => format!("2::{}", below.display()),
                }
            })
            .collect();
        words.join(" ")
    }

    /// Returns the processes in these cgroups and below.
    pub(crate) fn processes(tops: &[PathBuf]) -> BTreeSet<i32> {
        let mut pids = BTreeSet::new();
        for top in tops {
            walk(top, &mut |dir| {
                let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
                // 0 stands for a process of a namespace that cannot be seen from here.
                pids.extend(
                    text.lines()
                        .filter_map(|line| line.parse::<i32>().ok())
                        .filter(|pid| *pid > 0),
                );
            });
        }
        pids
    }

    /// Removes these cgroups, bottom up. They empty a moment after their processes end.
    pub(crate) fn remove(tops: &[PathBuf], deadline: Instant) -> Result<(), Error> {
        for top in tops {
            let mut dirs = Vec::new();
            walk(top, &mut |dir| dirs.push(dir.to_owned()));
            for dir in dirs.iter().rev() {
                remove(dir, deadline)?;
            }
        }
        Ok(())
    }

    /// Returns the directories of one host that are there.
    pub(crate) fn of(&self, name: &str) -> Vec<PathBuf> {
        let dirs = self
            .hierarchies
            .iter()
            .map(|hierarchy| hierarchy.mount.join(name));
        dirs.filter(|dir| dir.is_dir()).collect()
    }

    /// Returns the directories of any hierarchy whose names begin with `prefix`.
    pub(crate) fn named(&self, prefix: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for hierarchy in &self.hierarchies {
            for entry in fs::read_dir(&hierarchy.mount).into_iter().flatten().flatten() {
                let ours = entry.file_name().to_string_lossy().starts_with(prefix);
                if ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    found.push(entry.path());
                }
            }
        }
        found
    }
}

impl Hierarchy {
    fn create(&self, name: &str) -> Result<PathBuf, Error> {
        let dir = self.mount.join(name);
        if self.option.is_none() {
            self.delegate();
        }
        fs::create_dir_all(&dir).map_err(Error::file("making", &dir))?;
        if self.option.is_none() {
            let leaf = dir.join(LEAF);
            fs::create_dir_all(&leaf).map_err(Error::file("making", &leaf))?;
        }
        if self
            .option
            .as_deref()
            .is_some_and(|o| o.split(',').any(|c| c == "cpuset"))
        {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let from = self.mount.join(file);
                let value = fs::read(&from).map_err(Error::file("reading", &from))?;
                let to = dir.join(file);
                fs::write(&to, value).map_err(Error::file("writing", &to))?;
            }
            let clone = dir.join("cgroup.clone_children");
            fs::write(&clone, "1").map_err(Error::file("writing", &clone))?;
        }
        Ok(dir)
    }

    /// Lets the children of a version 2 root use every controller, one by one: a machine may refuse some.
    fn delegate(&self) {
        let controllers = fs::read_to_string(self.mount.join("cgroup.controllers")).unwrap_or_default();
        for controller in controllers.split_whitespace() {
            let _ = fs::write(
                self.mount.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
        }
    }
}

/// Returns the hierarchies below [`ROOT`] of a mountinfo (see proc_pid_mountinfo(5)), each once.
fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let mount = left.split(' ').nth(4).unwrap_or_default();
        let mut right = right.split(' ');
        let (kind, options) = (right.next(), right.nth(1).unwrap_or_default());
        let option = match kind {
            Some("cgroup") => Some(controllers(options)),
            Some("cgroup2") => None,
            _ => continue,
        };
        let hierarchy = Hierarchy {
            mount: PathBuf::from(mount),
            option,
        };
        if hierarchy.mount.starts_with(ROOT) && found.iter().all(|other| other.option != hierarchy.option) {
            found.push(hierarchy);
        }
    }
    found
}

/// Returns what names a version 1 hierarchy among its mount options.
fn controllers(options: &str) -> String {
    const OTHERS: [&str; 6] = [
        "rw",
        "ro",
        "xattr",
        "noprefix",
        "clone_children",
        "cpuset_v2_mode",
    ];
    let names: Vec<&str> = options
        .split(',')
        .filter(|option| !OTHERS.contains(option) && !option.starts_with("release_agent="))
        .collect();
    names.join(",")
}

/// Visits a directory and those below it, parents first.
fn walk(dir: &Path, visit: &mut dyn FnMut(&Path)) {
    visit(dir);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
}

fn remove(dir: &Path, deadline: Instant) -> Result<(), Error> {
    loop {
        match fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(Error::file("removing", dir)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hierarchy_of_a_mixed_machine_is_found_once() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n\
            34 31 0:30 / /mnt/elsewhere rw - cgroup cgroup rw,memory\n\
            35 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
            36 31 0:38 / /sys/fs/cgroup/again rw - cgroup2 cgroup2 rw\n";
        let cgroups = Cgroups {
            hierarchies: parse(text),
        };
        assert_eq!(
            cgroups.words(),
            "1:cpu,cpuacct:cpu,cpuacct 1:name=systemd:systemd 2::unified"
        );
    }

    #[test]
    fn a_version_2_machine_has_one_hierarchy_at_the_root() {
        let cgroups = Cgroups {
            hierarchies: parse("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"),
        };
        assert_eq!(cgroups.words(), "2::");
        assert_eq!(
            cgroups.entrance("lab.server"),
            [PathBuf::from("/sys/fs/cgroup/lab.server/lab.exec")]
        );
    }
}
