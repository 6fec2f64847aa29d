//! The text of `nft list ruleset`, nft(8): tables, their chains, and in these the rules that end a packet.

use crate::protocol::{Chain, Filter};

/// The most rules that are given.
const RULES: usize = 2000;
/// The tables in which the newer backend of iptables keeps its chains: iptables-save prints them.
const OF_IPTABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// Parses a ruleset. A table of both families gives each of its chains twice.
pub(in crate::host::facts) fn parse(text: &str) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut place = Place::default();
    for line in text.lines() {
        place.read(line.trim(), &mut chains);
    }
    chains.retain(|chain| chain.policy.is_some() || !chain.rules.is_empty());
    let of_both = |chain: Chain| {
        let both = chain.table.starts_with("inet ");
        let v6 = both.then(|| Chain {
            v6: true,
            ..chain.clone()
        });
        std::iter::once(chain).chain(v6)
    };
    chains.into_iter().flat_map(of_both).collect()
}

/// Where in the text we are.
#[derive(Default)]
struct Place<'a> {
    /// The family and the name of the table.
    table: Option<(&'a str, &'a str)>,
    /// How many braces are open within the table.
    depth: usize,
    in_chain: bool,
    rules: usize,
}

impl<'a> Place<'a> {
    fn read(&mut self, line: &'a str, chains: &mut Vec<Chain>) {
        if let Some(rest) = line.strip_prefix("table ").filter(|_| self.depth == 0) {
            let mut words = rest.split_whitespace();
            self.table = words.next().zip(words.next());
            self.depth = 1;
        } else if line == "}" {
            self.depth = self.depth.saturating_sub(1);
            self.in_chain = false;
        } else if let Some(name) = line.strip_prefix("chain ").filter(|_| self.depth == 1) {
            self.depth = 2;
            self.in_chain = self.is_of_interest();
            if self.in_chain {
                chains.extend(self.chain(name.trim_end_matches('{').trim()));
            }
        } else if self.in_chain && self.depth == 2 {
            if let Some(chain) = chains.last_mut() {
                self.rule(line, chain);
            }
        } else if line.ends_with('{') {
            self.depth += 1;
        }
    }

    /// Returns whether a table is nobody's whose rules are read elsewhere, or whose drops are as they should be.
    fn is_of_interest(&self) -> bool {
        self.table.is_some_and(|(family, name)| {
            let of_iptables = matches!(family, "ip" | "ip6") && OF_IPTABLES.contains(&name);
            matches!(family, "ip" | "ip6" | "inet") && !of_iptables && name != "kube-proxy"
        })
    }

    fn chain(&self, name: &str) -> Option<Chain> {
        let (family, table) = self.table?;
        Some(Chain {
            of: Filter::Nftables,
            v6: family == "ip6",
            table: format!("{family} {table}"),
            name: name.to_owned(),
            hook: None,
            policy: None,
            rules: Vec::new(),
        })
    }

    fn rule(&mut self, line: &str, chain: &mut Chain) {
        if line.starts_with("type ") {
            let after = |word: &str| {
                let mut words = line.split([' ', ';']).filter(|part| !part.is_empty());
                words.find(|part| *part == word)?;
                words.next()
            };
            chain.hook = after("hook").map(str::to_uppercase);
            chain.policy = Some(after("policy").unwrap_or("accept").to_uppercase());
            return;
        }
        let ends = line
            .split(' ')
            .any(|word| matches!(word, "drop" | "reject" | "accept" | "jump" | "goto"));
        if ends && self.rules < RULES {
            self.rules += 1;
            chain.rules.push(line.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "table ip nat { # handle 1\n\tchain PREROUTING {\n\t\ttype nat hook prerouting priority -100; policy accept;\n\t\tdrop\n\t}\n}\n\
        table inet site {\n\tset bad {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1,\n\t\t\t     10.0.0.2 }\n\t}\n\n\tchain forward {\n\
        \t\ttype filter hook forward priority 0; policy drop;\n\t\tct state established,related accept\n\t\tcounter packets 3 bytes 180\n\
        \t\ttcp dport 80 counter packets 3 bytes 180 drop\n\t}\n\n\tchain empty {\n\t}\n}\n\
        table ip6 own {\n\tchain in {\n\t\ttype filter hook input priority 0;\n\t\treject\n\t}\n}\n";

    #[test]
    fn chains_of_nftables_are_read_with_their_hooks_and_those_of_iptables_are_not() {
        let chains = parse(TEXT);
        let seen: Vec<_> = chains
            .iter()
            .map(|chain| {
                (
                    chain.table.as_str(),
                    chain.name.as_str(),
                    chain.v6,
                    chain.hook.as_deref(),
                    chain.policy.as_deref(),
                    chain.rules.len(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("inet site", "forward", false, Some("FORWARD"), Some("DROP"), 2),
                ("inet site", "forward", true, Some("FORWARD"), Some("DROP"), 2),
                ("ip6 own", "in", true, Some("INPUT"), Some("ACCEPT"), 1),
            ]
        );
    }
}
