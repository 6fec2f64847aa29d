//! What changed, in words: a line each.

use std::fmt::Write as _;

use super::{CertificateSide, FieldChange, ReportDiff};
use crate::findings::{Lang, Phrase, catalogue, phrase};

/// Returns the changes as lines.
pub(super) fn text(diff: &ReportDiff, lang: Lang) -> String {
    let say = |phrase: Phrase| catalogue::say(phrase, lang);
    let mut out = String::new();
    // Writing to a String cannot fail.
    for (side, label) in [
        (&diff.before, Phrase::from(phrase::DiffBefore)),
        (&diff.after, phrase::DiffAfter.into()),
    ] {
        let bundle = side.bundle.as_deref().unwrap_or("-");
        let (outcome, started) = (side.outcome.word(), &side.started);
        let _ = writeln!(
            out,
            "{}: {started} {outcome}, {}, {bundle}",
            say(label),
            side.tool
        );
    }
    match diff.same_cluster {
        Some(true) => {}
        Some(false) => out += &(say(phrase::DiffOtherCluster.into()) + "\n"),
        None => out += &(say(phrase::DiffClusterUnknown.into()) + "\n"),
    }
    if diff.is_empty() {
        return out + &say(phrase::DiffNone.into()) + "\n";
    }
    results(&mut out, diff, lang);
    findings(&mut out, diff, lang);
    fields(&mut out, phrase::DiffHosts.into(), &diff.hosts, lang);
    certificates(&mut out, diff, lang);
    fields(&mut out, phrase::DiffImages.into(), &diff.images, lang);
    out
}

fn heading(out: &mut String, phrase: Phrase, lang: Lang) {
    let _ = writeln!(out, "\n{}", catalogue::say(phrase, lang));
}

fn results(out: &mut String, diff: &ReportDiff, lang: Lang) {
    if diff.results.is_empty() {
        return;
    }
    heading(out, phrase::DiffResults.into(), lang);
    for changed in &diff.results {
        let word = |outcome: Option<crate::findings::Outcome>| outcome.map_or("-", |outcome| outcome.word());
        let host = changed.host.as_deref().unwrap_or("-");
        let why = changed
            .text
            .as_ref()
            .map_or(String::new(), |text| format!("  {text}"));
        let _ = writeln!(
            out,
            "{:<7} {:<26} {host:<12} {} -> {}{why}",
            changed.change.word(),
            changed.id,
            word(changed.before),
            word(changed.after)
        );
    }
}

fn findings(out: &mut String, diff: &ReportDiff, lang: Lang) {
    if diff.findings.is_empty() {
        return;
    }
    heading(out, phrase::DiffFindings.into(), lang);
    for changed in &diff.findings {
        let word =
            |severity: Option<crate::findings::Severity>| severity.map_or("-", |severity| severity.word());
        let host = changed.host.as_deref().unwrap_or("-");
        let subject = changed
            .subject
            .as_ref()
            .map_or(String::new(), |subject| format!("{subject}: "));
        let _ = writeln!(
            out,
            "{:<7} {:<26} {host:<12} {} -> {}  {subject}{} ({})",
            changed.change.word(),
            changed.check,
            word(changed.before),
            word(changed.after),
            changed.text,
            changed.cause
        );
    }
}

fn fields(out: &mut String, title: Phrase, all: &[FieldChange], lang: Lang) {
    if all.is_empty() {
        return;
    }
    heading(out, title, lang);
    for changed in all {
        let _ = writeln!(
            out,
            "{:<7} {:<12} {}: {} -> {}",
            changed.change.word(),
            changed.host.as_deref().unwrap_or("-"),
            changed.field,
            changed.before.as_deref().unwrap_or("-"),
            changed.after.as_deref().unwrap_or("-")
        );
    }
}

fn certificates(out: &mut String, diff: &ReportDiff, lang: Lang) {
    if diff.certificates.is_empty() {
        return;
    }
    heading(out, phrase::DiffCertificates.into(), lang);
    for changed in &diff.certificates {
        let side = |side: &Option<CertificateSide>| {
            side.as_ref().map_or_else(
                || "-".to_owned(),
                |side| format!("{} {}", side.not_after, side.standing.word()),
            )
        };
        let _ = writeln!(
            out,
            "{:<7} {:<12} {}: {}: {} -> {}",
            changed.change.word(),
            changed.host.as_deref().unwrap_or("-"),
            changed.place,
            changed.subject,
            side(&changed.before),
            side(&changed.after)
        );
    }
}
