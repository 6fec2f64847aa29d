//! Runs commands in the lab's hosts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cgroups::Cgroups;
use crate::{Error, Host, Paths, Role, processes};

/// Joins the cgroups named before `--`, as far as they are there, and becomes what follows.
const JOIN: &str = "while [ \"$1\" != -- ]; do { echo 0 >\"$1/cgroup.procs\"; } 2>/dev/null || :; shift; done; \
    shift; exec \"$@\"";
/// What a login on a host starts with.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns a command that joins cgroups and becomes the program given as further arguments.
pub(crate) fn joining(cgroups: &[PathBuf]) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", JOIN, "join"]).args(cgroups).arg("--");
    command
}

/// Returns a command that runs `argv` in a host. Standard streams are the caller's to set; the exit code is the
/// command's own. On the connected side it runs in the machine's file system with the caller's environment.
pub(crate) fn command(
    paths: &Paths,
    cgroups: &Cgroups,
    host: &Host,
    argv: &[&str],
) -> Result<Command, Error> {
    if host.role == Role::Connected {
        let netns = paths.netns(&host.name);
        if processes::namespace(&netns).is_none() {
            return Err(not_running(paths, host));
        }
        // The cgroup is made on demand: nothing boots there.
        let mut command = joining(&cgroups.create(&paths.global_name(&host.name))?);
        command
            .arg("nsenter")
            .arg(format!("--net={}", netns.display()))
            .arg("--")
            .args(argv);
        return Ok(command);
    }
    let init = init(paths, host)?;
    let mut command = joining(&cgroups.entrance(&paths.global_name(&host.name)));
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .env("USER", "root")
        .env("LANG", "C.UTF-8")
        .env("TERM", std::env::var_os("TERM").unwrap_or_else(|| "dumb".into()))
        .current_dir("/")
        .arg("nsenter")
        .arg(format!("--target={init}"))
        .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"])
        .args(["sh", "-c", "cd /root; exec \"$@\"", "sh"])
        .args(argv);
    Ok(command)
}

/// Returns a running host's PID 1 as the machine numbers it.
pub(crate) fn init(paths: &Paths, host: &Host) -> Result<i32, Error> {
    let recorded = fs::read_to_string(pid_file(paths, &host.name)).ok();
    let recorded = recorded.and_then(|text| text.trim().parse().ok());
    processes::namespace(&paths.netns(&host.name))
        .and_then(|namespace| {
            // The number may have been given to another process since; then a look at all of them decides.
            recorded
                .filter(|pid| processes::is_init(*pid, namespace))
                .or_else(|| processes::init(namespace))
        })
        .ok_or_else(|| not_running(paths, host))
}

/// Returns where a host's PID 1 is recorded.
pub(crate) fn pid_file(paths: &Paths, host: &str) -> PathBuf {
    paths.host(host).join("init.pid")
}

fn not_running(paths: &Paths, host: &Host) -> Error {
    Error::NotRunning {
        name: paths.name().to_owned(),
        host: host.name.clone(),
    }
}
