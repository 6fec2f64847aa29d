//! The serial that was loaded last of each bundle, kept beside the site file, and whether another one may follow it.
//!
//! What a bundle says of its name and serial is proven only where somebody vouches for it: by a signature that was verified, or
//! an identity that was expected. So two serials are kept for a name. One that is proven is compared with those that were:
//! what somebody made up cannot hold it off.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bundle::{AtomicError, AtomicFile, BundleFile, Digest, UserFile};
use serde::{Deserialize, Serialize};

/// A site loads some bundles, not thousands.
const RECORD: UserFile = UserFile::new("a record of serials", 1 << 20);
/// The form of the record.
const VERSION: u32 = 1;

/// The record.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    /// By the names of the bundles.
    bundles: BTreeMap<String, Last>,
}

/// What was loaded last under a name.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    /// Whatever it was.
    any: Option<Numbered>,
    /// What somebody vouched for.
    proven: Option<Numbered>,
}

/// A bundle that has a serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbered {
    /// The serial.
    pub serial: u64,
    /// The bundle's identity.
    pub bundle: Digest,
}

/// A bundle that is to be loaded.
#[derive(Clone, Debug)]
struct Candidate {
    name: String,
    serial: Option<u64>,
    bundle: Digest,
    proven: bool,
}

impl Candidate {
    fn of(bundle: &BundleFile) -> Self {
        Self {
            name: bundle.index().name.clone(),
            serial: bundle.index().serial,
            bundle: bundle.id(),
            proven: bundle.origin().is_proven(),
        }
    }
}

/// Why a good bundle is not the newest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// Its serial is lower.
    #[error("{name} has the serial {serial}, and {} was loaded here last ({})", last.serial, last.bundle)]
    Older {
        /// The name.
        name: String,
        /// Its serial.
        serial: u64,
        /// What was loaded.
        last: Numbered,
    },
    /// Two bundles have one serial.
    #[error("{name} has the serial {}, as {} has, which was loaded here last: two bundles of one serial, and nothing says which is newer", last.serial, last.bundle)]
    Ambiguous {
        /// The name.
        name: String,
        /// What was loaded.
        last: Numbered,
    },
    /// It has none any more.
    #[error("{name} has no serial, and {} was loaded here last ({})", last.serial, last.bundle)]
    Unnumbered {
        /// The name.
        name: String,
        /// What was loaded.
        last: Numbered,
    },
}

/// Why it is not known what was loaded last.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The record cannot be read.
    #[error("cannot read {}, which has the serials that were loaded last", path.display())]
    Read {
        /// The record.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The record is damaged, or of a later verifier.
    #[error("{} is no record of serials of version {VERSION}", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The record cannot be written.
    #[error("cannot keep the serial")]
    Write {
        /// The system's answer.
        source: AtomicError,
    },
}

/// Where the serials are kept: beside a site file, under its name with `.loaded`.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// Returns the one beside a site file.
    pub fn beside(site: &Path) -> Self {
        let mut path = site.as_os_str().to_owned();
        path.push(".loaded");
        Self { path: path.into() }
    }

    /// Returns the record's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says whether a bundle is the newest that is known here.
    ///
    /// # Errors
    /// When the record cannot be read: then nobody knows.
    pub fn judge(&self, bundle: &BundleFile) -> Result<Result<(), Stale>, LedgerError> {
        let record = self.read()?;
        let candidate = Candidate::of(bundle);
        Ok(judge(record.bundles.get(&candidate.name), &candidate))
    }

    /// Keeps the serial of a bundle that was loaded. One that has none leaves the record as it is.
    ///
    /// # Errors
    /// When the record cannot be read or written; then it stays as it was.
    pub fn keep(&self, bundle: &BundleFile) -> Result<(), LedgerError> {
        let candidate = Candidate::of(bundle);
        if candidate.serial.is_none() {
            return Ok(());
        }
        // Read again: another run may have written it meanwhile.
        let mut record = self.read()?;
        keep(
            record.bundles.entry(candidate.name.clone()).or_default(),
            &candidate,
        );
        record.version = VERSION;
        let mut text = serde_json::to_vec_pretty(&record).map_err(|source| LedgerError::Damaged {
            path: self.path.clone(),
            source,
        })?;
        text.push(b'\n');
        AtomicFile::write(&self.path, &text).map_err(|source| LedgerError::Write { source })
    }

    fn read(&self) -> Result<Record, LedgerError> {
        let path = || self.path.clone();
        let bytes = match RECORD.read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
            Err(source) => return Err(LedgerError::Read { path: path(), source }),
        };
        let record: Record =
            serde_json::from_slice(&bytes).map_err(|source| LedgerError::Damaged { path: path(), source })?;
        if record.version == VERSION {
            return Ok(record);
        }
        let source = serde::de::Error::custom(format_args!("it has the version {}", record.version));
        Err(LedgerError::Damaged { path: path(), source })
    }
}

/// Compares a bundle with what was loaded last under its name.
fn judge(last: Option<&Last>, bundle: &Candidate) -> Result<(), Stale> {
    let last = last.and_then(|last| if bundle.proven { last.proven } else { last.any });
    let Some(last) = last else {
        return Ok(());
    };
    let name = bundle.name.clone();
    match bundle.serial {
        None => Err(Stale::Unnumbered { name, last }),
        Some(serial) if serial < last.serial => Err(Stale::Older { name, serial, last }),
        Some(serial) if serial == last.serial && bundle.bundle != last.bundle => {
            Err(Stale::Ambiguous { name, last })
        }
        Some(_) => Ok(()),
    }
}

/// Writes down what was loaded.
fn keep(last: &mut Last, bundle: &Candidate) {
    let Some(serial) = bundle.serial else {
        return;
    };
    let bundle_of = Some(Numbered {
        serial,
        bundle: bundle.bundle,
    });
    last.any = bundle_of;
    if bundle.proven {
        last.proven = bundle_of;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(serial: Option<u64>, proven: bool) -> Candidate {
        Candidate {
            name: "site".to_owned(),
            serial,
            bundle: Digest::of(format!("{serial:?}")),
            proven,
        }
    }

    fn loaded(all: &[(Option<u64>, bool)]) -> Last {
        let mut last = Last::default();
        for (serial, proven) in all {
            keep(&mut last, &bundle(*serial, *proven));
        }
        last
    }

    #[test]
    fn what_follows_is_newer_or_the_same() {
        let last = loaded(&[(Some(7), false)]);
        let judged = |serial| judge(Some(&last), &bundle(serial, false));
        assert_eq!(judged(Some(7)), Ok(()));
        assert_eq!(judged(Some(8)), Ok(()));
        assert!(matches!(judged(Some(6)), Err(Stale::Older { serial: 6, .. })));
        assert!(matches!(judged(None), Err(Stale::Unnumbered { .. })));
        let other = Candidate {
            bundle: Digest::of("another"),
            ..bundle(Some(7), false)
        };
        assert!(matches!(judge(Some(&last), &other), Err(Stale::Ambiguous { .. })));
        // Nothing is known of a name that was never loaded.
        for serial in [None, Some(0)] {
            assert_eq!(judge(None, &bundle(serial, false)), Ok(()));
            assert_eq!(judge(Some(&loaded(&[])), &bundle(serial, true)), Ok(()));
        }
    }

    #[test]
    fn what_nobody_vouches_for_holds_off_nothing_that_is_proven() {
        let last = loaded(&[(Some(7), true), (Some(9_000_000_000_000_000), false)]);
        assert_eq!(judge(Some(&last), &bundle(Some(8), true)), Ok(()));
        assert!(judge(Some(&last), &bundle(Some(6), true)).is_err());
        assert!(judge(Some(&last), &bundle(Some(8), false)).is_err());
        // And what is proven holds off what is not.
        let last = loaded(&[(Some(7), true)]);
        assert!(judge(Some(&last), &bundle(Some(6), false)).is_err());
    }

    #[test]
    fn one_that_was_allowed_though_it_is_older_is_the_last_from_then_on() {
        let last = loaded(&[(Some(7), true), (Some(6), true)]);
        assert_eq!(judge(Some(&last), &bundle(Some(7), true)), Ok(()));
        assert!(judge(Some(&last), &bundle(Some(5), true)).is_err());
        // Without a serial nothing is forgotten.
        let last = loaded(&[(Some(7), true), (None, true)]);
        assert!(judge(Some(&last), &bundle(Some(6), true)).is_err());
    }

    #[test]
    fn a_record_that_is_damaged_or_of_another_version_is_an_error_and_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::beside(&directory.path().join("site.yaml"));
        assert_eq!(ledger.read().unwrap(), Record::default());
        let texts: [&[u8]; 5] = [
            b"",
            b"{",
            b"{\"version\":2,\"bundles\":{}}",
            b"{\"version\":1,\"bundles\":{},\"more\":1}",
            b"{\"version\":1,\"bundles\":{\"a\":{\"any\":{\"serial\":-1,\"bundle\":\"sha256:00\"}}}}",
        ];
        for text in texts {
            std::fs::write(ledger.path(), text).unwrap();
            assert!(
                matches!(ledger.read(), Err(LedgerError::Damaged { .. })),
                "{text:?}"
            );
        }
        std::fs::remove_file(ledger.path()).unwrap();
        std::fs::create_dir(ledger.path()).unwrap();
        assert!(matches!(ledger.read(), Err(LedgerError::Read { .. })));
    }
}
