//! Each host: what it is, its network, its processes and its images, as the checks saw them.

use super::hosts::tallies;
use super::markup::Markup;
use crate::findings::{Outcome, Phrase, phrase};
use crate::report::{HostEntry, Report, ResultEntry, held};

/// With more hosts than this their pictures are folded.
const OPEN: usize = 4;
/// So much of a host is drawn: lines of each picture, letters of a line.
const LINES: usize = 70;
const LETTERS: usize = 110;
/// So many hosts are told of.
const HOSTS: usize = 500;
/// How large all of them may become, in bytes.
const ALL: usize = 2 << 20;

/// Draws them.
pub(super) fn draw(page: &mut Markup, report: &Report) {
    page.section("nodes", phrase::PaperNodes);
    images(page, report);
    let tallies = tallies(report);
    let begin = page.len();
    for (at, host) in report.hosts.iter().enumerate().take(HOSTS) {
        page.raw(&format!("<article class=node id=m-{at} aria-labelledby=n-{at}>"));
        page.element(&format!("h3 id=n-{at}"), &host.name);
        facts(page, host);
        if let Some(tally) = tallies.get(host.name.as_str()) {
            page.raw("<p class=seen>");
            for (outcome, count) in tally {
                page.badge(*outcome);
                page.raw(&format!(" {count} "));
            }
            page.raw("</p>\n");
        }
        if page.len() - begin < ALL {
            pictures(page, report, host);
        }
        page.raw("</article>\n");
    }
    if report.hosts.len() > HOSTS {
        page.words(
            "p class=cut",
            phrase::PaperMore {
                count: &(report.hosts.len() - HOSTS),
            },
        );
    }
    page.raw("</section>\n");
}

fn facts(page: &mut Markup, host: &HostEntry) {
    let of = |text: &Option<cli::Shown>| text.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let rows: [(Phrase, String); 6] = [
        (phrase::PaperAddress.into(), host.address.to_string()),
        (phrase::PaperRoles.into(), host.roles.join(", ")),
        (phrase::PaperKubelet.into(), of(&host.kubelet)),
        (phrase::PaperRuntime.into(), of(&host.runtime)),
        (phrase::PaperKernel.into(), of(&host.kernel)),
        (phrase::PaperSystem.into(), of(&host.system)),
    ];
    page.raw("<dl class=facts>");
    for (name, value) in rows {
        page.raw("<div>");
        page.words("dt", name);
        page.element("dd", &value);
        page.raw("</div>");
    }
    page.raw("</dl>\n");
}

fn pictures(page: &mut Markup, report: &Report, host: &HostEntry) {
    let of = |id: &str| {
        let is = |result: &&ResultEntry| result.id == id && result.host.as_ref() == Some(&host.name);
        report.results.iter().find(is)
    };
    let open = report.hosts.len() <= OPEN;
    let interfaces = of("network.interfaces").map(text).unwrap_or_default();
    let routes = of("network.routes").map(routes).unwrap_or_default();
    if !interfaces.is_empty() || !routes.is_empty() {
        fold(page, phrase::PaperNetwork.into(), open, |page| {
            network(page, &interfaces, &routes);
        });
    }
    let processes = of("runtime.process-tree").map(text).unwrap_or_default();
    if !processes.is_empty() {
        fold(page, phrase::PaperProcesses.into(), open, |page| {
            tree(page, &processes);
        });
    }
}

fn fold(page: &mut Markup, name: Phrase, open: bool, inside: impl FnOnce(&mut Markup)) {
    page.raw(if open {
        "<details open><summary>"
    } else {
        "<details><summary>"
    });
    page.say(name);
    page.raw("</summary>");
    inside(page);
    page.raw("</details>\n");
}

/// Returns the first piece of evidence.
fn text(result: &ResultEntry) -> String {
    result
        .evidence
        .first()
        .map_or(String::new(), |evidence| evidence.text.clone())
}

/// Returns those lines of all pieces that are routes.
fn routes(result: &ResultEntry) -> String {
    let lines = result.evidence.iter().flat_map(|evidence| evidence.text.lines());
    let routes = lines.filter(|line| route(line).is_some());
    routes.collect::<Vec<_>>().join("\n")
}

/// Returns network, next hop and device of a route, as `ip route` writes it.
fn route(line: &str) -> Option<(&str, &str, &str)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let behind = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1).copied()
    };
    let network = *words.first()?;
    let plain = network == "default" || network.contains('/');
    (plain && words.get(1).is_some_and(|word| matches!(*word, "via" | "dev"))).then(|| {
        (
            network,
            behind("via").unwrap_or_default(),
            behind("dev").unwrap_or_default(),
        )
    })
}

/// Draws interfaces, and where packets for which network go.
fn network(page: &mut Markup, interfaces: &str, routes: &str) {
    page.raw("<ul class=wires>");
    for line in interfaces.lines().take(LINES) {
        // `2: eth0 UP ...`: the number says nothing to people.
        let line =
            line.split_once(": ").map_or(
                line,
                |(number, rest)| {
                    if number.parse::<u32>().is_ok() { rest } else { line }
                },
            );
        let (name, rest) = line.split_once([' ', ':']).unwrap_or((line, ""));
        page.raw("<li>");
        page.element("b", name);
        page.raw(" ");
        page.text(cut(rest.trim()));
        page.raw("</li>");
    }
    page.raw("</ul><ul class=routes>");
    for (network, via, device) in routes.lines().filter_map(route).take(LINES) {
        page.raw("<li><b>");
        page.text(network);
        page.raw("</b>");
        for hop in [via, device].into_iter().filter(|hop| !hop.is_empty()) {
            page.raw(" → <span>");
            page.text(hop);
            page.raw("</span>");
        }
        page.raw("</li>");
    }
    page.raw("</ul>\n");
}

/// Draws processes below each other.
fn tree(page: &mut Markup, text: &str) {
    let mut depth = 0;
    page.raw("<ul class=tree>");
    let mut first = true;
    for line in text.lines().take(LINES) {
        let Some((below, process)) = process(line) else {
            continue;
        };
        // A process cannot be deeper than one below the last.
        let below = below.min(if first { 0 } else { depth + 1 });
        if below > depth {
            page.raw("<ul>");
        } else if !first {
            page.raw("</li>");
            for _ in below..depth {
                page.raw("</ul></li>");
            }
        }
        (depth, first) = (below, false);
        let (name, rest) = process.split_once(' ').unwrap_or((process, ""));
        let (name, pid) = name.split_once(',').unwrap_or((name, ""));
        page.raw("<li>");
        page.element("b", name);
        page.raw(" ");
        page.element("i", pid);
        page.raw(" ");
        page.text(cut(rest));
    }
    if !first {
        page.raw("</li>");
        for _ in 0..depth {
            page.raw("</ul></li>");
        }
    }
    page.raw("</ul>\n");
    let more = text.lines().count().saturating_sub(LINES);
    if more > 0 {
        page.words("p class=cut", phrase::PaperMore { count: &more });
    }
}

/// Returns how deep a process stands, and the process.
fn process(line: &str) -> Option<(usize, &str)> {
    let blanks = line.len() - line.trim_start().len();
    let rest = line.trim();
    match rest.strip_prefix("|-") {
        Some(process) => Some((blanks / 2 + 1, process)),
        None if rest.is_empty() => None,
        None => Some((0, rest)),
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LETTERS)]
}

/// An image's name and id; none where it is not there.
type Image<'a> = (&'a str, Option<&'a str>);

/// Draws which node has which image.
fn images(page: &mut Markup, report: &Report) {
    let seen: Vec<(&ResultEntry, Vec<Image<'_>>)> = report
        .results
        .iter()
        .filter(|result| result.id == held::CHECK && !result.evidence.is_empty())
        .take(60)
        .map(|result| (result, held::held(result).collect()))
        .collect();
    let mut names: Vec<&str> = seen
        .iter()
        .flat_map(|(_, held)| held.iter().map(|(name, _)| *name))
        .collect();
    // Each image has its digests beside its name: they are in the evidence.
    let tagged = |name: &&str| !name.contains("sha256:");
    if names.iter().any(tagged) {
        names.retain(tagged);
    }
    names.sort_unstable();
    names.dedup();
    names.truncate(LINES);
    if names.is_empty() {
        return;
    }
    for part in seen.chunks(8) {
        page.raw("<table class=images><caption>");
        page.say(phrase::PaperImages);
        page.raw("</caption><thead><tr><td></td>");
        for (result, _) in part {
            page.element("th scope=col", result.host.as_deref().unwrap_or_default());
        }
        page.raw("</tr></thead><tbody>");
        for name in &names {
            page.raw("<tr>");
            page.element("th scope=row", cut(name));
            for (_, held) in part {
                let found = held.iter().find(|(other, _)| other == name);
                page.raw("<td>");
                match found {
                    Some((_, Some(id))) => page.element("code", short(id)),
                    _ => page.raw(super::markup::sign(Outcome::Fail)),
                }
                page.raw("</td>");
            }
            page.raw("</tr>");
        }
        page.raw("</tbody></table>\n");
    }
}

/// Returns the beginning of an image's id.
fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    &id[..id.floor_char_boundary(12)]
}
