//! Which rule made the kernel do what it does with a packet. It does not say so itself; what it does is known by then, and
//! this only names the rule. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::protocol::RouteAsk;

/// The rules by priority, and the routes of all tables but that of the host's own addresses.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) rules: Vec<Rule>,
    pub(super) entries: Vec<Entry>,
}

/// A rule of policy routing, ip-rule(8).
pub(super) struct Rule {
    pub(super) v6: bool,
    pub(super) priority: u32,
    pub(super) outcome: Outcome,
    pub(super) to: Option<IpNet>,
    pub(super) from: Option<IpNet>,
    /// Routes of prefixes no longer than this are passed over.
    pub(super) suppressed: Option<u32>,
    pub(super) other: Selector,
}

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It asks a table.
    Table(u32),
    /// It refuses the packet itself.
    Refuses,
    /// Nothing that ends the search.
    Nothing,
}

/// Whether a rule asks for what we do not know of a packet: marks, interfaces, users, ports.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Selector {
    /// It does not.
    None,
    /// It does; our packets are taken not to have it.
    Some,
}

/// A route.
pub(super) struct Entry {
    pub(super) table: u32,
    pub(super) network: IpNet,
    pub(super) metric: u32,
    /// Whether the search goes on with the next rule.
    pub(super) is_throw: bool,
    /// Whether it drops what it is for.
    pub(super) refuses: bool,
}

/// The rule that decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Blamed {
    pub(super) rule: u32,
    pub(super) table: Option<u32>,
    pub(super) network: Option<IpNet>,
    /// Whether it refuses the packet, itself or by the route of its table.
    pub(super) refuses: bool,
}

impl Tables {
    /// Returns the first address of each part of a network that a route of its own leads to.
    pub(super) fn parts(&self, network: IpNet) -> BTreeSet<IpAddr> {
        let inside = |entry: &&Entry| network.contains(&entry.network) && network != entry.network;
        let parts = self.entries.iter().filter(inside);
        parts.filter_map(|entry| entry.network.hosts().next()).collect()
    }
}

/// Returns the rule that decides of a packet; none where no rule does.
pub(super) fn blame(tables: &Tables, ask: RouteAsk) -> Option<Blamed> {
    let within = |network: &Option<IpNet>, address: Option<IpAddr>| {
        network.is_none_or(|network| address.is_some_and(|address| network.contains(&address)))
    };
    let meets = |rule: &&Rule| {
        rule.v6 == ask.to.is_ipv6()
            && rule.other == Selector::None
            && within(&rule.to, Some(ask.to))
            && within(&rule.from, ask.from)
    };
    tables
        .rules
        .iter()
        .filter(meets)
        .find_map(|rule| match rule.outcome {
            Outcome::Nothing => None,
            Outcome::Refuses => Some(Blamed {
                rule: rule.priority,
                table: None,
                network: None,
                refuses: true,
            }),
            Outcome::Table(table) => {
                let suppressed = |entry: &Entry| {
                    rule.suppressed
                        .is_some_and(|length| u32::from(entry.network.prefix_len()) <= length)
                };
                let entry = best(&tables.entries, table, ask.to)?;
                (!entry.is_throw && !suppressed(entry)).then_some(Blamed {
                    rule: rule.priority,
                    table: Some(table),
                    network: Some(entry.network),
                    refuses: entry.refuses,
                })
            }
        })
}

/// Returns the route of a table for an address: the longest prefix, of these the least metric.
fn best(entries: &[Entry], table: u32, to: IpAddr) -> Option<&Entry> {
    let fits = |entry: &&Entry| entry.table == table && entry.network.contains(&to);
    let order = |entry: &&Entry| (entry.network.prefix_len(), std::cmp::Reverse(entry.metric));
    entries.iter().filter(fits).max_by_key(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(priority: u32, outcome: Outcome, to: Option<&str>) -> Rule {
        Rule {
            v6: false,
            priority,
            outcome,
            to: to.map(|to| to.parse().unwrap()),
            from: None,
            suppressed: None,
            other: Selector::None,
        }
    }

    fn entry(table: u32, network: &str) -> Entry {
        Entry {
            table,
            network: network.parse().unwrap(),
            metric: 0,
            is_throw: false,
            refuses: false,
        }
    }

    fn to(address: &str) -> RouteAsk {
        RouteAsk {
            to: address.parse().unwrap(),
            from: None,
        }
    }

    fn tables() -> Tables {
        let mut marked = rule(50, Outcome::Refuses, None);
        marked.other = Selector::Some;
        let of_pod = Rule {
            from: Some("10.200.0.0/24".parse().unwrap()),
            ..rule(60, Outcome::Refuses, None)
        };
        Tables {
            rules: vec![
                marked,
                of_pod,
                rule(100, Outcome::Table(77), Some("10.200.1.0/24")),
                rule(32766, Outcome::Table(254), None),
            ],
            entries: vec![
                entry(77, "0.0.0.0/0"),
                entry(254, "10.200.1.0/24"),
                entry(254, "10.200.1.128/25"),
            ],
        }
    }

    #[test]
    fn the_first_rule_whose_table_has_a_route_decides() {
        let blamed = blame(&tables(), to("10.200.1.2")).unwrap();
        assert_eq!((blamed.rule, blamed.table), (100, Some(77)));
        assert_eq!(blame(&tables(), to("10.200.0.2")), None);
        let mut without = tables();
        without.rules.remove(2);
        let blamed = blame(&without, to("10.200.1.200")).unwrap();
        assert_eq!(
            (blamed.rule, blamed.network),
            (32766, Some("10.200.1.128/25".parse().unwrap()))
        );
    }

    #[test]
    fn a_rule_of_a_source_decides_only_of_what_is_forwarded() {
        let ask = RouteAsk {
            from: Some("10.200.0.5".parse().unwrap()),
            ..to("10.200.1.2")
        };
        let blamed = blame(&tables(), ask).unwrap();
        assert_eq!((blamed.rule, blamed.table), (60, None));
    }

    #[test]
    fn the_parts_of_a_network_have_routes_of_their_own() {
        let parts = tables().parts("10.200.1.0/24".parse().unwrap());
        assert_eq!(parts, [IpAddr::from([10, 200, 1, 129])].into());
    }
}
