//! What the checks of UDP and of long packets share: bytes to the pods of the other nodes and back, from inside this
//! node's pod.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packet_filter::Packet;
use super::path_trace::{PathTrace, Way};
use super::pods;
use crate::findings::{Cause, Evidence, Finding, Line, Unjudged, cause, phrase};
use crate::protocol::{Echo, EchoReply, Place, Transport};
use crate::site::Host;
use crate::suite::fixtures::EchoAt;
use crate::suite::{Ctx, Member};

/// How long bytes may take to come back.
const PATIENCE: Duration = Duration::from_secs(3);

/// What one pod was sent, and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::checks) struct Echoed {
    pub(in crate::checks) pod: String,
    pub(in crate::checks) node: String,
    pub(in crate::checks) to: SocketAddr,
    pub(in crate::checks) by: Transport,
    pub(in crate::checks) reply: EchoReply,
}

/// What this node's pod saw of the others.
#[derive(Serialize, Deserialize)]
pub(in crate::checks) struct Facts {
    pub(in crate::checks) echoed: Vec<Echoed>,
    /// Nodes in whose pod no server could be started, each with the reason.
    unserved: Vec<(String, Cause)>,
    /// Nodes that should have a pod and have none that runs.
    without: Vec<String>,
}

impl Facts {
    /// Sends to the pods of all other nodes, in each of these ways.
    pub(in crate::checks) async fn gather(
        ctx: &Ctx,
        member: &Member,
        ways: &[Transport],
    ) -> Result<Self, Unjudged> {
        let host = ctx.host(member)?;
        let spread = ctx.fixtures().spread(ctx).await?;
        spread.takes(host.node())?;
        let echoes = ctx.fixtures().echoes(ctx).await?;
        let own = own(ctx, host).await?;
        let others = echoes.servers.iter().filter(|server| server.node != host.node());
        let asks = others.flat_map(|server| ways.iter().map(move |by| (server, *by)));
        let asks = asks.map(|(server, by)| send(ctx, host, &own, server, by));
        let unserved = echoes.unserved.iter().filter(|(node, _)| node != host.node());
        Ok(Self {
            echoed: futures::future::try_join_all(asks).await?,
            unserved: unserved.cloned().collect(),
            without: pods::without(&spread.wanted, &spread.pods),
        })
    }

    /// Returns what was not looked at, behind what was found.
    ///
    /// # Errors
    /// Where nothing was found and not all was looked at.
    pub(in crate::checks) fn complete(&self, mut findings: Vec<Finding>) -> Result<Vec<Finding>, Unjudged> {
        let unserved = self.unserved.iter();
        findings.extend(unserved.map(|(node, reason)| Finding::error(reason.clone()).of(node)));
        if findings.is_empty() && !self.without.is_empty() {
            return Err(pods::needs(&self.without));
        }
        if findings.is_empty() && self.echoed.is_empty() {
            // A cluster of one worker has no other node to reach.
            return Err(Unjudged::skip(cause::OneNode));
        }
        Ok(findings)
    }

    /// Returns the nodes whose pods did not send everything back.
    pub(in crate::checks) fn lost(&self) -> impl Iterator<Item = &str> {
        let lost = self.echoed.iter().filter(|echoed| !echoed.is_back());
        lost.map(|echoed| echoed.node.as_str())
    }

    /// Looks at both ends of the ways on which something was lost.
    pub(in crate::checks) async fn path(&self, ctx: &Ctx, member: &Member) -> PathTrace {
        match ctx.host(member) {
            Ok(host) => PathTrace::of(ctx, host, self.lost()).await,
            Err(_) => PathTrace::default(),
        }
    }

    /// Returns what came back, as evidence.
    pub(in crate::checks) fn evidence(&self) -> Vec<Evidence> {
        let lines = self.echoed.iter().map(Echoed::line);
        Evidence::lines(phrase::Answers, lines).into_iter().collect()
    }
}

impl Echoed {
    pub(in crate::checks) const fn is_back(&self) -> bool {
        matches!(self.reply, EchoReply::Back { .. })
    }

    pub(in crate::checks) const fn bytes(&self) -> u32 {
        match self.reply {
            EchoReply::Back { bytes, .. }
            | EchoReply::Broken { bytes, .. }
            | EchoReply::Silent { bytes, .. } => bytes,
        }
    }

    pub(in crate::checks) const fn address(&self) -> IpAddr {
        self.to.ip()
    }

    /// Returns the way of its packets.
    pub(in crate::checks) fn way(&self) -> Way<'_> {
        let packet = match self.by {
            Transport::Tcp(_) => Packet::tcp(self.to),
            Transport::Udp(_) | Transport::WholeUdp(_) | Transport::LargestUdp => {
                Packet::udp(self.to, self.bytes())
            }
        };
        Way {
            node: &self.node,
            packet,
        }
    }

    fn line(&self) -> Line {
        let by = match self.by {
            Transport::Tcp(_) => "tcp",
            Transport::Udp(_) | Transport::WholeUdp(_) | Transport::LargestUdp => "udp",
        };
        let sent = format!("{} {} {by} {} {} B", self.node, self.pod, self.to, self.bytes());
        match &self.reply {
            EchoReply::Back { millis, .. } => format!("{sent}: {millis} ms").into(),
            EchoReply::Broken { error, .. } => format!("{sent}: {error}").into(),
            EchoReply::Silent { back, .. } => Line::said(phrase::EchoCut { request: &sent, back }),
        }
    }
}

/// Returns the server in this host's own pod: its sandbox is where packets start.
pub(in crate::checks) async fn own(ctx: &Ctx, host: &Host) -> Result<EchoAt, Unjudged> {
    let echoes = ctx.fixtures().echoes(ctx).await?;
    let is_here = |node: &str| node == host.node();
    if let Some((_, reason)) = echoes.unserved.iter().find(|(node, _)| is_here(node)) {
        return Err(Unjudged::error(reason.clone()));
    }
    let own = echoes.servers.into_iter().find(|server| is_here(&server.node));
    own.ok_or_else(|| pods::needs(&[host.node().to_owned()]))
}

/// Sends bytes from this host's pod to another's, and waits for them.
pub(in crate::checks) async fn send(
    ctx: &Ctx,
    host: &Host,
    own: &EchoAt,
    server: &EchoAt,
    by: Transport,
) -> Result<Echoed, Unjudged> {
    let port = match by {
        Transport::Tcp(_) => server.ports.tcp,
        Transport::Udp(_) | Transport::WholeUdp(_) | Transport::LargestUdp => server.ports.udp,
    };
    let to = SocketAddr::new(server.address, port);
    let ask = Echo {
        to,
        from: Place::Sandbox(own.sandbox.clone()),
        token: ctx.fixtures().echoes(ctx).await?.token,
        by,
        timeout_millis: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
    };
    Ok(Echoed {
        pod: server.pod.clone(),
        node: server.node.clone(),
        to,
        by,
        reply: ctx.ask_within(&host.name, ask, PATIENCE * 2).await?,
    })
}

#[cfg(test)]
pub(in crate::checks) mod tests {
    use super::*;

    /// Returns what came back from the pod of node-1.
    pub(in crate::checks) fn echoed(by: Transport, reply: EchoReply) -> Echoed {
        Echoed {
            pod: "nginx-b".to_owned(),
            node: "node-1".to_owned(),
            to: "10.200.1.2:40000".parse().unwrap(),
            by,
            reply,
        }
    }

    /// Returns that so many bytes came back.
    pub(in crate::checks) const fn back(bytes: u32) -> EchoReply {
        EchoReply::Back { bytes, millis: 1 }
    }

    /// Returns that nothing of so many bytes came back.
    pub(in crate::checks) const fn silent(bytes: u32) -> EchoReply {
        EchoReply::Silent { bytes, back: 0 }
    }

    /// Returns facts of a node that has a pod and servers everywhere.
    pub(in crate::checks) const fn facts(echoed: Vec<Echoed>) -> Facts {
        Facts {
            echoed,
            unserved: Vec::new(),
            without: Vec::new(),
        }
    }
}
