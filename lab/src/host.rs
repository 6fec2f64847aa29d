//! Boots one host: its own files, its namespaces, and systemd (or, on the jumpbox, a mere reaper) as PID 1.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::cache::hex;
use crate::cgroups::Cgroups;
use crate::exec;
use crate::run::output;
use crate::stage::Stage;
use crate::{Error, Host, Lab, LabFile, Layout, Options, Paths, Role, hardened, processes, site};

/// What PID 1 of a host does before it becomes systemd.
const BOOT: &str = include_str!("host/boot.sh");
/// Joins the host's cgroups, and only then makes the namespaces whose roots they become.
const ENTER: &str = "set -e; boot=$1; shift; for dir; do echo 0 >\"$dir/cgroup.procs\"; done; \
    exec unshare --mount --uts --ipc --cgroup --propagation private sh -c \"$boot\" boot";
/// Longest time from start to systemd, and from there to the default target. Much longer than on an idle machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often a look is taken. A look reads one file of /proc.
const LOOK: Duration = Duration::from_millis(10);

/// What booting a host takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boot<'a> {
    pub(crate) options: &'a Options,
    pub(crate) layout: &'a Layout,
    pub(crate) paths: &'a Paths,
    pub(crate) cgroups: &'a Cgroups,
    /// The tree that all hosts share.
    pub(crate) lower: &'a Path,
}

impl<'a> Boot<'a> {
    /// Returns what booting hosts of a lab takes.
    pub(crate) fn of(lab: &'a Lab, lower: &'a Path) -> Self {
        Self {
            options: &lab.options,
            layout: &lab.layout,
            paths: &lab.paths,
            cgroups: &lab.cgroups,
            lower,
        }
    }
}

impl Boot<'_> {
    /// Writes what every host of its kind has.
    pub(crate) fn stage(&self, host: &Host) -> Result<(), Error> {
        let dir = self.paths.host(&host.name);
        let stage = self.stage_of(&dir);
        stage.create()?;
        let global = self.paths.global_name(&host.name);
        for file in [
            LabFile::new("/etc/hostname", format!("{}\n", host.name)),
            LabFile::new("/etc/hosts", site::hosts(self.layout)),
            LabFile::new("/etc/machine-id", machine_id(&global)),
        ] {
            stage.write(&file)?;
        }
        if host.role == Role::Jumpbox {
            return self.stage_admin(&stage);
        }
        let key = dir.join("ssh_host_ed25519_key");
        let private = fs::read(&key).map_err(Error::file("reading", &key))?;
        stage.write(&LabFile::secret("/etc/ssh/ssh_host_ed25519_key", private))?;
        hardened::login(self.options, self.paths, &stage)
    }

    /// Writes what kube or a test adds to a host.
    pub(crate) fn add(&self, spec: &crate::HostSpec) -> Result<(), Error> {
        let dir = self.paths.host(&spec.host);
        let stage = self.stage_of(&dir);
        for file in &spec.files {
            stage.write(file)?;
        }
        for (source, destination) in &spec.programs {
            stage.program(source, destination)?;
        }
        spec.units.iter().try_for_each(|unit| stage.enable(unit))
    }

    /// Gives the jumpbox the administrator's files.
    fn stage_admin(&self, stage: &Stage<'_>) -> Result<(), Error> {
        let home = Path::new(site::HOME);
        let files = [
            (self.paths.ssh_key(), home.join(".ssh/id_ed25519")),
            (
                self.paths.ssh_key().with_extension("pub"),
                home.join(".ssh/id_ed25519.pub"),
            ),
            (self.paths.known_hosts(), home.join(".ssh/known_hosts")),
            (self.paths.machines(), home.join("machines.txt")),
            (self.paths.kubeconfig(), home.join("admin.kubeconfig")),
            (self.paths.password(), home.join("op.password")),
        ];
        for (from, to) in files {
            // A bare lab has no kubeconfig, a standard one no password.
            if from.exists() {
                let contents = fs::read(&from).map_err(Error::file("reading", &from))?;
                stage.write(&LabFile::secret(to, contents))?;
            }
        }
        Ok(())
    }

    /// Starts a host's PID 1 and returns it as the machine numbers it.
    pub(crate) fn start(&self, host: &Host) -> Result<i32, Error> {
        let global = self.paths.global_name(&host.name);
        let cgroups = self.cgroups.create(&global)?;
        let supervisors = self.cgroups.create(&self.paths.global_name(SUPERVISORS))?;
        let dir = self.paths.host(&host.name);
        let console = dir.join("console.log");
        let log = fs::File::create(&console).map_err(Error::file("writing", &console))?;
        let errors = log.try_clone().map_err(Error::file("writing", &console))?;
        // Joins a cgroup of the lab's, or whatever ends the caller's session would end the hosts.
        let mut command = exec::joining(&supervisors);
        command
            .arg("setsid")
            .arg("nsenter")
            .arg(format!("--net={}", self.paths.netns(&host.name).display()))
            .args(["unshare", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-c", ENTER, "enter", BOOT])
            .args(cgroups)
            .envs(self.environment(host, &dir))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let mut child = command.spawn().map_err(|source| Error::Start {
            program: "nsenter".to_owned(),
            source,
        })?;
        // Reaps the supervisor whenever it ends; nobody waits for it.
        thread::spawn(move || child.wait());
        self.wait_for_init(host, &console)
    }

    fn environment(&self, host: &Host, dir: &Path) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.display().to_string();
        let or_empty = |yes: bool, text: String| if yes { text } else { String::new() };
        vec![
            ("LAB_NAME", self.paths.global_name(&host.name)),
            ("LAB_HOST", host.name.clone()),
            ("LAB_DIR", text(dir)),
            ("LAB_LOWER", text(self.lower)),
            (
                "LAB_MEDIA",
                or_empty(host.role == Role::Jumpbox, text(&self.paths.media())),
            ),
            (
                "LAB_NOEXEC",
                or_empty(self.options.hardened, ",noexec".to_owned()),
            ),
            ("LAB_CGROUPS", self.cgroups.words()),
            ("LAB_FORWARD", u8::from(host.role == Role::Node).to_string()),
            ("LAB_INIT", or_empty(host.boots(), "systemd".to_owned())),
        ]
    }

    /// Waits until PID 1 has become what it shall be, and records it.
    fn wait_for_init(&self, host: &Host, console: &Path) -> Result<i32, Error> {
        let handle = self.paths.netns(&host.name);
        let namespace = processes::namespace(&handle).ok_or_else(|| Error::Missing {
            what: handle.display().to_string(),
            hint: "something else removed it; end the lab and boot it anew".to_owned(),
        })?;
        let deadline = Instant::now() + PATIENCE;
        let mut found = None;
        let mut seen = false;
        while Instant::now() < deadline {
            match found.filter(|pid| processes::is_init(*pid, namespace)) {
                None if seen => break,
                None => found = processes::init(namespace),
                Some(pid) if booted(pid) => {
                    let path = exec::pid_file(self.paths, &host.name);
                    fs::write(&path, pid.to_string()).map_err(Error::file("writing", &path))?;
                    return Ok(pid);
                }
                Some(_) => seen = true,
            }
            thread::sleep(LOOK);
        }
        Err(Error::Timeout {
            what: format!("PID 1 of {}", host.name),
            seconds: PATIENCE.as_secs(),
            last: fs::read_to_string(console).unwrap_or_default().trim().to_owned(),
        })
    }

    /// Waits until systemd has started everything, and none of it failed.
    pub(crate) fn wait_for_units(&self, host: &Host, init: i32) -> Result<(), Error> {
        if !host.boots() {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        let bus = PathBuf::from(format!("/proc/{init}/root/run/systemd/private"));
        let mut last = "systemd does not listen yet".to_owned();
        while Instant::now() < deadline {
            if bus.exists() {
                let mut command = exec::command(self.paths, self.cgroups, host, &["systemctl"])?;
                let state = output(command.args(["is-system-running", "--wait"]))?;
                String::from_utf8_lossy(&state.stdout)
                    .trim()
                    .clone_into(&mut last);
                match last.as_str() {
                    "running" => return Ok(()),
                    "degraded" => return self.degraded(host),
                    _ => {}
                }
            }
            thread::sleep(LOOK);
        }
        Err(Error::Timeout {
            what: format!("the units of {}", host.name),
            seconds: PATIENCE.as_secs(),
            last,
        })
    }

    /// Waits until something listens on a TCP port of a host. When nothing does in time that is no error here: whoever
    /// connects next says more.
    pub(crate) fn wait_for_listener(&self, host: &Host, port: u16) -> Result<(), Error> {
        let init = exec::init(self.paths, host)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && !processes::listens(init, port) {
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn degraded(&self, host: &Host) -> Result<(), Error> {
        let list = ["systemctl", "--failed", "--no-legend", "--plain"];
        let failed = output(&mut exec::command(self.paths, self.cgroups, host, &list)?)?;
        let journal = ["journalctl", "--no-pager", "-n", "20", "-p", "warning"];
        let journal = output(&mut exec::command(self.paths, self.cgroups, host, &journal)?)?;
        Err(Error::Units {
            host: host.name.clone(),
            failed: String::from_utf8_lossy(&failed.stdout).trim().to_owned(),
            journal: String::from_utf8_lossy(&journal.stdout).trim().to_owned(),
        })
    }

    fn stage_of<'s>(&'s self, dir: &'s Path) -> Stage<'s> {
        Stage {
            dir,
            lower: self.lower,
        }
    }
}

/// The cgroup of the processes that hold the hosts' namespaces from outside.
const SUPERVISORS: &str = "supervisors";

/// Returns a machine id (32 digits) that a lab's host has in every life.
fn machine_id(global: &str) -> String {
    let hash = hex(&Sha256::digest(global));
    format!("{}\n", hash.get(..32).unwrap_or_default())
}

/// Returns whether a host's PID 1 is past the script.
fn booted(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}/root/run/lab/booted")).exists()
}
