//! `bundle.yaml`: what the user asks for. Pure: text in, values or problems out; it opens no file.
//!
//! Values that later steps may find wrong (a file that is not there, an image that a manifest misses) keep their
//! place, so that those problems name it too.

mod decode;
mod registries;

use std::collections::BTreeMap;

use bundle::nodes::{ImageNodes, NodePattern};
use bundle::{Created, Platform};
use yaml::{Placed, Problems};

pub(crate) use registries::{Mirror, RegistrySpec};

use crate::reference::Reference;

/// A bundle as its user describes it.
#[derive(Clone, Debug)]
pub struct Spec {
    pub(crate) name: String,
    pub(crate) serial: Option<u64>,
    pub(crate) created: Option<Created>,
    pub(crate) platforms: Vec<Platform>,
    pub(crate) images: Vec<ImageSpec>,
    pub(crate) registries: BTreeMap<String, RegistrySpec>,
    pub(crate) smoke: Option<Reference>,
    pub(crate) crictl: Option<Crictl>,
    pub(crate) manifests: Vec<Placed<String>>,
    pub(crate) files: Vec<FileSpec>,
    pub(crate) verifier: Vec<Placed<VerifierSpec>>,
}

/// An image: the name under which it is loaded and where its bytes are.
#[derive(Clone, Debug)]
pub(crate) struct ImageSpec {
    pub(crate) name: Placed<Reference>,
    pub(crate) source: Source,
    /// Which nodes it is for; empty: all.
    pub(crate) nodes: Vec<NodePattern>,
}

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Registry(Reference),
    /// A docker save tar, an OCI archive or an OCI layout; the path as the spec gives it.
    Archive(Placed<String>),
}

impl Source {
    /// Returns the source as the lock and the index name it.
    pub(crate) fn from(&self) -> String {
        match self {
            Self::Registry(reference) => reference.to_string(),
            Self::Archive(path) => path.value.clone(),
        }
    }
}

/// The settings of crictl.yaml; absent ones are left to crictl.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crictl {
    /// The key and its value as YAML writes it, in the order of crictl's documentation.
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// A file of the user and its name in the bundle.
#[derive(Clone, Debug)]
pub(crate) struct FileSpec {
    pub(crate) from: Placed<String>,
    pub(crate) to: Placed<String>,
}

/// Where a verifier's binary is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VerifierSpec {
    /// The file `verifier` beside the running bundler.
    Beside,
    Path(String),
}

/// What the manifests entry for the built-in smoke suite is called.
pub(crate) const BUILTIN_SMOKE: &str = "builtin:smoke";

impl Spec {
    /// Reads a spec; gives all its problems at once. `file` is its name in the problems.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        decode::spec(file, text).0
    }

    /// Reads a spec and, even where it has problems, the local paths that it names.
    pub(crate) fn parse_with_paths(file: &str, text: &str) -> (Result<Self, Problems>, Vec<Placed<String>>) {
        decode::spec(file, text)
    }

    /// Returns which images are for some nodes only; nothing where all are for all.
    pub(crate) fn image_nodes(&self) -> Option<ImageNodes> {
        let some = self.images.iter().filter(|image| !image.nodes.is_empty());
        let nodes: BTreeMap<_, _> = some
            .map(|image| (image.name.value.name(), image.nodes.clone()))
            .collect();
        (!nodes.is_empty()).then(|| ImageNodes::new(nodes))
    }

    /// Returns whether the bundle carries the smoke suite.
    pub(crate) fn has_smoke(&self) -> bool {
        self.manifests.iter().any(|entry| entry.value == BUILTIN_SMOKE)
    }
}
