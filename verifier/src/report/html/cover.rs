//! The first page: the verdict, whose cluster it is, the hashes by which bundle and report are known, and room to sign.

use super::markup::Markup;
use super::qr;
use crate::findings::{Outcome, Phrase, catalogue, phrase};
use crate::report::wrong::Wrong;
use crate::report::{Report, outcome_word, verdict, xml};

/// So many things that are wrong stand on the first page.
const BRIEF: usize = 5;

/// Returns what the site is called by: its API server, or its first host.
pub(super) fn site(report: &Report) -> String {
    let server = report.cluster.as_ref().map(|cluster| cluster.server.to_string());
    let host = || report.hosts.first().map(|host| host.name.to_string());
    server.or_else(host).unwrap_or_else(|| "-".to_owned())
}

/// Draws it.
pub(super) fn draw(page: &mut Markup, report: &Report, digest: &str, found: &[Wrong<'_>]) {
    page.raw("<header class=cover>\n");
    page.words("h1", phrase::PaperTitle);
    page.raw(&format!(
        "<p class=\"verdict {}\"><strong>",
        report.outcome.word()
    ));
    page.say(verdict(report.outcome));
    page.raw("</strong>");
    if report.is_partial() {
        let left = &report.not_run.len();
        page.words("span class=partial", phrase::PaperPartial { left });
    }
    page.raw("</p>\n");
    if report.redacted {
        page.words("p class=partial", phrase::PaperRedacted);
    }
    counts(page, report);
    brief(page, found);
    facts(page, report);
    hashes(page, report, digest);
    signatures(page);
    contents(page, report);
    page.raw("</header>\n");
}

fn counts(page: &mut Markup, report: &Report) {
    let counts = report.counts;
    let all = [
        (Outcome::Fail, counts.fail),
        (Outcome::Error, counts.error),
        (Outcome::Warn, counts.warn),
        (Outcome::Accepted, counts.accepted),
        (Outcome::Pass, counts.pass),
        (Outcome::Skip, counts.skip),
    ];
    page.raw("<ul class=counts>");
    for (outcome, count) in all {
        let zero = if count == 0 { " none" } else { "" };
        page.raw(&format!("<li class=\"{}{zero}\"><b>{count}</b> ", outcome.word()));
        page.say(outcome_word(outcome));
        page.raw("</li>");
    }
    page.raw("</ul>\n");
}

/// Names the worst of what is wrong.
fn brief(page: &mut Markup, found: &[Wrong<'_>]) {
    if found.is_empty() {
        return;
    }
    page.raw("<ul class=brief>");
    for (at, wrong) in found.iter().take(BRIEF).enumerate() {
        page.raw("<li>");
        page.badge(wrong.severity.outcome());
        page.raw(&format!(" <a href=#w-{at}>"));
        let text = &wrong.cause.text;
        page.text(&text[..text.floor_char_boundary(180)]);
        page.raw("</a></li>");
    }
    page.raw("</ul>\n");
    if found.len() > BRIEF {
        page.words(
            "p class=cut",
            phrase::PaperMore {
                count: &(found.len() - BRIEF),
            },
        );
    }
}

fn facts(page: &mut Markup, report: &Report) {
    let cluster = report.cluster.as_ref();
    let of = |text: Option<&cli::Shown>| text.map_or_else(|| "-".to_owned(), ToString::to_string);
    let seconds = &format!("{:.1}", report.seconds);
    let took = phrase::PaperSeconds { seconds };
    let rows: [(Phrase, String); 8] = [
        (phrase::PaperCluster.into(), site(report)),
        (
            phrase::PaperVersion.into(),
            of(cluster.and_then(|cluster| cluster.version.as_ref())),
        ),
        (
            phrase::PaperUid.into(),
            of(cluster.and_then(|cluster| cluster.uid.as_ref())),
        ),
        (phrase::PaperHosts.into(), report.hosts.len().to_string()),
        (phrase::PaperStarted.into(), report.started.to_string()),
        (phrase::PaperTook.into(), catalogue::say(took, page.lang())),
        (
            phrase::PaperBy.into(),
            format!("{}@{}", report.by.user, report.by.machine),
        ),
        (
            phrase::PaperTool.into(),
            format!("{}, {}", report.tool, report.run),
        ),
    ];
    page.raw("<dl class=facts>");
    for (name, value) in rows {
        page.raw("<div>");
        page.words("dt", name);
        page.raw("<dd>");
        page.text(&value);
        page.raw("</dd></div>");
    }
    page.raw("</dl>\n");
}

fn hashes(page: &mut Markup, report: &Report, digest: &str) {
    let bundle = report.bundle.as_deref().unwrap_or("-");
    page.raw("<div class=hashes>");
    // What a reader of the code gets is what stands beside it.
    let held = format!(
        "{}\nbundle {bundle}\nreport.json {digest}\n",
        report.outcome.word()
    );
    let label = xml::escaped(&catalogue::say(phrase::PaperQr, page.lang()));
    if let Some(picture) = qr::picture(&held, &label) {
        page.raw(&picture);
    }
    page.raw("<dl>");
    for (name, value) in [
        (Phrase::from(phrase::PaperBundle), bundle),
        (phrase::PaperReport.into(), digest),
    ] {
        page.words("dt", name);
        page.raw("<dd><code>");
        page.text(value);
        page.raw("</code></dd>");
    }
    page.raw("</dl></div>\n");
}

fn signatures(page: &mut Markup) {
    page.raw("<table class=sign><caption>");
    page.say(phrase::PaperSigned);
    page.raw("</caption><thead><tr><td></td>");
    for head in [
        Phrase::from(phrase::PaperName),
        phrase::PaperDate.into(),
        phrase::PaperSignature.into(),
    ] {
        page.words("th scope=col", head);
    }
    page.raw("</tr></thead><tbody>");
    for who in [Phrase::from(phrase::PaperOperator), phrase::PaperInspector.into()] {
        page.raw("<tr>");
        page.words("th scope=row", who);
        page.raw("<td></td><td></td><td></td></tr>");
    }
    page.raw("</tbody></table>\n");
}

fn contents(page: &mut Markup, report: &Report) {
    let mut all: Vec<(&str, Phrase)> = vec![
        ("hosts", phrase::PaperHosts.into()),
        ("wrong", phrase::PaperWrong.into()),
        ("unseen", phrase::PaperUnseen.into()),
    ];
    if crate::report::all_accepted(report).next().is_some() {
        all.insert(2, ("accepted", phrase::PaperAccepted.into()));
    }
    if !report.certificates.is_empty() {
        all.push(("certificates", phrase::PaperCertificates.into()));
    }
    all.push(("nodes", phrase::PaperNodes.into()));
    all.push(("results", phrase::PaperResults.into()));
    let label = xml::escaped(&catalogue::say(phrase::PaperContents, page.lang()));
    page.raw(&format!("<nav aria-label=\"{label}\"><ul>"));
    for (id, words) in all {
        page.raw(&format!("<li><a href=#{id}>"));
        page.say(words);
        page.raw("</a></li>");
    }
    page.raw("</ul></nav>\n");
}
