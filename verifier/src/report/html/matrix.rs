//! All results: checks down, hosts across.

use std::collections::BTreeMap;

use super::markup::{Markup, sign};
use super::wrong::Places;
use crate::findings::{Outcome, phrase};
use crate::report::{Report, ResultEntry, outcome_word};

/// So many hosts fit beside each other on paper.
const ACROSS: usize = 14;
/// So many cells are drawn; the CSV has every result.
const CELLS: usize = 30_000;

/// Draws them. `places` says which card tells of a result.
pub(super) fn draw(page: &mut Markup, report: &Report, places: &Places) {
    page.section("results", phrase::PaperResults);
    legend(page);
    cluster(page, report, places);
    let mut checks: Vec<&str> = Vec::new();
    let mut hosts: Vec<&str> = report.hosts.iter().map(|host| host.name.as_str()).collect();
    let mut cells: BTreeMap<(&str, &str), (usize, &ResultEntry)> = BTreeMap::new();
    for (at, result) in report.results.iter().enumerate() {
        let Some(host) = result.host.as_deref() else {
            continue;
        };
        if cells.len() >= CELLS {
            break;
        }
        cells.entry((&result.id, host)).or_insert((at, result));
    }
    for (check, host) in cells.keys() {
        if !checks.contains(check) && checks.len() < 500 {
            checks.push(check);
        }
        if !hosts.contains(host) && hosts.len() < 1000 {
            hosts.push(host);
        }
    }
    let mut drawn = 0;
    for part in hosts.chunks(ACROSS) {
        drawn += checks.len() * part.len();
        if checks.is_empty() || drawn > CELLS {
            break;
        }
        table(page, &checks, part, &cells, places);
    }
    page.raw("</section>\n");
}

fn legend(page: &mut Markup) {
    page.raw("<p class=legend>");
    for outcome in [
        Outcome::Pass,
        Outcome::Accepted,
        Outcome::Warn,
        Outcome::Fail,
        Outcome::Error,
        Outcome::Skip,
    ] {
        page.badge(outcome);
        page.raw(" ");
    }
    page.raw("</p>\n");
}

/// Draws what is of the cluster as a whole.
fn cluster(page: &mut Markup, report: &Report, places: &Places) {
    page.raw("<table class=whole><caption>");
    page.say(phrase::PaperWholeCluster);
    page.raw("</caption><tbody>");
    let all = report
        .results
        .iter()
        .enumerate()
        .filter(|(_, result)| result.host.is_none());
    for (at, result) in all.take(500) {
        page.raw("<tr><td>");
        match places.get(&at) {
            Some(card) => {
                page.raw(&format!("<a href=#w-{card}>"));
                page.badge(result.outcome);
                page.raw("</a>");
            }
            None => page.badge(result.outcome),
        }
        page.raw("</td><th scope=row>");
        page.text(&result.id);
        page.raw("</th>");
        page.element("td", &result.summary);
        page.raw("</tr>\n");
    }
    page.raw("</tbody></table>\n");
}

fn table(
    page: &mut Markup,
    checks: &[&str],
    hosts: &[&str],
    cells: &BTreeMap<(&str, &str), (usize, &ResultEntry)>,
    places: &Places,
) {
    page.raw("<table class=matrix><caption>");
    page.say(phrase::PaperByHost);
    page.raw("</caption><thead><tr><td></td>");
    for host in hosts {
        page.element("th scope=col", host);
    }
    page.raw("</tr></thead><tbody>");
    for check in checks {
        page.raw("<tr>");
        page.element("th scope=row", check);
        for host in hosts {
            match cells.get(&(*check, *host)) {
                Some((at, result)) => cell(page, result, places.get(at).copied()),
                None => page.raw("<td></td>"),
            }
        }
        page.raw("</tr>\n");
    }
    page.raw("</tbody></table>\n");
}

fn cell(page: &mut Markup, result: &ResultEntry, card: Option<usize>) {
    let outcome = result.outcome;
    page.raw(&format!("<td class={}>", outcome.word()));
    if let Some(card) = card {
        page.raw(&format!("<a href=#w-{card}>"));
    }
    page.raw("<span aria-hidden=true>");
    page.raw(sign(outcome));
    page.raw("</span><span class=v>");
    page.say(outcome_word(outcome));
    page.raw("</span>");
    if card.is_some() {
        page.raw("</a>");
    }
    page.raw("</td>");
}
