//! The report as a page: one self-contained file without script, whose reading causes no request. It is made for the screen
//! and for paper: an operator prints it, an inspector signs it.
//!
//! Whatever a report holds, the page stays small: what is cut says so, and lies whole in evidence/ and report.json.

mod certificates;
mod cover;
mod hosts;
mod images;
mod markup;
mod matrix;
mod nodes;
mod qr;
mod unseen;
mod way;
mod wrong;

use markup::{Markup, css};

use super::Report;
use crate::findings::{Lang, catalogue, phrase};

const STYLE: &str = include_str!("html/style.css");

/// Returns the page. `digest` is that of its report.json.
pub(super) fn page(report: &Report, digest: &str, lang: Lang) -> String {
    let mut page = Markup::new(lang);
    head(&mut page, report, digest);
    page.raw("<body>\n<a class=jump href=#main>");
    page.say(phrase::PaperJump);
    page.raw("</a>\n");
    let found = super::wrong::wrong(report);
    cover::draw(&mut page, report, digest, &found);
    page.raw("<main id=main>\n");
    hosts::draw(&mut page, report);
    let places = wrong::draw(&mut page, report, &found);
    unseen::draw(&mut page, report);
    certificates::draw(&mut page, report);
    images::draw(&mut page, report);
    nodes::draw(&mut page, report);
    matrix::draw(&mut page, report, &places);
    page.raw("</main>\n<footer><p>");
    page.say(phrase::PaperFoot { tool: &report.tool });
    page.raw("</p></footer>\n</body>\n</html>\n");
    page.into_text()
}

fn head(page: &mut Markup, report: &Report, digest: &str) {
    let lang = page.lang();
    let code = if lang == Lang::Ko { "ko" } else { "en" };
    page.raw("<!DOCTYPE html>\n<html lang=");
    page.raw(code);
    page.raw(
        "><head><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=color-scheme content=\"light dark\"><meta name=referrer content=no-referrer><title>",
    );
    let verdict = catalogue::say(super::verdict(report.outcome), lang);
    let title = catalogue::say(phrase::PaperTitle, lang);
    page.text(&format!("{verdict}: {title}, {}", cover::site(report)));
    page.raw("</title><style>\n");
    page.raw(STYLE);
    // The header and the foot of every page of paper.
    let bundle = report.bundle.as_deref().map_or("-", |bundle| short(bundle));
    let partial = if report.is_partial() {
        format!(" · {}", catalogue::say(phrase::PaperPartialShort, lang))
    } else {
        String::new()
    };
    let corners = [
        (
            "top-left",
            format!("{verdict}{partial} · {}", cover::site(report)),
        ),
        ("top-right", report.started.to_string()),
        (
            "bottom-left",
            format!("bundle {bundle} · report.json {}", short(digest)),
        ),
    ];
    page.raw("@page{");
    for (corner, text) in corners {
        page.raw(&format!("@{corner}{{content:\"{}\"}}", css(&text)));
    }
    page.raw("}\n</style></head>\n");
}

/// Returns the beginning of a digest, enough to tell it from others at a glance.
fn short(digest: &str) -> &str {
    let end = digest.len().min("sha256:".len() + 16);
    &digest[..digest.floor_char_boundary(end)]
}

#[cfg(test)]
mod tests;
