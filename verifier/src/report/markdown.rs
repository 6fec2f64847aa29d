//! Markdown for a ticket: the verdict, each thing that is wrong once with what to do, what was not looked at.

use std::fmt::Write as _;

use super::wrong::{Wrong, unseen, wrong};
use super::{Report, commands};
use crate::findings::{Lang, Phrase, catalogue, phrase};

/// So many things are told, and so much of each: a ticket is read by people, and trackers take 64 KiB.
const TOLD: usize = 40;
const SEEN: usize = 12;
const EVIDENCE_LINES: usize = 15;
const EVIDENCE_BYTES: usize = 1500;
/// With more text than this evidence is left out.
const LONG: usize = 40 << 10;

/// Returns the report as Markdown.
pub(super) fn text(report: &Report, digest: &str, lang: Lang) -> String {
    let say = |phrase: Phrase| catalogue::say(phrase, lang);
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "## {}: {}\n",
        say(phrase::PaperTitle.into()),
        say(super::verdict(report.outcome))
    );
    if report.is_partial() {
        let left = &report.not_run.len();
        let _ = writeln!(out, "**{}**\n", say(phrase::PaperPartial { left }.into()));
    }
    let cluster = report.cluster.as_ref();
    let rows = [
        (
            phrase::PaperCluster.into(),
            cluster.map_or("-", |cluster| &cluster.server),
        ),
        (phrase::PaperStarted.into(), &*report.started.to_string()),
        (
            phrase::PaperBundle.into(),
            report.bundle.as_deref().unwrap_or("-"),
        ),
        (phrase::PaperReport.into(), digest),
        (phrase::PaperTool.into(), &report.tool),
        (phrase::PaperResults.into(), &super::list::counts(report.counts)),
    ];
    out += "| | |\n|---|---|\n";
    for (name, value) in rows {
        let _ = writeln!(out, "| {} | {} |", say(name), cell(value));
    }
    let found = wrong(report);
    for wrong in found.iter().take(TOLD) {
        thing(&mut out, wrong, lang);
    }
    if found.len() > TOLD {
        let count = &(found.len() - TOLD);
        let _ = writeln!(out, "\n{}", say(phrase::PaperMore { count }.into()));
    }
    accepted(&mut out, report, lang);
    not_seen(&mut out, report, lang);
    out
}

fn accepted(out: &mut String, report: &Report, lang: Lang) {
    let say = |phrase: Phrase| catalogue::say(phrase, lang);
    for (at, (result, finding, accepted)) in super::all_accepted(report).take(TOLD).enumerate() {
        if at == 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "\n### {}\n", say(phrase::PaperAccepted.into()));
        }
        let subject = finding.subject.as_deref().map(|subject| format!(" {subject}"));
        let name = super::member(result) + &subject.unwrap_or_default();
        let (text, by) = (plain(&finding.cause.text), plain(&say(super::accepted(accepted))));
        let _ = writeln!(out, "- {}: {text} ({by})", code(&name));
    }
}

fn thing(out: &mut String, wrong: &Wrong<'_>, lang: Lang) {
    let say = |phrase: Phrase| catalogue::say(phrase, lang);
    let _ = writeln!(
        out,
        "\n### {}: {}\n",
        say(super::outcome_word(wrong.severity.outcome())),
        plain(&wrong.cause.text)
    );
    let mut names: Vec<String> = wrong
        .seen
        .iter()
        .take(SEEN)
        .map(|seen| code(&seen.name()))
        .collect();
    if wrong.seen.len() > SEEN {
        let count = &(wrong.seen.len() - SEEN);
        names.push(say(phrase::PaperMore { count }.into()));
    }
    let _ = writeln!(
        out,
        "- {}: {}",
        say(phrase::LabelCause.into()),
        code(&wrong.cause.id)
    );
    let _ = writeln!(out, "- {}: {}", say(phrase::LabelRows.into()), names.join(", "));
    if !wrong.hint.is_empty() {
        let _ = writeln!(out, "- {}: {}", say(phrase::LabelHint.into()), plain(wrong.hint));
    }
    let Some(seen) = wrong.seen.first() else { return };
    let by_hand = commands(&seen.result.by_hand);
    if !seen.result.by_hand.is_empty() {
        let _ = writeln!(
            out,
            "\n{}\n{}",
            say(phrase::FrameByHand.into()),
            fenced(&by_hand.join("\n"))
        );
    }
    for evidence in seen.result.evidence.iter().take(3) {
        if out.len() > LONG {
            break;
        }
        let lines: Vec<&str> = evidence.text.lines().take(EVIDENCE_LINES).collect();
        let mut text = lines.join("\n");
        text.truncate(text.floor_char_boundary(EVIDENCE_BYTES));
        let _ = writeln!(out, "\n{}:\n{}", plain(&evidence.title), fenced(&text));
    }
}

fn not_seen(out: &mut String, report: &Report, lang: Lang) {
    let say = |phrase: Phrase| catalogue::say(phrase, lang);
    let _ = writeln!(out, "\n### {}\n", say(phrase::PaperUnseen.into()));
    for (reason, results) in unseen(report).iter().take(TOLD) {
        let names: Vec<String> = results
            .iter()
            .take(SEEN)
            .map(|result| code(&super::member(result)))
            .collect();
        let more = if results.len() > SEEN { ", ..." } else { "" };
        let _ = writeln!(
            out,
            "- {} x {}: {}{more}",
            results.len(),
            plain(reason),
            names.join(", ")
        );
    }
    if report.is_partial() {
        let _ = writeln!(
            out,
            "- {}: {}",
            say(phrase::PaperNotRun.into()),
            code(&report.not_run.join(" "))
        );
    }
    for text in &report.untested {
        let _ = writeln!(out, "- {}", plain(text));
    }
}

/// Returns a text whose letters mean nothing to Markdown or HTML; ours between backticks stays code.
fn plain(text: &str) -> String {
    let text = text.replace('\n', " ");
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escaped(&text);
    }
    let part = |(at, part): (usize, &&str)| if at % 2 == 0 { escaped(part) } else { code(part) };
    parts.iter().enumerate().map(part).collect()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // `@` and `#` would call people and tickets.
        if "\\`*_{}[]()<>#!|~&@".contains(c) {
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns a text as code. A backtick in it would end it.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("`{}`", text.replace('`', "'").replace('\n', " "))
}

/// Returns a field of a table.
fn cell(text: &str) -> String {
    code(&text.replace('|', "/"))
}

/// Returns lines as a block of code: its fence is longer than any in it.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{}\n{fence}", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Outcome;
    use crate::report::tests::{about, report, row};

    #[test]
    fn a_ticket_says_what_is_wrong_and_what_to_do() {
        let text = text(&report(&[Outcome::Fail, Outcome::Skip]), "sha256:00", Lang::En);
        for part in [
            "`route-missing`",
            "`network.pod-reachable server 10.200.1.0/24`",
            "workload.scale",
            "sha256:00",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn names_from_outside_are_no_markup_and_end_no_block() {
        let nasty = "` | [x](javascript:1) <img src=x> @all #1 ```` ~~~";
        let mut report = Report::new(about(), &[row("network.veth", Some(nasty), Outcome::Fail)]);
        report.results[0].evidence[0].text = format!("````\n{nasty}\n````\n<script>");
        report.results[0].findings[0].cause.text = nasty.to_owned();
        let text = text(&report, "", Lang::En);
        let outside: String = {
            let mut fence: Option<usize> = None;
            let mut kept = String::new();
            for line in text.lines() {
                let ticks = line.chars().take_while(|c| *c == '`').count();
                match fence {
                    None if ticks >= 3 && ticks == line.len() => fence = Some(ticks),
                    Some(open) if ticks >= open && ticks == line.len() => fence = None,
                    None => kept += &line.split('`').step_by(2).collect::<String>(),
                    Some(_) => {}
                }
            }
            assert_eq!(fence, None);
            kept
        };
        assert!(
            !outside.contains("<img") && !outside.contains("](") && !outside.contains("@all"),
            "{outside}"
        );
        assert!(!outside.contains("<script"));
    }
}
