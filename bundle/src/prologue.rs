//! The members before all others: index, signature, checksums. They are read and judged before anything else is.

use std::sync::Arc;

use serde::Deserialize;

use crate::audit::Expected;
use crate::error::ReadError;
use crate::index::{FORMAT, INDEX_LIMIT, Index};
use crate::order::{INDEX, SIGNATURE, SUMS};
use crate::path::MemberPath;
use crate::trust::{Found as Signature, Judged, Origin, Trust};
use crate::validate::IndexError;
use crate::walk::{Found, Walk};

/// The longest signature that is read, in bytes.
pub(crate) const SIGNATURE_LIMIT: u64 = signatures::SIGNATURE_LIMIT;

/// What the first members say.
pub(crate) struct Prologue {
    pub(crate) expected: Arc<Expected>,
    /// The member `bundle.json.sig`.
    pub(crate) signature: Option<Vec<u8>>,
    pub(crate) origin: Origin,
}

/// The one field that every version of the format has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// Reads the first members: the bytes of the index, the signature, and, once `trust` has judged both and what lies `beside`
/// the bundle, the index itself.
pub(crate) fn read(
    walk: &mut dyn Walk,
    trust: &Trust,
    beside: Vec<Signature>,
) -> Result<Prologue, ReadError> {
    let first = walk.next()?.ok_or_else(|| ReadError::NoBundle {
        reason: "it is without members".to_owned(),
    })?;
    if first.path.as_str() != INDEX {
        return Err(ReadError::NoBundle {
            reason: format!("its first member is {:?}, not {INDEX:?}", first.path),
        });
    }
    if first.size > INDEX_LIMIT {
        return Err(ReadError::IndexTooLarge {
            size: first.size,
            limit: INDEX_LIMIT,
        });
    }
    mode(&first)?;
    let bytes = whole(walk)?;
    let mut found = walk.next()?;
    let mut signature = None;
    if let Some(member) = found.as_ref().filter(|found| found.path.as_str() == SIGNATURE) {
        limit(member, SIGNATURE_LIMIT)?;
        mode(member)?;
        signature = Some(whole(walk)?);
        found = walk.next()?;
    }
    let member = signature.clone().map(Signature::member);
    let judged = trust.judge(bytes, member.into_iter().chain(beside).collect())?;
    let expected = Expected::new(parse(&judged)?, judged.id());
    sums(walk, found, &expected.index)?;
    Ok(Prologue {
        expected: Arc::new(expected),
        signature,
        origin: judged.into_origin(),
    })
}

/// Takes apart what was judged, and nothing else.
fn parse(judged: &Judged) -> Result<Index, ReadError> {
    let bytes = judged.bytes();
    let syntax = |source| ReadError::IndexSyntax { source };
    // The version first, so that a later format is called by its number and not by an unknown field.
    let Version { format } = serde_json::from_slice(bytes).map_err(syntax)?;
    if format != FORMAT {
        return Err(ReadError::Index {
            source: IndexError::Format { found: format },
        });
    }
    let index: Index = serde_json::from_slice(bytes).map_err(syntax)?;
    index.validate().map_err(|source| ReadError::Index { source })?;
    if index.to_json() == bytes {
        Ok(index)
    } else {
        Err(ReadError::NotCanonical)
    }
}

/// SHA256SUMS follows from the index, byte for byte.
fn sums(walk: &mut dyn Walk, found: Option<Found>, index: &Index) -> Result<(), ReadError> {
    let missing = || ReadError::Missing {
        member: MemberPath::known(SUMS),
    };
    let found = found.ok_or_else(missing)?;
    if found.path.as_str() != SUMS {
        return Err(ReadError::Misplaced {
            member: found.path,
            expected: MemberPath::known(SUMS),
        });
    }
    mode(&found)?;
    let expected = index.sha256sums();
    if u64::try_from(expected.len()) != Ok(found.size) || whole(walk)? != expected.as_bytes() {
        return Err(ReadError::Sums);
    }
    Ok(())
}

fn limit(found: &Found, limit: u64) -> Result<(), ReadError> {
    if found.size <= limit {
        Ok(())
    } else {
        Err(ReadError::Header {
            member: found.path.as_str().to_owned(),
            reason: format!("{} bytes, at most {limit} are allowed", found.size),
        })
    }
}

fn mode(found: &Found) -> Result<(), ReadError> {
    match found.mode {
        Some(mode) if mode != 0o644 => Err(ReadError::Mode {
            member: found.path.clone(),
            expected: 0o644,
            found: mode,
        }),
        _ => Ok(()),
    }
}

/// Reads the current file, whose length was looked at, into memory.
fn whole(walk: &mut dyn Walk) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match walk.read(&mut buffer)? {
            0 => return Ok(bytes),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}
