//! What checks come to, as values: causes by their ids, findings, verdicts, evidence, and the words for them. No I/O.

pub mod catalogue;
mod causes;
mod verdict;

pub use catalogue::Lang;
pub use causes::{Cause, CauseId};
pub use verdict::{Evidence, Finding, Outcome, Trouble, Verdict};
