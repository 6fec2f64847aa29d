//! What the hosts at both ends of a way are asked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{End, Origin, PathTrace};
use crate::checks::network::pods::{self, Lost};
use crate::protocol::{Chains, Interfaces, RouteAsk, RouteLookups, Routes, Sysctls};
use crate::site::Host;
use crate::suite::Ctx;

impl PathTrace {
    /// Asks this host, and the hosts of the nodes whose pods did not answer it or its pod.
    pub(in crate::checks) async fn of<'a>(
        ctx: &'a Ctx,
        host: &'a Host,
        from: Origin,
        lost: impl Iterator<Item = Lost<'a>>,
    ) -> Self {
        let pod = match from {
            Origin::Host => None,
            Origin::Pod => own_pod(ctx, host).await,
        };
        let mut asks: BTreeMap<&str, Vec<RouteAsk>> = BTreeMap::from([(host.name.as_str(), Vec::new())]);
        for Lost { node, address } in lost {
            let there = RouteAsk {
                to: address,
                from: pod,
            };
            asks.entry(&host.name).or_default().push(there);
            if let Some(other) = ctx
                .site
                .host_of_node(node)
                .filter(|other| other.name != host.name)
            {
                let back = pod.or_else(|| host.ips().first().copied());
                let back = back.filter(|back| back.is_ipv4() == address.is_ipv4());
                let back = back.map(|to| RouteAsk {
                    to,
                    from: Some(address),
                });
                asks.entry(&other.name).or_default().extend(back);
            }
        }
        Self::ask(ctx, asks).await
    }

    /// Asks this host, whose pod does not reach an address of another host, and that host.
    pub(in crate::checks) async fn to_host(ctx: &Ctx, here: &Host, there: Option<&Host>, to: IpAddr) -> Self {
        let from = own_pod(ctx, here).await;
        let mut asks = BTreeMap::from([(here.name.as_str(), vec![RouteAsk { to, from }])]);
        if let Some(there) = there.filter(|there| there.name != here.name) {
            let back = |pod| RouteAsk {
                to: pod,
                from: Some(to),
            };
            asks.insert(&there.name, from.map(back).into_iter().collect());
        }
        Self::ask(ctx, asks).await
    }

    /// Asks hosts for what they say of themselves and of those ways.
    async fn ask(ctx: &Ctx, asks: BTreeMap<&str, Vec<RouteAsk>>) -> Self {
        let ends = asks
            .into_iter()
            .map(|(host, asks)| async move { (host.to_owned(), end(ctx, host, asks).await) });
        Self {
            ends: futures::future::join_all(ends).await.into_iter().collect(),
        }
    }
}

/// Returns the address of the run's pod on a host.
async fn own_pod(ctx: &Ctx, host: &Host) -> Option<IpAddr> {
    let spread = ctx.fixtures().spread(ctx).await.ok()?;
    let mut pods = pods::up(&spread.pods);
    let own = pods.find(|(pod, _)| pod.node.as_deref() == Some(host.node()));
    own.map(|(_, address)| address)
}

async fn end(ctx: &Ctx, host: &str, asks: Vec<RouteAsk>) -> End {
    let lookups = RouteLookups {
        asks,
        within: Vec::new(),
    };
    let keys = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"].map(str::to_owned);
    let (lookups, routes, interfaces, forwarding, chains) = futures::join!(
        ctx.ask(host, lookups),
        ctx.ask(host, Routes {}),
        ctx.ask(host, Interfaces {}),
        ctx.ask(host, Sysctls { keys: keys.to_vec() }),
        ctx.ask(
            host,
            Chains {
                containing: Vec::new()
            }
        )
    );
    End {
        lookups: lookups.ok(),
        routes: routes.ok(),
        interfaces: interfaces.ok(),
        forwarding: forwarding.ok(),
        chains: chains.ok(),
    }
}
