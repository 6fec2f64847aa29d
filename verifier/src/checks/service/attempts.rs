//! A Service asked over and over from one place: until the first right answer, then for each of its backends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::checks::network::pods;
use crate::cluster::ServiceFacts;
use crate::findings::{Cause, Line, Unjudged, cause, phrase};
use crate::protocol::{HttpProbe, HttpReply, Place};
use crate::suite::Ctx;

/// How long kube-proxy may take to serve a new Service.
pub(in crate::checks) const FIRST: Duration = Duration::from_secs(8);
/// How often it is tried.
pub(in crate::checks) const POLL: Duration = Duration::from_millis(150);
/// How many requests are made at once until then, the very first apart.
const AGAIN: usize = 8;
/// How long a first request may take: until kube-proxy serves it, packets may vanish.
const TRY: Duration = Duration::from_secs(1);
/// How long any further request may take.
const ANSWER: Duration = Duration::from_secs(3);
/// What is asked, from where.
#[derive(Clone, Copy)]
pub(in crate::checks) struct Question<'a> {
    pub(in crate::checks) from: &'a str,
    /// Where on that host.
    pub(in crate::checks) at: &'a Place,
    pub(in crate::checks) to: SocketAddr,
    pub(in crate::checks) method: &'a str,
    /// Whether an answer is the right one.
    pub(in crate::checks) is_right: &'a (dyn Fn(&HttpReply) -> bool + Sync),
}

/// What a place got of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::checks) struct Attempts {
    /// Where it was asked from.
    pub(in crate::checks) from: String,
    /// How many requests were made.
    pub(in crate::checks) asked: usize,
    /// How many were answered as they should be.
    pub(in crate::checks) right: usize,
    /// How many requests the last round had.
    pub(in crate::checks) last_asked: usize,
    /// How many of them failed.
    pub(in crate::checks) last_failed: usize,
    /// The last answer that was none or another than it should be.
    pub(in crate::checks) wrong: Option<HttpReply>,
}

impl Question<'_> {
    /// Asks until the first right answer comes, no longer than [`FIRST`].
    pub(in crate::checks) async fn first(&self, ctx: &Ctx, path: &str) -> Result<Attempts, Unjudged> {
        let mut heard = Attempts {
            from: self.from.to_owned(),
            ..Attempts::default()
        };
        let since = Instant::now();
        self.round(ctx, &mut heard, &[path.to_owned()], TRY).await?;
        // A pod that is deaf to itself may be led to itself many times in a row.
        let paths = vec![path.to_owned(); AGAIN];
        while heard.right == 0 && since.elapsed() < FIRST {
            tokio::time::sleep(POLL).await;
            self.round(ctx, &mut heard, &paths, TRY).await?;
        }
        Ok(heard)
    }

    /// Asks for several paths at once, each over a connection of its own; returns which were answered.
    pub(in crate::checks) async fn many(
        &self,
        ctx: &Ctx,
        heard: &mut Attempts,
        paths: &[String],
    ) -> Result<Vec<bool>, Unjudged> {
        // Some requests of a pod may come back to itself and be lost, in each round.
        let limit = if *self.at == Place::Host { ANSWER } else { TRY };
        self.round(ctx, heard, paths, limit).await
    }

    async fn round(
        &self,
        ctx: &Ctx,
        heard: &mut Attempts,
        paths: &[String],
        limit: Duration,
    ) -> Result<Vec<bool>, Unjudged> {
        let asks = paths.iter().map(|path| {
            let probe = HttpProbe {
                to: self.to,
                method: self.method.to_owned(),
                path: path.clone(),
                from: self.at.clone(),
                timeout_millis: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
                keep_body: 4096,
            };
            ctx.probe_from(self.from, probe)
        });
        let replies = futures::future::try_join_all(asks).await?;
        let right: Vec<bool> = replies.iter().map(|reply| (self.is_right)(reply)).collect();
        let answered = right.iter().filter(|right| **right).count();
        heard.asked += right.len();
        heard.right += answered;
        heard.last_asked = right.len();
        heard.last_failed = right.len() - answered;
        if let Some(at) = right.iter().position(|right| !right) {
            heard.wrong = replies.into_iter().nth(at);
        }
        Ok(right)
    }
}

impl Attempts {
    /// Returns whether every request of the last round was answered.
    pub(in crate::checks) const fn is_steady(&self) -> bool {
        self.right > 0 && self.last_failed == 0
    }

    /// Returns what is wrong with what was heard, for a Service asked at `url` through `host`.
    #[rustfmt::skip]
    pub(in crate::checks) fn cause(&self, url: &str, host: &str, service: &ServiceFacts) -> Option<Cause> {
        if self.is_steady() {
            return None;
        }
        let (from, url, host, service) = (&self.from, &url, &host, &service.full_name());
        if self.right > 0 {
            let (failed, asked) = (&self.last_failed, &self.last_asked);
            return Some(cause::ServiceUnsteady { url, from, host, service, failed, asked }.into());
        }
        Some(match &self.wrong {
            Some(HttpReply::Answer { status, .. }) => {
                let title = self.wrong.as_ref().and_then(pods::title);
                let answer = title.map_or_else(|| status.to_string(), |title| format!("{status} {title:?}"));
                cause::ServiceAnswer { url, answer: &answer, from, host, service }.into()
            }
            Some(HttpReply::Broken { error }) => {
                cause::ServiceRefused { url, from, reason: error, host, service }.into()
            }
            Some(HttpReply::Silent { connected: true }) => {
                cause::ServiceSilentConnected { url, from, host, service }.into()
            }
            Some(HttpReply::Silent { connected: false }) | None => {
                cause::ServiceSilent { url, from, host, service }.into()
            }
        })
    }

    /// Returns how many answers came, as a line of evidence.
    pub(in crate::checks) fn line(&self) -> Line {
        Line::said(phrase::Attempts {
            from: &self.from,
            right: &self.right,
            asked: &self.asked,
        })
    }

    /// Returns the last failure as a line of evidence.
    pub(in crate::checks) fn failure(&self) -> Option<Line> {
        let reply = self.wrong.as_ref()?;
        Some(pods::said(&self.from, reply))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::pods::tests::answer;
    use crate::checks::testing::service;
    use crate::findings::CauseId;

    #[test]
    fn what_was_heard_is_right_only_when_the_last_round_was_answered_whole() {
        let heard = |right, last_failed, wrong| Attempts {
            from: "local".to_owned(),
            asked: 10,
            right,
            last_asked: 10,
            last_failed,
            wrong,
        };
        let id = |heard: Attempts| {
            let cause = heard.cause("http://192.168.10.102:30443/", "node-1", &service());
            cause.map(|cause| cause.id())
        };
        let refused = || {
            let error = "connection refused".into();
            Some(HttpReply::Broken { error })
        };
        let silent = |connected| Some(HttpReply::Silent { connected });
        assert_eq!(id(heard(10, 0, None)), None);
        assert_eq!(id(heard(10, 0, refused())), None);
        assert_eq!(id(heard(7, 3, refused())), Some(CauseId::ServiceUnsteady));
        assert_eq!(id(heard(0, 10, refused())), Some(CauseId::ServiceRefused));
        assert_eq!(id(heard(0, 10, silent(false))), Some(CauseId::ServiceSilent));
        assert_eq!(
            id(heard(0, 10, silent(true))),
            Some(CauseId::ServiceSilentConnected)
        );
        let other = Some(answer(404, "404 Not Found"));
        assert_eq!(id(heard(0, 10, other)), Some(CauseId::ServiceAnswer));
    }
}
