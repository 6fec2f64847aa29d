//! The way of a packet, hop by hop, with the one marked where it ends. Only where a cause says where that is, or that nothing
//! does.

use super::markup::Markup;
use crate::findings::{Phrase, catalogue, phrase};
use crate::report::{CauseEntry, HostEntry, Report, ResultEntry};

/// Checks that send something through the network of the pods.
const SENT: [&str; 5] = [
    "network.pod-reachable",
    "network.pod-to-pod",
    "network.routes",
    "network.udp",
    "network.mtu",
];
/// Those that send it to a Service.
const SERVED: [&str; 4] = [
    "service.clusterip",
    "service.nodeport",
    "service.from-pod",
    "service.udp",
];
/// Those whose question comes from a pod.
const OF_POD: [&str; 5] = [
    "network.pod-to-pod",
    "network.udp",
    "network.mtu",
    "service.from-pod",
    "service.udp",
];

/// Where a packet comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hop {
    From,
    Service,
    Routes,
    Filter,
    Wire,
    There,
    Pod,
    Back,
}

/// What a cause says of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guilt {
    /// It ends here.
    At(Hop),
    /// It ends somewhere.
    Unknown,
}

/// Returns where the way ends by a cause that lies on this end or not; nothing where it has no place on it.
fn guilt(cause: &str, here: bool) -> Option<Guilt> {
    let of = |here_hop, there| Guilt::At(if here { here_hop } else { there });
    Some(match cause {
        "route-missing"
        | "route-wrong"
        | "route-refused"
        | "route-diverted"
        | "pod-network-unreachable"
        | "pod-network-unrouted" => of(Hop::Routes, Hop::Back),
        "chain-drops" | "nft-drops" | "forwarding-off" | "interface-forwarding-off" => {
            of(Hop::Filter, Hop::There)
        }
        "neighbour-silent" | "neighbour-wrong" | "mtu-hole" | "packet-lost" | "body-lost" => {
            Guilt::At(Hop::Wire)
        }
        "bridge-missing"
        | "bridge-down"
        | "veth-missing"
        | "veth-unplugged"
        | "veth-down"
        | "pod-interface-missing" => of(Hop::From, Hop::Pod),
        "pod-refused"
        | "wrong-status"
        | "wrong-page"
        | "wrong-page-untitled"
        | "udp-refused"
        | "echo-broken"
        | "hairpin-lost" => Guilt::At(Hop::Pod),
        "service-rules-missing"
        | "service-udp-rules-missing"
        | "nodeport-rules-missing"
        | "endpoints-none"
        | "endpoint-missing"
        | "service-refused"
        | "service-udp-refused" => Guilt::At(Hop::Service),
        "pod-silent"
        | "pod-silent-connected"
        | "udp-silent"
        | "service-silent"
        | "service-silent-connected"
        | "service-unsteady"
        | "service-udp-silent"
        | "service-udp-unsteady"
        | "pod-never-answered"
        | "pod-udp-never" => Guilt::Unknown,
        _ => return None,
    })
}

/// What is known of a way.
struct Way<'a> {
    from: &'a str,
    there: Option<&'a str>,
    of_pod: bool,
    cause: &'a CauseEntry,
}

impl Way<'_> {
    fn arg(&self, names: &[&str]) -> String {
        let found = names.iter().find_map(|name| self.cause.args.get(*name));
        found.map(ToString::to_string).unwrap_or_default()
    }

    /// Returns what a hop is called, and what is known of it.
    fn hop(&self, hop: Hop, other: &str) -> (Phrase, String) {
        let (host, there) = (&self.from, &self.there.unwrap_or(other));
        match hop {
            Hop::From if self.of_pod => (phrase::WayFromPod { host }.into(), String::new()),
            Hop::From => (phrase::WayFrom { host }.into(), String::new()),
            Hop::Service => (phrase::WayService { host }.into(), self.arg(&["service", "url"])),
            Hop::Routes => (phrase::WayRoutes { host }.into(), self.arg(&["network", "to"])),
            Hop::Filter => (phrase::WayFilter { host }.into(), self.arg(&["chain", "key"])),
            Hop::Wire => (phrase::WayWire.into(), self.arg(&["via", "device", "bytes"])),
            Hop::There => (
                phrase::WayFilter { host: there }.into(),
                self.arg(&["chain", "key"]),
            ),
            Hop::Pod => (
                phrase::WayPod { host: there }.into(),
                self.arg(&["pod", "address"]),
            ),
            Hop::Back => (
                phrase::WayBack { host: there }.into(),
                self.arg(&["network", "to"]),
            ),
        }
    }
}

/// Draws the way of what a result is about.
pub(super) fn draw(page: &mut Markup, report: &Report, result: &ResultEntry, cause: &CauseEntry) {
    let served = SERVED.contains(&result.id.as_str());
    if !served && !SENT.contains(&result.id.as_str()) {
        return;
    }
    let Some(from) = result.host.as_deref() else {
        return;
    };
    let of = |name: &str| cause.args.get(name).map(|name| host(report, name));
    let place = of("host");
    let here = place.is_none_or(|place| place == from);
    let Some(guilt) = guilt(&cause.id, here) else {
        return;
    };
    let there = of("node").or(place).filter(|there| *there != from);
    let way = Way {
        from,
        there,
        of_pod: OF_POD.contains(&result.id.as_str()),
        cause,
    };
    let mut hops = vec![
        Hop::From,
        Hop::Routes,
        Hop::Filter,
        Hop::Wire,
        Hop::There,
        Hop::Pod,
    ];
    if served {
        hops.insert(1, Hop::Service);
    }
    if guilt == Guilt::At(Hop::Back) {
        hops.push(Hop::Back);
    }
    show(page, &way, &hops, guilt);
}

fn show(page: &mut Markup, way: &Way<'_>, hops: &[Hop], guilt: Guilt) {
    page.words("h4", phrase::WayTitle);
    let other = catalogue::say(phrase::WayOther, page.lang());
    page.raw("<ol class=way>");
    let mut beyond = false;
    for hop in hops {
        let (name, detail) = way.hop(*hop, &other);
        let guilty = guilt == Guilt::At(*hop);
        let class = match guilt {
            _ if guilty => "guilty",
            Guilt::Unknown if *hop != Hop::From => "open",
            _ if beyond => "beyond",
            _ => "done",
        };
        page.raw(&format!("<li class={class}>"));
        page.words("b", name);
        // What the cause names is told where it points.
        if !detail.is_empty() && (guilty || matches!(hop, Hop::Pod | Hop::Wire | Hop::Service)) {
            page.raw("<code>");
            page.text(&detail);
            page.raw("</code>");
        }
        if guilty {
            page.words("em", phrase::WayEnds);
        }
        page.raw("</li>");
        beyond |= guilty;
    }
    page.raw("</ol>\n");
    if guilt == Guilt::Unknown {
        page.words("p class=cut", phrase::WayUnknown);
    }
}

/// Returns the host that a name means: its own, or that of its Node.
fn host<'a>(report: &'a Report, name: &'a cli::Shown) -> &'a str {
    let is = |host: &&HostEntry| host.node.as_ref() == Some(name);
    report.hosts.iter().find(is).map_or(name, |host| &host.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{CauseId, Lang, Outcome};
    use crate::report::tests::{about, row};

    #[test]
    fn every_cause_that_has_a_place_on_the_way_is_one_of_the_register() {
        let text = include_str!("way.rs");
        let table = text
            .split("Some(match cause {")
            .nth(1)
            .and_then(|rest| rest.split("_ => return None").next())
            .unwrap();
        let named: Vec<&str> = table.split('"').skip(1).step_by(2).collect();
        assert!(named.len() > 20);
        for name in named {
            assert!(CauseId::ALL.iter().any(|id| id.name() == name), "{name}");
            assert!(guilt(name, true).is_some());
        }
    }

    #[test]
    fn the_guilty_hop_is_marked_and_what_lies_beyond_it_is_not_done() {
        let report = Report::new(
            about(),
            &[row("network.pod-reachable", Some("server"), Outcome::Fail)],
        );
        let mut page = Markup::new(Lang::En);
        let result = &report.results[0];
        draw(&mut page, &report, result, result.cause.as_ref().unwrap());
        let text = page.into_text();
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(at("class=done") < at("class=guilty") && at("class=guilty") < at("class=beyond"));
        assert_eq!(text.matches("class=guilty").count(), 1);
        assert!(text.contains("<code>10.200.1.0/24</code>"));
    }
}
