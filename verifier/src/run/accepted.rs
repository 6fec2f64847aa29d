//! What became of what the site file accepts. Pure.

use cli::Shown;

use crate::findings::{Outcome, Phrase, phrase};
use crate::report::{AcceptanceEntry, AcceptanceState};
use crate::site::Acceptance;
use crate::suite::Row;

/// Returns what became of each acceptance.
pub(super) fn entries(acceptances: &[Acceptance], rows: &[Row]) -> Vec<AcceptanceEntry> {
    let entry = |acceptance: &Acceptance| AcceptanceEntry {
        id: acceptance.id.clone(),
        host: acceptance.host.as_deref().map(Shown::new),
        subject: acceptance.subject.as_deref().map(Shown::new),
        reason: Shown::new(&acceptance.reason),
        by: Shown::new(&acceptance.by),
        until: acceptance.until.to_string(),
        state: state(acceptance, rows),
    };
    acceptances.iter().map(entry).collect()
}

fn state(acceptance: &Acceptance, rows: &[Row]) -> AcceptanceState {
    if !acceptance.live {
        return AcceptanceState::Expired;
    }
    let is_meant =
        |row: &&Row| row.host == acceptance.host && acceptance.check().is_none_or(|check| check == row.id);
    let has_it = |row: &Row| {
        row.verdict.findings().iter().any(|finding| {
            finding.accepted.is_some()
                && finding.subject.as_deref() == acceptance.subject.as_deref()
                && acceptance
                    .cause()
                    .is_none_or(|cause| cause == finding.cause.id().name())
        })
    };
    let meant: Vec<&Row> = rows.iter().filter(is_meant).collect();
    let is_seen = |row: &&Row| !matches!(row.outcome(), Outcome::Skip | Outcome::Error);
    if meant.iter().any(|row| has_it(row)) {
        AcceptanceState::Matched
    } else if meant.is_empty() || (acceptance.check().is_some() && !meant.iter().any(is_seen)) {
        AcceptanceState::Unseen
    } else {
        AcceptanceState::Unmatched
    }
}

/// Returns what is to be said of those that accepted nothing.
pub(super) fn notes(acceptances: &[Acceptance], rows: &[Row]) -> Vec<Phrase> {
    let note = |acceptance: &Acceptance| {
        let (what, until) = (&acceptance.name(), &acceptance.until);
        Some(match state(acceptance, rows) {
            AcceptanceState::Matched => return None,
            AcceptanceState::Unmatched => phrase::AcceptUnmatched { what }.into(),
            AcceptanceState::Unseen => phrase::AcceptUnseen { what }.into(),
            AcceptanceState::Expired => phrase::AcceptExpired { what, until }.into(),
        })
    };
    acceptances.iter().filter_map(note).collect()
}
