//! Certificates as one model: what each says, who signed whom, who uses it and for what. Pure: values in, values out, the
//! time is an argument. The agent finds them, the checks of the group `certs` judge them, reports list them.

mod certificate;
mod chain;
mod contents;
mod days;
mod der;
mod elsewhere;
mod key;
mod layouts;
mod limits;
mod listed;
mod pem;
mod purpose;
mod refused;
mod scene;
mod signature;

pub use certificate::{Certificate, KeyKind, Usages};
pub use chain::{Chain, Rule, Wanted, chain};
pub(crate) use contents::{Contents, Found, of_pem};
pub use days::{Age, Days, Moment, date, seconds};
pub use elsewhere::{Distant, Elsewhere, Trusted, host_of, server, servers};
pub use layouts::is_of_api;
pub use limits::Limits;
pub use listed::{Listed, Standing};
pub use purpose::{Part, Purpose, key_of, part, purpose};
pub use refused::Refused;
pub use scene::{KeyAt, Place, Scene, Use, read};
pub use signature::Signed;
