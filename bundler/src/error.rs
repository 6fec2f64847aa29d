//! Why a build failed, and what to do next.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use bundle::{AtomicError, Digest, LayerError, WriteError};
use cli::{Failure, Hint, Kind};
use signatures::SigningError;
use yaml::Problems;

use crate::archive_input::{ArchiveError, SAVE_ANEW};
use crate::cache_error::CacheError;
use crate::front::FrontError;
use crate::image::ImageError;
use crate::lock::LockError;
use crate::registry::{BlobError, LoginError, RegistryError};
use crate::render::RenderError;
use crate::sink::SinkError;
use crate::source::OldError;
use crate::workshop::WorkshopError;

/// A build that left no archive. The types inside are private: [`BuildError::into_failure`] gives a user all of it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BuildError(#[from] pub(crate) Reason);

/// One variant an operation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Spec(Problems),
    #[error("lock file {}", path.display())]
    Lock { path: PathBuf, source: LockError },
    #[error("{} would change, which --locked forbids: {}", path.display(), changes.join("; "))]
    Locked { path: PathBuf, changes: Vec<String> },
    #[error("--update {name}: no such image in the spec")]
    Update { name: String },
    #[error("{name} is locked to {locked}, but {from} has {found} now")]
    Changed {
        name: String,
        from: String,
        locked: String,
        found: String,
    },
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{image} cannot be packed")]
    Image { image: String, source: ImageError },
    #[error("{image} cannot be packed: its archive lacks {missing}")]
    Incomplete { image: String, missing: String },
    #[error(
        "{image} cannot be packed: its layer {digest} is non-distributable, and is not where the image is"
    )]
    Nondistributable { image: String, digest: Digest },
    #[error("{image} cannot be packed: its layer {digest} cannot be unpacked")]
    Layer {
        image: String,
        digest: Digest,
        source: LayerError,
    },
    #[error(
        "{image} cannot be packed: its layer {digest} unpacks to {found}, its configuration says {expected}"
    )]
    DiffId {
        image: String,
        digest: Digest,
        expected: Digest,
        found: Digest,
    },
    #[error("{image} cannot be taken from its archive")]
    Archive {
        image: String,
        source: Box<ArchiveError>,
    },
    #[error("the bundle cannot be signed")]
    Sign { source: SigningError },
    #[error("the cache cannot be used")]
    Cache { source: CacheError },
    #[error("Docker's logins cannot be used")]
    Logins { source: LoginError },
    #[error("a template is broken")]
    Render { source: RenderError },
    #[error("{} is not written: this build reads {}", output.display(), input.display())]
    Clobbers { output: PathBuf, input: PathBuf },
    #[error("{} cannot be made", path.display())]
    Output { path: PathBuf, source: AtomicError },
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: WriteError },
    #[error("{what} was changed while the bundle was made")]
    Moved { what: String },
    #[error("{} cannot be made", path.display())]
    Workshop { path: PathBuf, source: WorkshopError },
    #[error("{} cannot be written", path.display())]
    Place { path: PathBuf, source: SinkError },
    #[error("{} cannot be completed", path.display())]
    Front { path: PathBuf, source: FrontError },
    #[error("{} needs {needed} bytes, and {available} are free", path.display())]
    Room {
        path: PathBuf,
        needed: u64,
        available: u64,
    },
    #[error("nothing can be taken from {}", path.display())]
    From { path: PathBuf, source: OldError },
    #[error("a blob cannot be put in its place")]
    Sink { source: SinkError },
    #[error("a worker thread ended early")]
    Worker { source: tokio::task::JoinError },
    #[error("cannot start a thread")]
    Thread { source: io::Error },
    #[error("signals cannot be watched")]
    Signal { source: io::Error },
    #[error("interrupted, nothing was written")]
    Interrupted,
}

impl From<BlobError> for Reason {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Registry(error) => Self::Registry(error),
            BlobError::Sink(SinkError::Cache(source)) => Self::Cache { source },
            BlobError::Sink(source) => Self::Sink { source },
        }
    }
}

impl From<CacheError> for Reason {
    fn from(source: CacheError) -> Self {
        Self::Cache { source }
    }
}

impl From<RenderError> for Reason {
    fn from(source: RenderError) -> Self {
        Self::Render { source }
    }
}

impl Reason {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Spec(_)
            | Self::Lock { .. }
            | Self::Locked { .. }
            | Self::Update { .. }
            | Self::Clobbers { .. } => Kind::Usage,
            Self::Interrupted => Kind::Interrupted,
            _ => Kind::Error,
        }
    }

    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Read { path, .. } if path.ends_with("bundle.yaml") => {
                Some("`bundler init` writes a spec to begin with".into())
            }
            Self::Read { .. } => Some("check the path and its permissions".into()),
            Self::Spec(_) => None,
            Self::Lock { path, .. } => Some(Hint::new("restore {file} from version control, or delete it to resolve every name anew", &[("file", &path.display())])),
            Self::Locked { .. } => Some("build without --locked to accept the change, and keep the new lock file".into()),
            Self::Update { .. } => Some("name an image as the spec does; --update without a name updates all".into()),
            Self::Changed { name, .. } => Some(Hint::new("if that is meant, run the build with `--update {name}`", &[("name", name)])),
            Self::Registry(error) => Some(error.hint()),
            Self::Image { source, .. } => Some(source.hint().into()),
            Self::Archive { source, .. } => Some(source.hint().into()),
            Self::Layer { .. } | Self::DiffId { .. } => {
                Some("no runtime can load this image: push or save it anew where it comes from".into())
            }
            Self::Nondistributable { .. } => Some(
                "push the image with all its layers (dockerd: allow-nondistributable-artifacts) and take it from there; a bundle takes no bytes from the URLs in a manifest".into(),
            ),
            Self::Incomplete { .. } => Some(SAVE_ANEW.into()),
            Self::Cache { source } if source.is_full() => {
                Some("the disk of the cache is full: free some room, or put the cache elsewhere with --cache DIR; what was pulled is kept".into())
            }
            Self::Cache { source: CacheError::Busy { .. } } => Some("wait until it has ended, then run the same command again".into()),
            Self::Cache { .. } => Some("check the directory's permissions, or name another with --cache DIR".into()),
            Self::Sign { .. } => Some("see that the key and its agent work: `ssh-add -l`; everything pulled is in the cache".into()),
            Self::Logins { .. } => Some("check docker's config.json (DOCKER_CONFIG names its directory)".into()),
            Self::Clobbers { .. } => Some("name another file with -o: nothing was written".into()),
            Self::Output { source, .. } if source.kind() == io::ErrorKind::IsADirectory => {
                Some("name a file with -o, not a directory".into())
            }
            Self::Output { source, .. } if source.kind() == io::ErrorKind::InvalidFilename => {
                Some("name a shorter file with -o: names of files beside it are longer by up to 25 characters".into())
            }
            Self::Room { .. } => Some("free some room, or write the archive elsewhere with -o".into()),
            Self::From { source: OldError::Compressed, .. } => {
                Some("decompress it first (`gunzip`, `zstd -d`), or leave --from out".into())
            }
            Self::From { .. } => Some("--from takes a bundle that `bundler build` wrote: check the path, or leave it out".into()),
            Self::Output { .. } | Self::Write { .. } | Self::Workshop { .. } | Self::Place { .. } | Self::Front { .. } | Self::Sink { .. }
                if self.is_full() =>
            {
                Some("the disk is full: free some room, or write the archive elsewhere with -o; what was pulled is kept".into())
            }
            Self::Output { .. } | Self::Write { .. } | Self::Workshop { .. } | Self::Place { .. } | Self::Front { .. } | Self::Sink { .. } => Some("check the directory of -o: it must exist and be writable".into()),
            Self::Moved { .. } => Some("run the same command again".into()),
            Self::Interrupted => Some("run the same command again: it goes on from what was pulled".into()),
            Self::Thread { .. } => Some("look at the limits of this user: `ulimit -u`".into()),
            Self::Render { .. } | Self::Worker { .. } | Self::Signal { .. } => Some("this is a bug of bundler: please report it with the spec".into()),
        }
    }

    /// Returns whether a full disk is the cause.
    fn is_full(&self) -> bool {
        let mut next = self.source();
        while let Some(error) = next {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(
                kind,
                Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            ) {
                return true;
            }
            next = error.source();
        }
        false
    }
}

impl BuildError {
    /// Returns the failure as the command prints it, with its exit code and the next step.
    pub fn into_failure(self) -> Failure {
        let (kind, hint) = (self.0.kind(), self.0.hint());
        let failure = match self.0 {
            // The problems name their places themselves, below a line that says what they are.
            Reason::Spec(problems) => Failure::new(kind, count(&problems)).details(&problems),
            reason => Failure::new(kind, reason),
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

fn count(problems: &Problems) -> String {
    let count = problems.iter().count();
    let noun = if count == 1 { "problem" } else { "problems" };
    format!("{count} {noun}, nothing was done")
}
