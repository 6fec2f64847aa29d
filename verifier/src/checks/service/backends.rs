//! Which pods of a Service answer: each request has a name of its own, which the pod that answers writes to its log.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use secrets::Masked;
use serde::{Deserialize, Serialize};

use super::attempts::{Attempts, POLL, Question};
use crate::cluster::{PodFacts, RunNamespace, ServiceFacts};
use crate::findings::{Finding, Line, Unjudged, cause, phrase};
use crate::protocol::{ContainerLog, HttpReply, Place};
use crate::suite::Ctx;

/// How long it may take until every pod has answered, from the first answer on; and where rounds wait for what is lost.
const ALL: Duration = Duration::from_secs(10);
const ALL_BUT_ITSELF: Duration = Duration::from_secs(30);
/// How many requests a place makes, unless there are so many pods that it takes more.
const MOST: usize = 600;
/// What has answered must still answer after this.
const LATER: Duration = Duration::from_millis(250);
/// How many rounds may have failures.
const FAILING: usize = 2;
/// Fewer lost requests say nothing about who would have answered them.
const LOST: usize = 3;
/// How long a line may take from a container to its log.
const WRITTEN: Duration = Duration::from_secs(3);
/// How long an agent may take to read a log.
const READ: Duration = Duration::from_secs(5);
/// How many lines of a log are read through the API where no agent can.
const LINES: u32 = 2000;

/// What a place got.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Backends {
    pub(super) heard: Attempts,
    /// The pods that answered.
    pub(super) answered: BTreeSet<String>,
    /// Pods whose log nobody could read.
    pub(super) unread: BTreeSet<String>,
    /// How many answered requests stand in no log.
    pub(super) unlogged: usize,
}

/// Returns a pod's name, with its node.
pub(super) fn named(pod: &PodFacts) -> (String, String) {
    (pod.name.clone(), pod.node.clone().unwrap_or_default())
}

/// Who asks a Service at one address from several places.
pub(super) struct Caller<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) namespace: RunNamespace,
    pub(super) pods: Vec<&'a PodFacts>,
    pub(super) to: SocketAddr,
    /// The pod that asks, which may never get an answer of itself; absent where a host asks.
    pub(super) itself: Option<&'a str>,
}

/// Which requests stand in the logs, by pod.
struct Attribution {
    by: BTreeMap<String, BTreeSet<usize>>,
    unread: BTreeSet<String>,
}

impl Caller<'_> {
    /// Asks from one place until every pod has answered, or it is clear that one does not.
    pub(super) async fn ask(&self, from: &str, at: &Place) -> Result<Backends, Unjudged> {
        let tag = format!("verifier-{}-{:016x}", self.ctx.run, crate::suite::random());
        let question = Question {
            from,
            at,
            to: self.to,
            method: "HEAD",
            is_right: &|reply| matches!(reply, HttpReply::Answer { status: 200, .. }),
        };
        let mut place = Backends {
            heard: question.first(self.ctx, "/").await?,
            ..Backends::default()
        };
        let size = (2 * self.pods.len() + 6).min(64);
        let (since, mut next, mut failing) = (Instant::now(), 0, 0);
        let mut answered = BTreeSet::new();
        while place.heard.right > 0 {
            let names: Vec<usize> = (next..next + size).collect();
            next += size;
            let paths: Vec<String> = names.iter().map(|name| format!("/?{tag}.{name}.")).collect();
            let right = question.many(self.ctx, &mut place.heard, &paths).await?;
            answered.extend(
                names
                    .iter()
                    .zip(right)
                    .filter(|(_, right)| *right)
                    .map(|(name, _)| *name),
            );
            self.tell(&tag, &answered, &mut place).await;
            failing += usize::from(!place.heard.is_steady());
            let pods = self.pods.iter().map(|pod| named(pod)).collect();
            let blind = !place.unread.is_empty() || place.unlogged > 0;
            let over = since.elapsed() > self.patience()
                || place.heard.asked > self.most()
                || failing >= self.failing(&place);
            if place.is_right(&pods) {
                // What kube-proxy wrote another program may flush at once.
                tokio::time::sleep(LATER).await;
                question.many(self.ctx, &mut place.heard, &paths[..1]).await?;
            }
            if place.is_right(&pods) || self.is_all_but_itself(&place) || over || blind {
                break;
            }
            // kube-proxy may not know all of the pods yet.
            tokio::time::sleep(POLL).await;
        }
        Ok(place)
    }

    /// Returns how many requests a place makes at most: with twenty for each pod, one is missed once in 500 million times.
    fn most(&self) -> usize {
        MOST.max(20 * self.pods.len())
    }

    fn patience(&self) -> Duration {
        if self.itself.is_some() {
            ALL_BUT_ITSELF
        } else {
            ALL
        }
    }

    /// Returns how many rounds may have failures: each has where a pod that asks gets no answer of itself, unless it got one.
    fn failing(&self, place: &Backends) -> usize {
        match self.itself {
            Some(itself) if !place.answered.contains(itself) => usize::MAX,
            _ => FAILING,
        }
    }

    /// Returns whether a pod has heard of all but itself, and what one pod gets of its requests was lost.
    fn is_all_but_itself(&self, place: &Backends) -> bool {
        let others = |pod: &&&PodFacts| self.itself != Some(&*pod.name);
        self.itself.is_some()
            && place.loses_a_share(self.pods.len())
            && self
                .pods
                .iter()
                .filter(others)
                .all(|pod| place.answered.contains(&pod.name))
    }

    /// Reads the logs until all requests that were answered stand in one, or every pod has answered.
    async fn tell(&self, tag: &str, answered: &BTreeSet<usize>, place: &mut Backends) {
        if let [only] = self.pods.as_slice() {
            // Nobody else can have answered.
            place.answered.insert(only.name.clone());
            return;
        }
        let since = Instant::now();
        loop {
            let told = self.told(tag).await;
            let known: BTreeSet<usize> = told.by.values().flatten().copied().collect();
            place.unlogged = answered.difference(&known).count();
            place.unread = told.unread;
            let by = told.by.into_iter().filter(|(_, names)| !names.is_empty());
            place.answered.extend(by.map(|(pod, _)| pod));
            let all = self.pods.iter().all(|pod| place.answered.contains(&pod.name));
            if all || place.unlogged == 0 || since.elapsed() > WRITTEN {
                if all {
                    place.unlogged = 0;
                }
                return;
            }
            tokio::time::sleep(POLL / 2).await;
        }
    }

    async fn told(&self, tag: &str) -> Attribution {
        let logs = self
            .pods
            .iter()
            .map(|pod| async move { (pod.name.clone(), self.log(pod, tag).await) });
        let mut told = Attribution {
            by: BTreeMap::new(),
            unread: BTreeSet::new(),
        };
        for (pod, log) in futures::future::join_all(logs).await {
            match log {
                Some(lines) => {
                    told.by.insert(pod, names(&lines, tag));
                }
                None => {
                    told.unread.insert(pod);
                }
            }
        }
        told
    }

    /// Returns the lines of a pod's log that hold the tag: from its node's agent, else through the API.
    async fn log(&self, pod: &PodFacts, tag: &str) -> Option<Vec<String>> {
        let container = pod.containers.first()?;
        let ask = ContainerLog {
            namespace: self.namespace.name.clone(),
            pod: pod.name.clone(),
            uid: pod.uid.clone(),
            container: container.name.clone(),
            containing: tag.to_owned(),
        };
        let host = self.ctx.site.host_of_node(pod.node.as_deref()?);
        if let Some(host) = host
            && let Ok(lines) = self.ctx.ask_within(&host.name, ask, READ).await
        {
            return Some(lines.into_iter().map(Masked::into_string).collect());
        }
        let api = self.ctx.api().ok()?;
        let log = api
            .log(&self.namespace, &pod.name, &container.name, LINES)
            .await
            .ok()?;
        Some(
            log.lines()
                .filter(|line| line.contains(tag))
                .map(str::to_owned)
                .collect(),
        )
    }
}

/// Returns the numbers of the requests in lines of a log: `TAG.NUMBER.`
fn names(lines: &[String], tag: &str) -> BTreeSet<usize> {
    let number = |line: &String| {
        let (_, rest) = line.split_once(tag)?;
        rest.strip_prefix('.')?.split('.').next()?.parse().ok()
    };
    lines.iter().filter_map(number).collect()
}

impl Backends {
    /// Returns whether as many requests were lost as lead to one of so many pods: a third of its share at least, and more than
    /// a bad link loses by chance.
    pub(super) fn loses_a_share(&self, pods: usize) -> bool {
        let lost = self.heard.asked - self.heard.right;
        lost >= LOST && 3 * pods * lost >= self.heard.asked
    }

    pub(super) fn is_right(&self, pods: &BTreeMap<String, String>) -> bool {
        self.heard.is_steady() && pods.keys().all(|pod| self.answered.contains(pod))
    }

    /// Returns what is wrong with what a place got: pods that never answered, then the answers themselves.
    #[rustfmt::skip]
    pub(super) fn wrong(
        &self,
        url: &str,
        host: &str,
        service: &ServiceFacts,
        pods: &BTreeMap<String, String>,
    ) -> Vec<Finding> {
        let (url, from, name) = (&url, &self.heard.from, &service.full_name());
        let of_pod = |(pod, node): (&String, &String)| {
            let (host, asked, unlogged) = (&host, &self.heard.asked, &self.unlogged);
            let finding = if self.unread.contains(pod) {
                Finding::error(cause::ServiceLogUnreadable { url, from, pod, node, host })
            } else if self.unlogged > 0 {
                Finding::error(cause::ServiceBackendsUnknown { url, from, pod, node, host, unlogged })
            } else {
                Finding::fail(cause::PodNeverAnswered { pod, node, url, from, host, service: name, asked })
            };
            finding.of(pod)
        };
        let silent = pods.iter().filter(|(pod, _)| !self.answered.contains(*pod));
        let silent = silent.filter(|_| self.heard.right > 0).map(of_pod);
        let answers = self.heard.cause(url, host, service);
        silent.chain(answers.map(|cause| Finding::fail(cause).of(from))).collect()
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        let pods: Vec<&str> = self.answered.iter().map(String::as_str).collect();
        let by = phrase::AnsweredBy {
            from: &self.heard.from,
            pods: &pods.join(", "),
        };
        let by = (!pods.is_empty()).then(|| Line::said(by));
        std::iter::once(self.heard.line()).chain(by).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_found_in_lines_of_a_log() {
        let lines = [
            "2026-11-23T22:00:00Z stdout F 192.168.10.1 \"HEAD /?verifier-x-1.12. HTTP/1.1\" 200 0"
                .to_owned(),
            "HEAD /?verifier-x-2.13. HTTP/1.1".to_owned(),
            "HEAD /?verifier-x-1.7. HTTP/1.1".to_owned(),
        ];
        assert_eq!(names(&lines, "verifier-x-1"), [7, 12].into());
    }
}
