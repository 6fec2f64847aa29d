//! `service.endpoints`: the Service leads to exactly the ready pods.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cluster::{EndpointFacts, PodFacts};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

/// How long the controllers may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A difference counts only if it has stood for so long.
const STANDS: Duration = Duration::from_secs(3);
/// How often it is read.
const POLL: Duration = Duration::from_millis(200);

pub(super) const CHECK: Check = Check::of::<Endpoints>(About {
    id: "service.endpoints",
    scope: Scope::Cluster,
    needs: &[Fixture::Service, Fixture::Pods],
    permissions: &[],
    summary: "the Service leads to exactly the ready pods",
    explain: "Creates the Service that the bundle carries in front of the suite's pods, and waits until its EndpointSlices \
hold exactly the addresses of the pods that are ready: none missing, none too many. kube-controller-manager writes them; \
kube-proxy on every node reads them.\n\nUsual causes of failure, in order: kube-controller-manager does not run or hangs, \
so that they stay as they were; the pods are not ready; the labels of the pods are not those of the Service's selector; \
somebody wrote an EndpointSlice by hand.\n\nWhere to look: `kubectl get endpointslices -o yaml`, `journalctl -u \
kube-controller-manager` on the control plane.",
    by_hand: "kubectl expose deployment nginx --port 80 --type NodePort; kubectl get service,endpointslices; \
kubectl get pods -o wide",
});

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

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Trouble> {
        let service = ctx.fixtures().service(ctx).await?;
        let namespace = ctx.fixtures().namespace(ctx).await?;
        let api = ctx.api()?;
        let since = Instant::now();
        let mut stood: Option<(Vec<Finding>, Instant)> = None;
        loop {
            let (pods, endpoints) =
                futures::try_join!(api.pods(&namespace), api.endpoints(&namespace, &service.name))?;
            let facts = Facts {
                service: service.full_name(),
                pods,
                endpoints,
                waited_millis: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            let found = facts.findings();
            if found.is_empty() || since.elapsed() > PATIENCE * 2 {
                return Ok(facts);
            }
            let begun = match stood {
                Some((before, begun)) if before == found => begun,
                _ => Instant::now(),
            };
            if since.elapsed() > PATIENCE && begun.elapsed() > STANDS {
                return Ok(facts);
            }
            stood = Some((found, begun));
            tokio::time::sleep(POLL).await;
        }
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Verdict {
        let pods: Vec<String> = facts
            .ready()
            .map(|(pod, address)| format!("{address} {}", pod.name))
            .collect();
        let endpoints: Vec<String> = facts.endpoints.iter().map(line).collect();
        let evidence = [
            Evidence::lines("ready pods", &pods),
            Evidence::lines(format!("endpoints of {}", facts.service), &endpoints),
        ];
        Verdict::of(facts.findings()).with(evidence.into_iter().flatten())
    }
}

fn line(endpoint: &EndpointFacts) -> String {
    let pod = endpoint.pod.as_deref().unwrap_or("no pod");
    let state = if endpoint.ready { "ready" } else { "not ready" };
    format!("{} {pod} {state}", endpoint.address)
}

impl Facts {
    fn ready(&self) -> impl Iterator<Item = (&PodFacts, &str)> {
        let up = self.pods.iter().filter(|pod| pod.is_up());
        up.filter_map(|pod| Some((pod, pod.ip.as_deref()?)))
    }

    fn findings(&self) -> Vec<Finding> {
        let of = |id| Cause::new(id).with("service", &self.service);
        let ready = || self.endpoints.iter().filter(|endpoint| endpoint.ready);
        if ready().next().is_none() {
            return vec![Finding::fail(of(CauseId::EndpointsNone))];
        }
        let belongs = |endpoint: &EndpointFacts, pod: &PodFacts, address: &str| {
            endpoint.address == address && endpoint.pod.as_ref().is_none_or(|name| *name == pod.name)
        };
        let missing = self
            .ready()
            .filter(|(pod, address)| !ready().any(|endpoint| belongs(endpoint, pod, address)))
            .map(|(pod, address)| {
                let cause = of(CauseId::EndpointMissing).with("pod", &pod.name);
                Finding::fail(cause.with("address", address))
            });
        let extra = ready()
            .filter(|endpoint| !self.ready().any(|(pod, address)| belongs(endpoint, pod, address)))
            .map(|endpoint| {
                let pod = endpoint.pod.as_deref().unwrap_or("no pod");
                let cause = of(CauseId::EndpointExtra).with("pod", pod);
                Finding::fail(cause.with("address", &endpoint.address))
            });
        missing.chain(extra).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;
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
        seen(&Endpoints::judge(&facts, &expect(&site(), "")))
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
