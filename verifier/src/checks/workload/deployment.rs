//! `workload.deployment`: the Deployment of the bundle becomes available and runs exactly the bundle's image.

use bundle::Index;

use super::crash::Crashes;
use crate::cluster::{ContainerFacts, EventFacts, PodFacts};
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::suite::fixtures::why::{mutated, refused, why};
use crate::suite::fixtures::{Deployed, Fixture};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace, dead_webhook};

pub(super) const CHECK: Check = Check::of::<Deployment>("workload.deployment", Scope::Cluster)
    .needs(&[Fixture::Deployment])
    .traced::<Deployment>();

struct Deployment;

impl Probe for Deployment {
    type Facts = Deployed;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Deployed, Unjudged> {
        ctx.fixtures().deployed(ctx).await
    }

    fn judge(facts: &Deployed, expect: &Expect<'_>) -> Judged {
        if !facts.is_available() {
            return Ok(vec![Finding::fail(late(facts))]);
        }
        let up = || facts.pods.iter().filter(|pod| pod.is_up());
        let wrong = up().filter_map(|pod| wrong_image(pod, &facts.image, expect.index));
        let changed =
            up().filter_map(|pod| Some(Finding::warn(mutated(pod, Some(&facts.image))?).of(&pod.name)));
        Ok(wrong.chain(changed).collect())
    }

    fn evidence(facts: &Deployed, _: &Expect<'_>) -> Vec<Evidence> {
        evidence(&facts.pods, &facts.events)
    }
}

impl Trace for Deployment {
    type Depth = Crashes;

    async fn trace(ctx: &Ctx, _: &Member, facts: &Deployed, found: &[Finding]) -> Crashes {
        Crashes::look(ctx, &facts.pods, &facts.image, found).await
    }

    fn explain(findings: Vec<Finding>, _: &Deployed, depth: &Crashes, _: &Expect<'_>) -> Vec<Finding> {
        depth.explain(findings)
    }

    fn deeper(depth: &Crashes, _: &Expect<'_>) -> Vec<Evidence> {
        depth.evidence()
    }
}

/// Returns why nothing is available.
fn late(facts: &Deployed) -> Cause {
    if let Some(cause) = unasked(facts) {
        return cause;
    }
    let mut pods = facts.pods.iter();
    if let Some(cause) = pods.find_map(|pod| mutated(pod, Some(&facts.image))) {
        return cause;
    }
    if let Some(cause) = facts
        .pods
        .iter()
        .find_map(|pod| why(pod, &facts.events, &facts.silent))
    {
        return cause;
    }
    if facts.pods.is_empty() {
        return cause::ControllerSilent.into();
    }
    cause::DeploymentTimeout {
        seconds: &(facts.waited_millis / 1000),
        wanted: &facts.deployment.wanted,
        available: &facts.deployment.available,
    }
    .into()
}

/// Returns that no pod can be made because a webhook that must be asked does not answer.
fn unasked(facts: &Deployed) -> Option<Cause> {
    let message = refused(&facts.deployment)?;
    let webhook = dead_webhook(message)?;
    let operation = &format!("create pods of {}", facts.deployment.name);
    let (webhook, message) = (&webhook, &message);
    Some(
        cause::WebhookDead {
            webhook,
            operation,
            message,
        }
        .into(),
    )
}

/// Returns a finding where a pod runs another image than the bundle's.
pub(super) fn wrong_image(pod: &PodFacts, image: &str, index: Option<&Index>) -> Option<Finding> {
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
    if good.iter().any(|good| good == found) {
        return None;
    }
    let cause = cause::PodImageWrong {
        pod: &pod.name,
        found: &found,
        expected: image.platforms.first().map_or(&image.digest, |one| &one.config),
    };
    Some(Finding::fail(cause).of(&pod.name))
}

/// Returns the digest in `docker.io/library/nginx@sha256:…` or `sha256:…`.
fn digest_of(container: &ContainerFacts) -> &str {
    let id = container.image_id.as_str();
    id.rfind("sha256:").map_or(id, |at| &id[at..])
}

/// Returns pods and events as evidence.
pub(super) fn evidence(pods: &[PodFacts], events: &[EventFacts]) -> Vec<Evidence> {
    let pods = Evidence::lines(phrase::Pods, pods.iter().map(line));
    let events = Evidence::lines(phrase::Events, events.iter().map(EventFacts::line));
    pods.into_iter().chain(events).collect()
}

/// Returns a pod as `kubectl get pods -o wide` has it, with what its container waits for.
fn line(pod: &PodFacts) -> String {
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "<none>".to_owned());
    let reason = pod
        .containers
        .first()
        .map(|container| container.reason.as_str())
        .unwrap_or_default();
    let (address, node) = (or_none(&pod.ip), or_none(&pod.node));
    format!("{} {} {address} {node} {reason}", pod.name, pod.phase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::cluster::DeploymentFacts;
    use crate::findings::{CauseId, Outcome};
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
        judged::<Deployment>(&facts(pods), &expect(&site(), ""))
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
    fn a_pod_that_was_changed_on_its_creation_warns_where_it_runs_and_fails_where_it_does_not() {
        let mut sidecar = pod("a", "node-0", "10.200.0.2");
        let mut proxy = sidecar.containers[0].clone();
        proxy.name = "istio-proxy".to_owned();
        sidecar.containers.push(proxy);
        assert_eq!(judge(vec![sidecar]), (Outcome::Warn, Some(CauseId::PodMutated)));
        let mut pulls = waiting("a", "node-0", "ErrImagePull");
        pulls.containers[0].pull = "Always".to_owned();
        assert_eq!(judge(vec![pulls]), (Outcome::Fail, Some(CauseId::PodMutated)));
        let mut mirror = waiting("a", "node-0", "ErrImageNeverPull");
        mirror.containers[0].image = "mirror.example/nginx:1.29".to_owned();
        assert_eq!(judge(vec![mirror]), (Outcome::Fail, Some(CauseId::PodMutated)));
    }

    #[test]
    fn a_webhook_that_does_not_answer_fails_with_its_name() {
        let mut facts = facts(Vec::new());
        facts.deployment.conditions.push(crate::cluster::ConditionFacts {
            r#type: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            reason: "FailedCreate".to_owned(),
            message: "Internal error occurred: failed calling webhook \"a.b.c\": service \"s\" not found"
                .to_owned(),
        });
        let found = Deployment::judge(&facts, &expect(&site(), "")).unwrap();
        assert_eq!(found[0].severity.outcome(), Outcome::Fail);
        assert_eq!(found[0].cause.args()["webhook"], "a.b.c");
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
            serial: None,
            created: None,
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
            nodes: &bundle::nodes::EVERYWHERE,
            host: None,
        };
        let mut pod = pod("a", "node-0", "10.200.0.2");
        let judge = |pod: &PodFacts| judged::<Deployment>(&facts(vec![pod.clone()]), &expect);
        assert_eq!(judge(&pod), (Outcome::Fail, Some(CauseId::PodImageWrong)));
        pod.containers[0].image_id = format!("docker.io/library/nginx@{}", bundle::Digest::of("index"));
        assert_eq!(judge(&pod), (Outcome::Pass, None));
    }
}
