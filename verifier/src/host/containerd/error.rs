//! What can go wrong between a load and containerd.

use std::time::Duration;

use bundle::Digest;

use crate::host::runtime_socket::{Refused, SocketError};
use crate::protocol::{Refusal, RefusalKind};

/// Why containerd could not be asked, or a load not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket answers.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A call that containerd refused.
    #[error("{operation}")]
    Call {
        /// What was asked, with its digest or name.
        operation: String,
        /// What containerd answered.
        #[source]
        source: Box<Refused>,
    },
    /// A call without an answer.
    #[error("{operation}: no answer within {} s", limit.as_secs())]
    Silent {
        /// What was asked, with its digest or name.
        operation: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// Bytes that are not the blob that was announced.
    #[error("blob {digest} is refused: its bytes are not those of its digest")]
    WrongBytes {
        /// The digest that was announced.
        digest: Digest,
        /// What containerd answered.
        #[source]
        source: Box<Refused>,
    },
    /// A layer that is not what the image's configuration says.
    #[error("layer {layer} of {image} unpacks to {found}, its configuration says {expected}")]
    WrongLayer {
        /// The image.
        image: String,
        /// The digest of the blob.
        layer: Digest,
        /// The diff id of the configuration.
        expected: Digest,
        /// The digest of what was unpacked.
        found: String,
    },
    /// A manifest, an index or a configuration that disagrees with the plan.
    #[error("image {image}: {document} {digest} {disagrees}")]
    Disagrees {
        /// The image.
        image: String,
        /// `index`, `manifest` or `configuration`.
        document: &'static str,
        /// Its digest.
        digest: Digest,
        /// In what.
        disagrees: String,
    },
    /// A blob that is neither on the host nor on its way.
    #[error("blob {digest} of image {image} is neither in containerd nor sent")]
    Absent {
        /// The digest.
        digest: Digest,
        /// The image.
        image: String,
    },
    /// The bytes ended, or could not be read.
    #[error("the load was interrupted at {at}; nothing of it is kept")]
    Interrupted {
        /// Where.
        at: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The sender found the archive bad, or went away before it had read all of it.
    #[error("the sender did not confirm the archive; nothing of it is kept")]
    NotConfirmed,
    /// A task of the load ended without saying why.
    #[error("a part of the load stopped; nothing of it is kept")]
    Stopped,
    /// A layer was given up because another part of the load failed.
    #[error("unpacking {layer} was given up")]
    GivenUp {
        /// The digest of the blob.
        layer: Digest,
    },
    /// An image that was loaded and that the CRI does not find.
    #[error("the CRI does not find {reference} after the load: {found}")]
    NotFound {
        /// The tag, digest or id.
        reference: String,
        /// What it said instead.
        found: String,
    },
    /// What the CRI was asked after the load.
    #[error("ask the CRI about the loaded images")]
    Cri {
        /// Its error.
        #[source]
        source: Box<crate::host::cri::Error>,
    },
    /// What was unpacked could not be brought to the disk.
    #[error("cannot sync the file system of {path}; nothing of the load is kept")]
    Sync {
        /// The directory of the snapshots.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Layers that grow beyond the room that there is for them.
    #[error("the load was stopped while it unpacked {layers}: {why}; nothing of it is kept")]
    Full {
        /// The digests of the layers that were growing.
        layers: String,
        /// How little is left, and who minds.
        why: String,
    },
    /// The file system of the images.
    #[error("look at the room on {path}")]
    Room {
        /// Its path.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Returns of what kind it is, where no error of the system below it tells.
    fn kind(&self) -> Option<RefusalKind> {
        match self {
            Self::Socket(source) => source.kind(),
            Self::Call { source, .. } => Some(source.kind),
            Self::Silent { .. } => Some(RefusalKind::Late),
            Self::Cri { source } => source.kind(),
            _ => None,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let told = Self::of(&error);
        Self {
            kind: error.kind().unwrap_or(told.kind),
            ..told
        }
    }
}
