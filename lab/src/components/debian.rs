//! Components that are Debian's own older packages: fetched and unpacked into the cache, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::Cache;
use crate::tool::Say;
use crate::{Error, run};

/// A Debian package and the programs wanted of it.
pub(super) struct Package {
    pub(super) component: &'static str,
    name: &'static str,
    /// Path in the package, and the program's name in the component.
    programs: &'static [(&'static str, &'static str)],
}

/// Debian 12's: containerd 1.6.20 and docker-registry 2.8.2.
pub(super) const PACKAGES: [Package; 2] = [
    Package {
        component: "containerd-1.6",
        name: "containerd",
        programs: &[
            ("usr/bin/containerd", "containerd"),
            ("usr/bin/containerd-shim-runc-v2", "containerd-shim-runc-v2"),
            ("usr/bin/ctr", "ctr"),
        ],
    },
    Package {
        component: "registry-2.8",
        name: "docker-registry",
        programs: &[("usr/bin/docker-registry", "registry")],
    },
];

/// Returns the directory of the package's programs, fetched if it is not there.
pub(super) fn ensure(cache: &Cache, package: &Package, say: Say<'_>) -> Result<PathBuf, Error> {
    let entry = format!(
        "components/{}-debian-{}",
        package.component,
        std::env::consts::ARCH
    );
    cache.entry(&entry, |staging| {
        say(&format!("fetching Debian's {}", package.name));
        let work = staging.join(".work");
        fs::create_dir(&work).map_err(Error::file("making", &work))?;
        // As root apt wants to fetch as _apt, who may not enter the cache.
        let fetch = ["-o", "APT::Sandbox::User=root", "download", package.name];
        run::run(Command::new("apt-get").args(fetch).current_dir(&work))?;
        let archive = archive(&work)?;
        run::run(
            Command::new("dpkg-deb")
                .arg("-x")
                .arg(archive)
                .arg(work.join("root")),
        )?;
        for (from, to) in package.programs {
            let (from, to) = (work.join("root").join(from), staging.join(to));
            fs::rename(&from, &to).map_err(Error::file("taking", &from))?;
        }
        fs::remove_dir_all(&work).map_err(Error::file("removing", &work))?;
        Ok(())
    })
}

/// Returns the one archive that apt-get left in a directory.
fn archive(work: &Path) -> Result<PathBuf, Error> {
    let entries = fs::read_dir(work).map_err(Error::file("listing", work))?;
    let archive = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    archive.ok_or_else(|| Error::file("finding a .deb in", work)(std::io::ErrorKind::NotFound.into()))
}
