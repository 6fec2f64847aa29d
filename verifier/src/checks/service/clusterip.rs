//! `service.clusterip`: the Service answers at its cluster IP from this node.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::service_trace::{self, Attempts, Entry, Question, ServiceTrace};
use crate::checks::network::pods::{self, TITLE};
use crate::cluster::ServiceFacts;
use crate::findings::{Evidence, Finding, Trouble, Verdict};
use crate::protocol::HttpReply;
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<ClusterIp>(About {
    id: "service.clusterip",
    scope: Scope::Worker,
    needs: &[Fixture::Service, Fixture::Pods],
    permissions: &[],
    summary: "the cluster IP of the Service answers from this node",
    explain: "Asks the cluster IP of the suite's Service from this node: status 200 and the page of nginx, and then several \
times at once, because each connection may go to another pod. The address is on no interface: kube-proxy's rules on this \
very node turn it into the address of a pod. A Service that is made now shows whether kube-proxy works now; rules of \
older Services stay when it dies.\n\nUsual causes of failure, in order: kube-proxy does not run, or hangs; it cannot \
reach the API server; another program flushed its rules; a chain drops; the node has no way to one of the pods.\n\nWhere \
to look: `journalctl -u kube-proxy` on the node, `iptables-save | grep NAMESPACE/SERVICE` there, `kubectl get \
endpointslices`.",
    by_hand: "kubectl get service; ssh {host} curl -s http://CLUSTER_IP | grep title",
});

struct ClusterIp;

#[derive(Serialize, Deserialize)]
struct Facts {
    service: ServiceFacts,
    heard: Attempts,
    /// Looked at only where something failed.
    way: Option<ServiceTrace>,
}

impl Probe for ClusterIp {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let service = ctx.fixtures().service(ctx).await?;
        let spread = ctx.fixtures().spread(ctx).await?;
        let question = Question {
            from: &host.name,
            to: SocketAddr::new(service.cluster_ip, service.port),
            method: "GET",
            is_right,
        };
        let mut heard = question.first(ctx, "/").await?;
        if heard.right > 0 {
            let paths = vec!["/".to_owned(); (2 * spread.pods.len() + 2).min(32)];
            question.many(ctx, &mut heard, &paths).await?;
            if !heard.is_steady() {
                // A pod may have ended in between.
                question.many(ctx, &mut heard, &paths).await?;
            }
        }
        let way = if heard.is_steady() {
            None
        } else {
            Some(service_trace::look(ctx, host, &service, &spread.pods).await)
        };
        Ok(Facts { service, heard, way })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
        let to = SocketAddr::new(facts.service.cluster_ip, facts.service.port);
        let url = format!("http://{to}/");
        let symptom = facts.heard.cause(&url, host, &facts.service);
        let why = facts
            .way
            .as_ref()
            .and_then(|way| way.cause(&facts.service, Entry::ClusterIp, expect));
        let causes = why.filter(|_| symptom.is_some()).into_iter().chain(symptom);
        Verdict::of(causes.map(Finding::fail).collect())
            .with([Evidence::new(format!("GET {url}"), facts.heard.line())])
            .with(facts.way.iter().flat_map(|way| way.evidence(host)))
    }
}

fn is_right(reply: &HttpReply) -> bool {
    pods::title(reply) == Some(TITLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::service::service_trace::Wrong;
    use crate::checks::service::service_trace::tests::{good, service};
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::{CauseId, Outcome};

    fn judge(right: usize, failed: usize) -> (Outcome, Option<CauseId>) {
        let silence = Wrong::Silence("no connection in time".to_owned());
        let facts = Facts {
            service: service(),
            heard: Attempts {
                from: "node-1".to_owned(),
                asked: 7,
                right,
                last_asked: 6,
                last_failed: failed,
                wrong: (failed > 0).then_some(silence),
            },
            way: (failed > 0).then(good),
        };
        seen(&ClusterIp::judge(&facts, &expect(&site(), "node-1")))
    }

    #[test]
    fn a_service_that_always_answers_passes_and_one_that_sometimes_does_fails() {
        assert_eq!(judge(7, 0), (Outcome::Pass, None));
        assert_eq!(judge(4, 3), (Outcome::Fail, Some(CauseId::ServiceUnsteady)));
        assert_eq!(judge(0, 6), (Outcome::Fail, Some(CauseId::ServiceSilent)));
    }

    #[test]
    fn only_nginx_own_page_is_right() {
        use crate::checks::network::pods::tests::answer;
        assert!(is_right(&answer(200, TITLE)));
        assert!(!is_right(&answer(200, "It works")) && !is_right(&answer(503, TITLE)));
    }
}
