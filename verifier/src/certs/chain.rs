//! Whether a certificate chains to one of some others, over what stands beside it.

use super::{Certificate, Signed};

/// A chain is no longer than this.
const LONGEST: usize = 8;

/// How a certificate chains to what is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain<'a> {
    /// It does.
    Whole,
    /// It does by names and key ids; its signatures cannot be checked here.
    Unchecked,
    /// Something that is trusted has the issuer's name, and another key.
    OtherKey(&'a Certificate),
    /// Nothing that is trusted, or stands beside it, has the issuer's name.
    Unknown(&'a Certificate),
}

/// Returns how a certificate chains to one of `trusted`, over `beside`.
pub fn chain<'a>(
    leaf: &'a Certificate,
    beside: &[&'a Certificate],
    trusted: &[&'a Certificate],
) -> Chain<'a> {
    let mut current = leaf;
    let mut unchecked = false;
    let done = |unchecked| if unchecked { Chain::Unchecked } else { Chain::Whole };
    for _ in 0..LONGEST {
        if trusted
            .iter()
            .any(|anchor| anchor.fingerprint == current.fingerprint)
        {
            return done(unchecked);
        }
        let signs = |other: &&&Certificate| current.signed_by(other) != Signed::No;
        if let Some(anchor) = trusted.iter().find(signs) {
            return done(unchecked || current.signed_by(anchor) == Signed::Unchecked);
        }
        let next = beside
            .iter()
            .find(|other| other.fingerprint != current.fingerprint && signs(other));
        match next {
            Some(next) => {
                unchecked |= current.signed_by(next) == Signed::Unchecked;
                current = next;
            }
            None => break,
        }
    }
    match trusted.iter().find(|anchor| current.names_as_issuer(anchor)) {
        Some(anchor) => Chain::OtherKey(anchor),
        None => Chain::Unknown(current),
    }
}
