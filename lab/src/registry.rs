//! Real registries for the connected side and for tests: distribution 3 or Debian's docker-registry 2.8, with TLS by a
//! private CA and logins where asked.
//!
//! A registry listens on loopback only, of the machine or of a network namespace, and its process ends with the handle.

mod serve;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::cache::{self, Cache};
use crate::tool::Say;
use crate::{Error, images};

/// Which registry it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// distribution 3, built from its Go module.
    #[default]
    Distribution3,
    /// Debian's docker-registry 2.8.
    Debian28,
}

/// Whether it speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP.
    #[default]
    Http,
    /// HTTPS, with a certificate of a private CA for 127.0.0.1 and localhost ([`Registry::ca`]).
    Https,
}

/// What it serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// The lab's images ([`images::SERVED`]), read-only; many registries share one copy.
    #[default]
    Images,
    /// The lab's images with that of CoreDNS, read-only. Made on the first demand.
    Dns,
    /// The images for benchmarks, about 3 GB, read-only. Made on the first demand.
    Bench,
    /// Nothing yet; pushes are taken, and gone with the handle.
    Empty,
    /// What lies in this directory, in the registry's own layout; pushes are taken.
    Directory(PathBuf),
}

/// How to start a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which registry.
    pub version: Version,
    /// HTTP or HTTPS.
    pub transport: Transport,
    /// What it serves.
    pub storage: Storage,
    /// User and password without which it answers 401, if any.
    pub login: Option<(String, String)>,
    /// Port on 127.0.0.1; 0 for one that is free.
    pub port: u16,
    /// Name of the network namespace (in /run/netns) it runs in, if not the caller's.
    pub namespace: Option<String>,
    /// Where the directory of its own files is made, if not in the system's place for temporary files.
    pub parent: Option<PathBuf>,
}

/// A running registry. Dropping it ends its process and removes its files.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    address: SocketAddr,
    directory: Option<tempfile::TempDir>,
    ca: Option<PathBuf>,
}

impl Registry {
    /// Starts a registry and returns when it listens. Makes what it needs first: its program, its images.
    pub fn start(options: &Options) -> Result<Self, Error> {
        Self::start_in(&Cache::user()?, options, &|_| {})
    }

    /// Like [`Registry::start`], with the cache named and with lines about what takes long.
    pub fn start_in(cache: &Cache, options: &Options, say: Say<'_>) -> Result<Self, Error> {
        let storage = match options.storage {
            Storage::Images => Some(populate(cache, images::Collection::Served, say)?),
            Storage::Dns => Some(populate(cache, images::Collection::Dns, say)?),
            Storage::Bench => Some(populate(cache, images::Collection::Bench, say)?),
            Storage::Empty | Storage::Directory(_) => None,
        };
        serve::start(cache, options, storage.as_deref(), say)
    }

    /// Returns where it listens, for example `127.0.0.1:41234`; also the host part of its image names.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the PEM file of the CA that signed its certificate, if it speaks HTTPS.
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// Returns the id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets its process go on after the handle: whoever calls this ends the process by its id, and its files stay in
    /// the returned directory.
    pub fn detach(mut self) -> (u32, PathBuf) {
        let pid = self.child.id();
        // Taken, so that dropping the handle finds nothing to remove.
        let directory = self
            .directory
            .take()
            .map(tempfile::TempDir::keep)
            .unwrap_or_default();
        (pid, directory)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if self.directory.is_some() {
            // Both fail only where the process is gone already.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Returns a directory in a registry's own layout with the images of a collection, pushed there once.
pub fn populate(cache: &Cache, collection: images::Collection, say: Say<'_>) -> Result<PathBuf, Error> {
    let sources = images::ensure(cache, collection, say)?;
    let key = cache::key(&sources.iter().map(|image| image.key.as_str()).collect::<Vec<_>>());
    cache.entry(&format!("registry/{}-{key}", collection.name()), |staging| {
        say(&format!(
            "pushing {} images to a registry's storage",
            sources.len()
        ));
        let empty = Options {
            storage: Storage::Directory(staging.to_owned()),
            ..Options::default()
        };
        let registry = serve::start(cache, &empty, None, say)?;
        for image in &sources {
            image.push(&registry.address().to_string())?;
        }
        Ok(())
    })
}
