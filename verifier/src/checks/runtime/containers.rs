//! `runtime.containers`: what the node's container runtime runs is what the API says.

use serde::{Deserialize, Serialize};

use crate::checks::network::pods;
use crate::checks::twice::Twice;
use crate::cluster::{ContainerFacts, Permission, PodFacts};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::{Container, CriPodsReply, Sandbox};
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Containers>(About {
    id: "runtime.containers",
    scope: Scope::Worker,
    needs: &[Fixture::Pods],
    permissions: &[Permission::across("list", "", "pods")],
    summary: "the runtime runs the containers that the API names, and no others",
    explain: "Lists the containers of this node over CRI, as crictl ps does, and compares them with the pods that the API \
places here: every container that the API calls running is there by its id, running, in a sandbox of that very pod (its \
UID, name and namespace), and every running container belongs to a pod that the API knows. For the suite's own pod the \
image id is compared with the bundle's too. Pods come and go: a difference counts only if a second reading 3 s later \
shows it too.\n\nUsual causes of failure, in order: the kubelet is dead, so that the API's picture is old; somebody \
stopped or started containers past the kubelet; a pod was deleted by force while its node was away.\n\nWhere to look: \
`crictl ps -a` and `crictl pods` on the node, `journalctl -u kubelet`.",
    by_hand: "ssh {host} crictl ps; kubectl get pods -A -o wide --field-selector spec.nodeName={host}",
});

struct Containers;

/// One reading of both sides.
#[derive(Serialize, Deserialize)]
struct View {
    runtime: CriPodsReply,
    /// The node's pods, of all namespaces.
    pods: Vec<PodFacts>,
}

#[derive(Serialize, Deserialize)]
struct Facts {
    views: Twice<View>,
}

impl Probe for Containers {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let api = ctx.api()?;
        let read = || async {
            let (runtime, pods) = futures::join!(pods::of_runtime(ctx, host), async {
                Ok(api.pods_of(host.node()).await?)
            });
            let pods: Result<_, Trouble> = pods;
            Ok(View {
                runtime: runtime?,
                pods: pods?,
            })
        };
        let expect = ctx.expect(member);
        let views = Twice::read(read, |view| !view.findings(&expect).is_empty()).await?;
        Ok(Facts { views })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let view = facts.views.last();
        let evidence = view.evidence();
        let findings = facts.views.findings(|view| view.findings(expect));
        if findings.is_empty() && view.running().next().is_none() {
            let node = expect.host.map(|host| host.node().to_owned());
            return Verdict::from(pods::needs(&node.into_iter().collect::<Vec<_>>())).with(evidence);
        }
        Verdict::of(findings).with(evidence)
    }
}

/// Returns the id behind `containerd://`.
fn bare(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id)
}

impl View {
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
        let named = self
            .running()
            .filter_map(|(pod, container)| self.wrong(pod, container, expect));
        let unnamed = self
            .runtime
            .containers
            .iter()
            .filter_map(|container| self.stray(container));
        named.chain(unnamed).map(Finding::fail).collect()
    }

    /// Returns how a container that the API names differs from what the runtime has.
    fn wrong(&self, pod: &PodFacts, container: &ContainerFacts, expect: &Expect<'_>) -> Option<Cause> {
        let name = format!("{}/{}", pod.namespace, pod.name);
        let of = |id| {
            Cause::new(id)
                .with("pod", &name)
                .with("container", &container.name)
        };
        let id = bare(&container.id);
        let Some(found) = self.runtime.containers.iter().find(|other| other.id == id) else {
            return Some(of(CauseId::ContainerMissing).with("id", id));
        };
        if !found.running {
            return Some(of(CauseId::ContainerNotRunning).with("id", id));
        }
        let sandbox = self.sandbox(&found.sandbox);
        if !sandbox.is_some_and(|sandbox| is_of(sandbox, pod)) {
            let found = sandbox.map_or_else(
                || "none".to_owned(),
                |other| format!("{}/{}", other.namespace, other.name),
            );
            return Some(of(CauseId::ContainerElsewhere).with("found", found));
        }
        let wanted = expect
            .index?
            .images
            .iter()
            .find(|image| image.name == container.image)?;
        let ids: Vec<String> = wanted
            .platforms
            .iter()
            .map(|one| one.config.to_string())
            .collect();
        // Runtimes that name an image by something else than its id are left out.
        let wrong = found.image.starts_with("sha256:") && !ids.contains(&found.image);
        wrong.then(|| {
            let expected = ids.join(" or ");
            of(CauseId::ContainerImage)
                .with("found", &found.image)
                .with("expected", expected)
        })
    }

    /// Returns a container that runs though the API knows no pod of it here.
    fn stray(&self, container: &Container) -> Option<Cause> {
        let sandbox = self.sandbox(&container.sandbox).filter(|_| container.running)?;
        if self.pods.iter().any(|pod| is_of(sandbox, pod)) {
            return None;
        }
        let pod = format!("{}/{}", sandbox.namespace, sandbox.name);
        let cause = Cause::new(CauseId::ContainerStray).with("pod", pod);
        Some(cause.with("container", &container.name).with("id", &container.id))
    }

    fn evidence(&self) -> Vec<Evidence> {
        let line = |container: &Container| {
            let state = if container.running {
                "Running"
            } else {
                "not running"
            };
            let pod = self.sandbox(&container.sandbox);
            let pod = pod.map_or_else(
                || "no pod".to_owned(),
                |pod| format!("{}/{}", pod.namespace, pod.name),
            );
            let id: String = container.id.chars().take(13).collect();
            format!("{id} {} {state} {} {pod}", container.image, container.name)
        };
        let runtime: Vec<String> = self.runtime.containers.iter().map(line).collect();
        let api: Vec<String> = self
            .running()
            .map(|(pod, container)| {
                let id: String = bare(&container.id).chars().take(13).collect();
                format!("{id} {} {}/{}", container.name, pod.namespace, pod.name)
            })
            .collect();
        let runtime = Evidence::lines("containers of the runtime", &runtime);
        runtime
            .into_iter()
            .chain(Evidence::lines("containers of the API", &api))
            .collect()
    }
}

/// Returns whether a sandbox is of a pod: by UID; a static pod's mirror has one of its own and only shares the name.
fn is_of(sandbox: &Sandbox, pod: &PodFacts) -> bool {
    let named = sandbox.namespace == pod.namespace && sandbox.name == pod.name;
    named && (sandbox.uid == pod.uid || pod.mirror)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;
    use crate::protocol::SandboxNetwork;
    use crate::suite::fixtures::why::tests::pod;

    fn view() -> View {
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
        View {
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
        }
    }

    fn judge(change: fn(&mut View)) -> (Outcome, Option<CauseId>) {
        let mut changed = view();
        change(&mut changed);
        let facts = Facts {
            views: Twice::of(changed, None),
        };
        let site = site();
        seen(&Containers::judge(&facts, &expect(&site, "node-1")))
    }

    #[test]
    fn two_views_that_agree_pass_and_nothing_at_all_is_no_pass() {
        assert_eq!(judge(|_| ()), (Outcome::Pass, None));
        let empty = |view: &mut View| {
            view.pods.clear();
            view.runtime.containers.clear();
        };
        assert_eq!(judge(empty), (Outcome::Skip, Some(CauseId::Needs)));
    }

    #[test]
    fn each_difference_has_its_cause() {
        let fails = |change: fn(&mut View)| {
            let (outcome, cause) = judge(change);
            assert_eq!(outcome, Outcome::Fail);
            cause.unwrap()
        };
        assert_eq!(
            fails(|view| view.runtime.containers.clear()),
            CauseId::ContainerMissing
        );
        assert_eq!(
            fails(|view| view.runtime.containers[0].running = false),
            CauseId::ContainerNotRunning
        );
        assert_eq!(
            fails(|view| view.runtime.sandboxes[0].sandbox.uid = "other".to_owned()),
            CauseId::ContainerElsewhere
        );
        assert_eq!(fails(|view| view.pods.clear()), CauseId::ContainerStray);
    }

    #[test]
    fn a_static_pod_and_its_mirror_share_only_the_name() {
        let mirrored = |view: &mut View| {
            view.runtime.sandboxes[0].sandbox.uid = "of-the-file".to_owned();
            view.pods[0].mirror = true;
        };
        assert_eq!(judge(mirrored), (Outcome::Pass, None));
    }
}
