//! What the checks of UDP and of long packets share: bytes to the pods of the other nodes and back, from inside this
//! node's pod.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::packet_filter::Packet;
use super::path_trace::{Origin, PathTrace, Way};
use super::pods::{self, Lost};
use crate::findings::{Cause, Evidence, Finding, Line, Unjudged, cause, phrase};
use crate::protocol::{Echo, EchoReply, Place, Transport};
use crate::site::Host;
use crate::suite::fixtures::EchoAt;
use crate::suite::{Ctx, Expect, Member};

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
        let spread = ctx.fixtures().spread(ctx).await?;
        spread.takes(ctx.host(member)?.node())?;
        let sender = &Sender::of(ctx, member).await?;
        let others = sender.others.iter();
        let asks = others.flat_map(|server| ways.iter().map(|by| sender.send(server, *by)));
        Ok(Self {
            echoed: futures::future::try_join_all(asks).await?,
            unserved: sender.unserved.clone(),
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

    /// Returns what did not come back.
    pub(in crate::checks) fn lost(&self) -> impl Iterator<Item = &Echoed> {
        self.echoed.iter().filter(|echoed| !echoed.is_back())
    }

    /// Looks at both ends of the ways on which something was lost.
    pub(in crate::checks) async fn path(&self, ctx: &Ctx, member: &Member) -> PathTrace {
        match ctx.host(member) {
            Ok(host) => {
                let lost = self.lost().map(|echoed| Lost {
                    node: &echoed.node,
                    address: echoed.address(),
                });
                PathTrace::of(ctx, host, Origin::Pod, lost).await
            }
            Err(_) => PathTrace::default(),
        }
    }

    /// Puts the reason on the way in the place of what was found of a pod, and where there is none, what `else_cause` says.
    pub(in crate::checks) fn explain(
        &self,
        findings: Vec<Finding>,
        path: &PathTrace,
        expect: &Expect<'_>,
        else_cause: impl Fn(&Echoed) -> Option<Cause>,
    ) -> Vec<Finding> {
        let explain = |finding: Finding| {
            let is_it = |echoed: &&Echoed| finding.subject.as_deref() == Some(&*echoed.pod);
            let cause = self.lost().find(is_it).and_then(|echoed| {
                let on_the_way = path.cause(echoed.way(), Origin::Pod, expect);
                on_the_way.or_else(|| else_cause(echoed))
            });
            match cause {
                Some(cause) => Finding { cause, ..finding },
                None => finding,
            }
        };
        findings.into_iter().map(explain).collect()
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
        let packet = if self.by.is_udp() {
            Packet::udp(self.to, self.bytes())
        } else {
            Packet::tcp(self.to)
        };
        Way {
            node: &self.node,
            packet,
        }
    }

    pub(super) fn line(&self) -> Line {
        let by = if self.by.is_udp() { "udp" } else { "tcp" };
        let sent = format!("{} {} {by} {} {} B", self.node, self.pod, self.to, self.bytes());
        match &self.reply {
            EchoReply::Back {
                millis,
                seen_as: None,
                ..
            } => format!("{sent}: {millis} ms").into(),
            EchoReply::Back {
                millis,
                seen_as: Some(other),
                ..
            } => format!("{sent}: {millis} ms <- {other}").into(),
            EchoReply::Broken { error, .. } => format!("{sent}: {error}").into(),
            EchoReply::Silent { back, .. } => Line::said(phrase::EchoCut { request: &sent, back }),
        }
    }
}

/// The pod of this node, from inside of which bytes are sent to those of the others.
pub(in crate::checks) struct Sender<'a> {
    ctx: &'a Ctx,
    host: &'a Host,
    token: u64,
    /// The sandbox in which packets start.
    sandbox: String,
    /// The servers in the pods of the other nodes.
    pub(in crate::checks) others: Vec<EchoAt>,
    /// Nodes in whose pod none could be started, each with the reason.
    unserved: Vec<(String, Cause)>,
}

impl<'a> Sender<'a> {
    /// Starts the servers of the run if nobody has yet.
    pub(in crate::checks) async fn of(ctx: &'a Ctx, member: &Member) -> Result<Self, Unjudged> {
        let host = ctx.host(member)?;
        let echoes = ctx.fixtures().echoes(ctx).await?;
        let is_here = |node: &str| node == host.node();
        if let Some((_, reason)) = echoes.unserved.iter().find(|(node, _)| is_here(node)) {
            return Err(Unjudged::error(reason.clone()));
        }
        let (own, others): (Vec<_>, Vec<_>) = echoes
            .servers
            .into_iter()
            .partition(|server| is_here(&server.node));
        let Some(own) = own.into_iter().next() else {
            return Err(pods::needs(&[host.node().to_owned()]));
        };
        Ok(Self {
            ctx,
            host,
            token: echoes.token,
            sandbox: own.sandbox,
            others,
            unserved: echoes.unserved,
        })
    }

    /// Sends bytes to a server, and waits for them.
    pub(in crate::checks) async fn send(&self, server: &EchoAt, by: Transport) -> Result<Echoed, Unjudged> {
        let port = if by.is_udp() {
            server.ports.udp
        } else {
            server.ports.tcp
        };
        let to = SocketAddr::new(server.address, port);
        let ask = Echo {
            to,
            from: Place::Sandbox(self.sandbox.clone()),
            token: self.token,
            by,
            timeout_millis: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
        };
        Ok(Echoed {
            pod: server.pod.clone(),
            node: server.node.clone(),
            to,
            by,
            reply: self.ctx.ask_within(&self.host.name, ask, PATIENCE * 2).await?,
        })
    }
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
        EchoReply::Back {
            bytes,
            millis: 1,
            seen_as: None,
        }
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
