//! What is said to whoever writes a bundle besides its index, and why it could not be written.

use std::io;

use crate::digest::Digest;
use crate::output::Compression;
use crate::path::MemberPath;
use crate::prologue::SIGNATURE_LIMIT;
use crate::validate::IndexError;

/// What the writer needs besides the index.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// The modification time of every member, in seconds since 1970; below 8 GiB.
    pub mtime: u64,
    /// The compression of the whole archive.
    pub compression: Compression,
    /// The bytes of `bundle.json.sig`, a signature over [`Index::to_json`](crate::Index::to_json); none: the archive has no such member.
    pub signature: Option<Vec<u8>>,
}

/// Why a bundle could not be written. The archive is then worthless; nothing more can be appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The index is not one of format 1.
    #[error("the index cannot be written")]
    Index {
        /// What it says.
        source: IndexError,
    },
    /// A time that tar cannot say.
    #[error("time {mtime} s after 1970 is out of tar's range")]
    Time {
        /// The time.
        mtime: u64,
    },
    /// A signature that no reader would take.
    #[error("the signature has {size} bytes, at most {SIGNATURE_LIMIT} are allowed")]
    Signature {
        /// Its length.
        size: usize,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive at {during}")]
    Write {
        /// The member.
        during: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The bytes of a member cannot be read.
    #[error("cannot read the bytes of member {member:?}")]
    Source {
        /// The member.
        member: MemberPath,
        /// The source's answer.
        source: io::Error,
    },
    /// Another member comes next.
    #[error("member {member:?} was given where {expected} must come")]
    Order {
        /// The one given.
        member: MemberPath,
        /// What must come.
        expected: String,
    },
    /// More or fewer bytes than the index says.
    #[error("member {member:?}: {found} bytes were given, the index says {expected}")]
    Length {
        /// The member.
        member: MemberPath,
        /// What the index says.
        expected: u64,
        /// How many came; where too many, one more than expected.
        found: u64,
    },
    /// Other bytes than the index names.
    #[error("member {member:?}: the hash of what was given is {found}, the index says {expected}")]
    Hash {
        /// The member.
        member: MemberPath,
        /// What the index says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Members are missing at the end.
    #[error("member {member:?} was never given")]
    Unfinished {
        /// The first of them.
        member: MemberPath,
    },
    /// An earlier error has spoilt the archive.
    #[error("the archive was spoilt by an earlier error")]
    Spoilt,
}
