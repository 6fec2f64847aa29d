//! Which bundles a command takes, and where it opens them: `--key`, `--expect`, a path or `-`.

use std::io;
use std::path::{Path, PathBuf};

use bundle::{BundleFile, Digest, Origin, Signed, Source, Trust, UserFile};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signatures::{Keys, KeysError};

use crate::bundle_failure::{STDIN, bundle_failure};
use crate::failure::{Failure, Kind};
use crate::shown::Shown;

const KEYS: UserFile = UserFile::new("a file of public keys", 1 << 20).or_pipe();

/// Whom a bundle must come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TrustArgs {
    /// The bundle must be signed with a key of this file: an SSH public key, OpenSSH's allowed signers, or a public key of minisign
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The bundle must be this one, by its identity; repeatable: one of these
    #[arg(long, value_name = "sha256:HEX")]
    expect: Vec<Digest>,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
enum KeyFileError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no keys that can be trusted", path.display())]
    Keys { path: PathBuf, source: KeysError },
}

impl TrustArgs {
    /// Reads the keys, and returns what a bundle must be.
    ///
    /// # Errors
    /// When the file of keys cannot be read, or is not understood.
    pub fn trust(&self) -> Result<Trust, Failure> {
        let mut trust = Trust::any();
        if !self.expect.is_empty() {
            trust = trust.expect(self.expect.iter().copied());
        }
        let Some(path) = &self.key else {
            return Ok(trust);
        };
        Ok(trust.signed_by(public_keys(path)?, Timestamp::now().as_second()))
    }

    /// Opens the bundle of a command that may do without one. The keys are read in any case: what is wrong with them is told.
    ///
    /// # Errors
    /// When the keys or the bundle cannot be read, or it is not what was asked for.
    pub fn open(&self, bundle: Option<&Path>) -> Result<Option<BundleFile>, Failure> {
        let trust = self.trust()?;
        bundle.map(|path| open_bundle(path, &trust)).transpose()
    }
}

/// Reads public keys that are trusted.
///
/// # Errors
/// When the file cannot be read, or is not understood.
pub fn public_keys(path: &Path) -> Result<Keys, Failure> {
    let bytes = KEYS.read(path).map_err(|source| {
        let path = path.to_owned();
        Failure::new(Kind::Error, KeyFileError::Read { path, source })
            .hint("look at the path and its permissions: `ls -l` shows both")
    })?;
    Keys::parse(&bytes).map_err(|source| {
        let path = path.to_owned();
        Failure::new(Kind::Usage, KeyFileError::Keys { path, source })
            .hint("name the public key (KEY.pub) of whoever signs; `ssh-keygen -y -f KEY` prints it")
    })
}

/// Returns where a bundle is that an argument names: a file, a directory, a pipe, or `-` for standard input.
pub fn bundle_source(path: &Path) -> Source {
    if path.as_os_str() == STDIN {
        Source::stream(STDIN, io::stdin())
    } else {
        Source::at(path)
    }
}

/// Opens a bundle that is read more than once; nothing but its index is read. One that comes as a stream is kept in a temporary
/// file.
///
/// # Errors
/// When it cannot be read, is bad, or is not what `trust` wants.
pub fn open_bundle(path: &Path, trust: &Trust) -> Result<BundleFile, Failure> {
    BundleFile::open(bundle_source(path), trust, tempfile::tempfile)
        .map_err(|error| bundle_failure(path, error))
}

/// What a bundle's signature is, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureState {
    /// There is none.
    None,
    /// There is something in its place that is none.
    Unknown,
    /// There is one that nobody verified, as no key was given: it proves nothing.
    Unverified,
    /// It was verified with a key that was given.
    Verified,
}

/// Who made a bundle, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// What its signature is.
    pub signature: SignatureState,
    /// The key that the signature says it was made with; proven where the signature is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whose that key is, as the file that was given says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Whether it is the bundle whose identity was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expected: bool,
}

impl Provenance {
    /// Says what is known of who made a bundle.
    pub fn of(origin: &Origin) -> Self {
        let (signature, key, signer) = match &origin.signed {
            Signed::Not => (SignatureState::None, None, None),
            Signed::Unknown { .. } => (SignatureState::Unknown, None, None),
            Signed::Unverified { key } => (SignatureState::Unverified, Some(key.clone()), None),
            Signed::By(signer) => (
                SignatureState::Verified,
                Some(signer.key.clone()),
                signer.principals.clone(),
            ),
        };
        Self {
            signature,
            key,
            signer,
            expected: origin.pinned,
        }
    }
}

/// Says in English who made a bundle.
pub(crate) fn provenance(origin: &Origin) -> String {
    let signed = match &origin.signed {
        Signed::Not => "not signed".to_owned(),
        Signed::Unknown { reason } => format!("not signed: {}", Shown::new(reason)),
        Signed::Unverified { key } => format!("signed, not verified: --key was not given (it names {key})"),
        Signed::By(signer) => format!("signed by {}", Shown::new(signer)),
    };
    if origin.pinned {
        format!("{signed}; it is the one that was expected")
    } else {
        signed
    }
}
