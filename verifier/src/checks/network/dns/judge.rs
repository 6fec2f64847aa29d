//! What is wrong with what was heard. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::IpAddr;

use super::{Asker, Facts, PATIENCE, pods, questions, silence};
use crate::cluster::DnsServiceFacts;
use crate::findings::{Cause, Finding, Judged, Unjudged, cause};
use crate::protocol::DnsReply;

/// Returns an answer as dig has it: addresses, or the name of its code.
pub(super) fn said(reply: &DnsReply) -> String {
    let DnsReply::Answer { code, addresses, .. } = reply else {
        return "-".to_owned();
    };
    match code {
        0 if addresses.is_empty() => "NOERROR".to_owned(),
        0 => list(addresses),
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        other => other.to_string(),
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

/// Who answered: the pod, the Service or the address, and how it stands in a cause.
#[derive(Clone)]
struct Server {
    address: IpAddr,
    name: String,
}

/// Which name, which of its answers is right, and what another one is.
struct Wanted<'a> {
    name: &'a dyn Fn(&Asker) -> String,
    expected: &'a [IpAddr],
    cause: &'a dyn Fn(Wrong<'_>) -> Cause,
}

/// An answer that is not the right one.
struct Wrong<'a> {
    name: &'a dyn Display,
    server: &'a dyn Display,
    answer: &'a dyn Display,
    expected: &'a dyn Display,
    from: &'a dyn Display,
}

impl Facts {
    pub(super) fn judged(&self) -> Judged {
        if self.askers.is_empty() {
            return match self.unasked.first() {
                Some((_, why)) => Err(Unjudged::error(why.clone())),
                None => Err(pods::needs(&self.without)),
            };
        }
        let mut findings = match &self.dns {
            Some(dns) => self.of_service(dns),
            None => self.without_service()?,
        };
        let unasked = self.unasked.iter();
        findings.extend(unasked.map(|(node, why)| Finding::error(why.clone()).of(node)));
        if findings.is_empty() && !self.without.is_empty() {
            return Err(pods::needs(&self.without));
        }
        Ok(findings)
    }

    /// Judges servers that are no Service's: those that pods are told of are all that is known. Where none of them knows the
    /// cluster, it has no DNS.
    fn without_service(&self) -> Judged {
        let own = |asker: &Asker| asker.server().is_some_and(|server| self.knows(asker, server));
        if !self.askers.iter().any(own) {
            let told: BTreeSet<String> = self
                .askers
                .iter()
                .filter_map(Asker::server)
                .map(|server| server.to_string())
                .collect();
            let addresses = &told.into_iter().collect::<Vec<_>>().join(", ");
            return Err(if addresses.is_empty() {
                Unjudged::skip(cause::DnsNone)
            } else {
                Unjudged::skip(cause::DnsNoneNamed { addresses })
            });
        }
        let silent = self.askers.iter().filter(|asker| !own(asker));
        let silent = silent.map(|asker| {
            let (node, address) = (&asker.node, &told(asker));
            Finding::fail(cause::DnsServerSilent { node, address }).of(node)
        });
        Ok(silent.collect())
    }

    fn of_service(&self, dns: &DnsServiceFacts) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.servers.is_empty() {
            let service = &dns.full_name();
            findings.push(Finding::fail(cause::DnsNoEndpoints { service }).of(service));
        }
        findings.extend(silence::findings(&self.silences()));
        findings.extend(
            self.askers
                .iter()
                .filter_map(|asker| self.wrongly_told(asker, dns)),
        );
        if !self.servers.is_empty() {
            findings.extend(self.wrong_answers(dns));
        }
        if findings.is_empty() {
            findings.extend(self.outside(dns));
        }
        findings
    }

    /// Returns what is wrong with what the kubelet tells a pod.
    fn wrongly_told(&self, asker: &Asker, dns: &DnsServiceFacts) -> Option<Finding> {
        let node = &asker.node;
        let own = asker.server();
        let is_own = own.is_some_and(|own| dns.addresses.contains(&own));
        // A cache on the node has an address of its own.
        if !is_own && !own.is_some_and(|own| self.knows_any(asker, own)) {
            let (address, service, expected) = (&told(asker), &dns.full_name(), &list(&dns.addresses));
            #[rustfmt::skip]
            let cause = cause::DnsKubeletAddress { node, address, service, expected };
            return Some(Finding::fail(cause).of(node));
        }
        let served = self.other_domain(asker)?;
        let cause = cause::DnsDomainDiffers {
            node,
            domain: &asker.domain().unwrap_or("-"),
            served: &served,
        };
        Some(Finding::fail(cause).of(node))
    }

    /// Returns the domain that the DNS serves, where it is not the one that a pod is told.
    fn other_domain(&self, asker: &Asker) -> Option<String> {
        let right = |domain: &str| {
            let name = questions::cluster_name(domain);
            let mut heard = asker.heard.iter().filter(|heard| heard.question.name == name);
            heard.any(|heard| is_right(&heard.reply, &self.kubernetes))
        };
        if asker.domain().is_some_and(right) {
            return None;
        }
        self.domains().into_iter().find(|domain| right(domain))
    }

    /// Returns whether a server gives the right answer for the API's own name.
    fn knows(&self, asker: &Asker, server: IpAddr) -> bool {
        let name = questions::cluster_name(&self.domain_of(asker));
        self.is_known(asker, server, |asked| asked == name)
    }

    /// Returns the same of the name in any domain.
    fn knows_any(&self, asker: &Asker, server: IpAddr) -> bool {
        self.is_known(asker, server, |asked| {
            asked.starts_with("kubernetes.default.svc.")
        })
    }

    fn is_known(&self, asker: &Asker, server: IpAddr, is_it: impl Fn(&str) -> bool) -> bool {
        asker.heard.iter().any(|heard| {
            heard.question.server.ip() == server
                && is_it(&heard.question.name)
                && is_right(&heard.reply, &self.kubernetes)
        })
    }

    /// Returns the pods of the DNS.
    fn pods(&self) -> Vec<Server> {
        let pods = self.servers.iter().map(|server| Server {
            address: server.address,
            name: format!("{} ({})", server.pod, server.address),
        });
        pods.collect()
    }

    /// Returns the addresses of the Service, and those of caches before it. A server that gives no right answer at all is told
    /// of already.
    fn fronts(&self, dns: &DnsServiceFacts) -> Vec<Server> {
        let cached = |asker: &Asker| asker.server().filter(|own| self.knows_any(asker, *own));
        let caches = self.askers.iter().filter_map(cached);
        let all: BTreeSet<IpAddr> = dns.addresses.iter().copied().chain(caches).collect();
        let named = all.into_iter().map(|address| Server {
            address,
            name: if dns.addresses.contains(&address) {
                format!("{} ({address})", dns.full_name())
            } else {
                address.to_string()
            },
        });
        named.collect()
    }

    /// Returns who gives another answer than it must: pods, or where these all give the right one, the others.
    #[rustfmt::skip]
    fn wrong_answers(&self, dns: &DnsServiceFacts) -> Vec<Finding> {
        let known = Wanted {
            name: &|asker| questions::cluster_name(&self.domain_of(asker)),
            expected: &self.kubernetes,
            cause: &|Wrong { name, server, answer, expected, from }| {
                cause::DnsAnswerWrong { name, server, answer, expected, from }.into()
            },
        };
        let own = [self.service.cluster_ip];
        let new = Wanted {
            name: &|asker| questions::own_name(&self.service, &self.domain_of(asker)),
            expected: &own,
            cause: &|Wrong { name, server, answer, expected, from }| {
                cause::DnsServiceUnknown { name, server, answer, expected, from }.into()
            },
        };
        let fronts = self.fronts(dns);
        let looks = [(self.pods(), &known), (fronts.clone(), &known), (fronts, &new)];
        let wrong = looks.iter().map(|(servers, wanted)| self.wrong(servers, wanted));
        wrong.into_iter().find(|wrong| !wrong.is_empty()).unwrap_or_default()
    }

    /// Returns the servers that answer otherwise than they must, each with each of its answers once. A pod that is told
    /// another domain asks for what is not there.
    fn wrong(&self, servers: &[Server], wanted: &Wanted<'_>) -> Vec<Finding> {
        let mut grouped: BTreeMap<(&str, String, String), Vec<&str>> = BTreeMap::new();
        for asker in self
            .askers
            .iter()
            .filter(|asker| self.other_domain(asker).is_none())
        {
            let name = (wanted.name)(asker);
            for server in servers {
                let heard = asker.heard.iter();
                let mut heard = heard.filter(|heard| {
                    heard.question.server.ip() == server.address && heard.question.name == name
                });
                if let Some(wrong) = heard.find(|heard| is_wrong(&heard.reply, wanted.expected)) {
                    let key = (server.name.as_str(), name.clone(), said(&wrong.reply));
                    grouped.entry(key).or_default().push(&asker.node);
                }
            }
        }
        let expected = list(wanted.expected);
        let finding = |((server, name, answer), from): ((&str, String, String), Vec<&str>)| {
            let wrong = Wrong {
                name: &name,
                server: &server,
                answer: &answer,
                expected: &expected,
                from: &from.join(", "),
            };
            Finding::fail((wanted.cause)(wrong)).of(server)
        };
        grouped.into_iter().map(finding).collect()
    }

    /// Returns whether questions for names outside of the cluster hang. That they are refused, or mean nothing, is how it is
    /// in a closed network.
    fn outside(&self, dns: &DnsServiceFacts) -> Option<Finding> {
        let silent = |asker: &&Asker| {
            let mut heard = asker.heard.iter();
            heard.any(|heard| {
                heard.question.name == questions::OUTSIDE && !matches!(heard.reply, DnsReply::Answer { .. })
            })
        };
        let from: Vec<&str> = self
            .askers
            .iter()
            .filter(silent)
            .map(|asker| asker.node.as_str())
            .collect();
        let cause = cause::DnsOutsideSilent {
            name: &questions::OUTSIDE,
            server: &dns.full_name(),
            seconds: &PATIENCE.as_secs(),
            from: &from.join(", "),
        };
        (!from.is_empty()).then(|| Finding::warn(cause).of(dns.full_name()).sure())
    }
}

/// Returns the server that a pod is told of, as it stands in a cause.
fn told(asker: &Asker) -> String {
    asker
        .server()
        .map_or_else(|| "-".to_owned(), |server| server.to_string())
}

fn is_right(reply: &DnsReply, expected: &[IpAddr]) -> bool {
    matches!(reply, DnsReply::Answer { code: 0, addresses, .. }
        if addresses.iter().any(|address| expected.contains(address)))
}

/// Returns whether an answer is there and is another than it must be. One that was cut is asked for over a connection.
fn is_wrong(reply: &DnsReply, expected: &[IpAddr]) -> bool {
    matches!(reply, DnsReply::Answer { truncated: false, .. }) && !is_right(reply, expected)
}
