//! `hosts.names`: the other hosts' names mean their addresses on this host, and the API server's name means something to its
//! kubelet.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

use secrets::Masked;
use serde::{Deserialize, Serialize};

use crate::checks::components::component::known::API_SERVER;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{Interfaces, NameFound, Names, NamesReply, Process, Processes};
use crate::site::{Host, Role};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<HostsNames>("hosts.names", Scope::Host).confirmed();

/// The flag that says by which of a Node's addresses the API server reaches its kubelet, and what stands first without it
/// (cmd/kube-apiserver/app/options).
const TYPES: &str = "--kubelet-preferred-address-types";
const BY_DEFAULT: &str = "Hostname";

struct HostsNames;

#[derive(Serialize, Deserialize)]
struct Facts {
    reply: NamesReply,
    /// The addresses on the interfaces of hosts whose names mean other addresses here than the site file's.
    own: BTreeMap<String, Vec<IpAddr>>,
    /// What the API server of this host prefers of a Node's addresses; absent where none runs.
    prefers: Option<String>,
}

impl Probe for HostsNames {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let names = others(host, &ctx.site.hosts).map(|(name, _)| name.to_owned());
        let names = Names {
            names: names.collect(),
            of_file: false,
        };
        let servers = Processes {
            names: API_SERVER
                .programs
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        };
        let (reply, servers) = futures::join!(ctx.ask(&host.name, names), ctx.ask(&host.name, servers));
        let mut reply = reply?;
        if reply.names.values().any(is_of_dns) {
            // Only then: where no server answers it would be waited for.
            let nobody = Names {
                names: vec![Names::NOBODY.to_owned()],
                of_file: false,
            };
            reply.names.extend(ctx.ask(&host.name, nobody).await?.names);
        }
        let mut facts = Facts {
            reply,
            own: BTreeMap::new(),
            prefers: servers?.first().map(prefers),
        };
        let odd: Vec<&Host> = others(host, &ctx.site.hosts)
            .filter(|(name, other)| facts.strangers(name, other).next().is_some())
            .map(|(_, other)| other)
            .collect();
        let asked = odd.into_iter().map(|other| async {
            let interfaces = ctx.ask(&other.name, Interfaces {}).await.ok()?;
            let addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
            Some((other.name.clone(), addresses.map(ipnet::IpNet::addr).collect()))
        });
        facts.own = futures::future::join_all(asked)
            .await
            .into_iter()
            .flatten()
            .collect();
        Ok(facts)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = expect.host()?;
        let hosts = &expect.site.hosts;
        let mut findings: Vec<Finding> = others(host, hosts)
            .filter_map(|(name, other)| facts.finding((name, other), host, hosts))
            .collect();
        let api_server = facts.reply.api_server.as_deref();
        findings.extend(api_server.and_then(|name| facts.api_server(name, host)));
        if findings.is_empty() && api_server.is_none() && !facts.are_used(host, hosts) {
            // Whoever goes by addresses alone needs no names.
            return Err(Unjudged::skip(cause::NamesNotUsed { host: &host.name }));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let names = facts
            .reply
            .names
            .iter()
            .filter(|(name, _)| *name != Names::NOBODY);
        let lines = names.map(|(name, found)| match found {
            NameFound::Addresses { addresses, of_file } => {
                let of = if *of_file { "/etc/hosts" } else { "DNS" };
                format!("{name}: {} ({of})", list(addresses))
            }
            NameFound::Unknown | NameFound::Silent => format!("{name}: -"),
        });
        let servers = facts
            .reply
            .servers
            .iter()
            .map(|server| format!("nameserver {server}"));
        Evidence::lines(phrase::Names, lines.chain(servers))
            .into_iter()
            .collect()
    }
}

/// Returns the names of the other hosts: that of the site file, and that of the Node.
fn others<'a>(host: &'a Host, hosts: &'a [Host]) -> impl Iterator<Item = (&'a str, &'a Host)> {
    let others = hosts.iter().filter(|other| other.name != host.name);
    others.flat_map(|other| {
        let node = is_node(other)
            .then(|| other.node())
            .filter(|node| *node != other.name);
        [Some(other.name.as_str()), node]
            .into_iter()
            .flatten()
            .map(move |name| (name, other))
    })
}

const fn is_of_dns(found: &NameFound) -> bool {
    matches!(found, NameFound::Addresses { of_file: false, .. })
}

fn is_node(host: &Host) -> bool {
    host.roles.contains(&Role::Worker)
}

/// Returns the kind of a Node's address that an API server takes.
fn prefers(process: &Process) -> String {
    let mut arguments = process.arguments.iter().map(Masked::as_str);
    let mut types = None;
    while let Some(argument) = arguments.next() {
        if argument == TYPES {
            types = arguments.next();
        } else if let Some(value) = argument
            .strip_prefix(TYPES)
            .and_then(|rest| rest.strip_prefix('='))
        {
            types = Some(value);
        }
    }
    // Only clouds give their Nodes names of DNS: without those the API server takes the next kind.
    let mut kinds = types.unwrap_or(BY_DEFAULT).split(',').map(str::trim);
    let kind = kinds.find(|kind| !kind.ends_with("DNS"));
    kind.unwrap_or(BY_DEFAULT).to_owned()
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

impl Facts {
    /// Returns what a name means; nothing where DNS says the same of everybody.
    fn meaning(&self, name: &str) -> &[IpAddr] {
        let of = |name: &str| {
            self.reply
                .names
                .get(name)
                .map_or(&[] as &[IpAddr], NameFound::addresses)
        };
        let (found, nobody) = (of(name), of(Names::NOBODY));
        if !nobody.is_empty() && found.iter().all(|address| nobody.contains(address)) {
            return &[];
        }
        found
    }

    /// Returns the addresses that a name means and that are not the host's.
    fn strangers<'a>(&'a self, name: &str, other: &'a Host) -> impl Iterator<Item = &'a IpAddr> {
        let own = self.own.get(&other.name);
        let is_own = move |address: &IpAddr| {
            other.ips().contains(address)
                || own.is_some_and(|own| own.contains(address) && !address.is_loopback())
        };
        self.meaning(name).iter().filter(move |address| !is_own(address))
    }

    /// Returns whether any other host's name means something here.
    fn are_used(&self, host: &Host, hosts: &[Host]) -> bool {
        others(host, hosts).any(|(name, _)| !self.meaning(name).is_empty())
    }

    /// Returns whether the API server here reaches the kubelets by their names.
    fn goes_by_names(&self) -> bool {
        self.prefers.as_deref() == Some(BY_DEFAULT)
    }

    /// Returns what is wrong with the name of another host.
    fn finding(&self, (name, other): (&str, &Host), host: &Host, hosts: &[Host]) -> Option<Finding> {
        let found = self.meaning(name);
        let (shown, host_name): (&dyn Display, &dyn Display) = (&name, &host.name);
        if found.is_empty() {
            return self.missing((name, other), host, hosts);
        }
        // Where the site file has a name in the place of an address, there is nothing to compare with.
        let strangers: Vec<IpAddr> = self.strangers(name, other).copied().collect();
        if other.ips().is_empty() || strangers.is_empty() {
            return None;
        }
        let (expected, list) = (&list(&other.ips()), &list(&strangers));
        let finding = if strangers.len() == found.len() {
            Finding::fail(cause::NameElsewhere {
                name: shown,
                found: list,
                expected,
                host: host_name,
            })
        } else {
            Finding::warn(cause::NameElsewhereToo {
                name: shown,
                found: list,
                expected,
                host: host_name,
            })
        };
        Some(finding.of(name))
    }

    /// Returns what is wrong where a name means nothing: the kubelets' names are what an API server may need, and a list of
    /// names that lacks one has lost it.
    fn missing(&self, (name, other): (&str, &Host), host: &Host, hosts: &[Host]) -> Option<Finding> {
        let is_needed = is_node(other) && name == other.node() && self.goes_by_names();
        // Of two names of a host one will do.
        let has_another = self.are_used(host, std::slice::from_ref(other));
        let is_listed = !has_another && self.are_used(host, hosts);
        let (shown, host): (&dyn Display, &dyn Display) = (&name, &host.name);
        if !is_needed && !is_listed {
            return None;
        }
        if !self.reply.unasked.is_empty() {
            let sources = &self.reply.unasked.join(", ");
            return Some(
                Finding::error(cause::NameUnasked {
                    name: shown,
                    sources,
                    host,
                })
                .of(name),
            );
        }
        Some(if is_needed {
            Finding::fail(cause::NodeNameUnknown { node: shown, host }).of(name)
        } else {
            Finding::warn(cause::NameUnknown { name: shown, host }).of(name)
        })
    }

    /// Returns that the kubelet of this host cannot find its API server.
    fn api_server(&self, name: &str, host: &Host) -> Option<Finding> {
        if !self.meaning(name).is_empty() {
            return None;
        }
        let (shown, host): (&dyn Display, &dyn Display) = (&name, &host.name);
        Some(if self.reply.unasked.is_empty() {
            Finding::fail(cause::ApiNameUnknown { name: shown, host }).of(name)
        } else {
            let sources = &self.reply.unasked.join(", ");
            Finding::error(cause::NameUnasked {
                name: shown,
                sources,
                host,
            })
            .of(name)
        })
    }
}

#[cfg(test)]
mod tests;
