//! `workload.deployment`: the Deployment of the bundle becomes available and runs exactly the bundle's image.

use bundle::Index;

use crate::cluster::{ContainerFacts, EventFacts, PodFacts};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::suite::fixtures::why::why;
use crate::suite::fixtures::{Deployed, Fixture};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Deployment>(About {
    id: "workload.deployment",
    scope: Scope::Cluster,
    needs: &[Fixture::Deployment],
    permissions: &[],
    summary: "a Deployment of the bundle's image becomes available",
    explain: "Creates the Deployment that the bundle carries, with one replica, in a namespace of the run's own, and \
waits until it is available: the API server takes it, the controller manager makes a pod, the scheduler places it, a \
kubelet starts it, the container runtime finds the image without pulling. Then compares the id of the image that runs \
with the bundle's.\n\nUsual causes of failure, in order: the image or the sandbox image is not on the node; the \
scheduler or the controller manager does not run; the node takes no pods; the CNI is not configured.\n\nWhere to \
look: `kubectl describe pod`; the journal of the kubelet on the pod's node, of kube-scheduler and \
kube-controller-manager on the control plane. A refusal by admission is an error with the policy's words.",
    by_hand: "kubectl create deployment nginx --image=IMAGE --replicas=1; kubectl get pods -o wide",
});

struct Deployment;

impl Probe for Deployment {
    type Facts = Deployed;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Deployed, Trouble> {
        ctx.fixtures().deployed(ctx).await
    }

    fn judge(facts: &Deployed, expect: &Expect<'_>) -> Verdict {
        let mut findings = Vec::new();
        if facts.is_available() {
            let wrong = facts.pods.iter().filter(|pod| pod.is_up());
            findings.extend(wrong.filter_map(|pod| wrong_image(pod, &facts.image, expect.index)));
        } else {
            findings.push(Finding::fail(late(facts)));
        }
        Verdict::of(findings).with(evidence(&facts.pods, &facts.events))
    }
}

/// Returns why nothing is available.
fn late(facts: &Deployed) -> Cause {
    if let Some(cause) = facts
        .pods
        .iter()
        .find_map(|pod| why(pod, &facts.events, &facts.silent))
    {
        return cause;
    }
    if facts.pods.is_empty() {
        return Cause::new(CauseId::ControllerSilent);
    }
    Cause::new(CauseId::DeploymentLate)
        .with("seconds", facts.waited_millis / 1000)
        .with("available", facts.deployment.available)
        .with("wanted", facts.deployment.wanted)
}

/// Returns a finding where a pod runs another image than the bundle's.
pub(in crate::checks) fn wrong_image(pod: &PodFacts, image: &str, index: Option<&Index>) -> Option<Finding> {
    let image = index?.images.iter().find(|other| other.name == image)?;
    let container = pod.containers.first()?;
    // Runtimes name what runs by id, by manifest or by what the registry served.
    let mut good: Vec<String> = vec![image.digest.to_string()];
    good.extend(
        image
            .platforms
            .iter()
            .flat_map(|one| [one.config.to_string(), one.manifest.to_string()]),
    );
    let found = digest_of(container);
    (!good.iter().any(|good| good == found)).then(|| {
        let expected = image
            .platforms
            .first()
            .map(|one| one.config.to_string())
            .unwrap_or_default();
        let cause = Cause::new(CauseId::PodImageWrong).with("pod", &pod.name);
        Finding::fail(cause.with("found", found).with("expected", expected))
    })
}

/// Returns the digest in `docker.io/library/nginx@sha256:…` or `sha256:…`.
fn digest_of(container: &ContainerFacts) -> &str {
    let id = container.image_id.as_str();
    id.rfind("sha256:").map_or(id, |at| &id[at..])
}

/// Returns pods and events as evidence.
pub(in crate::checks) fn evidence(pods: &[PodFacts], events: &[EventFacts]) -> Vec<Evidence> {
    let pods: Vec<String> = pods
        .iter()
        .map(|pod| {
            let node = pod.node.as_deref().unwrap_or("no node");
            let reason = pod
                .containers
                .first()
                .map(|container| container.reason.as_str())
                .unwrap_or_default();
            format!(
                "{} {} {} {} {reason}",
                pod.name,
                pod.phase,
                pod.ip.as_deref().unwrap_or("no address"),
                node
            )
        })
        .collect();
    let events: Vec<String> = events.iter().map(EventFacts::line).collect();
    [Evidence::lines("pods", &pods), Evidence::lines("events", &events)]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, seen, site};
    use crate::cluster::DeploymentFacts;
    use crate::findings::Outcome;
    use crate::suite::fixtures::why::tests::{pod, waiting};
    use std::collections::BTreeSet;

    fn facts(pods: Vec<PodFacts>) -> Deployed {
        let available = i32::try_from(pods.iter().filter(|pod| pod.is_up()).count()).unwrap();
        Deployed {
            image: "docker.io/library/nginx:1.29".to_owned(),
            deployment: DeploymentFacts {
                name: "nginx".to_owned(),
                wanted: 1,
                available,
                observed: true,
                ..DeploymentFacts::default()
            },
            pods,
            events: Vec::new(),
            silent: BTreeSet::new(),
            waited_millis: 1200,
        }
    }

    fn judge(pods: Vec<PodFacts>) -> (Outcome, Option<CauseId>) {
        seen(&Deployment::judge(&facts(pods), &expect(&site(), "")))
    }

    #[test]
    fn an_available_deployment_passes_and_one_that_is_not_fails_with_its_cause() {
        assert_eq!(
            judge(vec![pod("a", "node-0", "10.200.0.2")]),
            (Outcome::Pass, None)
        );
        assert_eq!(
            judge(vec![waiting("a", "node-0", "ErrImageNeverPull")]),
            (Outcome::Fail, Some(CauseId::ImageNeverPull))
        );
        assert_eq!(
            judge(Vec::new()),
            (Outcome::Fail, Some(CauseId::ControllerSilent))
        );
    }

    #[test]
    fn a_pod_of_another_image_fails() {
        let image = bundle::Image {
            name: "docker.io/library/nginx:1.29".to_owned(),
            from: String::new(),
            digest: bundle::Digest::of("index"),
            media_type: String::new(),
            platforms: vec![bundle::PlatformImage {
                platform: "linux/amd64".parse().unwrap(),
                manifest: bundle::Digest::of("manifest"),
                config: bundle::Digest::of("config"),
                layers: Vec::new(),
            }],
        };
        let index = Index {
            format: 1,
            name: "smoke".to_owned(),
            tool: "bundler 0.1.0".to_owned(),
            platforms: Vec::new(),
            requires: Vec::new(),
            smoke: None,
            images: vec![image],
            members: Vec::new(),
        };
        let site = site();
        let expect = Expect {
            site: &site,
            index: Some(&index),
            host: None,
        };
        let mut pod = pod("a", "node-0", "10.200.0.2");
        let verdict = Deployment::judge(&facts(vec![pod.clone()]), &expect);
        assert_eq!(seen(&verdict), (Outcome::Fail, Some(CauseId::PodImageWrong)));
        pod.containers[0].image_id = format!("docker.io/library/nginx@{}", bundle::Digest::of("index"));
        assert_eq!(
            seen(&Deployment::judge(&facts(vec![pod]), &expect)),
            (Outcome::Pass, None)
        );
    }
}
