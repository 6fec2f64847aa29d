//! How checks are run: what a check is, what it may ask, the fixtures that several share, the engine.

mod check;
mod ctx;
mod engine;
mod event;
pub mod fixtures;
mod refused;

pub(crate) use check::random;
pub use check::{Check, Expect, Probe, Scope, Seen, Trace};
pub use ctx::{AskFailure, Created, Ctx, CtxParts, Limits, Member, Suite};
pub use engine::{not_run, run};
pub use event::{Event, Events, Row};
pub(crate) use refused::cause_of;
