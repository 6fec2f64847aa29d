//! `hosts.settings`: what the kernel of a host is set to now, against what its pods and Services need, and how near its limits
//! are.

mod limits;
mod reverse_path;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::checks::components::component::known::KUBE_PROXY;
use crate::checks::network::cni_bridge;
use crate::distribution::SERVICE_PROXIES;
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{
    CniReply, HttpProbe, HttpReply, Interface, Interfaces, Place, Processes, Route, Routes, Sysctls, Usage,
    UsageReply,
};
use crate::site::{Host, Role, Site};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<HostsSettings>("hosts.settings", Scope::Host).confirmed();

/// The switch without which a host passes nothing on to its pods, by family.
const FORWARD: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];
/// Without these, what one pod sends another over a bridge passes by the rules of Services, by family.
const BRIDGE: [&str; 2] = [
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
];
/// The module that those belong to.
const MODULE: &str = "br_netfilter";
/// How long kube-proxy may take to tell its configuration.
const ANSWER: Duration = Duration::from_secs(4);

struct HostsSettings;

#[derive(Serialize, Deserialize)]
struct Facts {
    interfaces: Vec<Interface>,
    #[serde(default)]
    routes: Vec<Route>,
    /// The CNI's configuration; absent where the host has no pods.
    cni: Option<CniReply>,
    /// The programs on the host that do the work of Services.
    proxies: Vec<String>,
    /// Whether kube-proxy says that it masquerades whatever goes to a Service: then answers find back without the bridge.
    masquerades: bool,
    /// Settings of the kernel, by key; absent where the kernel has none.
    values: BTreeMap<String, Option<String>>,
    usage: UsageReply,
}

impl Probe for HostsSettings {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let is_worker = host.roles.contains(&Role::Worker);
        let cni = async {
            if is_worker {
                cni_bridge::cni(ctx, host).await.map(Some)
            } else {
                Ok(None)
            }
        };
        let names = KUBE_PROXY.programs.iter().chain(KUBE_PROXY.embedded);
        let names = Processes {
            names: names
                .chain(SERVICE_PROXIES)
                .map(|name| (*name).to_owned())
                .collect(),
        };
        let (interfaces, routes, usage, cni, proxies) = futures::join!(
            ctx.ask(&host.name, Interfaces {}),
            ctx.ask(&host.name, Routes {}),
            ctx.ask(&host.name, Usage {}),
            cni,
            ctx.ask(&host.name, names)
        );
        let mut proxies: Vec<String> = proxies?.into_iter().map(|process| process.name).collect();
        proxies.sort();
        proxies.dedup();
        let mut facts = Facts {
            interfaces: interfaces?,
            routes: routes?,
            cni: cni?,
            proxies,
            masquerades: false,
            values: BTreeMap::new(),
            usage: usage?,
        };
        let keys = facts.keys(host);
        facts.values = ctx.ask(&host.name, Sysctls { keys }).await?;
        if !facts.unfiltered(host).is_empty() {
            facts.masquerades = masquerades(ctx, host).await;
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = expect.host()?;
        let mut findings = Vec::new();
        if !facts.masquerades {
            findings.extend(facts.unfiltered(host));
        }
        findings.extend(facts.forwarding(host, expect.site));
        findings.extend(reverse_path::findings(
            (&facts.interfaces, &facts.routes),
            &facts.values,
            facts.usage.reverse_path_drops,
            (host, &expect.site.hosts),
        ));
        findings.extend(limits::findings(&facts.usage, &facts.values, &host.name));
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let values = facts.values.iter().map(|(key, value)| {
            let value = value.as_deref().unwrap_or("-");
            format!("{} = {value}", key.replace('/', "."))
        });
        let settings = Evidence::lines(phrase::Settings, values);
        let usage = Evidence::lines(phrase::InUse, limits::lines(&facts.usage));
        settings.into_iter().chain(usage).collect()
    }
}

/// Returns whether kube-proxy's own configuration says `masqueradeAll`, wherever in it that stands in its version.
async fn masquerades(ctx: &Ctx, host: &Host) -> bool {
    let probe = HttpProbe {
        to: ([127, 0, 0, 1], 10249).into(),
        method: "GET".to_owned(),
        path: "/configz".to_owned(),
        from: Place::Host,
        timeout_millis: 3000,
        keep_body: 256 * 1024,
    };
    match ctx.ask_within(&host.name, probe, ANSWER).await {
        Ok(HttpReply::Answer {
            status: 200, body, ..
        }) => serde_json::from_str(&body).is_ok_and(|config| masquerades_all(&config)),
        _ => false,
    }
}

fn masquerades_all(config: &serde_json::Value) -> bool {
    match config {
        serde_json::Value::Object(fields) => fields.iter().any(|(name, value)| {
            (name.eq_ignore_ascii_case("masqueradeAll") && value == true) || masquerades_all(value)
        }),
        serde_json::Value::Array(items) => items.iter().any(masquerades_all),
        _ => false,
    }
}

impl Facts {
    /// Returns the settings that are looked at.
    fn keys(&self, host: &Host) -> Vec<String> {
        let fixed = FORWARD.iter().chain(&BRIDGE).chain(&limits::KEYS);
        let mut keys: Vec<String> = fixed.map(|key| (*key).to_owned()).collect();
        keys.extend(self.passed(host).map(interface_key));
        keys.extend(reverse_path::keys(&self.interfaces, host));
        keys
    }

    /// Returns the bridge that the node's pods hang on; none where the CNI makes none.
    fn bridge(&self) -> Option<&str> {
        let cni = self.cni.as_ref()?;
        // flannel's plugin has a bridge made, which is called cni0 unless its file says otherwise.
        let of_flannel = (cni.plugin == "flannel").then_some("cni0");
        cni.bridge.as_deref().or(of_flannel)
    }

    /// Returns the interfaces that packets from and for pods come in by: the bridge, and those with the host's addresses.
    fn passed(&self, host: &Host) -> impl Iterator<Item = &Interface> {
        let bridge = self.bridge();
        let own = host.ips();
        self.interfaces.iter().filter(move |interface| {
            let has_address = || interface.addresses.iter().any(|one| own.contains(&one.addr()));
            bridge.is_some_and(|bridge| interface.name == bridge || (interface.name != "lo" && has_address()))
        })
    }

    /// Returns whether kube-proxy does the work of Services here, alone or inside k3s, and nobody else.
    fn is_of_kube_proxy(&self) -> bool {
        let is = |name: &String, list: &[&str]| list.contains(&name.as_str());
        let own = |name| is(name, KUBE_PROXY.programs) || is(name, KUBE_PROXY.embedded);
        self.proxies.iter().any(own) && !self.proxies.iter().any(|name| is(name, SERVICE_PROXIES))
    }

    /// Returns whether pods of this host have addresses of a family: IPv4 unless all that is known says otherwise.
    fn has_pods(&self, host: &Host, v6: bool) -> bool {
        let of_cni = self.cni.iter().flat_map(|cni| &cni.subnets);
        let mut networks = host.pod_cidrs.iter().chain(of_cni).peekable();
        if networks.peek().is_none() {
            return !v6;
        }
        networks.any(|network| matches!(network, IpNet::V6(_)) == v6)
    }

    /// Returns the settings that let what pods of one bridge send each other pass by the rules of Services.
    fn unfiltered(&self, host: &Host) -> Vec<Finding> {
        let Some(bridge) = self.bridge().filter(|_| self.is_of_kube_proxy()) else {
            return Vec::new();
        };
        let (bridge, host_name): (&dyn Display, &dyn Display) = (&bridge, &host.name);
        let mut findings = Vec::new();
        for (key, v6) in BRIDGE.iter().zip([false, true]) {
            if !self.has_pods(host, v6) {
                continue;
            }
            match self.values.get(*key).map(Option::as_deref) {
                Some(Some("0")) => {
                    let off = cause::BridgeUnfiltered {
                        key,
                        bridge,
                        host: host_name,
                    };
                    findings.push(Finding::fail(off).of(key));
                }
                Some(None) => {
                    let missing = cause::BridgeFilterMissing {
                        module: &MODULE,
                        bridge,
                        host: host_name,
                    };
                    return vec![Finding::fail(missing).of(MODULE)];
                }
                _ => {}
            }
        }
        findings
    }

    fn is_off(&self, key: &str) -> bool {
        self.values
            .get(key)
            .is_some_and(|value| value.as_deref() == Some("0"))
    }

    /// Returns what this host does not pass on to its pods. `network.routes` judges the switch of a family whose pod networks
    /// the site file names.
    fn forwarding(&self, host: &Host, site: &Site) -> Vec<Finding> {
        if !host.roles.contains(&Role::Worker) {
            return Vec::new();
        }
        let off: Vec<&Interface> = self
            .passed(host)
            .filter(|interface| self.is_off(&interface_key(interface)))
            .collect();
        // systemd-networkd turns forwarding on by interface.
        let is_on = self.passed(host).next().is_some() && off.is_empty();
        let is_judged = |v6| {
            let mut networks = site.with_role(Role::Worker).flat_map(|worker| &worker.pod_cidrs);
            networks.any(|network| matches!(network, IpNet::V6(_)) == v6)
        };
        let mut findings = Vec::new();
        for (key, v6) in FORWARD.iter().zip([false, true]) {
            if self.is_off(key) && self.has_pods(host, v6) && !is_judged(v6) && (v6 || !is_on) {
                let cause = cause::ForwardingOff {
                    host: &host.name,
                    key,
                };
                findings.push(Finding::fail(cause).of(key));
            }
        }
        // The switch of all turns each off, too.
        if !self.is_off(FORWARD[0]) {
            findings.extend(off.into_iter().map(|interface| {
                let cause = cause::InterfaceForwardingOff {
                    interface: &interface.name,
                    key: &interface_key(interface).replace('/', "."),
                    host: &host.name,
                };
                Finding::warn(cause).of(&interface.name)
            }));
        }
        findings
    }
}

/// Returns the switch of what comes in by an interface, with slashes: its name may hold dots.
fn interface_key(interface: &Interface) -> String {
    format!("net/ipv4/conf/{}/forwarding", interface.name)
}

#[cfg(test)]
mod tests;
