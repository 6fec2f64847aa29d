//! Which chain of the packet filter drops a packet that did not arrive. Asked only once something did not answer: it
//! names the reason, it never finds the failure. Pure.

mod nft;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::findings::{Cause, Evidence, cause, phrase};
use crate::protocol::{Chain, ChainsReply, Filter};

/// Where a packet passes through a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checks) enum Hook {
    /// In at one interface and out at another.
    Through,
    /// In, for an address of the host's own that is another's by the time it leaves PREROUTING: a node port.
    Translated,
    /// In, for the host itself.
    Into,
    /// Out of the host itself.
    OutOf,
}

/// The first packet of a connection, or a datagram.
#[derive(Clone, Copy, Debug)]
pub(in crate::checks) struct Packet {
    /// Where it goes, before any address translation.
    to: IpAddr,
    /// The port there.
    port: u16,
    /// `tcp` or `udp`.
    protocol: &'static str,
    /// Its length in bytes, headers included.
    length: u32,
}

impl Packet {
    /// Returns the first packet of a TCP connection.
    pub(in crate::checks) const fn tcp(to: SocketAddr) -> Self {
        Self::of(to, "tcp", 60)
    }

    /// Returns a datagram that holds so many bytes.
    pub(in crate::checks) const fn udp(to: SocketAddr, bytes: u32) -> Self {
        let headers = if to.is_ipv4() { 28 } else { 48 };
        Self::of(to, "udp", bytes.saturating_add(headers))
    }

    const fn of(to: SocketAddr, protocol: &'static str, length: u32) -> Self {
        Self {
            to: to.ip(),
            port: to.port(),
            protocol,
            length,
        }
    }

    /// Returns its length in bytes, headers included.
    pub(in crate::checks) const fn length(&self) -> u32 {
        self.length
    }

    /// Returns where it goes.
    pub(in crate::checks) const fn to(&self) -> IpAddr {
        self.to
    }
}

/// Returns the first rule or policy that drops or rejects the packet, as a cause that names the host, the table, the
/// chain and the rule, a policy as `iptables -S` prints it. kube-proxy's own chains drop only what they should and are left out.
pub(in crate::checks) fn chain_drops(
    chains: &ChainsReply,
    host: &str,
    packet: Packet,
    hook: Hook,
) -> Option<Cause> {
    let built_in: &[&str] = match hook {
        Hook::Through => &["PREROUTING", "FORWARD", "POSTROUTING"],
        Hook::Translated => &["PREROUTING"],
        Hook::Into => &["PREROUTING", "INPUT"],
        Hook::OutOf => &["OUTPUT", "POSTROUTING"],
    };
    let concerned = |chain: &&Chain| {
        chain.v6 == packet.to.is_ipv6()
            && !chain.name.starts_with("KUBE-")
            && chain.hook.as_deref().is_none_or(|hook| built_in.contains(&hook))
    };
    let order = |chain: &&Chain| {
        ["raw", "mangle", "nat", "filter"]
            .iter()
            .position(|table| *table == chain.table)
    };
    let mut chains: Vec<&Chain> = chains.chains.iter().filter(concerned).collect();
    chains.sort_by_key(order);
    let ends = |chain: &Chain, rule: &str| match chain.of {
        Filter::Nftables => nft::drops(rule, packet),
        _ => drops(rule, packet),
    };
    let rule = chains.iter().find_map(|chain| {
        let rule = chain.rules.iter().find(|rule| ends(chain, rule))?;
        Some(found(chain, host, rule))
    });
    let policy = || {
        let drops = |chain: &&&Chain| chain.policy.as_deref() == Some("DROP");
        let chain = chains.iter().find(drops)?;
        // What a firewall lets in it lets in by rules, often of chains of its own that are not all known here.
        let lets_in = |rule: &String| match chain.of {
            Filter::Nftables => nft::may_accept(rule),
            _ => hook == Hook::Into && sends(rule, packet, &|target| !target.starts_with("KUBE-")),
        };
        (!chain.rules.iter().any(lets_in)).then(|| found(chain, host, &policy(chain)))
    };
    rule.or_else(policy)
}

/// Returns a policy as its program writes it.
fn policy(chain: &Chain) -> String {
    match chain.of {
        Filter::Nftables => "policy drop".to_owned(),
        _ => format!("-P {} DROP", chain.name),
    }
}

fn found(chain: &Chain, host: &str, rule: &str) -> Cause {
    let (command, name, table) = (&chain.of.command(chain.v6), &chain.name, &chain.table);
    match chain.of {
        Filter::Nftables => cause::NftDrops {
            chain: name,
            table,
            host: &host,
            rule: &rule,
        }
        .into(),
        _ => cause::ChainDrops {
            command,
            chain: name,
            table,
            host: &host,
            rule: &rule,
        }
        .into(),
    }
}

/// Returns whether a rule ends the packet: its target drops, and what it asks of the packet is met.
fn drops(rule: &str, packet: Packet) -> bool {
    sends(rule, packet, &|target| matches!(target, "DROP" | "REJECT"))
}

/// Returns whether a rule sends the packet to such a target: what it asks of the packet is met. What we do not understand of
/// a rule is taken as met, but for the state of a connection: ours is new and valid.
fn sends(rule: &str, packet: Packet, is_target: &dyn Fn(&str) -> bool) -> bool {
    let words: Vec<&str> = rule.split(' ').collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        Some((*words.get(at + 1)?, at > 0 && words[at - 1] == "!"))
    };
    if !after("-j").is_some_and(|(target, _)| is_target(target)) {
        return false;
    }
    let met =
        |name: &str, fits: &dyn Fn(&str) -> bool| after(name).is_none_or(|(value, not)| fits(value) != not);
    let states = |value: &str| value.split(',').any(|state| state == "NEW");
    met("-p", &|value| value == packet.protocol || value == "all")
        && met("-d", &|value| {
            value
                .parse::<IpNet>()
                .is_ok_and(|network| network.contains(&packet.to))
        })
        && met("--dport", &|value| in_range(value, packet.port.into()))
        && met("--dports", &|value| {
            value.split(',').any(|range| in_range(range, packet.port.into()))
        })
        && met("--length", &|value| in_range(value, packet.length))
        && met("--ctstate", &states)
        && met("--state", &states)
        && after("--mark").is_none()
}

/// Returns whether a number is in `80` or `30000:32767`.
fn in_range(range: &str, number: u32) -> bool {
    let (first, last) = range.split_once(':').unwrap_or((range, range));
    match (first.parse::<u32>(), last.parse::<u32>()) {
        (Ok(first), Ok(last)) => (first..=last).contains(&number),
        _ => false,
    }
}

/// Returns the chains as evidence.
pub(in crate::checks) fn evidence(chains: &ChainsReply, host: &str) -> Option<Evidence> {
    let lines = chains.chains.iter().flat_map(|chain| {
        let policy = chain.policy.as_deref().unwrap_or("-");
        let command = chain.of.command(chain.v6);
        let head = format!("{command} -t {} {} {policy}", chain.table, chain.name);
        let rules = chain.rules.iter().map(|rule| format!("  {rule}"));
        std::iter::once(head).chain(rules)
    });
    Evidence::lines(phrase::PacketFilter { host: &host }, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::CauseId;

    fn chain(table: &str, name: &str, policy: Option<&str>, rules: &[&str]) -> Chain {
        Chain {
            of: Filter::Iptables,
            v6: false,
            table: table.to_owned(),
            name: name.to_owned(),
            hook: policy.map(|_| name.to_owned()),
            policy: policy.map(str::to_owned),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        }
    }

    fn rule(chains: &[Chain], hook: Hook, to: &str, port: u16) -> Option<(String, String)> {
        let reply = ChainsReply {
            readable: true,
            chains: chains.to_vec(),
        };
        let packet = Packet::tcp(SocketAddr::new(to.parse().unwrap(), port));
        let cause = chain_drops(&reply, "node-1", packet, hook)?;
        Some((
            format!("{} {}", cause.args()["table"], cause.args()["chain"]),
            cause.args()["rule"].to_string(),
        ))
    }

    #[test]
    fn a_policy_that_drops_is_named_and_kube_proxys_own_drops_are_not() {
        let chains = [
            chain("filter", "INPUT", Some("ACCEPT"), &[]),
            chain("filter", "FORWARD", Some("DROP"), &["-j KUBE-FORWARD"]),
            chain(
                "filter",
                "KUBE-FORWARD",
                None,
                &["-m conntrack --ctstate INVALID -j DROP"],
            ),
        ];
        let found = rule(&chains, Hook::Through, "10.200.1.2", 80).unwrap();
        assert_eq!(found, ("filter FORWARD".to_owned(), "-P FORWARD DROP".to_owned()));
        assert_eq!(rule(&chains, Hook::Translated, "10.200.1.2", 80), None);
    }

    #[test]
    fn the_program_that_shows_the_rule_is_named() {
        let legacy = Chain {
            of: Filter::IptablesLegacy,
            ..chain(
                "filter",
                "FORWARD",
                Some("ACCEPT"),
                &["-p tcp -m tcp --dport 80 -j DROP"],
            )
        };
        let own = Chain {
            of: Filter::Nftables,
            name: "forward".to_owned(),
            hook: Some("FORWARD".to_owned()),
            ..chain("inet site", "forward", Some("ACCEPT"), &["tcp dport 80 drop"])
        };
        let cause = |chain: Chain| {
            let reply = ChainsReply {
                readable: true,
                chains: vec![chain],
            };
            let packet = Packet::tcp("10.200.1.2:80".parse().unwrap());
            chain_drops(&reply, "node-1", packet, Hook::Through).unwrap()
        };
        let by_legacy = cause(legacy);
        assert_eq!(by_legacy.id(), CauseId::ChainDrops);
        assert_eq!(&*by_legacy.args()["command"], "iptables-legacy");
        assert_eq!(cause(own).id(), CauseId::NftDrops);
    }

    #[test]
    fn a_firewall_that_lets_something_in_is_not_blamed_for_its_policy() {
        let closed = [chain("filter", "INPUT", Some("DROP"), &[])];
        assert!(rule(&closed, Hook::Into, "192.168.10.102", 8472).is_some());
        for lets_in in ["-p tcp -m tcp --dport 8472 -j ACCEPT", "-j ufw-before-input"] {
            let open = [chain("filter", "INPUT", Some("DROP"), &[lets_in])];
            assert_eq!(rule(&open, Hook::Into, "192.168.10.102", 8472), None, "{lets_in}");
        }
    }

    #[test]
    fn a_rule_counts_only_where_it_meets_the_packet() {
        let ports = "-p tcp -m tcp --dport 30000:32767 -j DROP";
        let chains = [chain("raw", "PREROUTING", Some("ACCEPT"), &[ports])];
        assert_eq!(
            rule(&chains, Hook::Translated, "192.168.10.102", 30443)
                .unwrap()
                .0,
            "raw PREROUTING"
        );
        assert_eq!(rule(&chains, Hook::Translated, "192.168.10.102", 22), None);
        let other = [
            "-p udp -j DROP",
            "-d 10.9.0.0/16 -j DROP",
            "! -d 10.200.0.0/16 -j REJECT",
            "-j ACCEPT",
        ];
        assert_eq!(
            rule(
                &[chain("filter", "FORWARD", Some("ACCEPT"), &other)],
                Hook::Through,
                "10.200.1.2",
                80
            ),
            None
        );
        let own = [chain(
            "filter",
            "SITE-POLICY",
            None,
            &["-m state --state NEW -j DROP"],
        )];
        assert_eq!(
            rule(&own, Hook::Through, "10.200.1.2", 80).unwrap().0,
            "filter SITE-POLICY"
        );
    }
}
