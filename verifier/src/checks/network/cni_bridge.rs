//! What the checks of the pods' bridge look at: the CNI's configuration, the host's interfaces, the sandboxes.

use serde::{Deserialize, Serialize};

use super::pods;
use crate::findings::{Evidence, Unjudged, cause, phrase};
use crate::protocol::{Cni, CniReply, CriPodsReply, Interface, Interfaces, SandboxNetwork};
use crate::site::{Host, Site};
use crate::suite::{Ctx, Expect, Member};

/// One reading of a worker.
#[derive(Serialize, Deserialize)]
pub(in crate::checks) struct View {
    pub(in crate::checks) interfaces: Vec<Interface>,
    pub(in crate::checks) runtime: CriPodsReply,
}

/// Returns the name of the bridge that the node's CNI makes, or why there is none to look at.
fn bridge<'a>(cni: &'a CniReply, site: &Site) -> Result<&'a str, Unjudged> {
    if let Some(other) = site.expect.cni.as_deref().filter(|cni| *cni != "bridge") {
        return Err(Unjudged::skip(cause::OtherCni { cni: &other }));
    }
    match &cni.bridge {
        Some(bridge) => Ok(bridge),
        None if cni.file.is_none() => Err(Unjudged::skip(cause::Needs {
            what: &"workload.pod-cidr",
        })),
        None => Err(Unjudged::skip(cause::OtherCni { cni: &cni.plugin })),
    }
}

/// Asks the agent for the CNI's configuration.
pub(in crate::checks) async fn cni(ctx: &Ctx, host: &Host) -> Result<CniReply, Unjudged> {
    let socket = host.runtime.clone();
    Ok(ctx.ask(&host.name, Cni { socket }).await?)
}

/// Reads a worker once.
async fn look(ctx: &Ctx, host: &Host) -> Result<View, Unjudged> {
    let (interfaces, runtime) =
        futures::join!(ctx.ask(&host.name, Interfaces {}), pods::of_runtime(ctx, host));
    Ok(View {
        interfaces: interfaces?,
        runtime: runtime?,
    })
}

/// What the checks of the bridge and of its ports see.
#[derive(Serialize, Deserialize)]
pub(in crate::checks) struct Facts {
    pub(in crate::checks) cni: CniReply,
    /// Absent where the CNI makes no bridge.
    pub(in crate::checks) view: Option<View>,
}

impl Facts {
    /// Reads the member.
    pub(in crate::checks) async fn gather(ctx: &Ctx, member: &Member) -> Result<Self, Unjudged> {
        let host = ctx.host(member)?;
        let cni = cni(ctx, host).await?;
        let view = match bridge(&cni, &ctx.site) {
            Ok(_) => {
                // While the suite's pods come up ports and sandboxes differ. Where they do not come, those of others
                // are judged all the same.
                let _ = ctx.fixtures().spread(ctx).await;
                Some(look(ctx, host).await?)
            }
            Err(_) => None,
        };
        Ok(Self { cni, view })
    }

    /// Returns what there is to judge: the reading and the bridge's name.
    pub(in crate::checks) fn bridge(&self, expect: &Expect<'_>) -> Result<(&View, &str), Unjudged> {
        let name = bridge(&self.cni, expect.site)?;
        let missing = || Unjudged::internal(&"the bridge was not looked at");
        Ok((self.view.as_ref().ok_or_else(missing)?, name))
    }

    /// Returns the interfaces of the host, and of each sandbox, as evidence.
    pub(in crate::checks) fn evidence(&self) -> Vec<Evidence> {
        self.view.iter().flat_map(View::evidence).collect()
    }
}

impl View {
    /// Returns the sandboxes that are ready and have a network of their own.
    pub(in crate::checks) fn networks(&self) -> impl Iterator<Item = &SandboxNetwork> {
        let sandboxes = self.runtime.sandboxes.iter();
        sandboxes.filter(|network| network.sandbox.ready && !network.host_network)
    }

    /// Returns an interface of the host.
    pub(in crate::checks) fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// Returns the ports of a bridge.
    pub(in crate::checks) fn ports(&self, bridge: &str) -> impl Iterator<Item = &Interface> {
        let interfaces = self.interfaces.iter();
        interfaces.filter(move |interface| interface.master.as_deref() == Some(bridge))
    }

    fn evidence(&self) -> Vec<Evidence> {
        let inside = |network: &SandboxNetwork| {
            let sandbox = &network.sandbox;
            let head = format!("{}/{}", sandbox.namespace, sandbox.name);
            let interfaces = network.interfaces.iter().flatten();
            let lines = interfaces.map(|interface| format!("  {}", line(interface)));
            std::iter::once(head).chain(lines).collect::<Vec<_>>()
        };
        let host = Evidence::lines(phrase::HostInterfaces, self.interfaces.iter().map(line));
        let pods = Evidence::lines(phrase::PodInterfaces, self.networks().flat_map(inside));
        host.into_iter().chain(pods).collect()
    }
}

/// Returns an interface as `ip -brief address` would, with its master and peer.
pub(in crate::checks) fn line(interface: &Interface) -> String {
    let state = if interface.up { "UP" } else { "DOWN" };
    let master = interface
        .master
        .as_ref()
        .map(|master| format!(" master {master}"))
        .unwrap_or_default();
    let peer = interface
        .peer
        .map(|peer| format!("@if{peer}"))
        .unwrap_or_default();
    let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
    format!(
        "{}: {}{peer} {state}{master} mtu {} {}",
        interface.index,
        interface.name,
        interface.mtu,
        addresses.join(" ")
    )
}

#[cfg(test)]
pub(in crate::checks) mod tests {
    use super::*;
    use crate::findings::CauseId;
    use crate::protocol::Sandbox;

    /// Returns an interface that is up.
    pub(in crate::checks) fn interface(index: u32, name: &str, kind: &str, addresses: &[&str]) -> Interface {
        Interface {
            index,
            name: name.to_owned(),
            kind: kind.to_owned(),
            up: true,
            master: None,
            peer: None,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            mtu: 1500,
            card: None,
        }
    }

    /// Returns the page's node-1 with one pod behind its bridge.
    pub(in crate::checks) fn view() -> View {
        let mut outside = interface(5, "veth105f567d", "veth", &[]);
        outside.master = Some("cni0".to_owned());
        outside.peer = Some(2);
        let mut inside = interface(2, "eth0", "veth", &["10.200.1.2/24"]);
        inside.peer = Some(5);
        let sandbox = |id: &str, name: &str| Sandbox {
            id: id.to_owned(),
            namespace: "verifier-1".to_owned(),
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            ready: true,
        };
        let network = SandboxNetwork {
            sandbox: sandbox("c7fd0a93cbea", "nginx-b"),
            host_network: false,
            interfaces: Some(vec![interface(1, "lo", "", &["127.0.0.1/8"]), inside]),
        };
        let of_host = SandboxNetwork {
            sandbox: sandbox("aaaaaaaaaaaa", "proxy"),
            host_network: true,
            interfaces: None,
        };
        View {
            interfaces: vec![
                interface(3, "eth1", "", &["192.168.10.102/24"]),
                interface(4, "cni0", "bridge", &["10.200.1.1/24"]),
                outside,
            ],
            runtime: CriPodsReply {
                runtime: "containerd".to_owned(),
                sandboxes: vec![network, of_host],
                containers: Vec::new(),
            },
        }
    }

    /// Returns the page's CNI of node-1.
    pub(in crate::checks) fn page() -> CniReply {
        CniReply {
            directory: "/etc/cni/net.d".to_owned(),
            file: Some("/etc/cni/net.d/10-bridge.conf".to_owned()),
            problem: None,
            name: "bridge".to_owned(),
            plugin: "bridge".to_owned(),
            bridge: Some("cni0".to_owned()),
            gateway: true,
            masquerades: true,
            subnets: vec!["10.200.1.0/24".parse().unwrap()],
        }
    }

    #[test]
    fn another_cni_has_no_bridge_to_look_at() {
        let site = crate::checks::testing::site();
        assert_eq!(bridge(&page(), &site).unwrap(), "cni0");
        let flannel = CniReply {
            plugin: "flannel".to_owned(),
            bridge: None,
            ..page()
        };
        assert_eq!(
            bridge(&flannel, &site).unwrap_err().cause().id(),
            CauseId::OtherCni
        );
        let mut site = site;
        site.expect.cni = Some("cilium".to_owned());
        assert_eq!(
            bridge(&page(), &site).unwrap_err().cause().args()["cni"],
            "cilium"
        );
    }
}
