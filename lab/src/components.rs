//! The programs of the lab: Kubernetes, containerd, runc, CNI plugins, etcd, CoreDNS, a KMS plugin, a registry and
//! peers for comparisons, built from pinned Go modules, and Debian's older packages.
//!
//! Each component is a small Go module of ours (`lab/components/NAME`). What is built lies in the cache under a key of
//! everything that goes in, so only the first run pays. Touches the cache and the network of the connected side.

mod debian;
mod go;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::cache::Cache;
use crate::tool::Say;

/// Debian packages that building the components needs.
pub const PACKAGES: [&str; 4] = ["gcc", "libc6-dev", "libseccomp-dev", "pkg-config"];

/// A set of components that are needed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    /// Kubernetes, containerd 2.4, runc, CNI plugins, etcd, the registry: every lab.
    Core,
    /// containerd 1.6 (Debian's), 1.7 and 2.1, and Debian's docker-registry 2.8.
    Old,
    /// CoreDNS: labs with a DNS of their own.
    Dns,
    /// A KMS plugin of the lab's own: labs whose Secrets one encrypts.
    Kms,
    /// crane, regctl and oras, for comparisons.
    Peers,
    /// The registry alone: tests of the connected side.
    Registry,
    /// Debian's docker-registry 2.8 alone.
    OldRegistry,
}

impl Set {
    fn components(self) -> &'static [&'static str] {
        match self {
            Self::Core => &["kubernetes", "containerd", "runc", "cni", "etcd", "registry"],
            Self::Old => &[
                "containerd-2.1",
                "containerd-1.7",
                "containerd-1.6",
                "registry-2.8",
            ],
            Self::Dns => &["coredns"],
            Self::Kms => &["kms"],
            Self::Peers => &["peers"],
            Self::Registry => &["registry"],
            Self::OldRegistry => &["registry-2.8"],
        }
    }
}

/// Where the programs of the components lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Components {
    directories: BTreeMap<&'static str, PathBuf>,
}

impl Components {
    /// Returns the directory that holds a component's programs: `directory("containerd-1.7")`.
    pub fn directory(&self, component: &str) -> Result<&Path, Error> {
        self.directories
            .get(component)
            .map(PathBuf::as_path)
            .ok_or_else(|| unknown(component))
    }

    /// Returns the path of one program: `program("kubernetes", "kubelet")`.
    pub fn program(&self, component: &str, program: &str) -> Result<PathBuf, Error> {
        let path = self.directory(component)?.join(program);
        if path.is_file() {
            return Ok(path);
        }
        Err(unknown(&format!("{component}/{program}")))
    }
}

/// Builds what is not there yet of the sets, one component after another (compilers use every core by themselves),
/// and returns where everything lies. The Go caches of the builds are deleted at the end: they grow to several GB.
pub fn ensure(cache: &Cache, sets: &[Set], say: Say<'_>) -> Result<Components, Error> {
    let mut components = Components::default();
    let mut shop = None;
    for name in sets.iter().flat_map(|set| set.components()) {
        if components.directories.contains_key(name) {
            continue;
        }
        let directory = match debian::PACKAGES.iter().find(|package| package.component == *name) {
            Some(package) => debian::ensure(cache, package, say)?,
            None => go::ensure(cache, name, &mut shop, say)?,
        };
        components.directories.insert(name, directory);
    }
    if let Some(workshop) = &shop {
        go::clean(workshop, say)?;
    }
    Ok(components)
}

fn unknown(program: &str) -> Error {
    Error::Missing {
        what: format!("component {program}"),
        hint: "ask components::ensure for the set that it belongs to".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_of_every_set_can_be_made() {
        let sets = [
            Set::Core,
            Set::Old,
            Set::Dns,
            Set::Kms,
            Set::Peers,
            Set::Registry,
            Set::OldRegistry,
        ];
        for set in sets {
            for name in set.components() {
                let known = go::MODULES.iter().any(|module| module.name == *name)
                    || debian::PACKAGES.iter().any(|package| package.component == *name);
                assert!(known, "{name}");
            }
        }
    }

    #[test]
    fn a_program_that_was_not_built_is_named() {
        let error = Components::default()
            .program("kubernetes", "kubelet")
            .unwrap_err();
        assert!(error.to_string().contains("component kubernetes"), "{error}");
    }
}
