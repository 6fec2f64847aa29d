//! What was not looked at, and why: a verdict is worth no more than what it is about.

use super::markup::Markup;
use crate::findings::phrase;
use crate::report::{Report, wrong};

/// So many reasons, and so many results of each.
const REASONS: usize = 200;
const NAMED: usize = 40;

/// Draws it.
pub(super) fn draw(page: &mut Markup, report: &Report) {
    page.section("unseen", phrase::PaperUnseen);
    let reasons = wrong::unseen(report);
    if !reasons.is_empty() {
        page.raw("<table><caption>");
        page.say(phrase::PaperSkipped);
        page.raw("</caption><thead><tr>");
        page.words("th scope=col", phrase::PaperWhy);
        page.words("th scope=col", phrase::PaperWhich);
        page.raw("</tr></thead><tbody>");
        for (reason, results) in reasons.iter().take(REASONS) {
            page.raw("<tr>");
            page.element("td", reason);
            page.raw("<td>");
            for (at, result) in results.iter().take(NAMED).enumerate() {
                page.raw(if at > 0 { ", <code>" } else { "<code>" });
                page.text(&crate::report::member(result));
                page.raw("</code>");
            }
            if results.len() > NAMED {
                let count = &(results.len() - NAMED);
                page.raw(", ");
                page.say(phrase::PaperMore { count });
            }
            page.raw("</td></tr>\n");
        }
        page.raw("</tbody></table>\n");
    }
    if report.is_partial() {
        page.words("h3", phrase::PaperNotRun);
        page.raw("<p><code>");
        let names = report.not_run.iter().take(REASONS);
        page.text(&names.map(String::as_str).collect::<Vec<_>>().join(" "));
        page.raw("</code></p>\n");
    }
    if !report.untested.is_empty() {
        page.words("h3", phrase::PaperUntested);
        page.raw("<ul>");
        for text in report.untested.iter().take(REASONS) {
            page.element("li", text);
        }
        page.raw("</ul>\n");
    }
    page.raw("</section>\n");
}
