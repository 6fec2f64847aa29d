//! What the network's checks share: HTTP to a pod of the suite, and what an answer must look like.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::PodFacts;
use crate::findings::{Cause, CauseId, Evidence, Trouble};
use crate::protocol::{CriPods, CriPodsReply, HttpProbe, HttpReply, Place};
use crate::site::Host;
use crate::suite::Ctx;

/// The title of nginx's own page.
pub(in crate::checks) const TITLE: &str = "Welcome to nginx!";
/// The port that the suite's image listens on.
pub(in crate::checks) const PORT: u16 = 80;
/// How long a pod may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pod that was asked for its page.
#[derive(Serialize, Deserialize)]
pub(in crate::checks) struct Asked {
    pub(in crate::checks) pod: String,
    pub(in crate::checks) node: String,
    pub(in crate::checks) address: IpAddr,
    pub(in crate::checks) reply: HttpReply,
}

/// Asks a pod for its page, through a host's agent.
pub(in crate::checks) async fn ask(
    ctx: &Ctx,
    host: &str,
    from: Place,
    (pod, address): (&PodFacts, IpAddr),
) -> Result<Asked, Trouble> {
    let probe = HttpProbe {
        to: SocketAddr::new(address, PORT),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        from,
        timeout_millis: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
        keep_body: 4096,
    };
    let reply = ctx.ask_within(host, probe, PATIENCE * 2).await?;
    Ok(Asked {
        pod: pod.name.clone(),
        node: pod.node.clone().unwrap_or_default(),
        address,
        reply,
    })
}

/// Returns the pods that are ready, each with its address.
pub(in crate::checks) fn up(pods: &[PodFacts]) -> impl Iterator<Item = (&PodFacts, IpAddr)> {
    started(pods).filter(|(pod, _)| pod.is_up())
}

/// Returns the pods whose containers were started, ready or not, each with its address.
pub(in crate::checks) fn started(pods: &[PodFacts]) -> impl Iterator<Item = (&PodFacts, IpAddr)> {
    let running = pods.iter().filter(|pod| pod.phase == "Running" && !pod.ending);
    running.filter_map(|pod| Some((pod, pod.ip.as_deref()?.parse().ok()?)))
}

/// Returns the nodes that should have a pod and have none that runs.
pub(in crate::checks) fn without(wanted: &[String], pods: &[PodFacts]) -> Vec<String> {
    let has = |node: &String| {
        pods.iter()
            .any(|pod| pod.is_up() && pod.node.as_ref() == Some(node))
    };
    wanted.iter().filter(|node| !has(node)).cloned().collect()
}

/// Returns the skip of a check whose pods are not all there: those that answer prove nothing of those that are not.
pub(in crate::checks) fn needs(without: &[String]) -> Trouble {
    let what = if without.is_empty() {
        "workload.scale".to_owned()
    } else {
        format!("workload.scale on {}", without.join(", "))
    };
    Trouble::skip(Cause::new(CauseId::Needs).with("what", what))
}

/// Returns what the container runtime of a host holds.
pub(in crate::checks) async fn of_runtime(ctx: &Ctx, host: &Host) -> Result<CriPodsReply, Trouble> {
    let ask = CriPods {
        socket: host.runtime.clone(),
    };
    ctx.ask_runtime(&host.name, ask).await
}

/// Returns the title of a page that was answered with 200.
pub(in crate::checks) fn title(reply: &HttpReply) -> Option<&str> {
    match reply {
        HttpReply::Answer {
            status: 200, body, ..
        } => {
            let (_, rest) = body.split_once("<title>")?;
            rest.split("</title>").next()
        }
        _ => None,
    }
}

impl Asked {
    /// Returns whether the page came.
    pub(in crate::checks) fn is_right(&self) -> bool {
        title(&self.reply) == Some(TITLE)
    }

    /// Returns what is wrong with the answer, seen from a host; nothing where it is right.
    pub(in crate::checks) fn wrong(&self, host: &str) -> Option<Cause> {
        let of = |id| {
            Cause::new(id)
                .with("pod", &self.pod)
                .with("address", self.address)
        };
        let at = |id| of(id).with("node", &self.node).with("host", host);
        Some(match &self.reply {
            _ if self.is_right() => return None,
            HttpReply::Answer { status: 200, .. } => {
                of(CauseId::WrongPage).with("title", title(&self.reply).unwrap_or("without a title"))
            }
            HttpReply::Answer { status, .. } => of(CauseId::WrongStatus).with("status", status),
            HttpReply::Broken { error } => at(CauseId::PodRefused).with("reason", error),
            HttpReply::Silent { connected } => at(CauseId::PodSilent).with(
                "reason",
                if *connected {
                    "it took the connection and said nothing"
                } else {
                    "no connection in time"
                },
            ),
        })
    }

    fn line(&self) -> String {
        let answer = match &self.reply {
            HttpReply::Answer { status, millis, .. } => {
                let title = title(&self.reply).unwrap_or_default();
                format!("{status} {title:?} in {millis} ms")
            }
            HttpReply::Broken { error } => error.clone(),
            HttpReply::Silent { connected: true } => "connected, then silent".to_owned(),
            HttpReply::Silent { connected: false } => "silent".to_owned(),
        };
        let to = SocketAddr::new(self.address, PORT);
        format!("GET http://{to}/ ({} on {}): {answer}", self.pod, self.node)
    }
}

/// Returns the answers as evidence.
pub(in crate::checks) fn evidence(asked: &[Asked]) -> Option<Evidence> {
    let lines: Vec<String> = asked.iter().map(Asked::line).collect();
    Evidence::lines("answers", &lines)
}

#[cfg(test)]
pub(in crate::checks) mod tests {
    use super::*;

    /// Returns an answer of a page.
    pub(in crate::checks) fn answer(status: u16, title: &str) -> HttpReply {
        HttpReply::Answer {
            status,
            headers: std::collections::BTreeMap::new(),
            body: format!("<html><head><title>{title}</title></head></html>"),
            length: 50,
            millis: 2,
        }
    }

    /// Returns a pod of node-1 that was asked.
    pub(in crate::checks) fn asked(reply: HttpReply) -> Asked {
        Asked {
            pod: "nginx-b".to_owned(),
            node: "node-1".to_owned(),
            address: "10.200.1.2".parse().unwrap(),
            reply,
        }
    }

    #[test]
    fn only_the_page_of_nginx_is_right() {
        let wrong = |reply| asked(reply).wrong("server").map(|cause| cause.id);
        assert_eq!(wrong(answer(200, TITLE)), None);
        assert_eq!(wrong(answer(200, "It works")), Some(CauseId::WrongPage));
        assert_eq!(wrong(answer(503, TITLE)), Some(CauseId::WrongStatus));
        assert_eq!(
            wrong(HttpReply::Silent { connected: true }),
            Some(CauseId::PodSilent)
        );
        let error = "connection refused".to_owned();
        assert_eq!(wrong(HttpReply::Broken { error }), Some(CauseId::PodRefused));
    }
}
