//! How checks are run: what a check is, what it may ask, the fixtures that several share, the engine.

mod accept;
mod check;
mod coming;
mod ctx;
mod engine;
mod etcd;
mod event;
mod facts;
mod failure;
pub mod fixtures;
mod keeping;
pub(crate) mod listening;
mod refused;
mod scope;
pub(crate) mod servers;
mod still;
mod strangers;

pub(crate) use check::random;
pub use check::{Check, Expect, Lists, ListsImages, Probe, Trace};
pub(crate) use coming::{Coming, NotCome, take as take_snapshot};
pub use ctx::{AGAIN, Created, Ctx, CtxParts, Limits, Member, Suite, When};
pub use engine::{not_run, run};
pub use etcd::{Giver, givers};
pub(crate) use etcd::{endpoints, etcd_status, etcd_tls, is_loopback};
pub use event::{Event, Events, Row};
pub use facts::{Facts, Kept, Seen};
pub use failure::AskFailure;
pub(crate) use keeping::KeptSnapshot;
pub(crate) use refused::{cause_of, dead_webhook};
pub use scope::{Motion, Scope};
pub use servers::{Server, Silent, through, through_place};
pub(crate) use strangers::others as other_strangers;
