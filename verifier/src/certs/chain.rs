//! Whether a certificate chains to one of some others, over what stands beside it, as Go's crypto/x509 decides.

use super::{Certificate, Signed};

/// A chain is no longer than this.
const LONGEST: usize = 8;
/// So many steps are tried: bundles with many authorities of one name have no end of ways.
const STEPS: usize = 512;

/// How a certificate chains to what is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain<'a> {
    /// It does.
    Whole,
    /// It does by names and key ids; its signatures cannot be checked here.
    Unchecked,
    /// It would, but for a rule that an authority above it breaks.
    Refused(&'a Certificate, Rule),
    /// Something that is trusted has the issuer's name, and another key.
    OtherKey(&'a Certificate),
    /// Nothing that is trusted, or stands beside it, has the issuer's name.
    Unknown(&'a Certificate),
}

/// A rule that authorities break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is no authority.
    NoAuthority,
    /// It may not sign certificates.
    MaySignNone,
    /// More authorities stand below it than it allows.
    PathLength,
    /// What it signed has names that it does not allow.
    Names,
    /// What it signed is used for what it is not issued for.
    Usage,
}

impl Rule {
    /// Returns the rule in the words of its field.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoAuthority => "basicConstraints CA:TRUE",
            Self::MaySignNone => "keyUsage keyCertSign",
            Self::PathLength => "basicConstraints pathlen",
            Self::Names => "nameConstraints",
            Self::Usage => "extendedKeyUsage",
        }
    }
}

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// As a server.
    pub server: bool,
    /// As a client.
    pub client: bool,
}

/// Returns how a certificate that is used so chains to one of `trusted`, over `beside`.
pub fn chain<'a>(
    leaf: &'a Certificate,
    beside: &[&'a Certificate],
    trusted: &[&'a Certificate],
    wanted: Wanted,
) -> Chain<'a> {
    let mut search = Search {
        beside,
        trusted,
        wanted,
        refused: None,
        last: leaf,
        steps: STEPS,
    };
    if let Some(found) = search.walk(&mut vec![leaf], false) {
        return found;
    }
    if let Some((authority, rule)) = search.refused {
        return Chain::Refused(authority, rule);
    }
    let last = search.last;
    let same = trusted.iter().find(|anchor| last.names_as_issuer(anchor));
    same.map_or(Chain::Unknown(last), |anchor| Chain::OtherKey(anchor))
}

struct Search<'a, 'b> {
    beside: &'b [&'a Certificate],
    trusted: &'b [&'a Certificate],
    wanted: Wanted,
    /// The first that broke a rule.
    refused: Option<(&'a Certificate, Rule)>,
    /// The last one that the way led to.
    last: &'a Certificate,
    steps: usize,
}

impl<'a> Search<'a, '_> {
    /// Goes on from the end of a chain.
    fn walk(&mut self, way: &mut Vec<&'a Certificate>, unchecked: bool) -> Option<Chain<'a>> {
        let current = *way.last()?;
        let is = |other: &&Certificate| other.fingerprint == current.fingerprint;
        if self.trusted.iter().any(is) {
            return Some(done(unchecked));
        }
        let (trusted, beside) = (self.trusted, self.beside);
        for anchor in trusted {
            let signed = current.signed_by(anchor);
            if signed != Signed::No && self.keeps(anchor, way) {
                return Some(done(unchecked || signed == Signed::Unchecked));
            }
        }
        for next in beside {
            let signed = current.signed_by(next);
            let again = way.iter().any(|known| known.fingerprint == next.fingerprint);
            if signed == Signed::No || again || way.len() >= LONGEST || self.steps == 0 {
                continue;
            }
            self.steps -= 1;
            if !self.keeps(next, way) {
                continue;
            }
            self.last = next;
            way.push(next);
            let found = self.walk(way, unchecked || signed == Signed::Unchecked);
            way.pop();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Returns whether an authority may stand above these; keeps the first rule that is broken.
    fn keeps(&mut self, authority: &'a Certificate, below: &[&'a Certificate]) -> bool {
        let broken = broken(authority, below, self.wanted);
        if let Some(rule) = broken {
            self.refused.get_or_insert((authority, rule));
        }
        broken.is_none()
    }
}

const fn done(unchecked: bool) -> Chain<'static> {
    if unchecked { Chain::Unchecked } else { Chain::Whole }
}

fn broken(authority: &Certificate, below: &[&Certificate], wanted: Wanted) -> Option<Rule> {
    let between = below.len().saturating_sub(1);
    let within = |limits: &super::Limits| below.iter().all(|certificate| limits.allow(certificate));
    if authority.version >= 3 && !authority.is_ca {
        Some(Rule::NoAuthority)
    } else if authority.may_sign == Some(false) {
        Some(Rule::MaySignNone)
    } else if authority.path_length.is_some_and(|most| between > most as usize) {
        Some(Rule::PathLength)
    } else if !authority.limits.as_ref().is_none_or(within) {
        Some(Rule::Names)
    } else if !authority.is_for(wanted.server, wanted.client) {
        Some(Rule::Usage)
    } else {
        None
    }
}
