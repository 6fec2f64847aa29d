//! What the machine must have for a lab, and how to get what is missing.
//!
//! May install Debian packages (saying so first) and raise the kernel's inotify limits; nothing else of the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::run::output;
use crate::tool::{self, Say};

/// Programs of the machine that the lab's hosts need, with their Debian packages.
pub(crate) const PROGRAMS: [(&str, &str); 9] = [
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("mmdebstrap", "mmdebstrap"),
    ("nsenter", "util-linux"),
    ("perl", "perl-base"),
    ("setsid", "util-linux"),
    ("sh", "dash"),
    ("ssh-keygen", "openssh-client"),
    ("unshare", "util-linux"),
];

/// Limits of the kernel that more than two hosts exceed: without them systemd and kubelets fail in strange ways.
const LIMITS: [(&str, u64); 2] = [
    ("/proc/sys/fs/inotify/max_user_instances", 2048),
    ("/proc/sys/fs/inotify/max_user_watches", 524_288),
];

/// Checks that this process is root.
pub(crate) fn require_root() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(Error::NotRoot)
    }
}

/// Checks what the kernel must offer.
pub(crate) fn require_kernel() -> Result<(), Error> {
    let path = "/proc/filesystems";
    let known = |text: &str| text.lines().any(|line| line.trim() == "nodev\toverlay");
    let read = || fs::read_to_string(path).map_err(Error::file("reading", path));
    if !known(&read()?) {
        // Where overlayfs is a module, this loads it; where it is not to be had, the next look says so.
        let _ = Command::new("modprobe").arg("overlay").output();
        if !known(&read()?) {
            return Err(Error::Missing {
                what: "overlayfs in this kernel".to_owned(),
                hint: "use a kernel with CONFIG_OVERLAY_FS, or load its module: modprobe overlay".to_owned(),
            });
        }
    }
    for module in ["bridge", "veth", "br_netfilter"] {
        // Built in, loaded, or not to be had: then `ip` fails and says which kind of link is unknown.
        if !Path::new("/sys/module").join(module).exists() {
            let _ = Command::new("modprobe").arg("-q").arg(module).output();
        }
    }
    Ok(())
}

/// Checks that the labs' directory can be the upper side of an overlay: overlayfs itself cannot.
pub(crate) fn require_plain(dir: &Path) -> Result<(), Error> {
    /// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h.
    const OVERLAYFS: u64 = 0x794c_7630;
    let stat = rustix::fs::statfs(dir).map_err(|error| Error::file("reading", dir)(error.into()))?;
    if u64::try_from(stat.f_type) != Ok(OVERLAYFS) {
        return Ok(());
    }
    Err(Error::Missing {
        what: format!(
            "a plain file system below {}, which is an overlay,",
            dir.display()
        ),
        hint: "set AIRGAP_LAB_STATE to a directory on a disk or a volume".to_owned(),
    })
}

/// Raises the kernel's limits where they are lower. They stay so after the lab's end: other labs may need them.
pub(crate) fn raise_limits() -> Result<(), Error> {
    for (path, wanted) in LIMITS {
        let text = fs::read_to_string(path).map_err(Error::file("reading", path))?;
        if text.trim().parse::<u64>().is_ok_and(|value| value < wanted) {
            fs::write(path, wanted.to_string()).map_err(Error::file("writing", path))?;
        }
    }
    Ok(())
}

/// Installs the Debian packages of those programs that are not on the PATH.
pub(crate) fn ensure_programs(programs: &[(&str, &str)], say: Say<'_>) -> Result<(), Error> {
    let missing = programs.iter().filter(|(program, _)| find(program).is_none());
    install(missing.map(|(_, package)| *package).collect(), say)
}

/// Installs those of the Debian packages that are not there.
pub(crate) fn ensure_packages(packages: &[&str], say: Say<'_>) -> Result<(), Error> {
    // Unknown packages make it fail, and are missing from its output all the same.
    let format = "--showformat=${Package} ${db:Status-Status}\n";
    let mut query = Command::new("dpkg-query");
    let known = output(query.args(["--show", format]).args(packages));
    let known = known.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    // Where there is no dpkg, whether what is needed is there shows when it is used.
    let Ok(known) = known else { return Ok(()) };
    let installed = |package: &str| known.lines().any(|line| line == format!("{package} installed"));
    let missing = packages.iter().filter(|package| !installed(package));
    install(missing.copied().collect(), say)
}

fn install(packages: BTreeSet<&str>, say: Say<'_>) -> Result<(), Error> {
    if packages.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = packages.into_iter().collect();
    let line = format!(
        "apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    );
    if find("apt-get").is_none() {
        return Err(Error::Missing {
            what: packages.join(", "),
            hint: format!("install what corresponds here to Debian's `{line}`"),
        });
    }
    say(&format!("missing on this machine, installing: {line}"));
    let install = || {
        let mut command = Command::new("apt-get");
        command
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&packages);
        tool::long(
            command.env("DEBIAN_FRONTEND", "noninteractive"),
            "apt-get install",
            say,
        )
    };
    // The first try fails where the package lists are absent or old.
    if install().is_err() {
        tool::long(Command::new("apt-get").arg("update"), "apt-get update", say)?;
        install()?;
    }
    Ok(())
}

/// Returns where a program lies on the PATH, or in the directories of root where the PATH lacks them.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
