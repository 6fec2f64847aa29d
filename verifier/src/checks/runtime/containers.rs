//! `runtime.containers`: what the node's container runtime runs is what the API says.

use bundle::Index;
use serde::{Deserialize, Serialize};

use crate::checks::network::pods;
use crate::cluster::{ContainerFacts, Permission, PodFacts};
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{Container, CriPodsReply, Sandbox};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Motion, Probe, Scope};

/// Pods come and go: only a difference that lasts counts.
pub(super) const CHECK: Check = Check::of::<Containers>("runtime.containers", Scope::Worker)
    .wants(&[Fixture::Pods])
    .permissions(&[Permission::across("list", "", "pods")])
    .confirmed()
    .motion(Motion::Still);

struct Containers;

#[derive(Serialize, Deserialize)]
struct Facts {
    runtime: CriPodsReply,
    /// The node's pods, of all namespaces.
    pods: Vec<PodFacts>,
    /// Whether pods of the suite are up anywhere: then those of this node are among them.
    spread: bool,
}

impl Probe for Containers {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let api = ctx.api()?;
        // Before the reading, so that it finds their containers too.
        let spread = ctx.fixtures().state(ctx, Fixture::Pods).await.is_ok();
        let (runtime, pods) = futures::join!(pods::of_runtime(ctx, host), api.pods_of(host.node()));
        Ok(Facts {
            runtime: runtime?,
            pods: pods?,
            spread,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let findings = facts.findings(expect);
        let open = !facts.spread || facts.running().next().is_none();
        if findings.is_empty() && open {
            return Err(Unjudged::skip(cause::Needs {
                what: &Fixture::Pods.owner(),
            }));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let runtime = facts.runtime.containers.iter();
        let runtime = Evidence::lines(
            phrase::ContainersOfRuntime,
            runtime.map(|container| facts.line(container)),
        );
        let api = facts.running().map(|(pod, container)| {
            let id: String = bare(&container.id).chars().take(13).collect();
            format!("{id} {} {}/{}", container.name, pod.namespace, pod.name)
        });
        let api = Evidence::lines(phrase::ContainersOfApi, api);
        runtime.into_iter().chain(api).collect()
    }
}

/// Returns the id behind `containerd://`.
fn bare(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id)
}

impl Facts {
    /// Returns the containers that the API calls running, with their pods.
    fn running(&self) -> impl Iterator<Item = (&PodFacts, &ContainerFacts)> {
        let pods = self
            .pods
            .iter()
            .filter(|pod| pod.phase == "Running" && !pod.ending);
        pods.flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)))
            .filter(|(_, container)| container.running)
    }

    fn sandbox(&self, id: &str) -> Option<&Sandbox> {
        let mut sandboxes = self.runtime.sandboxes.iter().map(|network| &network.sandbox);
        sandboxes.find(|sandbox| sandbox.id == id)
    }

    fn findings(&self, expect: &Expect<'_>) -> Vec<Finding> {
        let named = self.running().filter_map(|(pod, container)| {
            let cause = self.wrong(pod, container, expect)?;
            Some(Finding::fail(cause).of(full_name(pod)))
        });
        let runtime = self.runtime.containers.iter();
        named
            .chain(runtime.filter_map(|container| self.unknown(container)))
            .collect()
    }

    /// Returns how a container that the API names differs from what the runtime has.
    fn wrong(&self, of: &PodFacts, named: &ContainerFacts, expect: &Expect<'_>) -> Option<Cause> {
        let (pod, container) = (&full_name(of), &named.name);
        let id = &bare(&named.id);
        let Some(found) = self.runtime.containers.iter().find(|other| other.id == **id) else {
            return Some(cause::ContainerMissing { container, pod, id }.into());
        };
        if !found.running {
            return Some(cause::ContainerNotRunning { container, pod, id }.into());
        }
        let Some(sandbox) = self.sandbox(&found.sandbox) else {
            let sandbox = &found.sandbox;
            return Some(
                cause::ContainerSandboxMissing {
                    container,
                    pod,
                    sandbox,
                }
                .into(),
            );
        };
        if !is_of(sandbox, of) {
            let found = &format!("{}/{}", sandbox.namespace, sandbox.name);
            return Some(
                cause::ContainerElsewhere {
                    container,
                    pod,
                    found,
                }
                .into(),
            );
        }
        let (found, expected) = (&found.image, &ids(expect.index?, &named.image)?);
        // Runtimes that name an image by something else than its id are left out.
        let wrong = found.starts_with("sha256:") && !expected.contains(found.as_str());
        wrong.then(|| {
            cause::ContainerImage {
                container,
                pod,
                found,
                expected,
            }
            .into()
        })
    }

    /// Returns the finding of a container that runs though the API knows no pod of it here.
    fn unknown(&self, container: &Container) -> Option<Finding> {
        let sandbox = self.sandbox(&container.sandbox).filter(|_| container.running)?;
        if self.pods.iter().any(|pod| is_of(sandbox, pod)) {
            return None;
        }
        let pod = format!("{}/{}", sandbox.namespace, sandbox.name);
        let cause = cause::ContainerUnknown {
            container: &container.name,
            pod: &pod,
            id: &container.id,
        };
        Some(Finding::fail(cause).of(&pod))
    }

    /// Returns a container of the runtime as `crictl ps` has it.
    fn line(&self, container: &Container) -> String {
        let state = if container.running {
            "Running"
        } else {
            "NotRunning"
        };
        let pod = self.sandbox(&container.sandbox).map_or_else(
            || "<none>".to_owned(),
            |pod| format!("{}/{}", pod.namespace, pod.name),
        );
        let id: String = container.id.chars().take(13).collect();
        format!("{id} {} {state} {} {pod}", container.image, container.name)
    }
}

/// Returns the ids that the bundle's image of that name has, one a platform.
fn ids(index: &Index, image: &str) -> Option<String> {
    let image = index.images.iter().find(|other| other.name == image)?;
    let ids = image.platforms.iter().map(|one| one.config.to_string());
    Some(ids.collect::<Vec<_>>().join(", "))
}

/// Returns `NAMESPACE/NAME` of a pod.
fn full_name(pod: &PodFacts) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

/// Returns whether a sandbox is of a pod: by UID; a static pod's mirror has one of its own and only shares the name.
fn is_of(sandbox: &Sandbox, pod: &PodFacts) -> bool {
    let named = sandbox.namespace == pod.namespace && sandbox.name == pod.name;
    named && (sandbox.uid == pod.uid || pod.mirror)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::SandboxNetwork;
    use crate::suite::Seen;
    use crate::suite::fixtures::why::tests::pod;

    fn facts() -> Facts {
        let mut pod = pod("nginx-b", "node-1", "10.200.1.2");
        pod.namespace = "verifier-1".to_owned();
        let sandbox = Sandbox {
            id: "s1".to_owned(),
            namespace: "verifier-1".to_owned(),
            name: "nginx-b".to_owned(),
            uid: pod.uid.clone(),
            ready: true,
        };
        let container = Container {
            id: bare(&pod.containers[0].id).to_owned(),
            sandbox: "s1".to_owned(),
            name: "nginx".to_owned(),
            image: "sha256:1".to_owned(),
            running: true,
        };
        Facts {
            runtime: CriPodsReply {
                runtime: "containerd".to_owned(),
                sandboxes: vec![SandboxNetwork {
                    sandbox,
                    host_network: false,
                    interfaces: None,
                }],
                containers: vec![container],
            },
            pods: vec![pod],
            spread: true,
        }
    }

    fn judge(change: fn(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let mut facts = facts();
        change(&mut facts);
        judged::<Containers>(&facts, &expect(&site(), "node-1"))
    }

    #[test]
    fn two_views_that_agree_pass_and_nothing_at_all_is_no_pass() {
        assert_eq!(judge(|_| ()), (Outcome::Pass, None));
        let empty = |facts: &mut Facts| {
            facts.pods.clear();
            facts.runtime.containers.clear();
        };
        assert_eq!(judge(empty), (Outcome::Skip, Some(CauseId::Needs)));
    }

    #[test]
    fn without_the_suite_s_pods_the_others_are_told_and_it_is_no_pass() {
        assert_eq!(
            judge(|facts| facts.spread = false),
            (Outcome::Skip, Some(CauseId::Needs))
        );
        let missing = |facts: &mut Facts| {
            facts.spread = false;
            facts.runtime.containers.clear();
        };
        assert_eq!(judge(missing), (Outcome::Fail, Some(CauseId::ContainerMissing)));
    }

    #[test]
    fn a_container_that_stops_between_two_looks_is_no_finding() {
        let mut stopping = facts();
        stopping.runtime.containers.clear();
        let seen = Seen {
            facts: serde_json::to_value(&stopping).unwrap().into(),
            again: Some(serde_json::to_value(facts()).unwrap().into()),
            depth: None,
        };
        let site = site();
        let verdict = CHECK.judge(&seen, &expect(&site, "node-1"));
        assert_eq!(verdict.outcome(), Outcome::Pass);
    }

    #[test]
    fn each_difference_has_its_cause() {
        let fails = |change: fn(&mut Facts)| {
            let (outcome, cause) = judge(change);
            assert_eq!(outcome, Outcome::Fail);
            cause.unwrap()
        };
        assert_eq!(
            fails(|facts| facts.runtime.containers.clear()),
            CauseId::ContainerMissing
        );
        assert_eq!(
            fails(|facts| facts.runtime.containers[0].running = false),
            CauseId::ContainerNotRunning
        );
        assert_eq!(
            fails(|facts| facts.runtime.sandboxes[0].sandbox.uid = "other".to_owned()),
            CauseId::ContainerElsewhere
        );
        assert_eq!(
            fails(|facts| facts.runtime.sandboxes.clear()),
            CauseId::ContainerSandboxMissing
        );
        assert_eq!(fails(|facts| facts.pods.clear()), CauseId::ContainerUnknown);
    }

    #[test]
    fn a_static_pod_and_its_mirror_share_only_the_name() {
        let mirrored = |facts: &mut Facts| {
            facts.runtime.sandboxes[0].sandbox.uid = "of-the-file".to_owned();
            facts.pods[0].mirror = true;
        };
        assert_eq!(judge(mirrored), (Outcome::Pass, None));
    }
}
