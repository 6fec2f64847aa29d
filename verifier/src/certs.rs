//! Certificates as one model: what each says, who signed whom, who uses it and for what. Pure: values in, values out, the
//! time is an argument. The agent finds them, the checks of the group `certs` judge them, reports list them.

mod certificate;
mod chain;
mod contents;
mod days;
mod der;
mod elsewhere;
mod key;
mod listed;
mod pem;
mod purpose;
mod scene;
mod signature;

pub use certificate::{Certificate, KeyKind, Usages};
pub use chain::{Chain, chain};
pub(crate) use contents::{Contents, Found, of_pem};
pub use days::{Age, Days, Moment, date};
pub use elsewhere::{Distant, Elsewhere, Trusted, host_of, servers};
pub use listed::{Listed, Standing};
pub use purpose::{Purpose, key_of, purpose};
pub use scene::{KeyAt, Place, Scene, Use, read};
pub use signature::Signed;
