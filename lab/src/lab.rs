//! A lab as a whole: up, what is in it, commands in its hosts, down.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;

use crate::cache::Cache;
use crate::cgroups::Cgroups;
use crate::host::Boot;
use crate::keys::Keys;
use crate::run::{join, output, write};
use crate::state::{Lock, Phase, Record};
use crate::tool::Say;
use crate::{
    CONNECTED, Error, Host, HostSpec, Layout, Options, Paths, down, exec, hardened, machine, network, rootfs,
    site, validate_name,
};

/// A lab on this machine. Dropping it leaves the lab as it is; see [`Guard`].
#[derive(Clone, Debug)]
pub struct Lab {
    options: Options,
    layout: Layout,
    paths: Paths,
    cgroups: Cgroups,
}

impl Lab {
    /// Boots a lab and returns when it is healthy. One of this name that is up with the same options is taken as it
    /// is; what a broken-off boot left is removed first. A boot that fails stays as it is, to be looked at.
    pub fn up(options: &Options, say: Say<'_>) -> Result<Self, Error> {
        Self::up_with(options, &[], say)
    }

    /// Boots a lab with files, programs and units of the caller's on its hosts.
    pub fn up_with(options: &Options, extra: &[HostSpec], say: Say<'_>) -> Result<Self, Error> {
        options.validate()?;
        machine::require_root()?;
        let lab = Self::plan(options)?;
        let _lock = Lock::acquire(&lab.paths)?;
        match Record::read(&lab.paths) {
            Ok(Some(record)) if record.phase == Phase::Up => {
                if record.options != *options {
                    return Err(Error::Different {
                        name: options.name.clone(),
                        difference: difference(&record.options, options),
                    });
                }
                if lab.layout.closed().all(|host| lab.is_running(host)) {
                    say(&format!("lab {} is up already", options.name));
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
        lab.boot(extra, say)?;
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

    /// Ends the lab of this name and removes all of it. Returns whether there was anything.
    pub fn down(name: &str) -> Result<bool, Error> {
        validate_name(name)?;
        machine::require_root()?;
        let paths = Paths::new(name);
        let cgroups = Cgroups::read()?;
        let lock = Lock::acquire(&paths)?;
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

    fn plan(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            options: options.clone(),
            layout: Layout::new(options.nodes),
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
        output(self.command(host, argv)?.stdin(std::process::Stdio::null()))
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
        let null = std::process::Stdio::null;
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

    fn boot(&self, extra: &[HostSpec], say: Say<'_>) -> Result<(), Error> {
        machine::require_kernel()?;
        machine::ensure_programs(&machine::PROGRAMS, say)?;
        let lower = rootfs::ensure(&Cache::user()?, say)?;
        self.create_directories()?;
        Record::new(Phase::Starting, &self.options).write(&self.paths)?;
        machine::raise_limits()?;
        let boot = Boot {
            options: &self.options,
            layout: &self.layout,
            paths: &self.paths,
            cgroups: &self.cgroups,
            lower: &lower,
        };
        say(&format!("booting {} hosts", self.layout.closed().count()));
        thread::scope(|scope| {
            let network = scope.spawn(|| self.create_network());
            let staged = scope.spawn(|| self.stage(&boot, extra));
            join(network)?;
            join(staged)
        })?;
        self.each(|host| {
            let init = boot.start(host)?;
            boot.wait_for_units(host, init)
        })?;
        Record::new(Phase::Up, &self.options).write(&self.paths)?;
        say(&format!("lab {} is up", self.options.name));
        Ok(())
    }

    fn create_directories(&self) -> Result<(), Error> {
        let dirs = [self.paths.admin(), self.paths.media(), self.paths.connected()];
        let hosts = self.layout.closed().map(|host| self.paths.host(&host.name));
        for dir in dirs.into_iter().chain(hosts) {
            fs::create_dir_all(&dir).map_err(Error::file("making", &dir))?;
        }
        Ok(())
    }

    fn create_network(&self) -> Result<(), Error> {
        network::create_namespaces(&self.layout, &self.paths)?;
        network::create_switch(&self.layout, &self.paths)?;
        let configure = |host: &Host| network::configure(host, &self.layout, &self.paths);
        configure(self.layout.host(CONNECTED)?)?;
        self.each(configure)
    }

    /// Writes all files of all hosts.
    fn stage(&self, boot: &Boot<'_>, extra: &[HostSpec]) -> Result<(), Error> {
        if self.options.hardened {
            hardened::create_password(&self.paths)?;
        }
        Keys::create(&self.layout, &self.paths)?;
        write(
            &self.paths.machines(),
            site::machines(&self.layout).as_bytes(),
            0o644,
        )?;
        let site_file = self.paths.media().join("site.yaml");
        write(
            &site_file,
            site::site(&self.options, &self.layout).as_bytes(),
            0o644,
        )?;
        self.each(|host| {
            boot.stage(host)?;
            let specs = extra.iter().filter(|spec| spec.host == host.name);
            specs.into_iter().try_for_each(|spec| boot.add(spec))
        })
    }

    /// Does something for every host of the closed side at once, and returns the first error.
    fn each(&self, work: impl Fn(&Host) -> Result<(), Error> + Sync) -> Result<(), Error> {
        let work = &work;
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .layout
                .closed()
                .map(|host| scope.spawn(move || work(host)))
                .collect();
            // All are waited for before the first error counts.
            let results: Vec<_> = threads.into_iter().map(join).collect();
            results.into_iter().collect()
        })
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
    /// Boots a lab; one that does not come up is ended at once.
    pub fn up(options: &Options, say: Say<'_>) -> Result<Self, Error> {
        match Lab::up(options, say) {
            Ok(lab) => Ok(Self { lab }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = Lab::down(&options.name);
                Err(error)
            }
        }
    }
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
