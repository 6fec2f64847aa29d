//! Writes what a host has beyond the common tree: its upper layer, its programs' layer and its plain directories.
//!
//! Touches the host's directory below the lab's only.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use crate::run::write;
use crate::{Error, LabFile};

/// Directories of a host that are not overlaid, because overlayfs cannot lie on itself, or for speed.
const PLAIN: [&str; 4] = ["lib/containerd", "lib/kubelet", "lib/etcd", "log"];
/// Directories at the root that are links into /usr.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// The directories of one host before it boots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage<'a> {
    /// The host's directory.
    pub(crate) dir: &'a Path,
    /// The tree that all hosts share.
    pub(crate) lower: &'a Path,
}

impl Stage<'_> {
    /// Makes the layers, empty.
    pub(crate) fn create(&self) -> Result<(), Error> {
        for name in ["root", "upper", "work", "programs"] {
            make(&self.dir.join(name))?;
        }
        for name in PLAIN {
            make(&self.dir.join("var").join(name))?;
            self.directories(&self.dir.join("upper"), &Path::new("var").join(name))?;
        }
        Ok(())
    }

    /// Writes one file.
    pub(crate) fn write(&self, file: &LabFile) -> Result<(), Error> {
        let path = self.place(&file.path)?;
        write(&path, &file.contents, file.mode)
    }

    /// Puts a program of the machine where a host sees it. It lies in a lower layer, so that the cached file itself is
    /// never written to by a host.
    pub(crate) fn program(&self, source: &Path, destination: &Path) -> Result<(), Error> {
        let layer = self.dir.join("programs");
        let relative = relative(destination)?;
        if let Some(parent) = relative.parent() {
            self.directories(&layer, parent)?;
        }
        let path = layer.join(relative);
        if fs::hard_link(source, &path).is_err() {
            // Another file system.
            fs::copy(source, &path).map_err(Error::file("copying", source))?;
        }
        Ok(())
    }

    /// Makes multi-user.target want a unit.
    pub(crate) fn enable(&self, unit: &str) -> Result<(), Error> {
        let wants = Path::new("/etc/systemd/system/multi-user.target.wants").join(unit);
        let path = self.place(&wants)?;
        symlink(Path::new("/etc/systemd/system").join(unit), &path).map_err(Error::file("linking", &path))
    }

    /// Returns where a file of the host lies before boot, with the directories above it made.
    pub(crate) fn place(&self, path: &Path) -> Result<PathBuf, Error> {
        let relative = relative(path)?;
        for name in PLAIN {
            let plain = Path::new("var").join(name);
            if let Ok(rest) = relative.strip_prefix(&plain) {
                let path = self.dir.join(plain).join(rest);
                if let Some(parent) = path.parent() {
                    make(parent)?;
                }
                return Ok(path);
            }
        }
        let upper = self.dir.join("upper");
        if let Some(parent) = relative.parent() {
            self.directories(&upper, parent)?;
        }
        Ok(upper.join(relative))
    }

    /// Makes the directories of `relative` in a layer, with the modes that they have in the shared tree: a layer's
    /// directory hides the mode of the one below.
    fn directories(&self, layer: &Path, relative: &Path) -> Result<(), Error> {
        let mut below = PathBuf::new();
        for component in relative.components() {
            below.push(component);
            let path = layer.join(&below);
            if path.is_dir() {
                continue;
            }
            make(&path)?;
            if let Ok(shared) = fs::metadata(self.lower.join(&below)) {
                let mode = shared.permissions();
                fs::set_permissions(&path, mode).map_err(Error::file("setting the mode of", &path))?;
            }
        }
        Ok(())
    }
}

/// Returns a host's absolute path as one relative to its root, led around the links of a merged /usr.
fn relative(path: &Path) -> Result<PathBuf, Error> {
    let bad = || Error::Options(format!("{} is no plain absolute path in a host", path.display()));
    let relative = path.strip_prefix("/").map_err(|_| bad())?;
    if !relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Err(bad());
    }
    let merged = MERGED.iter().any(|name| relative.starts_with(name));
    Ok(if merged {
        Path::new("usr").join(relative)
    } else {
        relative.to_owned()
    })
}

fn make(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::file("making", dir))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_land_in_the_layer_that_the_host_sees_them_in() {
        let temp = tempfile::tempdir().unwrap();
        let lower = temp.path().join("lower");
        fs::create_dir_all(lower.join("root")).unwrap();
        fs::set_permissions(lower.join("root"), fs::Permissions::from_mode(0o700)).unwrap();
        let dir = temp.path().join("host");
        let stage = Stage {
            dir: &dir,
            lower: &lower,
        };
        stage.create().unwrap();
        for path in [
            "/root/.ssh/key",
            "/var/lib/kubelet/kubeconfig",
            "/lib/systemd/system/x.service",
        ] {
            stage.write(&LabFile::secret(path, "text")).unwrap();
        }
        let mode = |path: &str| fs::metadata(dir.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("upper/root/.ssh/key"), 0o600);
        assert_eq!(mode("upper/root"), 0o700);
        assert_eq!(mode("var/lib/kubelet/kubeconfig"), 0o600);
        assert_eq!(mode("upper/usr/lib/systemd/system/x.service"), 0o600);
        assert!(stage.write(&LabFile::new("/etc/../../x", "")).is_err());
        assert!(stage.write(&LabFile::new("etc/x", "")).is_err());
    }
}
