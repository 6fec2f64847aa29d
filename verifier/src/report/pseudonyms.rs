//! Pseudonyms: the same name has the same one in every report that is redacted with one key file, and only who has that file
//! can turn it back.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{AtomicError, AtomicFile, UserFile};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const FILE: UserFile = UserFile::new("a key file of pseudonyms", 64 << 20);
/// The length of the key, in bytes.
const KEY: usize = 32;
/// How many hexadecimal digits a pseudonym has; twice as many where two names would share one.
const DIGITS: usize = 10;

/// What is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Address,
    Host,
    Other,
}

impl Named {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Address => "ip-",
            Self::Host => "host-",
            Self::Other => "n-",
        }
    }
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PseudonymsError {
    /// It cannot be read.
    #[error("cannot read the key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no key file of pseudonyms: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Others may read it.
    #[error("others may read the key file {} (mode {mode:03o}): they could turn every pseudonym back", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It cannot be written.
    #[error("cannot write the key file")]
    Write(#[source] AtomicError),
    /// The system has no random bytes.
    #[error("the system gives no random bytes for a key")]
    Random,
}

/// The file: the key, and the names by their pseudonyms.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u32,
    key: String,
    names: BTreeMap<String, String>,
}

/// The pseudonyms of a key file.
pub struct Pseudonyms {
    path: PathBuf,
    key: Vec<u8>,
    names: BTreeMap<String, String>,
    /// How many names the file has.
    stored: usize,
    fresh: bool,
}

impl Pseudonyms {
    /// Reads a key file, or makes a new key where there is none yet.
    ///
    /// # Errors
    /// When it cannot be read, is none, or others may read it.
    pub fn open(path: &Path) -> Result<Self, PseudonymsError> {
        match Self::read(path) {
            Err(PseudonymsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let mut key = vec![0; KEY];
                SystemRandom::new()
                    .fill(&mut key)
                    .map_err(|_| PseudonymsError::Random)?;
                Ok(Self {
                    path: path.to_owned(),
                    key,
                    names: BTreeMap::new(),
                    stored: 0,
                    fresh: true,
                })
            }
            read => read,
        }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// As [`Self::open`], and where there is none.
    pub fn read(path: &Path) -> Result<Self, PseudonymsError> {
        let path = path.to_owned();
        let bytes = match FILE.read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(PseudonymsError::Read { path, source }),
        };
        if let Some(mode) = bundle::mode_for_others(&path) {
            return Err(PseudonymsError::Readable { path, mode });
        }
        let form = |reason: String| PseudonymsError::Form {
            path: path.clone(),
            reason,
        };
        let file: KeyFile = serde_json::from_slice(&bytes).map_err(|error| form(error.to_string()))?;
        let key = STANDARD
            .decode(&file.key)
            .map_err(|error| form(error.to_string()))?;
        if file.version != 1 || key.len() != KEY {
            return Err(form("its version or its key is not of this verifier".to_owned()));
        }
        let stored = file.names.len();
        Ok(Self {
            path,
            key,
            names: file.names,
            stored,
            fresh: false,
        })
    }

    /// Writes the key file where there is something new in it; only its owner may read it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self) -> Result<(), PseudonymsError> {
        if !self.fresh && self.names.len() == self.stored {
            return Ok(());
        }
        let file = KeyFile {
            version: 1,
            key: STANDARD.encode(&self.key),
            names: self.names.clone(),
        };
        // Values of ours, with text for keys: they always have JSON.
        let text = cli::to_json(&file).unwrap_or_default();
        let write = || {
            let mut file = AtomicFile::create_private(&self.path)?;
            file.put(text.as_bytes())?;
            file.commit()
        };
        write().map_err(PseudonymsError::Write)
    }

    /// Returns the pseudonym of a name.
    pub(super) fn of(&mut self, kind: Named, name: &str) -> String {
        let digits = self.digits(name);
        for length in [DIGITS, 2 * DIGITS] {
            let pseudonym = format!("{}{}", kind.prefix(), &digits[..length]);
            let known = self
                .names
                .entry(pseudonym.clone())
                .or_insert_with(|| name.to_owned());
            if known == name {
                return pseudonym;
            }
        }
        // 80 bits of a keyed hash: no two names of a site share them.
        format!("{}{digits}", kind.prefix())
    }

    fn digits(&self, name: &str) -> String {
        use std::fmt::Write as _;
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return String::new();
        };
        mac.update(name.as_bytes());
        let mut digits = String::new();
        for byte in mac.finalize().into_bytes() {
            // Writing to a String cannot fail.
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }

    /// Returns the pseudonym of an address, as an address alone or with a port; nothing where it is none.
    pub(super) fn of_address(&mut self, text: &str) -> Option<String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(self.of(Named::Address, &address.to_string()));
        }
        let socket = text.parse::<SocketAddr>().ok()?;
        let address = self.of(Named::Address, &socket.ip().to_string());
        Some(format!("{address}:{}", socket.port()))
    }

    /// Returns a text with the names in the places of their pseudonyms.
    pub fn revealed(&self, text: &str) -> String {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            out += &rest[..start];
            let end = rest[start..]
                .find(|c| !is_part(c))
                .map_or(rest.len(), |end| start + end);
            let word = &rest[start..end];
            out += self.names.get(word).map_or(word, String::as_str);
            rest = &rest[end..];
        }
        out + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_pseudonym_for_one_key_file_and_is_turned_back_by_it_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("names.key");
        let mut one = Pseudonyms::open(&path).unwrap();
        let pseudonym = one.of(Named::Host, "seoul-db-07");
        assert_eq!(one.of(Named::Host, "seoul-db-07"), pseudonym);
        one.keep().unwrap();
        assert_eq!(bundle::mode_for_others(&path), None);
        let mut again = Pseudonyms::open(&path).unwrap();
        assert_eq!(again.of(Named::Host, "seoul-db-07"), pseudonym);
        let text = format!("ssh {pseudonym}: no; <{pseudonym}>, {pseudonym}x");
        assert_eq!(
            again.revealed(&text),
            format!("ssh seoul-db-07: no; <seoul-db-07>, {pseudonym}x")
        );
        let mut other = Pseudonyms::open(&home.path().join("other.key")).unwrap();
        assert_ne!(other.of(Named::Host, "seoul-db-07"), pseudonym);
    }

    #[test]
    fn a_key_file_that_others_may_read_or_that_is_none_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("names.key");
        Pseudonyms::open(&path).unwrap().keep().unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Pseudonyms::open(&path),
            Err(PseudonymsError::Readable { .. })
        ));
        std::fs::write(&path, "{}").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            Pseudonyms::open(&path),
            Err(PseudonymsError::Form { .. })
        ));
    }
}
