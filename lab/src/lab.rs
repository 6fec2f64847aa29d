//! A lab as a whole: up, what is in it, commands in its hosts, down.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::boot::{self, Plan, boot};
use crate::cgroups::Cgroups;
use crate::run::output;
use crate::state::{Lock, Owner, Phase, Record};
use crate::tool::Say;
use crate::{
    CONNECTED, Error, Host, HostSpec, Layout, Options, Paths, down, exec, machine, restart, validate_name,
};

/// A lab on this machine. Dropping it leaves the lab as it is; see [`Guard`].
#[derive(Clone, Debug)]
pub struct Lab {
    pub(crate) options: Options,
    pub(crate) layout: Layout,
    pub(crate) paths: Paths,
    pub(crate) cgroups: Cgroups,
}

impl Lab {
    /// Boots a lab and returns when it is healthy. One of this name that is up with the same options is taken as it
    /// is; what a broken-off boot left is removed first. A boot that fails stays as it is, to be looked at.
    pub fn up(options: &Options, say: Say<'_>) -> Result<Self, Error> {
        Self::up_with(options, &[], say)
    }

    /// Boots a lab with files, programs and units of the caller's on its hosts.
    pub fn up_with(options: &Options, extra: &[HostSpec], say: Say<'_>) -> Result<Self, Error> {
        Self::boot(options, extra, None, say)
    }

    fn boot(
        options: &Options,
        extra: &[HostSpec],
        owner: Option<Owner>,
        say: Say<'_>,
    ) -> Result<Self, Error> {
        options.validate()?;
        machine::require_root()?;
        let lab = Self::plan(options)?;
        let lock = Lock::acquire(&lab.paths, say)?;
        match Record::read(&lab.paths) {
            Ok(Some(record)) if record.phase == Phase::Up => {
                if record.options != *options {
                    return Err(Error::Different {
                        name: options.name.clone(),
                        difference: difference(&record.options, options),
                    });
                }
                if lab.layout.hosts.iter().all(|host| lab.is_running(host)) {
                    say(&format!("lab {} is up already", options.name));
                    boot::revive(&lab, say)?;
                    return Ok(lab);
                }
                say(&format!(
                    "lab {} is not whole any more, booting it anew",
                    options.name
                ));
            }
            Ok(None) => {}
            // A record that cannot be read is of a boot that was broken off.
            Ok(Some(_)) | Err(_) => say("removing what a broken-off boot left"),
        }
        down::down(&lab.paths, &lab.cgroups)?;
        let lock = &lock;
        boot(&lab, Plan { lock, extra, owner }, say)?;
        Ok(lab)
    }

    /// Returns the lab of this name, whatever its state.
    pub fn open(name: &str) -> Result<Self, Error> {
        validate_name(name)?;
        match Record::read(&Paths::new(name))? {
            Some(record) => Self::plan(&record.options),
            None => Err(Error::NoLab {
                name: name.to_owned(),
            }),
        }
    }

    /// Restarts hosts of the cluster as a cut of their power would, all of these at once. Returns when their units have been
    /// started; whether Kubernetes comes back is for the caller to see.
    pub fn restart(&self, hosts: &[&str], say: Say<'_>) -> Result<(), Error> {
        let lock = Lock::acquire(&self.paths, say)?;
        let hosts: Result<Vec<&Host>, Error> = hosts.iter().map(|name| self.layout.host(name)).collect();
        restart::restart(self, &hosts?, &lock, say)
    }

    /// Ends the lab of this name and removes all of it. Returns whether there was anything.
    pub fn down(name: &str) -> Result<bool, Error> {
        Self::end(name, &|_| {})
    }

    /// Like [`Lab::down`], and says where it has to wait.
    pub fn end(name: &str, say: Say<'_>) -> Result<bool, Error> {
        validate_name(name)?;
        machine::require_root()?;
        let paths = Paths::new(name);
        let cgroups = Cgroups::read()?;
        let lock = Lock::acquire(&paths, say)?;
        let any = !down::left(&paths, &cgroups)?.is_empty();
        down::down(&paths, &cgroups)?;
        lock.remove()?;
        Ok(any)
    }

    /// Returns what the machine still has of a lab: nothing after [`Lab::down`].
    pub fn left(name: &str) -> Result<Vec<String>, Error> {
        let paths = Paths::new(name);
        let mut left = down::left(&paths, &Cgroups::read()?)?;
        if paths.lock().exists() {
            left.push(paths.lock().display().to_string());
        }
        Ok(left)
    }

    /// Makes what labs need and what takes long, without booting one: the hosts' root file system, every component, the
    /// images. Later boots find it in the cache.
    pub fn prepare(peers: bool, say: Say<'_>) -> Result<(), Error> {
        machine::require_root()?;
        boot::prepare(peers, say)
    }

    fn plan(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            options: options.clone(),
            layout: Layout::with_servers(options.servers, options.nodes),
            paths: Paths::new(&options.name),
            cgroups: Cgroups::read()?,
        })
    }

    /// Returns what was asked of the lab.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the hosts and their addresses.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns where the lab lies on this machine.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Returns how far the lab is.
    pub fn phase(&self) -> Result<Phase, Error> {
        let record = Record::read(&self.paths)?;
        record.map(|record| record.phase).ok_or_else(|| Error::NoLab {
            name: self.options.name.clone(),
        })
    }

    /// Returns a command that runs `argv` in a host (`jumpbox` and `connected` are hosts too). Its streams are the
    /// caller's to set, its exit code is that of `argv`.
    pub fn command(&self, host: &str, argv: &[&str]) -> Result<Command, Error> {
        exec::command(&self.paths, &self.cgroups, self.layout.host(host)?, argv)
    }

    /// Runs `argv` in a host to its end, with empty stdin.
    pub fn exec(&self, host: &str, argv: &[&str]) -> Result<Output, Error> {
        output(self.command(host, argv)?.stdin(Stdio::null()))
    }

    /// Runs `argv` in a host to its end and returns what it wrote to stdout. A status other than 0 is an error.
    pub fn read(&self, host: &str, argv: &[&str]) -> Result<String, Error> {
        let output = self.exec(host, argv)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Command {
            command: format!("{host}: {}", argv.join(" ")),
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts `argv` in a host with empty stdin and no output, and returns the process that waits for it. On
    /// `connected` it lasts until the lab's end at the longest.
    pub fn spawn(&self, host: &str, argv: &[&str]) -> Result<std::process::Child, Error> {
        let null = Stdio::null;
        let mut command = self.command(host, argv)?;
        let spawned = command.stdin(null()).stdout(null()).stderr(null()).spawn();
        spawned.map_err(|source| Error::Start {
            program: argv.join(" "),
            source,
        })
    }

    /// Returns whether a host has a running PID 1; for the connected side, whether its namespace is there.
    pub fn is_running(&self, host: &Host) -> bool {
        if host.name == CONNECTED {
            return crate::processes::namespace(&self.paths.netns(CONNECTED)).is_some();
        }
        exec::init(&self.paths, host).is_ok()
    }

    /// Returns the machine's way to the root directory of a running host.
    pub fn root(&self, host: &str) -> Result<PathBuf, Error> {
        let init = exec::init(&self.paths, self.layout.host(host)?)?;
        Ok(PathBuf::from(format!("/proc/{init}/root")))
    }
}

/// Returns which options differ, the old ones first.
fn difference(old: &Options, new: &Options) -> String {
    let as_map = |options: &Options| match serde_json::to_value(options) {
        Ok(serde_json::Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    let (old, new) = (as_map(old), as_map(new));
    let differing: Vec<String> = old
        .iter()
        .filter(|(key, value)| new.get(*key) != Some(*value))
        .map(|(key, value)| {
            format!(
                "{key} is {value}, not {}",
                new.get(key).cloned().unwrap_or_default()
            )
        })
        .collect();
    differing.join(", ")
}

/// A lab that ends with this value: for tests.
#[derive(Debug)]
pub struct Guard {
    lab: Lab,
}

impl Guard {
    /// Boots a lab; one that does not come up is ended at once. Labs of guards whose process was killed are ended first.
    pub fn up(options: &Options, say: Say<'_>) -> Result<Self, Error> {
        machine::require_root()?;
        for name in orphans() {
            say(&format!("ending lab {name}, whose process is gone"));
            Lab::down(&name)?;
        }
        match Lab::boot(options, &[], Owner::own(), say) {
            Ok(lab) => Ok(Self { lab }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = Lab::down(&options.name);
                Err(error)
            }
        }
    }
}

/// Returns the names of the labs that have outlived the process that they should not outlive.
fn orphans() -> Vec<String> {
    let labs = Paths::new("lab").dir().parent().map(fs::read_dir);
    let names = labs.into_iter().flatten().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            let record = Record::read(&Paths::new(name)).ok().flatten();
            record
                .and_then(|record| record.owner)
                .is_some_and(|owner| !owner.is_alive())
        })
        .collect()
}

impl std::ops::Deref for Guard {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A test that fails has more to say than this.
        let _ = Lab::down(&self.lab.options.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_differ_are_named_with_both_values() {
        let old = Options::default();
        let new = Options {
            nodes: 3,
            hardened: true,
            ..Options::default()
        };
        assert_eq!(
            difference(&old, &new),
            "hardened is false, not true, nodes is 2, not 3"
        );
    }
}
