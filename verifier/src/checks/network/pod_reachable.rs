//! `network.pod-reachable`: HTTP from this host to every pod.

use serde::{Deserialize, Serialize};

use super::path_trace::{Origin, PathTrace};
use super::pods::{self, Asked};
use crate::findings::{Evidence, Finding, Judged, Unjudged};
use crate::protocol::Place;
use crate::suite::fixtures::{Fixture, Spread};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<PodReachable>("network.pod-reachable", Scope::Host)
    .needs(&[Fixture::Pods])
    .traced::<PodReachable>();

struct PodReachable;

/// What one end saw of the pods.
#[derive(Serialize, Deserialize)]
pub(in crate::checks) struct Facts {
    /// The pods that were asked.
    pub(in crate::checks) asked: Vec<Asked>,
    /// Nodes that should have a pod and have none that runs.
    pub(in crate::checks) without: Vec<String>,
}

impl Probe for PodReachable {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let spread = ctx.fixtures().spread(ctx).await?;
        let asks = pods::up(&spread.pods).map(|pod| pods::ask(ctx, &host.name, Place::Host, pod));
        let asked = futures::future::try_join_all(asks).await?;
        Ok(Facts::of(asked, &spread))
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        facts.judge(expect)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        pods::evidence(&facts.asked).into_iter().collect()
    }
}

impl Trace for PodReachable {
    type Depth = PathTrace;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, _: &[Finding]) -> PathTrace {
        facts.trace(ctx, member, Origin::Host).await
    }

    fn explain(
        findings: Vec<Finding>,
        facts: &Facts,
        depth: &PathTrace,
        expect: &Expect<'_>,
    ) -> Vec<Finding> {
        facts.explain(findings, depth, Origin::Host, expect)
    }

    fn deeper(depth: &PathTrace, _: &Expect<'_>) -> Vec<Evidence> {
        depth.evidence()
    }
}

impl Facts {
    /// Adds to the answers the pods that are not there.
    pub(in crate::checks) fn of(asked: Vec<Asked>, spread: &Spread) -> Self {
        Self {
            asked,
            without: pods::without(&spread.wanted, &spread.pods),
        }
    }

    /// Judges the answers: a finding for each pod that did not give its page.
    pub(in crate::checks) fn judge(&self, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        let wrong = |asked: &Asked| Some(Finding::fail(asked.wrong(host)?).of(&asked.pod));
        let findings: Vec<Finding> = self.asked.iter().filter_map(wrong).collect();
        if findings.is_empty() && (!self.without.is_empty() || self.asked.is_empty()) {
            return Err(pods::needs(&self.without));
        }
        Ok(findings)
    }

    /// Looks at both ends of the ways to the pods that did not answer.
    pub(in crate::checks) async fn trace(&self, ctx: &Ctx, member: &Member, from: Origin) -> PathTrace {
        match ctx.host(member) {
            Ok(host) => PathTrace::of(ctx, host, from, pods::lost(&self.asked)).await,
            Err(_) => PathTrace::default(),
        }
    }

    /// Puts the reason on the way, seen from a host or from a pod on it, in the place of a pod's silence where there is
    /// one, and before what has none.
    pub(in crate::checks) fn explain(
        &self,
        findings: Vec<Finding>,
        depth: &PathTrace,
        from: Origin,
        expect: &Expect<'_>,
    ) -> Vec<Finding> {
        let mut unexplained = Vec::new();
        let mut explained = Vec::new();
        for finding in findings {
            let mut silent = self.asked.iter().filter(|asked| !asked.is_answered());
            let asked = silent.find(|asked| finding.subject.as_deref() == Some(&*asked.pod));
            match asked.and_then(|asked| depth.cause(asked.into(), from, expect)) {
                Some(cause) => explained.push(Finding { cause, ..finding }),
                None => unexplained.push(finding),
            }
        }
        explained.append(&mut unexplained);
        explained
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::next_hop::tests::lookup;
    use crate::checks::network::path_trace::tests::way;
    use crate::checks::network::pods::TITLE;
    use crate::checks::network::pods::tests::{answer, asked};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{Cause, CauseId, Outcome};
    use crate::protocol::{HttpReply, RouteLookup};
    use crate::suite::Seen;

    fn facts(reply: HttpReply) -> Facts {
        Facts {
            asked: vec![asked(reply)],
            without: Vec::new(),
        }
    }

    fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
        judged::<PodReachable>(facts, &expect(&site(), "server"))
    }

    #[test]
    fn the_page_of_nginx_passes_and_any_other_fails() {
        assert_eq!(judge(&facts(answer(200, TITLE))), (Outcome::Pass, None));
        assert_eq!(
            judge(&facts(answer(200, "It works"))),
            (Outcome::Fail, Some(CauseId::WrongPage))
        );
    }

    #[test]
    fn the_reason_on_the_way_is_named_where_there_is_one() {
        let explained = |reply, lookup: RouteLookup| {
            let seen = Seen {
                facts: serde_json::to_value(facts(reply)).unwrap().into(),
                again: None,
                depth: Some(serde_json::to_value(way("server", lookup)).unwrap().into()),
            };
            let verdict = CHECK.judge(&seen, &expect(&site(), "server"));
            verdict.cause().map(Cause::id)
        };
        let silent = || HttpReply::Silent { connected: false };
        let default = lookup("10.200.1.2", "0.0.0.0/0", Some("10.0.2.2"));
        let routed = lookup("10.200.1.2", "10.200.1.0/24", Some("192.168.10.102"));
        assert_eq!(explained(silent(), default.clone()), Some(CauseId::RouteMissing));
        assert_eq!(explained(silent(), routed), Some(CauseId::PodSilent));
        // A pod that answers was reached.
        assert_eq!(explained(answer(503, TITLE), default), Some(CauseId::WrongStatus));
    }

    #[test]
    fn pods_that_are_not_there_are_no_pass() {
        let facts = Facts {
            asked: vec![asked(answer(200, TITLE))],
            without: vec!["node-0".to_owned()],
        };
        assert_eq!(judge(&facts), (Outcome::Skip, Some(CauseId::Needs)));
    }
}
