//! What checks come to, as values: causes by their ids, findings, verdicts, evidence, and the words for them. No I/O.

pub mod catalogue;
mod causes;
mod evidence;
mod finding;
#[cfg(test)]
mod glossary;
mod logins;
mod phrases;
mod register;
mod retold;

pub use catalogue::Lang;
pub use causes::{Cause, CauseId, cause};
pub use evidence::{Evidence, Line};
pub use finding::{Accepted, Finding, Judged, Outcome, Severity, Unjudged, Verdict};
pub use logins::{Login, Logins, Setting};
pub use phrases::{Phrase, PhraseId, phrase};
pub use retold::retold;

#[cfg(test)]
mod nasty;
