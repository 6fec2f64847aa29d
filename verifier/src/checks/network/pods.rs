//! What the network's checks share: HTTP to a pod of the suite, and what an answer must look like.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::PodFacts;
use crate::findings::{Cause, Evidence, Line, Unjudged, cause, phrase};
use crate::protocol::{CriPods, CriPodsReply, HttpProbe, HttpReply, Place};
use crate::site::Host;
use crate::suite::Ctx;
use crate::suite::fixtures::Fixture;

pub(in crate::checks) use crate::site::{HTTP as PORT, TITLE};

/// How long a pod may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pod that was asked for its page.
#[derive(Serialize, Deserialize)]
pub(in crate::checks) struct Asked {
    pub(in crate::checks) pod: String,
    pub(in crate::checks) node: String,
    pub(in crate::checks) address: IpAddr,
    pub(in crate::checks) reply: HttpReply,
    /// Where it listens.
    #[serde(default = "usual_port", skip_serializing_if = "is_usual_port")]
    pub(in crate::checks) port: u16,
    /// The title of its page, where that is not nginx's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::checks) title: Option<String>,
}

const fn usual_port() -> u16 {
    PORT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_usual_port(port: &u16) -> bool {
    *port == PORT
}

/// Asks a pod for its page, through a host's agent.
pub(in crate::checks) async fn ask(
    ctx: &Ctx,
    host: &str,
    from: Place,
    pod: (&PodFacts, IpAddr),
) -> Result<Asked, Unjudged> {
    ask_for(ctx, host, from, pod, PATIENCE).await
}

/// Asks a pod for its page, through a host's agent, and gives it so long to answer.
pub(in crate::checks) async fn ask_for(
    ctx: &Ctx,
    host: &str,
    from: Place,
    (pod, address): (&PodFacts, IpAddr),
    patience: Duration,
) -> Result<Asked, Unjudged> {
    let probe = HttpProbe {
        to: SocketAddr::new(address, ctx.site.suite.port()),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        from,
        timeout_millis: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
        keep_body: 4096,
    };
    let reply = ctx.ask_within(host, probe, patience * 2).await?;
    Ok(Asked {
        pod: pod.name.clone(),
        node: pod.node.clone().unwrap_or_default(),
        address,
        reply,
        port: ctx.site.suite.port(),
        title: ctx.site.suite.title.clone(),
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
pub(in crate::checks) fn needs(without: &[String]) -> Unjudged {
    let owner = Fixture::Pods.owner();
    if without.is_empty() {
        return Unjudged::skip(cause::Needs { what: &owner });
    }
    let what = format!("{owner} ({})", without.join(", "));
    Unjudged::skip(cause::Needs { what: &what })
}

/// Returns what the container runtime of a host holds.
pub(in crate::checks) async fn of_runtime(ctx: &Ctx, host: &Host) -> Result<CriPodsReply, Unjudged> {
    let ask = CriPods {
        socket: host.runtime.clone(),
    };
    ctx.ask_runtime(&host.name, ask).await
}

/// A pod that does not answer.
#[derive(Clone, Copy)]
pub(in crate::checks) struct Lost<'a> {
    /// Its node.
    pub(in crate::checks) node: &'a str,
    /// Its address.
    pub(in crate::checks) address: IpAddr,
}

/// Returns the pods that did not give their page.
pub(in crate::checks) fn lost(asked: &[Asked]) -> impl Iterator<Item = Lost<'_>> {
    let wrong = asked.iter().filter(|asked| !asked.is_right());
    wrong.map(|asked| Lost {
        node: &asked.node,
        address: asked.address,
    })
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

/// Returns an answer, or its absence, as a line of evidence behind what was asked.
pub(in crate::checks) fn said(request: &str, reply: &HttpReply) -> Line {
    match reply {
        HttpReply::Answer { status, millis, .. } => match title(reply) {
            Some(title) => format!("{request}: {status} {title:?} {millis} ms").into(),
            None => format!("{request}: {status} {millis} ms").into(),
        },
        HttpReply::Broken { error } => format!("{request}: {error}").into(),
        HttpReply::Silent { connected: false } => Line::said(phrase::ReplyNone { request: &request }),
        HttpReply::Silent { connected: true } => Line::said(phrase::ReplySilent { request: &request }),
    }
}

impl Asked {
    /// Returns whether the page came.
    pub(in crate::checks) fn is_right(&self) -> bool {
        title(&self.reply) == Some(self.title.as_deref().unwrap_or(TITLE))
    }

    /// Returns whether an answer came, right or wrong.
    pub(in crate::checks) const fn is_answered(&self) -> bool {
        matches!(self.reply, HttpReply::Answer { .. })
    }

    /// Returns what is wrong with the answer, seen from a host; nothing where it is right.
    #[rustfmt::skip]
    pub(in crate::checks) fn wrong(&self, host: &str) -> Option<Cause> {
        if self.is_right() {
            return None;
        }
        let Self { pod, node, address, reply, .. } = self;
        let host = &host;
        Some(match reply {
            HttpReply::Answer { status: 200, .. } => match title(reply) {
                Some(title) => cause::WrongPage { pod, address, node, title: &title, host }.into(),
                None => cause::WrongPageUntitled { pod, address, node, host }.into(),
            },
            HttpReply::Answer { status, .. } => cause::WrongStatus { pod, address, node, status, host }.into(),
            HttpReply::Broken { error } => cause::PodRefused { pod, address, node, reason: error, host }.into(),
            HttpReply::Silent { connected: false } => cause::PodSilent { pod, address, node, host }.into(),
            HttpReply::Silent { connected: true } => cause::PodSilentConnected { pod, address, node, host }.into(),
        })
    }

    pub(in crate::checks) fn line(&self) -> Line {
        let to = SocketAddr::new(self.address, self.port);
        said(
            &format!("{} {} GET http://{to}/", self.node, self.pod),
            &self.reply,
        )
    }
}

/// Returns the answers as evidence.
pub(in crate::checks) fn evidence(asked: &[Asked]) -> Option<Evidence> {
    Evidence::lines(phrase::Answers, asked.iter().map(Asked::line))
}

#[cfg(test)]
pub(in crate::checks) mod tests {
    use super::*;
    use crate::findings::CauseId;

    /// Returns an answer of a page.
    pub(in crate::checks) fn answer(status: u16, title: &str) -> HttpReply {
        HttpReply::Answer {
            status,
            headers: std::collections::BTreeMap::new(),
            body: format!("<html><head><title>{title}</title></head></html>").into(),
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
            port: PORT,
            title: None,
        }
    }

    #[test]
    fn only_the_page_of_nginx_is_right() {
        let wrong = |reply| asked(reply).wrong("server").map(|cause| cause.id());
        assert_eq!(wrong(answer(200, TITLE)), None);
        assert_eq!(wrong(answer(200, "It works")), Some(CauseId::WrongPage));
        let mut untitled = answer(200, "");
        if let HttpReply::Answer { body, .. } = &mut untitled {
            *body = secrets::Masked::default();
        }
        assert_eq!(wrong(untitled), Some(CauseId::WrongPageUntitled));
        assert_eq!(wrong(answer(503, TITLE)), Some(CauseId::WrongStatus));
        assert_eq!(
            wrong(HttpReply::Silent { connected: false }),
            Some(CauseId::PodSilent)
        );
        assert_eq!(
            wrong(HttpReply::Silent { connected: true }),
            Some(CauseId::PodSilentConnected)
        );
        let error = "connection refused".into();
        assert_eq!(wrong(HttpReply::Broken { error }), Some(CauseId::PodRefused));
    }
}
