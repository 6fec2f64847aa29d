//! What the rows work on: a registry with a few GB of images, and archives made from it.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::cache::Cache;
use lab::images::{self, Collection, Image};
use lab::registry::{Options, Registry, Storage};
use tempfile::TempDir;

use crate::programs;

/// The images of the smaller archive: about 800 MB unpacked, two of them on one base.
pub(super) const SMALL: &[&str] = &["database", "logger"];
/// All images.
pub(super) const ALL: &[&str] = &[];

/// The registry on loopback, its images, and a directory on a plain file system that goes with this value.
pub(super) struct Media {
    registry: Registry,
    images: Vec<Image>,
    dir: TempDir,
}

impl Media {
    pub(super) fn new() -> Result<Self, Box<dyn Error>> {
        let say = |line: &str| eprintln!("{line}");
        let cache = Cache::user()?;
        let images = images::ensure(&cache, Collection::Bench, &say)?;
        let options = Options {
            storage: Storage::Bench,
            ..Options::default()
        };
        let registry = Registry::start_in(&cache, &options, &say)?;
        let dir = tempfile::Builder::new().prefix("bench-").tempdir_in("/var/tmp")?;
        Ok(Self {
            registry,
            images,
            dir,
        })
    }

    /// Returns the references of the images as the registry serves them.
    pub(super) fn references(&self) -> Vec<String> {
        self.images
            .iter()
            .map(|image| format!("{}/{}", self.registry.address(), image.target))
            .collect()
    }

    /// Returns the references of all images but one.
    pub(super) fn all_but(&self, name: &str) -> Vec<String> {
        let mut references = self.references();
        references.retain(|reference| !is_of(reference, name));
        references
    }

    /// Returns a directory for what a row makes.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the spec of the images `wanted` and returns its path.
    pub(super) fn spec(&self, name: &str, wanted: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
        let is_wanted =
            |reference: &String| wanted.is_empty() || wanted.iter().any(|name| is_of(reference, name));
        let mut references = self.references();
        references.retain(is_wanted);
        self.spec_of(name, &references)
    }

    /// Writes the spec of these images and returns its path.
    pub(super) fn spec_of(&self, name: &str, references: &[String]) -> Result<PathBuf, Box<dyn Error>> {
        let mut text = format!("apiVersion: bundle/v1\nname: {name}\nplatforms: [linux/amd64]\nimages:\n");
        for reference in references {
            writeln!(text, "  - {reference}")?;
        }
        let address = self.registry.address();
        writeln!(
            text,
            "registries:\n  {address}: {{plainHttp: true}}\nverifier: [self]"
        )?;
        let path = self.dir().join(format!("{name}.yaml"));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Builds an archive of the images `wanted` and returns its path.
    pub(super) fn archive(&self, name: &str, wanted: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
        let archive = self.dir().join(format!("{name}.tar"));
        let mut build = bundler(&self.spec(name, wanted)?, &archive);
        let status = build.arg("--quiet").status()?;
        if status.success() {
            Ok(archive)
        } else {
            Err(format!("bundler build: {status}").into())
        }
    }
}

/// Returns whether a reference is that of an image.
fn is_of(reference: &str, name: &str) -> bool {
    reference.contains(&format!("/{name}:"))
}

/// Returns the command that builds `archive` from `spec`, without a cache.
pub(super) fn bundler(spec: &Path, archive: &Path) -> Command {
    let mut command = Command::new(programs().bundler);
    command
        .args(["build", "--file"])
        .arg(spec)
        .arg("--output")
        .arg(archive);
    command.args(["--cache", "none"]);
    command
}
