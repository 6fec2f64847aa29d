//! Which chain of the packet filter drops a packet that did not arrive. Asked only once something did not answer: it
//! names the reason, it never finds the failure. Pure.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::findings::{Cause, Evidence, cause, phrase};
use crate::protocol::{Chain, ChainsReply};

/// Where a packet passes through a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checks) enum Hook {
    /// In at one interface and out at another.
    Through,
    /// In, for an address of the host's own that is another's by the time it leaves PREROUTING: a node port.
    Translated,
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
        Hook::OutOf => &["OUTPUT", "POSTROUTING"],
    };
    let concerned = |chain: &&Chain| {
        chain.v6 == packet.to.is_ipv6()
            && !chain.name.starts_with("KUBE-")
            && (chain.policy.is_none() || built_in.contains(&chain.name.as_str()))
    };
    let found = |chain: &Chain, rule: &str| {
        Cause::from(cause::ChainDrops {
            chain: &chain.name,
            table: &chain.table,
            host: &host,
            rule: &rule,
        })
    };
    let order = |chain: &&Chain| {
        ["raw", "mangle", "nat", "filter"]
            .iter()
            .position(|table| *table == chain.table)
    };
    let mut chains: Vec<&Chain> = chains.chains.iter().filter(concerned).collect();
    chains.sort_by_key(order);
    let rule = chains.iter().find_map(|chain| {
        let rule = chain.rules.iter().find(|rule| drops(rule, packet))?;
        Some(found(chain, rule))
    });
    let policy = || {
        let chain = chains
            .iter()
            .find(|chain| chain.policy.as_deref() == Some("DROP"))?;
        Some(found(chain, &format!("-P {} DROP", chain.name)))
    };
    rule.or_else(policy)
}

/// Returns whether a rule ends the packet: its target drops, and what it asks of the packet is met. What we do not
/// understand of a rule is taken as met, but for the state of a connection: ours is new and valid.
fn drops(rule: &str, packet: Packet) -> bool {
    let words: Vec<&str> = rule.split(' ').collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        Some((*words.get(at + 1)?, at > 0 && words[at - 1] == "!"))
    };
    if !matches!(after("-j"), Some(("DROP" | "REJECT", _))) {
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
        let head = format!("-t {} {} {policy}", chain.table, chain.name);
        let rules = chain.rules.iter().map(|rule| format!("  {rule}"));
        std::iter::once(head).chain(rules)
    });
    Evidence::lines(phrase::Iptables { host: &host }, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(table: &str, name: &str, policy: Option<&str>, rules: &[&str]) -> Chain {
        Chain {
            v6: false,
            table: table.to_owned(),
            name: name.to_owned(),
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
