//! File systems that are not now as they are at boot (fstab(5), systemd.mount(5)).

use std::borrow::Cow;
use std::path::Path;

use super::text;
use crate::protocol::{MountDiffers, MountFacts};

/// No more are told.
const MOST: usize = 64;
/// File systems that are gone with the host's memory.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// Something that is mounted, or is to be.
pub(super) struct Mount {
    pub(super) source: String,
    path: String,
    pub(super) kind: String,
    options: String,
}

/// Returns what is mounted otherwise at boot: of /etc/fstab all whose device is not there, and what would hide these directories;
/// and those of them that are in memory now.
pub(super) fn mounts(root: &Path, directories: &[String]) -> Vec<MountFacts> {
    let now = table(root, "proc/self/mounts");
    let facts = |mount: &Mount, differs: MountDiffers| MountFacts {
        source: mount.source.clone(),
        path: mount.path.clone(),
        differs,
    };
    let wanted = fstab(root);
    let at_boot = wanted.iter().filter(|mount| mount.is_automatic());
    let of_fstab = at_boot.filter_map(|mount| {
        if now.iter().any(|other| other.path == mount.path) {
            return None;
        }
        if mount.lacks_device(root) && !mount.has("nofail") {
            return Some(facts(mount, MountDiffers::NoDevice));
        }
        let hides = directories.iter().any(|directory| holds(&mount.path, directory));
        (hides && !mount.lacks_device(root)).then(|| facts(mount, MountDiffers::Unmounted))
    });
    let in_memory = now.iter().filter(|mount| {
        let below = |directory: &&String| holds(&mount.path, directory);
        let last = |directory: &String| {
            let over = now.iter().filter(|other| holds(&other.path, directory));
            over.max_by_key(|other| other.path.len())
                .is_some_and(|over| over.path == mount.path)
        };
        mount.path != "/"
            && IN_MEMORY.contains(&mount.kind.as_str())
            && directories.iter().filter(below).any(last)
    });
    let in_memory = in_memory.map(|mount| facts(mount, MountDiffers::InMemory));
    of_fstab.chain(in_memory).take(MOST).collect()
}

/// Returns whether a directory is the other one, or below it.
fn holds(path: &str, directory: &str) -> bool {
    let rest = directory.strip_prefix(path.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Mount {
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|other| other == option)
    }

    /// Returns whether the boot mounts it and waits for it.
    fn is_automatic(&self) -> bool {
        let is_path = self.path.starts_with('/') && self.path != "/";
        is_path && self.kind != "swap" && !self.has("noauto") && !self.has("x-systemd.automount")
    }

    /// Returns whether its device is not there. Where the host has no names of devices, as in a container, nobody can say.
    fn lacks_device(&self, root: &Path) -> bool {
        let device = device(&self.source);
        let Some(path) = device.strip_prefix('/').filter(|path| path.starts_with("dev/")) else {
            return false;
        };
        let path = root.join(path);
        let Some((_, name)) = self.source.split_once('=') else {
            return !path.exists();
        };
        // Of other names udev escapes what it does not like in a path.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let knows_names = path.parent().is_some_and(Path::is_dir);
        device != self.source && knows_names && name.trim_matches('"').chars().all(is_plain) && !path.exists()
    }
}

/// Returns the path of a device that fstab(5) names by what it holds; any other source as it is.
pub(super) fn device(source: &str) -> Cow<'_, str> {
    let by = |kind: &str, name: &str| Cow::Owned(format!("/dev/disk/by-{kind}/{}", name.trim_matches('"')));
    match source.split_once('=') {
        Some(("UUID", name)) => by("uuid", name),
        Some(("LABEL", name)) => by("label", name),
        Some(("PARTUUID", name)) => by("partuuid", name),
        Some(("PARTLABEL", name)) => by("partlabel", name),
        _ => Cow::Borrowed(source),
    }
}

/// Returns the file systems and the swap of /etc/fstab.
pub(super) fn fstab(root: &Path) -> Vec<Mount> {
    table(root, "etc/fstab")
}

fn table(root: &Path, file: &str) -> Vec<Mount> {
    let text = text(&root.join(file)).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mount = |line: &str| {
        let mut fields = line.split_whitespace();
        Some(Mount {
            source: fields.next()?.to_owned(),
            path: fields.next()?.replace("\\040", " "),
            kind: fields.next()?.to_owned(),
            options: fields.next().unwrap_or_default().to_owned(),
        })
    };
    lines.filter_map(mount).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    #[test]
    fn a_label_that_udev_escapes_is_not_judged() {
        assert_eq!(of("LABEL=/data /data ext4 defaults 0 2\n", ""), []);
    }

    fn of(fstab: &str, now: &str) -> Vec<(String, MountDiffers)> {
        let files = [
            ("etc/fstab", fstab),
            ("proc/self/mounts", now),
            ("dev/sda1", ""),
            ("dev/disk/by-uuid/a-b", ""),
            ("dev/disk/by-label/root", ""),
        ];
        let tree = Tree::new(&files);
        let found = mounts(
            tree.0.path(),
            &["/var/lib/etcd".to_owned(), "/var/lib/kubelet".to_owned()],
        );
        found
            .into_iter()
            .map(|mount| (mount.path, mount.differs))
            .collect()
    }

    #[test]
    fn what_is_mounted_as_the_file_says_is_no_finding() {
        let fstab = "UUID=a-b / ext4 defaults 0 1\n/dev/sda1 /var/lib/etcd ext4 defaults 0 2\n/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n";
        assert_eq!(of(fstab, "/dev/sda1 /var/lib/etcd ext4 rw 0 0\n"), []);
        // Not there, and nobody waits for it; and a place that is nobody's here.
        assert_eq!(
            of(
                "UUID=gone /backup ext4 nofail 0 2\nnas:/x /srv nfs defaults 0 0\n",
                ""
            ),
            []
        );
    }

    #[test]
    fn a_device_that_is_gone_stops_the_boot_and_one_that_is_not_mounted_hides_what_is_there() {
        let of = |fstab: &str| of(fstab, "").into_iter().next();
        let data = || "/var/lib/etcd".to_owned();
        assert_eq!(
            of("UUID=gone /var/lib/etcd ext4 defaults 0 2\n"),
            Some((data(), MountDiffers::NoDevice))
        );
        assert_eq!(
            of("/dev/sdz1 /data xfs defaults 0 0\n").unwrap().1,
            MountDiffers::NoDevice
        );
        assert_eq!(
            of("/dev/sda1 /var/lib ext4 defaults 0 2\n"),
            Some(("/var/lib".to_owned(), MountDiffers::Unmounted))
        );
        assert_eq!(of("/dev/sda1 /srv ext4 defaults 0 2\n"), None);
    }

    #[test]
    fn what_must_not_be_lost_is_not_kept_in_memory() {
        assert_eq!(
            of("", "tmpfs /var/lib/etcd tmpfs rw 0 0\n"),
            [("/var/lib/etcd".to_owned(), MountDiffers::InMemory)]
        );
        let covered = "tmpfs /var/lib tmpfs rw 0 0\n/dev/sda1 /var/lib/etcd ext4 rw 0 0\n/dev/sda1 /var/lib/kubelet ext4 rw 0 0\n";
        assert_eq!(of("", covered), []);
        // All of a host that has no disk.
        assert_eq!(of("", "tmpfs / tmpfs rw 0 0\n"), []);
    }
}
