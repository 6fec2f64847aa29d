//! Whether a rule of nftables ends a packet, nft(8). Pure. What is not understood of a rule is taken as not met: its
//! language is wide, and a rule that is blamed wrongly is worse than none.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Packet, in_range};

/// Returns whether a rule drops or rejects the packet, as far as all of it is understood.
pub(super) fn drops(rule: &str, packet: Packet) -> bool {
    let mut rest = Words::of(rule);
    while let Some(word) = rest.next() {
        let met = match word {
            "drop" | "reject" => return true,
            "counter" => {
                rest.skip_figures();
                true
            }
            "meta" => match rest.next() {
                Some("l4proto") => rest.any(|value| is_protocol(value, packet)),
                Some("nfproto") => rest.any(|value| value == family(packet)),
                Some("length") => rest.any(|value| in_range(&colon(value), packet.length)),
                _ => false,
            },
            "ip" | "ip6" => {
                (word == "ip6") == packet.to.is_ipv6() && {
                    match rest.next() {
                        Some("daddr") => rest.any(|value| is_within(value, packet)),
                        Some("protocol" | "nexthdr") => rest.any(|value| is_protocol(value, packet)),
                        Some("length") => rest.any(|value| in_range(&colon(value), packet.length)),
                        _ => false,
                    }
                }
            }
            "tcp" | "udp" | "th" => {
                (word == "th" || word == packet.protocol) && {
                    rest.next() == Some("dport")
                        && rest.any(|value| in_range(&colon(value), packet.port.into()))
                }
            }
            // Ours is new and valid.
            "ct" => {
                rest.next() == Some("state") && rest.any(|value| value.split(',').any(|state| state == "new"))
            }
            _ => false,
        };
        if !met {
            return false;
        }
    }
    false
}

/// Returns whether a rule may let a packet pass, or send it on to where that is decided.
pub(super) fn may_accept(rule: &str) -> bool {
    Words::of(rule).any_of(&["accept", "jump", "goto", "vmap"])
}

const fn family(packet: Packet) -> &'static str {
    if packet.to.is_ipv6() { "ipv6" } else { "ipv4" }
}

/// Returns whether a name or number is that of the packet's protocol (IANA's assigned internet protocol numbers).
fn is_protocol(value: &str, packet: Packet) -> bool {
    let number = if packet.protocol == "udp" { "17" } else { "6" };
    value == packet.protocol || value == number
}

fn is_within(value: &str, packet: Packet) -> bool {
    let network = value.parse::<IpNet>();
    let alone = || value.parse::<IpAddr>().map(IpNet::from);
    network
        .ok()
        .or_else(|| alone().ok())
        .is_some_and(|network| network.contains(&packet.to))
}

/// Returns a range as iptables writes it.
fn colon(range: &str) -> String {
    range.replace('-', ":")
}

/// The words of a rule.
struct Words<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<&'a str>>,
}

impl<'a> Words<'a> {
    fn of(rule: &'a str) -> Self {
        let words: Vec<&str> = rule.split_whitespace().collect();
        Self {
            words: words.into_iter().peekable(),
        }
    }

    fn next(&mut self) -> Option<&'a str> {
        self.words.next()
    }

    /// Passes over the figures of a counter.
    fn skip_figures(&mut self) {
        while self
            .words
            .next_if(|word| matches!(*word, "packets" | "bytes"))
            .is_some()
        {
            self.words.next();
        }
    }

    /// Returns whether a value, or one of a set, fits; with `!=` before it, whether none does.
    fn any(&mut self, fits: impl Fn(&str) -> bool) -> bool {
        let not = self.words.next_if_eq(&"!=").is_some();
        // Greater and less are not understood, and a set may be named only.
        let Some(first) = self
            .words
            .next()
            .filter(|word| !word.starts_with(['@', '<', '>', '&']))
        else {
            return false;
        };
        let mut found = false;
        if first == "{" {
            while let Some(value) = self.words.next().filter(|value| *value != "}") {
                found |= fits(value.trim_end_matches(','));
            }
        } else {
            found = fits(first);
        }
        found != not
    }

    fn any_of(mut self, words: &[&str]) -> bool {
        self.words.any(|word| words.contains(&word))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn ends(rule: &str) -> bool {
        let to: SocketAddr = "10.200.1.2:80".parse().unwrap();
        drops(rule, Packet::tcp(to))
    }

    #[test]
    fn a_rule_that_is_met_in_all_its_parts_ends_the_packet() {
        for rule in [
            "drop",
            "reject with icmpx admin-prohibited",
            "tcp dport 80 drop",
            "tcp dport { 22, 80-90 } counter packets 3 bytes 180 drop",
            "ip daddr 10.200.0.0/16 meta l4proto 6 reject",
            "ip daddr != 10.9.0.0/16 drop",
            "ct state new drop",
        ] {
            assert!(ends(rule), "{rule}");
        }
    }

    #[test]
    fn one_that_is_not_met_or_not_understood_does_not() {
        for rule in [
            "tcp dport 22 drop",
            "udp dport 80 drop",
            "ip daddr 10.9.0.0/16 drop",
            "ip6 daddr fd00::/8 drop",
            "iifname \"docker0\" drop",
            "ip saddr 10.0.0.0/8 drop",
            "tcp dport @closed drop",
            "ct state established,related drop",
            "limit rate 5/second drop",
            "tcp dport 80 accept",
        ] {
            assert!(!ends(rule), "{rule}");
        }
    }
}
