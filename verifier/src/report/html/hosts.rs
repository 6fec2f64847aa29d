//! The hosts as a picture: a machine each, with a square for each of its checks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markup::Markup;
use crate::findings::{Outcome, Phrase, phrase};
use crate::report::{HostEntry, Report, outcome_word};

/// How many squares a machine has in a row, and how far they are apart.
const COLUMNS: usize = 12;
const STEP: usize = 9;
/// From the worst to the least interesting.
const ORDER: [Outcome; 6] = [
    Outcome::Fail,
    Outcome::Error,
    Outcome::Warn,
    Outcome::Accepted,
    Outcome::Pass,
    Outcome::Skip,
];
/// With more hosts than this only those that are not well are drawn.
const MANY: usize = 200;

type Tally = BTreeMap<Outcome, usize>;

/// Returns the results of hosts by outcome; what is of the cluster has no name.
pub(super) fn tallies(report: &Report) -> BTreeMap<&str, Tally> {
    let mut all: BTreeMap<&str, Tally> = BTreeMap::new();
    for result in &report.results {
        let host = result.host.as_deref().unwrap_or_default();
        *all.entry(host).or_default().entry(result.outcome).or_default() += 1;
    }
    all
}

/// Draws them: the control plane above, the workers below.
pub(super) fn draw(page: &mut Markup, report: &Report) {
    page.section("hosts", phrase::PaperHosts);
    page.words("p class=legend", phrase::PaperHostsLegend);
    let tallies = tallies(report);
    page.raw("<ul class=machines>");
    page.raw("<li class=cluster>");
    machine(page, None, tallies.get(""));
    page.raw("</li></ul>");
    let serves = |host: &&(usize, &HostEntry)| host.1.roles.iter().any(|role| role != "worker");
    let all: Vec<(usize, &HostEntry)> = report.hosts.iter().enumerate().collect();
    let (servers, workers): (Vec<_>, Vec<_>) = all.iter().partition(|host| serves(host));
    let groups: [(Phrase, Vec<(usize, &HostEntry)>); 2] = [
        (phrase::PaperControlPlane.into(), servers),
        (phrase::PaperWorkers.into(), workers),
    ];
    for (name, hosts) in groups {
        if hosts.is_empty() {
            continue;
        }
        page.words("h3", name);
        page.raw("<ul class=machines>");
        for (at, host) in hosts.into_iter().take(MANY) {
            page.raw("<li>");
            machine(page, Some((at, host)), tallies.get(host.name.as_str()));
            page.raw("</li>");
        }
        page.raw("</ul>\n");
    }
    page.raw("</section>\n");
}

fn machine(page: &mut Markup, host: Option<(usize, &HostEntry)>, tally: Option<&Tally>) {
    let nothing = Tally::new();
    let tally = tally.unwrap_or(&nothing);
    let worst = ORDER.into_iter().find(|outcome| tally.contains_key(outcome));
    let class = worst.map_or("none", Outcome::word);
    let open = match host {
        Some((at, _)) => format!("a class=\"machine {class}\" href=#m-{at}"),
        None => format!("a class=\"machine {class}\" href=#results"),
    };
    page.raw(&format!("<{open}>"));
    squares(page, tally);
    match host {
        Some((_, host)) => {
            page.element("b", &host.name);
            page.element("span", &format!("{} · {}", host.address, host.roles.join(", ")));
        }
        None => page.words("b", phrase::PaperWholeCluster),
    }
    page.raw("<span class=tally>");
    let some = ORDER
        .into_iter()
        .filter_map(|outcome| Some((outcome, *tally.get(&outcome)?)));
    for (at, (outcome, count)) in some.enumerate() {
        page.raw(if at > 0 { ", " } else { "" });
        page.raw(&format!("<span class={}>{count} ", outcome.word()));
        page.say(outcome_word(outcome));
        page.raw("</span>");
    }
    if worst.is_none() {
        page.say(phrase::PaperNothingLooked);
    }
    page.raw("</span>");
    page.close(&open);
}

/// Draws the squares: one path for each outcome. What is wrong stands out by its form too.
fn squares(page: &mut Markup, tally: &Tally) {
    let total: usize = tally.values().sum();
    let rows = total.div_ceil(COLUMNS).clamp(1, 12);
    let (width, height) = (COLUMNS * STEP + 3, rows * STEP + 3);
    let mut out =
        format!("<svg aria-hidden=true viewBox=\"0 0 {width} {height}\" width={width} height={height}>");
    let mut at = 0;
    for outcome in ORDER {
        let mut path = String::new();
        for _ in 0..tally.get(&outcome).copied().unwrap_or_default() {
            let (x, y) = (3 + at % COLUMNS * STEP, 3 + at / COLUMNS * STEP);
            at += 1;
            if at > COLUMNS * 12 {
                break;
            }
            // Writing to a String cannot fail.
            let _ = match outcome {
                // A cross, two lines, a triangle, a ring, a full and a small square.
                Outcome::Fail => write!(path, "M{x} {y}l6 6m0-6l-6 6"),
                Outcome::Accepted => write!(path, "M{x} {}h6M{x} {}h6", y + 1, y + 5),
                Outcome::Warn => write!(path, "M{} {y}l3 6h-6z", x + 3),
                Outcome::Error | Outcome::Pass => write!(path, "M{x} {y}h6v6h-6z"),
                Outcome::Skip => write!(path, "M{x} {}h6", y + 3),
            };
        }
        if !path.is_empty() {
            let _ = write!(out, "<path class=\"s {}\" d=\"{path}\"/>", outcome.word());
        }
    }
    page.raw(&out);
    page.raw("</svg>");
}
