//! Why a bundle cannot be read: bad contents, or an input that does not give its bytes.

mod words;

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::layer::LayerError;
use crate::order::{INDEX, SUMS};
use crate::path::{MemberPath, PathError};
use crate::validate::IndexError;
use signatures::SignatureError;
use words::{any, at, damaged, listed, signatures};

/// Why a bundle was refused or could not be read. [`ReadError::is_contents`] tells the two apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file or directory cannot be opened or listed.
    #[error("cannot open {}", path.display())]
    Open {
        /// What was opened.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The input gives an error instead of bytes: a bad medium, a lost mount.
    #[error("cannot read {during}{}", at(*offset))]
    Read {
        /// What was being read.
        during: String,
        /// The member that lies there, where that is known.
        member: Option<MemberPath>,
        /// Where in the file, in bytes from its beginning, where that is known.
        offset: Option<u64>,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A file cannot be written while unpacking.
    #[error("cannot write {}", path.display())]
    Write {
        /// What was written.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The target of unpacking has too little room.
    #[error("{} has {available} bytes free, the bundle needs {needed}", path.display())]
    Room {
        /// The directory on that file system.
        path: PathBuf,
        /// The sum of all members.
        needed: u64,
        /// What an ordinary user may still write.
        available: u64,
    },
    /// The target of unpacking has too few inodes.
    #[error("{} has {available} inodes free, the bundle needs {needed} for files and directories", path.display())]
    Inodes {
        /// The directory on that file system.
        path: PathBuf,
        /// How many files and directories there will be.
        needed: u64,
        /// How many an ordinary user may still make.
        available: u64,
    },
    /// The target of unpacking is there already, or cannot be one.
    #[error("{} {reason}", path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// Why it cannot be written.
        reason: &'static str,
    },
    /// A thread of this process could not be started.
    #[error("cannot start a thread to hash with")]
    Thread {
        /// The operating system's answer.
        source: io::Error,
    },

    /// The input is no bundle at all.
    #[error("not a bundle: {reason}")]
    NoBundle {
        /// What is there instead.
        reason: String,
    },
    /// The compressed stream around the archive is damaged.
    #[error("the compressed stream is damaged while reading {during}")]
    Compressed {
        /// What was being read.
        during: String,
        /// The decompressor's answer.
        source: io::Error,
    },
    /// The index is larger than any reader accepts.
    #[error("member \"bundle.json\": {size} bytes, an index has at most {limit}")]
    IndexTooLarge {
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The index is no JSON of its schema.
    #[error("member \"bundle.json\": not an index of format 1")]
    IndexSyntax {
        /// Where and why.
        source: serde_json::Error,
    },
    /// The index says what must not be.
    #[error("member \"bundle.json\": the index contradicts itself")]
    Index {
        /// What it says.
        source: IndexError,
    },
    /// The index is not written in the one form that the format has.
    #[error("member \"bundle.json\": not in the canonical form (compact JSON, keys in order)")]
    NotCanonical,
    /// SHA256SUMS differs from the index.
    #[error("member \"SHA256SUMS\": it does not say what the index says")]
    Sums,

    /// It is another bundle than the one that was expected.
    #[error("the bundle is {found}, not {}", any(expected))]
    Unexpected {
        /// Its identity.
        found: Digest,
        /// The identities that are good.
        expected: Vec<Digest>,
    },
    /// It must be signed, and is not.
    #[error(
        "it is not signed: there is neither a member \"bundle.json.sig\" nor a file of its name with \".sig\" beside it"
    )]
    Unsigned,
    /// It must be signed by somebody else, or over what it says.
    #[error("its signature is not good: {}", signatures(wrong))]
    Signatures {
        /// Each signature by where it lies, and why it does not count.
        wrong: Vec<(String, SignatureError)>,
    },

    /// A member has a name that none may have.
    #[error(transparent)]
    Path(PathError),
    /// A member is no regular file, or its header is not what the format allows.
    #[error("member {member:?}: {reason}")]
    Header {
        /// The name as the archive gives it.
        member: String,
        /// What is wrong.
        reason: String,
    },
    /// A header is damaged.
    #[error("{}: the checksum is wrong", damaged(member.as_ref(), behind))]
    Damaged {
        /// The member that lies there, where that is known.
        member: Option<MemberPath>,
        /// What lies before it.
        behind: String,
    },
    /// A member comes twice.
    #[error("member {member:?}: a second member of this name")]
    Duplicate {
        /// Its name.
        member: MemberPath,
    },
    /// A member's name differs from another's only in case or Unicode form.
    #[error("member {member:?}: the name differs from {other:?} only in case or Unicode form")]
    Twin {
        /// Its name.
        member: MemberPath,
        /// The name that the index has.
        other: MemberPath,
    },
    /// A member that the index does not name.
    #[error("member {member:?}: the index does not name it")]
    NotNamed {
        /// Its name.
        member: MemberPath,
    },
    /// A member in the place of another.
    #[error("member {expected:?}: missing or out of order, {member:?} comes in its place")]
    Misplaced {
        /// The one that came.
        member: MemberPath,
        /// The one that must come here.
        expected: MemberPath,
    },
    /// A member that the index names is not there.
    #[error("member {member:?}: missing")]
    Missing {
        /// Its name.
        member: MemberPath,
    },
    /// A member has another length than the index says.
    #[error("member {member:?}: {found} bytes long, the index says {expected}")]
    Length {
        /// Its name.
        member: MemberPath,
        /// What the index says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// A member has another mode than the index says.
    #[error("member {member:?}: mode {found:04o}, the index says {expected:04o}")]
    Mode {
        /// Its name.
        member: MemberPath,
        /// What the index says.
        expected: u32,
        /// What is there.
        found: u32,
    },
    /// A member's bytes are not those that the index names.
    #[error("member {member:?}: its hash is {found}, the index says {expected}")]
    Hash {
        /// Its name.
        member: MemberPath,
        /// What the index says.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// A manifest or a configuration does not say what the index says of it.
    #[error("member {member:?}: {reason}")]
    Document {
        /// Its name.
        member: MemberPath,
        /// What is wrong.
        reason: String,
    },
    /// A layer is nothing that a runtime could apply.
    #[error("member {member:?}: the layer cannot be unpacked")]
    Layer {
        /// Its name.
        member: MemberPath,
        /// What is wrong.
        source: LayerError,
    },
    /// A layer unpacks to something else than its image says.
    #[error("member {member:?}: the layer unpacks to {found}, its image says {expected}")]
    DiffId {
        /// Its name.
        member: MemberPath,
        /// The diffID of the configuration.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// The archive ends too early.
    #[error("the archive is cut off in {during}")]
    Truncated {
        /// Where it ends.
        during: String,
    },
    /// There is more after the end of the archive.
    #[error("there is data after the end of the archive")]
    Trailing,
    /// The file is another one than a moment ago.
    #[error("{} was changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file differs from the `.sha256` beside it.
    #[error("{} has {found}, the file beside it says {expected}", path.display())]
    Beside {
        /// The archive.
        path: PathBuf,
        /// What `FILE.sha256` says.
        expected: Digest,
        /// What the archive has.
        found: Digest,
    },
    /// The `.sha256` beside the file is no checksum file.
    #[error("{} does not give one SHA-256 for the archive, in the form of sha256sum", path.display())]
    BesideSyntax {
        /// The checksum file.
        path: PathBuf,
    },
    /// The reader gave an error before, and cannot go on.
    #[error("an earlier error ended the reading")]
    Ended,
    /// Several things are bad at once.
    #[error("{} things are wrong: {}", .0.len(), listed(.0))]
    Several(Vec<ReadError>),
}

impl ReadError {
    /// Returns whether the contents are bad (exit code 3); where not, they could not be looked at (exit code 2).
    pub fn is_contents(&self) -> bool {
        match self {
            Self::Open { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Room { .. }
            | Self::Inodes { .. }
            | Self::Target { .. }
            | Self::Thread { .. } => false,
            Self::Several(problems) => problems.iter().any(Self::is_contents),
            _ => true,
        }
    }

    /// Returns each problem by itself.
    pub fn problems(&self) -> &[Self] {
        match self {
            Self::Several(problems) => problems,
            one => std::slice::from_ref(one),
        }
    }

    /// Returns the name of the member that is bad, where one can be named.
    pub fn member(&self) -> Option<&str> {
        match self {
            Self::IndexTooLarge { .. }
            | Self::IndexSyntax { .. }
            | Self::Index { .. }
            | Self::NotCanonical => Some(INDEX),
            Self::Sums => Some(SUMS),
            Self::Path(error) => Some(&error.path),
            Self::Read { member, .. } | Self::Damaged { member, .. } => {
                member.as_ref().map(MemberPath::as_str)
            }
            Self::Header { member, .. } => Some(member),
            Self::Misplaced { expected, .. } => Some(expected.as_str()),
            Self::Duplicate { member }
            | Self::Twin { member, .. }
            | Self::NotNamed { member }
            | Self::Missing { member }
            | Self::Length { member, .. }
            | Self::Mode { member, .. }
            | Self::Hash { member, .. }
            | Self::Layer { member, .. }
            | Self::DiffId { member, .. }
            | Self::Document { member, .. } => Some(member.as_str()),
            _ => None,
        }
    }

    /// Returns where in the file the bytes could not be read, from its beginning, where that is known.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Read { offset, .. } => *offset,
            _ => None,
        }
    }

    /// Says in which member it came, of an error of the medium or of a damaged header.
    #[must_use]
    pub(crate) fn within(self, path: &MemberPath) -> Self {
        match self {
            Self::Read { offset, source, .. } => Self::Read {
                during: format!("member {path:?}"),
                member: Some(path.clone()),
                offset,
                source,
            },
            Self::Damaged { behind, .. } => Self::Damaged {
                member: Some(path.clone()),
                behind,
            },
            other => other,
        }
    }

    /// Takes the error out of an [`io::Error`] that an [`Entry`](crate::Entry) gave; gives back any other.
    pub fn from_io(error: io::Error) -> Result<Self, io::Error> {
        error.downcast::<Self>()
    }

    /// Wraps the error for [`io::Read`].
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }

    /// Returns `problems` as one error; none is no error.
    pub(crate) fn all(problems: Vec<Self>) -> Result<(), Self> {
        let each = |problem| match problem {
            Self::Several(problems) => problems,
            one => vec![one],
        };
        let mut problems: Vec<Self> = problems.into_iter().flat_map(each).collect();
        match problems.len() {
            0 => Ok(()),
            1 => Err(problems.remove(0)),
            _ => Err(Self::Several(problems)),
        }
    }
}
