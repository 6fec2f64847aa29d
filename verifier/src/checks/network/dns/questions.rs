//! What is asked of whom: which Service is the cluster's DNS, in which domain its names lie. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::{Asker, Facts};
use crate::cluster::{DnsEndpoint, DnsServiceFacts, ServiceFacts};
use crate::protocol::{DnsBy, DnsQuestion};

/// The domain that most clusters have.
const USUAL: &str = "cluster.local";
/// A name outside of every cluster, which no site's DNS takes for its own (RFC 2606). What it means does not matter.
pub(super) const OUTSIDE: &str = "example.com";
const PORT: u16 = 53;
/// About as long as a question is, in bytes.
pub(super) const BYTES: u32 = 64;
/// A pod asks no more of the DNS's pods than these, unless there are more than the pods of the run can share.
const SHARE: usize = 8;
/// And never more than these.
const MOST: usize = 32;
/// More domains are not tried.
const DOMAINS: usize = 4;

/// Returns the Service of the cluster's DNS: the one that pods are told of, else the one that says so itself.
pub(super) fn choose<'a>(services: &'a [DnsServiceFacts], askers: &[Asker]) -> Option<&'a DnsServiceFacts> {
    let told: BTreeSet<IpAddr> = askers.iter().filter_map(Asker::server).collect();
    let is_told = |service: &&DnsServiceFacts| service.addresses.iter().any(|address| told.contains(address));
    let by_name = |service: &&DnsServiceFacts| service.said && service.name == "kube-dns";
    let mut addressed = services.iter().filter(|service| !service.addresses.is_empty());
    services
        .iter()
        .find(|service| is_told(service) && service.said)
        .or_else(|| services.iter().find(is_told))
        .or_else(|| services.iter().find(by_name))
        .or_else(|| addressed.find(|service| service.said))
}

/// Returns the API's own name.
pub(super) fn cluster_name(domain: &str) -> String {
    format!("kubernetes.default.svc.{domain}")
}

/// Returns the name of a Service.
pub(super) fn own_name(service: &ServiceFacts, domain: &str) -> String {
    format!("{}.{}.svc.{domain}", service.name, service.namespace)
}

impl Asker {
    /// Returns the server that its programs ask first.
    pub(super) fn server(&self) -> Option<IpAddr> {
        self.told.servers.first().copied()
    }

    /// Returns the cluster's domain as it is told.
    pub(super) fn domain(&self) -> Option<&str> {
        self.told
            .search
            .iter()
            .find_map(|domain| domain.strip_prefix("svc."))
    }
}

impl Facts {
    /// Returns the domains that may be the cluster's.
    pub(super) fn domains(&self) -> Vec<String> {
        let told = self.askers.iter().filter_map(Asker::domain).chain([USUAL]);
        let told: BTreeSet<&str> = told.collect();
        told.into_iter().take(DOMAINS).map(str::to_owned).collect()
    }

    /// Returns the domain in which a pod looks for names, or would if it were told one.
    pub(super) fn domain_of(&self, asker: &Asker) -> String {
        let others = || self.askers.iter().find_map(Asker::domain);
        asker.domain().or_else(others).unwrap_or(USUAL).to_owned()
    }

    /// Returns the addresses of the DNS's Service that a pod can reach by its own.
    pub(super) fn addresses_for(&self, asker: &Asker) -> impl Iterator<Item = IpAddr> {
        let all = self.dns.iter().flat_map(|dns| dns.addresses.clone());
        let v6 = asker.address.is_ipv6();
        all.filter(move |address| address.is_ipv6() == v6)
    }

    /// Returns the pods of the DNS that a pod asks: all of them, or where they are many, its share.
    fn share(&self, at: usize) -> impl Iterator<Item = &DnsEndpoint> {
        let asker = &self.askers[at];
        let v6 = asker.address.is_ipv6();
        let all: Vec<&DnsEndpoint> = self
            .servers
            .iter()
            .filter(|one| one.address.is_ipv6() == v6)
            .collect();
        let each = all
            .len()
            .div_ceil(self.askers.len())
            .clamp(SHARE, MOST)
            .min(all.len());
        let start = if all.is_empty() { 0 } else { at * each % all.len() };
        (0..each).map(move |step| all[(start + step) % all.len()])
    }
}

/// What is asked.
pub(super) struct Plan {
    domains: Vec<String>,
}

impl Plan {
    /// Returns what is to be asked.
    pub(super) fn of(facts: &Facts) -> Self {
        Self {
            domains: facts.domains(),
        }
    }

    /// Returns what a pod asks.
    pub(super) fn questions(&self, facts: &Facts, at: usize) -> Vec<DnsQuestion> {
        let asker = &facts.askers[at];
        let v6 = facts.kubernetes.first().is_some_and(IpAddr::is_ipv6);
        let question = |server: SocketAddr, name: &str, by: DnsBy| DnsQuestion {
            server,
            name: name.to_owned(),
            v6,
            by,
        };
        let domain = facts.domain_of(asker);
        let known = cluster_name(&domain);
        let Some(dns) = &facts.dns else {
            let server = asker.server().map(|server| SocketAddr::new(server, PORT));
            return server
                .into_iter()
                .map(|to| question(to, &known, DnsBy::Udp))
                .collect();
        };
        let mut asked = Vec::new();
        for pod in facts.share(at) {
            let ports = [(pod.udp, DnsBy::Udp), (pod.tcp, DnsBy::Tcp)];
            let ports = ports.into_iter().filter_map(|(port, by)| Some((port?, by)));
            asked.extend(ports.map(|(port, by)| question(SocketAddr::new(pod.address, port), &known, by)));
        }
        let own = asker
            .server()
            .filter(|own| own.is_ipv6() == asker.address.is_ipv6());
        let servers: BTreeSet<IpAddr> = facts.addresses_for(asker).chain(own).collect();
        for server in servers {
            let to = SocketAddr::new(server, PORT);
            asked.push(question(to, &known, DnsBy::Udp));
            if dns.tcp.is_some() {
                asked.push(question(to, &known, DnsBy::Tcp));
            }
            let service = own_name(&facts.service, &domain);
            asked.push(DnsQuestion {
                v6: facts.service.cluster_ip.is_ipv6(),
                ..question(to, &service, DnsBy::Udp)
            });
            let others = self.domains.iter().filter(|other| **other != domain);
            asked.extend(others.map(|other| question(to, &cluster_name(other), DnsBy::Udp)));
            asked.push(question(to, OUTSIDE, DnsBy::Udp));
        }
        asked
    }
}
