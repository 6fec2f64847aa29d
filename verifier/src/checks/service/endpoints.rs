//! `service.endpoints`: the Service leads to exactly the ready pods.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cluster::{EndpointFacts, PodFacts};
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

/// How long the controllers may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is read until then.
const POLL: Duration = Duration::from_millis(200);

pub(super) const CHECK: Check = Check::of::<Endpoints>("service.endpoints", Scope::Cluster)
    .needs(&[Fixture::Service, Fixture::Pods])
    .confirmed();

struct Endpoints;

#[derive(Serialize, Deserialize)]
struct Facts {
    /// `namespace/name`.
    service: String,
    pods: Vec<PodFacts>,
    endpoints: Vec<EndpointFacts>,
    waited_millis: u64,
}

impl Probe for Endpoints {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let service = ctx.fixtures().service(ctx).await?;
        let namespace = ctx.fixtures().namespace(ctx).await?;
        let api = ctx.api()?;
        let since = Instant::now();
        loop {
            let (pods, endpoints) =
                futures::try_join!(api.pods(&namespace), api.endpoints(&namespace, &service.name))?;
            let facts = Facts {
                service: service.full_name(),
                pods,
                endpoints,
                waited_millis: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            if facts.findings().is_empty() || since.elapsed() > PATIENCE {
                return Ok(facts);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        Ok(facts.findings())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let pods = facts
            .ready()
            .map(|(pod, address)| format!("{address} {}", pod.name));
        let service = &facts.service;
        let evidence = [
            Evidence::lines(phrase::ReadyPods, pods),
            Evidence::lines(phrase::EndpointsOf { service }, facts.endpoints.iter().map(line)),
        ];
        evidence.into_iter().flatten().collect()
    }
}

fn line(endpoint: &EndpointFacts) -> String {
    let pod = endpoint.pod.as_deref().unwrap_or("-");
    format!("{} {pod} ready={}", endpoint.address, endpoint.ready)
}

impl Facts {
    fn ready(&self) -> impl Iterator<Item = (&PodFacts, &str)> {
        let up = self.pods.iter().filter(|pod| pod.is_up());
        up.filter_map(|pod| Some((pod, pod.ip.as_deref()?)))
    }

    fn findings(&self) -> Vec<Finding> {
        let service = &self.service;
        let ready = || self.endpoints.iter().filter(|endpoint| endpoint.ready);
        if ready().next().is_none() {
            return vec![Finding::fail(cause::EndpointsNone { service })];
        }
        let belongs = |endpoint: &EndpointFacts, pod: &PodFacts, address: &str| {
            endpoint.address == address && endpoint.pod.as_ref().is_none_or(|name| *name == pod.name)
        };
        let missing = self
            .ready()
            .filter(|(pod, address)| !ready().any(|endpoint| belongs(endpoint, pod, address)))
            .map(|(pod, address)| {
                let cause = cause::EndpointMissing {
                    service,
                    pod: &pod.name,
                    address: &address,
                };
                Finding::fail(cause).of(&pod.name)
            });
        let extra = ready()
            .filter(|endpoint| !self.ready().any(|(pod, address)| belongs(endpoint, pod, address)))
            .map(|EndpointFacts { address, pod, .. }| match pod {
                Some(pod) => Finding::fail(cause::EndpointExtra {
                    service,
                    address,
                    pod,
                })
                .of(pod),
                None => Finding::fail(cause::EndpointWithoutPod { service, address }).of(address),
            });
        missing.chain(extra).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::suite::fixtures::why::tests::{pod, waiting};

    fn endpoint(address: &str, pod: &str, ready: bool) -> EndpointFacts {
        EndpointFacts {
            address: address.to_owned(),
            pod: Some(pod.to_owned()),
            ready,
        }
    }

    fn judge(endpoints: Vec<EndpointFacts>) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            service: "verifier-x/nginx".to_owned(),
            pods: vec![
                pod("a", "node-0", "10.200.0.2"),
                pod("b", "node-1", "10.200.1.2"),
                waiting("c", "node-1", "ContainerCreating"),
            ],
            endpoints,
            waited_millis: 200,
        };
        judged::<Endpoints>(&facts, &expect(&site(), ""))
    }

    #[test]
    fn exactly_the_ready_pods_pass() {
        let both = || {
            vec![
                endpoint("10.200.0.2", "a", true),
                endpoint("10.200.1.2", "b", true),
            ]
        };
        assert_eq!(judge(both()), (Outcome::Pass, None));
        let mut more = both();
        more.push(endpoint("10.200.1.3", "c", false));
        assert_eq!(judge(more), (Outcome::Pass, None));
        let mut more = both();
        more.push(endpoint("10.200.1.3", "c", true));
        assert_eq!(judge(more), (Outcome::Fail, Some(CauseId::EndpointExtra)));
        let mut more = both();
        more.push(EndpointFacts {
            pod: None,
            ..endpoint("10.200.1.3", "", true)
        });
        assert_eq!(judge(more), (Outcome::Fail, Some(CauseId::EndpointWithoutPod)));
    }

    #[test]
    fn a_missing_pod_and_no_endpoint_at_all_fail() {
        let one = vec![endpoint("10.200.0.2", "a", true)];
        assert_eq!(judge(one), (Outcome::Fail, Some(CauseId::EndpointMissing)));
        assert_eq!(judge(Vec::new()), (Outcome::Fail, Some(CauseId::EndpointsNone)));
        let wrong = vec![
            endpoint("10.200.0.2", "a", true),
            endpoint("10.200.1.9", "b", true),
        ];
        assert_eq!(judge(wrong), (Outcome::Fail, Some(CauseId::EndpointMissing)));
    }
}
