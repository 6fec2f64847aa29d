//! What a build is asked to do, and what came of it. Values only.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bundle::{Compression, Created, Depth, Digest, Platform};

use signatures::SigningKey;

use crate::lock::Update;
use crate::timings::Seconds;

/// Set from outside to end the work.
pub(crate) type Stop = Arc<AtomicBool>;

/// Which cache a build uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caching {
    /// The one in this directory; what is pulled is kept there too, as far as its disk has room.
    Directory(PathBuf),
    /// None: every blob is written once, to the archive.
    None,
}

/// What a build is asked to do; everything from outside comes in here.
#[derive(Clone, Debug)]
pub struct Build {
    /// The spec.
    pub spec: PathBuf,
    /// The archive.
    pub output: PathBuf,
    /// The lock file, if not `bundle.lock` beside the spec.
    pub lock: Option<PathBuf>,
    /// Whether any change of the lock is refused.
    pub locked: bool,
    /// Which names are resolved anew.
    pub update: Update,
    /// The platforms instead of the spec's; empty: the spec's.
    pub platforms: Vec<Platform>,
    /// The compression of the archive.
    pub compression: Compression,
    /// The cache.
    pub cache: Caching,
    /// Earlier bundles, from which blobs are taken; what has the output's name is one too.
    pub from: Vec<PathBuf>,
    /// Docker's config.json.
    pub docker_config: PathBuf,
    /// What `self` among the verifiers means.
    pub verifier: PathBuf,
    /// When the bundle is made, whatever the spec says of it.
    pub source_date: Option<Created>,
    /// The key that signs the bundle.
    pub sign: Option<Arc<SigningKey>>,
    /// The file that it was read from.
    pub key: Option<PathBuf>,
    /// Whether every layer is unpacked, in memory, before it is packed.
    pub depth: Depth,
    /// Whether only the plan is wanted.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The archive was written.
    Built(Built),
    /// Nothing was written: the plan.
    Planned(Planned),
}

/// An archive that was written.
#[derive(Clone, Debug)]
pub struct Built {
    /// The identity of the bundle: the SHA-256 of its index.
    pub bundle: Digest,
    /// The SHA-256 of the archive.
    pub sha256: Digest,
    /// The length of the archive in bytes.
    pub size: u64,
    /// How many images are in it.
    pub images: usize,
    /// How many blobs came over the network, and their bytes.
    pub pulled: (usize, u64),
    /// Where the time went.
    pub seconds: Seconds,
    /// What deserves attention.
    pub warnings: Vec<String>,
}

/// What would be written.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Every member but the index and the checksums, in the order of the archive.
    pub members: Vec<PlannedMember>,
    /// What deserves attention.
    pub warnings: Vec<String>,
}

/// A member that would be written.
#[derive(Clone, Debug)]
pub struct PlannedMember {
    /// Its path.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Where its bytes would come from.
    pub source: String,
}
