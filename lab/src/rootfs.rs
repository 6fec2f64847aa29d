//! The root file system that all hosts share as the lower side of their overlays: Debian with systemd and sshd, and
//! nothing that a minimal host lacks. Made once, kept in the cache.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;
use crate::cache::{Cache, key};
use crate::run::output;
use crate::tool::{self, Say};

/// Debian's release on the hosts.
const SUITE: &str = "bookworm";
/// Packages beyond the essential ones. No curl, no crictl, no etcdctl: a host of a closed network has none.
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,openssh-server,iproute2,iptables,conntrack,kmod,sudo,chrony,nftables";
/// What the hosts of a lab with a balancer have besides: a tree of its own, so that others keep theirs.
const BALANCER: &str = "haproxy";
/// Raised when what is done to the tree after its unpacking changes.
const EDITION: &str = "2";
/// The tree's directory in its entry of the cache.
const NAME: &str = "tree";
/// Units that make no sense in a namespace, or would touch the machine.
const MASKED: [&str; 38] = [
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty-static.service",
    "getty.target",
    "getty@tty1.service",
    "kmod-static-nodes.service",
    "modprobe@.service",
    "proc-sys-fs-binfmt_misc.automount",
    "proc-sys-fs-binfmt_misc.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-logind.service",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-resolved.service",
    "systemd-sysctl.service",
    "systemd-sysusers.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-udev-settle.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
];
/// Volatile and small, and without the machine's kernel log, which is not the host's.
const JOURNALD: &str = "[Journal]\nStorage=volatile\nRuntimeMaxUse=48M\nReadKMsg=no\nRateLimitBurst=0\n";

/// A time service that is its own source and never touches the clock (-x), which is the machine's.
const CHRONY: &str = "[Unit]\nDescription=chrony, which leaves the clock alone\n\n[Service]\n\
    ExecStart=/usr/sbin/chronyd -n -x -u root -f /etc/chrony/lab.conf\n\n[Install]\nWantedBy=multi-user.target\n";
const CHRONY_CONF: &str = "local stratum 10\nport 0\nbindcmdaddress 127.0.0.1\npidfile /run/chronyd.pid\n";

/// Which tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// That of a lab as on the page.
    Plain,
    /// That of a lab with a balancer.
    Balanced,
}

impl Tree {
    /// Returns the packages beyond the essential ones.
    fn packages(self) -> String {
        match self {
            Self::Plain => PACKAGES.to_owned(),
            Self::Balanced => format!("{PACKAGES},{BALANCER}"),
        }
    }
}

/// Returns a tree, making it first where the cache lacks it.
pub(crate) fn ensure(cache: &Cache, kind: Tree, say: Say<'_>) -> Result<PathBuf, Error> {
    let packages = kind.packages();
    let key = key(&[SUITE, &packages, EDITION, &MASKED.join(" "), JOURNALD]);
    let entry = cache.entry(&format!("rootfs/hosts-{key}"), |staging| {
        say(&format!(
            "making the hosts' root file system of Debian {SUITE}: once, about half a minute"
        ));
        // apt fetches as a user of its own, who must be able to get here.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(staging, open).map_err(Error::file("opening to all", staging))?;
        let tree = staging.join(NAME);
        let mut command = Command::new("mmdebstrap");
        command
            .args(["--quiet", "--mode=root", "--variant=minbase"])
            .arg(format!("--include={packages}"))
            .args(proxies())
            .arg(SUITE)
            .arg(&tree)
            .args(mirror());
        tool::long(&mut command, "mmdebstrap", say)?;
        finish(&tree)
    })?;
    Ok(entry.join(NAME))
}

/// Returns the mirror that this machine's apt uses for Debian; nothing where it has none, then mmdebstrap's default.
fn mirror() -> Option<OsString> {
    let text = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(LABEL) $(REPO_URI)",
        "Created-By: Packages",
    ]))
    .ok()?;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("Debian "))
        .map(|mirror| OsString::from(mirror.trim()))
}

/// Returns options that carry this machine's apt proxy over, if it has one.
fn proxies() -> Vec<String> {
    let Ok(dump) = output(Command::new("apt-config").args(["dump", "Acquire"])) else {
        return Vec::new();
    };
    String::from_utf8_lossy(&dump.stdout)
        .lines()
        .filter(|line| line.to_ascii_lowercase().contains("::proxy "))
        .map(|line| format!("--aptopt={line}"))
        .collect()
}

/// Turns the tree of a machine into that of a namespace.
fn finish(tree: &Path) -> Result<(), Error> {
    let units = tree.join("etc/systemd/system");
    for unit in MASKED {
        let path = units.join(unit);
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).map_err(Error::file("removing", &path))?;
        }
        symlink("/dev/null", &path).map_err(Error::file("masking", &path))?;
    }
    // The lab says where one runs.
    let wanted = units.join("multi-user.target.wants/haproxy.service");
    if wanted.symlink_metadata().is_ok() {
        fs::remove_file(&wanted).map_err(Error::file("removing", &wanted))?;
    }
    let target = units.join("default.target");
    symlink("/lib/systemd/system/multi-user.target", &target).map_err(Error::file("linking", &target))?;
    for (path, text) in [
        ("etc/fstab", ""),
        ("etc/resolv.conf", ""),
        ("etc/hostname", ""),
        ("etc/machine-id", ""),
        ("etc/systemd/journald.conf.d/lab.conf", JOURNALD),
        ("etc/systemd/system/chrony.service", CHRONY),
        ("etc/chrony/lab.conf", CHRONY_CONF),
    ] {
        let path = tree.join(path);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(Error::file("making", dir))?;
        }
        fs::write(&path, text).map_err(Error::file("writing", &path))?;
    }
    // Every host gets keys of its own.
    let ssh = tree.join("etc/ssh");
    for entry in fs::read_dir(&ssh)
        .map_err(Error::file("reading", &ssh))?
        .flatten()
    {
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            fs::remove_file(entry.path()).map_err(Error::file("removing", entry.path()))?;
        }
    }
    Ok(())
}
