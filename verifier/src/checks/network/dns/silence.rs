//! Who does not answer whom, over what. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::{Asker, Facts, questions};
use crate::findings::{Cause, Finding, cause};
use crate::protocol::{DnsBy, DnsReply};

/// A server that does not answer a pod.
pub(super) struct Silence<'a> {
    /// The host of the pod that asked.
    pub(super) host: &'a str,
    /// The Node of the pod that asked.
    asker: &'a str,
    /// The server.
    pub(super) to: SocketAddr,
    /// Whether it is a pod, and not the Service.
    pub(super) is_pod: bool,
    /// The Node that the pod is on.
    pub(super) node: Option<&'a str>,
    /// Who it is: a pod, or the Service.
    name: String,
    /// Over what nothing came.
    pub(super) lost: BTreeSet<DnsBy>,
    /// Whether it answers over something else.
    answers: bool,
}

impl Facts {
    /// Returns who does not answer whom: pods of the DNS, and where these all answer, its Service.
    pub(super) fn silences(&self) -> Vec<Silence<'_>> {
        let pods: Vec<Silence<'_>> = self
            .askers
            .iter()
            .flat_map(|asker| self.pods_silent_to(asker))
            .collect();
        if !pods.is_empty() || self.servers.is_empty() {
            return pods;
        }
        let all = self.askers.iter();
        all.flat_map(|asker| self.service_silent_to(asker)).collect()
    }

    fn pods_silent_to<'a>(&'a self, asker: &'a Asker) -> Vec<Silence<'a>> {
        let silent = self.servers.iter().filter_map(|server| {
            let (lost, answers) = self.lost(asker, server.address);
            let port = server.udp.or(server.tcp)?;
            (!lost.is_empty()).then(|| Silence {
                host: &asker.host,
                asker: &asker.node,
                to: SocketAddr::new(server.address, port),
                is_pod: true,
                node: server.node.as_deref(),
                name: server.pod.clone(),
                lost,
                answers,
            })
        });
        silent.collect()
    }

    fn service_silent_to<'a>(&'a self, asker: &'a Asker) -> Vec<Silence<'a>> {
        let Some(dns) = &self.dns else {
            return Vec::new();
        };
        let silent = self.addresses_for(asker).filter_map(|address| {
            let (lost, answers) = self.lost(asker, address);
            (!lost.is_empty()).then(|| Silence {
                host: &asker.host,
                asker: &asker.node,
                to: SocketAddr::new(address, 53),
                is_pod: false,
                node: None,
                name: dns.full_name(),
                lost,
                answers,
            })
        });
        silent.collect()
    }

    /// Returns over what a server did not say anything to the question for the API's own name, and whether it said
    /// something over anything.
    fn lost(&self, asker: &Asker, server: IpAddr) -> (BTreeSet<DnsBy>, bool) {
        let name = questions::cluster_name(&self.domain_of(asker));
        let heard = asker.heard.iter();
        let heard = heard.filter(|heard| heard.question.server.ip() == server && heard.question.name == name);
        let (mut lost, mut answers) = (BTreeSet::new(), false);
        for heard in heard {
            match heard.reply {
                DnsReply::Answer { .. } => answers = true,
                DnsReply::Broken { .. } | DnsReply::Silent { .. } => {
                    lost.insert(heard.question.by);
                }
            }
        }
        (lost, answers)
    }
}

/// Returns what was found, each server once.
pub(super) fn findings(silences: &[Silence<'_>]) -> Vec<Finding> {
    let mut grouped: BTreeMap<(&str, SocketAddr, &BTreeSet<DnsBy>, bool), Vec<&Silence<'_>>> =
        BTreeMap::new();
    for silence in silences {
        let key = (silence.name.as_str(), silence.to, &silence.lost, silence.answers);
        grouped.entry(key).or_default().push(silence);
    }
    let finding = |group: &Vec<&Silence<'_>>| {
        let from: Vec<&str> = group.iter().map(|silence| silence.asker).collect();
        let one = group.first()?;
        Some(Finding::fail(one.cause_to(&from.join(", "))).of(&one.name))
    };
    grouped.values().filter_map(finding).collect()
}

impl Silence<'_> {
    #[rustfmt::skip]
    fn cause_to(&self, from: &str) -> Cause {
        let (pod, service, address, from) = (&self.name, &self.name, &self.to.ip(), &from);
        let node = &self.node.unwrap_or("-");
        let half = self.answers.then(|| match self.lost.first() {
            Some(DnsBy::Udp) => ("UDP", "TCP"),
            _ => ("TCP", "UDP"),
        });
        match (self.is_pod, half) {
            (true, None) => cause::DnsPodSilent { pod, address, node, from }.into(),
            (true, Some((lost, other))) => {
                cause::DnsPodHalf { pod, address, node, lost: &lost, other: &other, from }.into()
            }
            (false, None) => cause::DnsServiceSilent { service, address, from }.into(),
            (false, Some((lost, other))) => {
                cause::DnsServiceHalf { service, address, lost: &lost, other: &other, from }.into()
            }
        }
    }
}
