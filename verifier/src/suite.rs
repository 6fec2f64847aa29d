//! How checks are run: what a check is, what it may ask, the fixtures that several share, the engine.

mod check;
mod ctx;
mod engine;
pub mod fixtures;

pub(crate) use check::random;
pub use check::{About, Check, CheckText, Expect, Probe, Scope};
pub(crate) use ctx::cause_of;
pub use ctx::{Created, Ctx, CtxParts, Member, Suite};
pub use engine::{Event, Events, Limits, Row, not_run, run};
