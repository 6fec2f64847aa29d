//! What is wrong, the worst first: a card each with its cause, what to do, what shows it, how to redo it by hand, evidence.

use std::collections::BTreeMap;

use super::markup::Markup;
use super::way;
use crate::findings::{Outcome, catalogue, phrase};
use crate::report::wrong::{Seen, Wrong};
use crate::report::{Report, ResultEntry, all_accepted, commands, member};

/// So many things have a card; the others have a row.
const CARDS: usize = 120;
const ROWS: usize = 1500;
const SEEN: usize = 60;
/// How much evidence a card shows, and all of them together, in bytes.
const EVIDENCE: usize = 6 << 10;
const EVIDENCE_LINES: usize = 40;
const EVIDENCE_ALL: usize = 1 << 20;
/// How much of a sentence a row shows.
const SENTENCE: usize = 300;

/// By the place of a result in the report: the card that tells of it.
pub(super) type Places = BTreeMap<usize, usize>;

/// Draws them.
pub(super) fn draw(page: &mut Markup, report: &Report, found: &[Wrong<'_>]) -> Places {
    page.section("wrong", phrase::PaperWrong);
    let mut places = Places::new();
    if found.is_empty() {
        page.words("p", phrase::PaperNothingWrong);
    }
    let begin = page.len();
    for (at, wrong) in found.iter().take(CARDS).enumerate() {
        for seen in &wrong.seen {
            places.entry(seen.at).or_insert(at);
        }
        // What a result shows is told once, by the first card that tells of it.
        let own = wrong.seen.iter().find(|seen| places.get(&seen.at) == Some(&at));
        let lead = wrong.seen.first().and_then(|seen| places.get(&seen.at)).copied();
        let room = page.len() - begin < EVIDENCE_ALL;
        open(page, wrong, at);
        if let Some(own) = own {
            way::draw(page, report, own.result, wrong.cause);
        }
        seen(page, wrong);
        match (own, lead) {
            (Some(own), _) => shown(page, own.result, room),
            (None, Some(lead)) => together(page, found, lead),
            (None, None) => {}
        }
        page.raw("</article>\n");
    }
    if found.len() > CARDS {
        rows(page, &found[CARDS..]);
    }
    page.raw("</section>\n");
    accepted(page, report);
    places
}

/// Lists what is accepted, with who answers for it.
fn accepted(page: &mut Markup, report: &Report) {
    let mut all = all_accepted(report).peekable();
    if all.peek().is_none() {
        return;
    }
    page.section("accepted", phrase::PaperAccepted);
    page.raw("<ul class=accepted>");
    for (result, finding, accepted) in all.take(ROWS) {
        page.raw("<li>");
        page.badge(Outcome::Accepted);
        page.raw(" <code>");
        page.text(&member(result));
        if let Some(subject) = &finding.subject {
            page.text(" ");
            page.text(subject);
        }
        page.raw("</code> ");
        page.text(&finding.cause.text);
        page.raw(" · ");
        page.say(crate::report::accepted(accepted));
        page.raw("</li>\n");
    }
    page.raw("</ul></section>\n");
}

/// Begins a card: what is wrong, and what to do.
fn open(page: &mut Markup, wrong: &Wrong<'_>, at: usize) {
    let outcome = wrong.severity.outcome();
    page.raw(&format!(
        "<article class=\"card {}\" id=w-{at} aria-labelledby=t-{at}><h3 id=t-{at}>",
        outcome.word()
    ));
    page.badge(outcome);
    page.raw(" ");
    page.element("span", &wrong.cause.text);
    page.raw("</h3>\n");
    if !wrong.hint.is_empty() {
        page.raw("<p class=hint><b>");
        page.say(phrase::PaperDo);
        page.raw("</b> ");
        page.element("span", wrong.hint);
        page.raw("</p>\n");
    }
}

/// Says how to redo a result, and what it saw.
fn shown(page: &mut Markup, result: &ResultEntry, room: bool) {
    by_hand(page, result);
    if room {
        evidence(page, result);
    } else {
        page.words("p class=cut", phrase::PaperEvidenceElsewhere);
    }
}

/// Leads to the card that tells of the same results.
fn together(page: &mut Markup, found: &[Wrong<'_>], lead: usize) {
    page.raw("<p class=seen><b>");
    page.say(phrase::PaperTogether);
    page.raw(&format!("</b> <a href=#w-{lead}>"));
    let text = &found[lead].cause.text;
    page.text(&text[..text.floor_char_boundary(SENTENCE)]);
    page.raw("</a></p>\n");
}

fn seen(page: &mut Markup, wrong: &Wrong<'_>) {
    page.raw("<p class=seen><b>");
    page.say(phrase::LabelRows);
    page.raw("</b> ");
    for (at, seen) in wrong.seen.iter().take(SEEN).enumerate() {
        page.raw(if at > 0 { ", " } else { "" });
        page.raw("<code>");
        page.text(&seen.name());
        page.raw("</code>");
    }
    if wrong.seen.len() > SEEN {
        let count = &(wrong.seen.len() - SEEN);
        page.raw(", ");
        page.say(phrase::PaperMore { count });
    }
    page.raw(" · <b>");
    page.say(phrase::LabelCause);
    page.raw("</b> <code>");
    page.text(&wrong.cause.id);
    page.raw("</code></p>\n");
}

fn by_hand(page: &mut Markup, result: &ResultEntry) {
    if !result.by_hand.is_empty() {
        page.words("h4", phrase::FrameByHand);
        page.lines(&commands(&result.by_hand).join("\n"));
    }
    let explained = catalogue::explain(&result.id, page.lang());
    if explained.is_empty() {
        return;
    }
    page.raw("<details><summary>");
    page.say(phrase::PaperAbout { check: &result.id });
    page.raw("</summary>");
    for paragraph in explained.split("\n\n") {
        page.element("p", paragraph);
    }
    page.raw("</details>\n");
}

fn evidence(page: &mut Markup, result: &ResultEntry) {
    if result.evidence.is_empty() {
        return;
    }
    page.words("h4", phrase::PaperEvidence);
    let mut room = EVIDENCE;
    for evidence in &result.evidence {
        let lines: Vec<&str> = evidence.text.lines().take(EVIDENCE_LINES).collect();
        let mut text = lines.join("\n");
        text.truncate(text.floor_char_boundary(room));
        room -= text.len();
        page.raw("<figure><figcaption>");
        page.text(&evidence.title);
        page.raw("</figcaption>");
        page.lines(&text);
        if text.len() < evidence.text.trim_end().len() {
            page.words("p class=cut", phrase::PaperEvidenceElsewhere);
        }
        page.raw("</figure>\n");
        if room < 200 {
            break;
        }
    }
}

fn rows(page: &mut Markup, found: &[Wrong<'_>]) {
    page.raw("<table class=more><caption>");
    page.say(phrase::PaperMore { count: &found.len() });
    page.raw("</caption><tbody>");
    for wrong in found.iter().take(ROWS) {
        page.raw("<tr><td>");
        page.badge(wrong.severity.outcome());
        page.raw("</td><td>");
        let end = wrong.cause.text.floor_char_boundary(SENTENCE);
        page.text(&wrong.cause.text[..end]);
        page.raw("</td><td>");
        let name = wrong.seen.first().map(Seen::name).unwrap_or_default();
        page.text(&name[..name.floor_char_boundary(SENTENCE)]);
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody></table>\n");
    if found.len() > ROWS {
        page.words(
            "p class=cut",
            phrase::PaperMore {
                count: &(found.len() - ROWS),
            },
        );
    }
}
