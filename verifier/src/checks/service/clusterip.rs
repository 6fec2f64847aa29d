//! `service.clusterip`: the Service answers at its cluster IP from this node.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::attempts::{Attempts, Question};
use super::deeper::{self, Depth};
use super::service_trace::{self, Entry};
use crate::checks::network::packet_filter;
use crate::checks::network::pods;
use crate::cluster::ServiceFacts;
use crate::findings::{Evidence, Finding, Judged, Unjudged, phrase};
use crate::protocol::{ChainsReply, Place};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<ClusterIp>("service.clusterip", Scope::Worker)
    .needs(&[Fixture::Service])
    .wants(&[Fixture::Pods])
    .traced::<ClusterIp>();

struct ClusterIp;

#[derive(Serialize, Deserialize)]
struct Facts {
    service: ServiceFacts,
    /// Absent where there is no pod that could answer.
    heard: Option<Attempts>,
    /// Read where there is none; absent where nobody could list them.
    rules: Option<ChainsReply>,
}

impl Probe for ClusterIp {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let service = ctx.fixtures().service(ctx).await?;
        let spread = ctx.fixtures().spread(ctx).await;
        let pods = spread.map(|spread| spread.pods).unwrap_or_default();
        if pods::up(&pods).next().is_none() {
            return Ok(Facts {
                heard: None,
                rules: service_trace::rules(ctx, host, &service).await,
                service,
            });
        }
        let question = Question {
            from: &host.name,
            at: &Place::Host,
            to: SocketAddr::new(service.cluster_ip, service.port),
            method: "GET",
            is_right: &|reply| pods::title(reply) == Some(ctx.site.suite.title()),
        };
        let mut heard = question.first(ctx, "/").await?;
        if heard.right > 0 {
            let paths = vec!["/".to_owned(); (2 * pods.len() + 2).min(32)];
            question.many(ctx, &mut heard, &paths).await?;
            if !heard.is_steady() {
                // A pod may have ended in between.
                question.many(ctx, &mut heard, &paths).await?;
            }
        }
        Ok(Facts {
            service,
            heard: Some(heard),
            rules: None,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        let Some(heard) = &facts.heard else {
            return service_trace::judge_rules(facts.rules.as_ref(), &facts.service, Entry::ClusterIp, host);
        };
        let wrong = heard.cause(&facts.url(), host, &facts.service);
        Ok(wrong.map(Finding::fail).into_iter().collect())
    }

    fn evidence(facts: &Facts, expect: &Expect<'_>) -> Vec<Evidence> {
        let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
        let title = phrase::AnswersTo {
            method: &"GET",
            url: &facts.url(),
        };
        let heard = facts.heard.as_ref();
        let evidence = [
            Evidence::lines(title, heard.map(Attempts::line)),
            Evidence::lines(phrase::LastFailures, heard.and_then(Attempts::failure)),
            facts
                .rules
                .as_ref()
                .and_then(|rules| packet_filter::evidence(rules, host)),
        ];
        evidence.into_iter().flatten().collect()
    }
}

impl Trace for ClusterIp {
    type Depth = Depth;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, _: &[Finding]) -> Depth {
        service_trace::look(ctx, member, &facts.service).await
    }

    fn explain(findings: Vec<Finding>, facts: &Facts, depth: &Depth, expect: &Expect<'_>) -> Vec<Finding> {
        let why = depth.as_ref().and_then(|trace| {
            if facts.heard.is_some() {
                trace.cause(&facts.service, Entry::ClusterIp, expect)
            } else {
                trace.proxy_dead(&expect.host?.name)
            }
        });
        deeper::explained(findings, why)
    }

    fn deeper(depth: &Depth, expect: &Expect<'_>) -> Vec<Evidence> {
        deeper::evidence(depth, expect)
    }
}

impl Facts {
    fn url(&self) -> String {
        let to = SocketAddr::new(self.service.cluster_ip, self.service.port);
        format!("http://{to}/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::service::service_trace::ServiceTrace;
    use crate::checks::service::service_trace::tests::good;
    use crate::checks::testing::{expect, judged, service, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::HttpReply;
    use crate::suite::Seen;

    fn facts(right: usize, failed: usize) -> Facts {
        Facts {
            service: service(),
            heard: Some(Attempts {
                from: "node-1".to_owned(),
                asked: 7,
                right,
                last_asked: 6,
                last_failed: failed,
                wrong: (failed > 0).then_some(HttpReply::Silent { connected: false }),
            }),
            rules: None,
        }
    }

    #[test]
    fn a_service_that_always_answers_passes_and_one_that_sometimes_does_fails() {
        let judge = |right, failed| judged::<ClusterIp>(&facts(right, failed), &expect(&site(), "node-1"));
        assert_eq!(judge(7, 0), (Outcome::Pass, None));
        assert_eq!(judge(4, 3), (Outcome::Fail, Some(CauseId::ServiceUnsteady)));
        assert_eq!(judge(0, 6), (Outcome::Fail, Some(CauseId::ServiceSilent)));
    }

    #[test]
    fn the_reason_on_the_way_comes_before_the_silence() {
        let mut way = good();
        way.endpoints_for_tests(Vec::new());
        let seen = |depth: ServiceTrace| Seen {
            facts: serde_json::to_value(facts(0, 6)).unwrap().into(),
            again: None,
            depth: Some(serde_json::to_value(depth).unwrap().into()),
        };
        let causes = |depth| {
            let verdict = CHECK.judge(&seen(depth), &expect(&site(), "node-1"));
            let ids = verdict.findings().iter().map(|finding| finding.cause.id());
            ids.collect::<Vec<_>>()
        };
        assert_eq!(causes(good()), [CauseId::ServiceSilent]);
        assert_eq!(causes(way), [CauseId::EndpointsNone, CauseId::ServiceSilent]);
    }

    #[test]
    fn without_pods_nothing_was_asked_and_nothing_passes() {
        let facts = Facts {
            service: service(),
            heard: None,
            rules: None,
        };
        assert_eq!(
            judged::<ClusterIp>(&facts, &expect(&site(), "node-1")),
            (Outcome::Skip, Some(CauseId::Needs))
        );
    }

    #[test]
    fn only_nginx_own_page_is_right() {
        use crate::checks::network::pods::tests::answer;
        let is_right = |reply| pods::title(&reply) == Some(crate::site::TITLE);
        assert!(is_right(answer(200, crate::site::TITLE)));
        assert!(!is_right(answer(200, "It works")) && !is_right(answer(503, crate::site::TITLE)));
    }
}
