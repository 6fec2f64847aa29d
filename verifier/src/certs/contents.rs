//! What is in a file or a Secret: things of PEM, and the parts of a kubeconfig.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{key, pem};
use crate::protocol::{ItemFacts, KubeconfigParts};

/// A thing in a file; certificates whole.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// A certificate's DER.
    Certificate(Vec<u8>),
    /// Anything else.
    Item(ItemFacts),
}

/// What a file holds, and where in it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Contents {
    /// The things.
    pub(crate) found: Vec<(Option<String>, Found)>,
    /// The parts of a kubeconfig.
    pub(crate) kubeconfig: Option<KubeconfigParts>,
}

impl Contents {
    /// Returns whether there is nothing of interest in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.kubeconfig.is_none()
    }

    /// Adds what stands in a field as base64, at a place.
    pub(crate) fn embedded(&mut self, at: &str, name: &str, text: &str) {
        let text: String = text.split_whitespace().collect();
        let things = STANDARD
            .decode(text)
            .map(|bytes| of_pem(&bytes, true))
            .unwrap_or_default();
        if things.is_empty() {
            let broken = Found::Item(ItemFacts::Broken(name.to_owned()));
            self.found.push((Some(at.to_owned()), broken));
        }
        let things = things.into_iter().map(|found| (Some(at.to_owned()), found));
        self.found.extend(things);
    }
}

/// Returns the things of PEM in a text. Where it is PEM and nothing else, what Go does not find in it is broken; in YAML
/// blocks stand to the right.
pub(crate) fn of_pem(bytes: &[u8], alone: bool) -> Vec<Found> {
    let blocks = pem::blocks(bytes).into_iter();
    blocks.map(|block| thing(block, alone)).collect()
}

fn thing(block: pem::Block, alone: bool) -> Found {
    let broken = |label: String| Found::Item(ItemFacts::Broken(label));
    match block.label.as_str() {
        "CERTIFICATE" => match block.bytes {
            Some(der) if !(alone && block.pushed) => Found::Certificate(der.to_vec()),
            _ => broken(block.label),
        },
        // openssl reads these as certificates, and nothing that is written in Go does.
        "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => broken(block.label),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => match key::public(&block) {
            Some(public) => Found::Item(ItemFacts::PublicKey(public)),
            None => broken(block.label),
        },
        _ => Found::Item(match key::facts(&block) {
            Some(Ok(_)) if alone && block.pushed => ItemFacts::Broken(block.label),
            Some(Ok(key)) => ItemFacts::Key(key),
            Some(Err(())) => ItemFacts::Broken(block.label),
            None => ItemFacts::Other(block.label),
        }),
    }
}
