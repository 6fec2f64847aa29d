//! What is said of who made a bundle.

use bundle::{Origin, Signed};
use cli::Shown;

use crate::findings::{Phrase, phrase};

/// Returns what is said of who made a bundle.
pub fn provenance(origin: &Origin) -> Phrase {
    match &origin.signed {
        Signed::Not if origin.pinned => phrase::BundleExpected.into(),
        Signed::Not => phrase::BundleUnsigned.into(),
        Signed::Unknown { reason } => phrase::BundleSignatureUnknown {
            reason: &Shown::new(reason),
        }
        .into(),
        Signed::Unverified { key } => phrase::BundleUnverified { key }.into(),
        Signed::By(signer) => phrase::BundleSignedBy {
            signer: &Shown::new(signer),
        }
        .into(),
    }
}
