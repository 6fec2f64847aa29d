//! `addons.ready`: in every namespace but the run's own, workloads have the pods that they want and no pod hangs.

use std::collections::BTreeMap;
use std::fmt::Display;

use bundle::Index;
use serde::{Deserialize, Serialize};

use crate::cluster::{AddonFacts, Owner, Permission, PodTrouble, Trouble, Waiting, WorkloadFacts, YOUNG};
use crate::findings::{Cause, Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::images::full;
use crate::protocol::{repository, split_digest};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<AddonsReady>("addons.ready", Scope::Cluster)
    .permissions(&[
        Permission::across("list", "", "namespaces"),
        Permission::across("list", "", "pods"),
        Permission::across("list", "apps", "deployments"),
        Permission::across("list", "apps", "daemonsets"),
        Permission::across("list", "apps", "statefulsets"),
    ])
    .confirmed();

/// A pod that is on a node and has not begun by then hangs, in seconds.
const SLOW: u64 = 120;
/// How many nodes a sentence names.
const NAMED: usize = 5;

struct AddonsReady;

#[derive(Serialize, Deserialize)]
struct Facts {
    addons: AddonFacts,
}

impl Probe for AddonsReady {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let addons = ctx.api()?.addons(ctx.site.suite.namespace.as_deref()).await?;
        Ok(Facts { addons })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let mut groups: BTreeMap<&Owner, Group<'_>> = BTreeMap::new();
        for pod in facts.addons.pods.iter().filter(|pod| pod.age_seconds >= YOUNG) {
            groups.entry(&pod.owner).or_default().pods.push(pod);
        }
        for workload in facts
            .addons
            .workloads
            .iter()
            .filter(|workload| workload.age_seconds >= YOUNG)
        {
            // Pods that come and go are missing from the count all the time, each for a moment, and the count is not of the very
            // moment of the list.
            if workload.refused.is_some()
                || workload.wanted.abs_diff(workload.ready) as usize > workload.young
            {
                groups.entry(&workload.owner).or_default().workload = Some(workload);
            }
        }
        let found = groups.iter().filter_map(|(owner, group)| {
            let finding = group.finding(owner, expect.index)?;
            Some(finding.of(format_args!("{}/{}/{}", owner.namespace, owner.kind, owner.name)))
        });
        Ok(found.collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let addons = &facts.addons;
        let [deployments, daemon_sets, stateful_sets, pods] = &addons.looked_at;
        let looked_at = phrase::AddonsLookedAt {
            deployments,
            daemon_sets,
            stateful_sets,
            pods,
            more: &addons.more,
        };
        let looked_at = Evidence::lines(phrase::Addons, [Line::said(looked_at)]);
        let workloads = Evidence::lines(phrase::AddonWorkloads, addons.workloads.iter().map(workload_line));
        let pods = Evidence::lines(phrase::AddonPods, addons.pods.iter().map(pod_line));
        [looked_at, workloads, pods].into_iter().flatten().collect()
    }
}

/// What is known of one owner.
#[derive(Default)]
struct Group<'a> {
    workload: Option<&'a WorkloadFacts>,
    pods: Vec<&'a PodTrouble>,
}

impl Group<'_> {
    /// Returns the worst of it: one finding an owner. What hinders a pod says more than how many are missing.
    fn finding(&self, owner: &Owner, index: Option<&Index>) -> Option<Finding> {
        let found = self.pods.iter().filter_map(|pod| self.of_pod(owner, pod, index));
        // The first of the worst.
        let mut worst: Option<Finding> = None;
        for finding in found.chain(self.workload.map(|workload| of_workload(owner, workload))) {
            if worst
                .as_ref()
                .is_none_or(|worst| worst.severity < finding.severity)
            {
                worst = Some(finding);
            }
        }
        worst
    }

    fn of_pod(&self, owner: &Owner, pod: &PodTrouble, index: Option<&Index>) -> Option<Finding> {
        let nodes = &self.nodes(&pod.trouble);
        let (kind, namespace, name) = (&owner.kind, &owner.namespace, &owner.name);
        let cause: Cause = match &pod.trouble {
            Trouble::Waiting(waiting) => return Some(Finding::fail(waits(owner, nodes, waiting, index))),
            Trouble::Unplaced { message } => cause::AddonUnschedulable {
                kind,
                namespace,
                name,
                message,
            }
            .into(),
            Trouble::Unseen => cause::SchedulerSilent { pod: &pod.name }.into(),
            Trouble::Starting if pod.age_seconds < SLOW => return None,
            Trouble::Starting => cause::AddonHangs {
                kind,
                namespace,
                name,
                pod: &pod.name,
                nodes,
                seconds: &pod.age_seconds,
            }
            .into(),
            Trouble::Restarted {
                container,
                restarts,
                ended,
                seconds,
            } => {
                return Some(Finding::warn(cause::AddonRestarts {
                    kind,
                    namespace,
                    name,
                    container,
                    restarts,
                    ended,
                    seconds,
                }));
            }
            // Where there is a count it says how many are not ready. A Job's pod has no need to be.
            Trouble::Unready if owner.is_counted() || owner.kind == "Job" => return None,
            Trouble::Unready => {
                return Some(Finding::warn(cause::AddonUnready {
                    kind,
                    namespace,
                    name,
                    nodes,
                }));
            }
        };
        Some(Finding::fail(cause))
    }

    /// Returns the nodes of the pods that are in the same trouble.
    fn nodes(&self, trouble: &Trouble) -> String {
        let same =
            |pod: &&&PodTrouble| std::mem::discriminant(&pod.trouble) == std::mem::discriminant(trouble);
        let mut nodes: Vec<&str> = self
            .pods
            .iter()
            .filter(same)
            .filter_map(|pod| pod.node.as_deref())
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        let more = nodes.len().saturating_sub(NAMED);
        nodes.truncate(NAMED);
        let named = nodes.join(", ");
        if more > 0 {
            format!("{named} +{more}")
        } else {
            named
        }
    }
}

/// Returns what a container waits for.
fn waits(owner: &Owner, nodes: &dyn Display, waiting: &Waiting, index: Option<&Index>) -> Cause {
    let (kind, namespace, name) = (&owner.kind, &owner.namespace, &owner.name);
    let (container, message) = (&waiting.container, &waiting.message);
    match waiting.reason.as_str() {
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "RegistryUnavailable" => {
            no_image(owner, nodes, waiting, index)
        }
        "CrashLoopBackOff" => cause::AddonCrashes {
            kind,
            namespace,
            name,
            container,
            nodes,
            restarts: &waiting.restarts,
            ended: &waiting.ended,
        }
        .into(),
        reason => cause::AddonContainerWaits {
            kind,
            namespace,
            name,
            container,
            nodes,
            reason: &reason,
            message,
        }
        .into(),
    }
}

/// Returns why an image cannot be had: by what the bundle of the run carries.
fn no_image(owner: &Owner, nodes: &dyn Display, waiting: &Waiting, index: Option<&Index>) -> Cause {
    let (kind, namespace, name) = (&owner.kind, &owner.namespace, &owner.name);
    let (image, reason, message) = (&waiting.image, &waiting.reason, &waiting.message);
    /// One of the causes, which all have the same fields.
    macro_rules! of {
        ($cause:ident) => {
            cause::$cause {
                kind,
                namespace,
                name,
                image,
                nodes,
                reason,
                message,
            }
            .into()
        };
    }
    match index.map(|index| carries(index, image)) {
        Some(true) if waiting.always => of!(AddonImageAlways),
        Some(true) => of!(AddonImageUnloaded),
        Some(false) => of!(AddonImageUnbundled),
        None => of!(AddonImageMissing),
    }
}

/// Returns what the counts of a workload say.
fn of_workload(owner: &Owner, workload: &WorkloadFacts) -> Finding {
    let (kind, namespace, name) = (&owner.kind, &owner.namespace, &owner.name);
    if let Some(message) = &workload.refused {
        return Finding::fail(cause::AddonRefused {
            kind,
            namespace,
            name,
            message,
        });
    }
    let short = cause::AddonShort {
        kind,
        namespace,
        name,
        ready: &workload.ready,
        wanted: &workload.wanted,
    };
    if workload.rolling {
        Finding::warn(short)
    } else {
        Finding::fail(short)
    }
}

/// Returns whether a bundle carries an image under the name that a pod gives it.
fn carries(index: &Index, image: &str) -> bool {
    let full = full(image);
    let (name, digest) = split_digest(&full);
    index.images.iter().any(|carried| match digest {
        Some(digest) => repository(&carried.name) == repository(name) && carried.digest.to_string() == digest,
        None => carried.name == full,
    })
}

fn workload_line(workload: &WorkloadFacts) -> String {
    let Owner {
        namespace,
        kind,
        name,
    } = &workload.owner;
    format!("{namespace} {kind} {name} {}/{}", workload.ready, workload.wanted)
}

fn pod_line(pod: &PodTrouble) -> String {
    let node = pod.node.as_deref().unwrap_or("<none>");
    let trouble = match &pod.trouble {
        Trouble::Unplaced { message } => format!("Pending {message}"),
        Trouble::Unseen => "Pending".to_owned(),
        Trouble::Waiting(waiting) => format!(
            "{} {} {} restarts {} {} {}",
            waiting.container,
            waiting.image,
            waiting.reason,
            waiting.restarts,
            waiting.ended,
            waiting.message
        ),
        Trouble::Starting => format!("ContainerCreating {} s", pod.age_seconds),
        Trouble::Restarted {
            container,
            restarts,
            ended,
            seconds,
        } => format!("{container} restarts {restarts} {ended} {seconds} s"),
        Trouble::Unready => "0/1 Ready".to_owned(),
    };
    format!("{} {} {node} {trouble}", pod.owner.namespace, pod.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome, Severity};

    fn owner(kind: &str) -> Owner {
        Owner {
            namespace: "kube-system".to_owned(),
            kind: kind.to_owned(),
            name: "coredns".to_owned(),
        }
    }

    fn pod(trouble: Trouble) -> PodTrouble {
        PodTrouble {
            owner: owner("Deployment"),
            name: "coredns-5d8-x".to_owned(),
            node: Some("node-0".to_owned()),
            age_seconds: 300,
            trouble,
        }
    }

    fn waiting(reason: &str) -> Waiting {
        Waiting {
            container: "coredns".to_owned(),
            image: "registry.k8s.io/coredns/coredns:v1.12.0".to_owned(),
            always: false,
            reason: reason.to_owned(),
            message: "dial tcp: no route to host".to_owned(),
            restarts: 0,
            ended: String::new(),
        }
    }

    fn short(rolling: bool) -> WorkloadFacts {
        WorkloadFacts {
            owner: owner("Deployment"),
            wanted: 2,
            ready: 0,
            rolling,
            refused: None,
            age_seconds: 300,
            young: 0,
        }
    }

    fn facts(workloads: Vec<WorkloadFacts>, pods: Vec<PodTrouble>) -> Facts {
        let looked_at = [1, 0, 0, 2];
        Facts {
            addons: AddonFacts {
                looked_at,
                workloads,
                pods,
                more: 0,
            },
        }
    }

    fn judge(workloads: Vec<WorkloadFacts>, pods: Vec<PodTrouble>) -> (Outcome, Option<CauseId>) {
        let site = site();
        judged::<AddonsReady>(&facts(workloads, pods), &expect(&site, ""))
    }

    fn index(image: &str) -> Index {
        let image = bundle::Image {
            name: image.to_owned(),
            from: String::new(),
            digest: bundle::Digest::of("index"),
            media_type: String::new(),
            platforms: Vec::new(),
        };
        Index {
            format: 1,
            name: "site".to_owned(),
            serial: None,
            created: None,
            tool: "bundler 0.1.0".to_owned(),
            platforms: Vec::new(),
            requires: Vec::new(),
            smoke: None,
            images: vec![image],
            members: Vec::new(),
        }
    }

    #[test]
    fn a_cluster_without_add_ons_passes() {
        assert_eq!(judge(Vec::new(), Vec::new()), (Outcome::Pass, None));
    }

    #[test]
    fn an_image_that_is_not_there_is_one_finding_an_owner_that_says_whether_the_bundle_carries_it() {
        let site = site();
        let mut other = pod(Trouble::Waiting(waiting("ImagePullBackOff")));
        other.node = Some("node-1".to_owned());
        let facts = facts(
            vec![short(false)],
            vec![pod(Trouble::Waiting(waiting("ErrImagePull"))), other],
        );
        let of = |index: Option<&Index>| {
            let expect = Expect {
                index,
                ..expect(&site, "")
            };
            let found = AddonsReady::judge(&facts, &expect).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(
                found[0].subject.as_deref(),
                Some("kube-system/Deployment/coredns")
            );
            assert_eq!(found[0].cause.args()["nodes"], "node-0, node-1");
            (found[0].severity, found[0].cause.id())
        };
        let (carried, not) = (
            index("registry.k8s.io/coredns/coredns:v1.12.0"),
            index("docker.io/library/nginx:1.29"),
        );
        assert_eq!(of(Some(&carried)), (Severity::Fail, CauseId::AddonImageUnloaded));
        assert_eq!(of(Some(&not)), (Severity::Fail, CauseId::AddonImageUnbundled));
        assert_eq!(of(None), (Severity::Fail, CauseId::AddonImageMissing));
    }

    #[test]
    fn an_image_that_is_pulled_though_the_bundle_carries_it_is_told_so() {
        let site = site();
        let mut always = waiting("ErrImagePull");
        always.always = true;
        let index = index("registry.k8s.io/coredns/coredns:v1.12.0");
        let expect = Expect {
            index: Some(&index),
            ..expect(&site, "")
        };
        let facts = facts(Vec::new(), vec![pod(Trouble::Waiting(always))]);
        let found = AddonsReady::judge(&facts, &expect).unwrap();
        assert_eq!(found[0].cause.id(), CauseId::AddonImageAlways);
    }

    #[test]
    fn crashes_pods_without_a_node_and_those_that_hang_fail() {
        let mut crash = waiting("CrashLoopBackOff");
        crash.restarts = 7;
        let unplaced = Trouble::Unplaced {
            message: "0/2 nodes are available".to_owned(),
        };
        let bad = Trouble::Waiting(waiting("CreateContainerConfigError"));
        for (trouble, id) in [
            (Trouble::Waiting(crash), CauseId::AddonCrashes),
            (unplaced, CauseId::AddonUnschedulable),
            (Trouble::Unseen, CauseId::SchedulerSilent),
            (Trouble::Starting, CauseId::AddonHangs),
            (bad, CauseId::AddonContainerWaits),
        ] {
            assert_eq!(judge(Vec::new(), vec![pod(trouble)]), (Outcome::Fail, Some(id)));
        }
    }

    #[test]
    fn pods_that_come_and_go_are_missing_from_the_count_for_a_moment_and_more_than_those_are_told() {
        let of = |young: usize| {
            let workload = WorkloadFacts {
                wanted: 6,
                ready: 4,
                young,
                ..short(false)
            };
            judge(vec![workload], Vec::new()).1
        };
        assert_eq!((of(1), of(2)), (Some(CauseId::AddonShort), None));
    }

    #[test]
    fn what_is_young_is_no_finding() {
        let mut young = pod(Trouble::Waiting(waiting("ErrImagePull")));
        young.age_seconds = 29;
        let mut starting = pod(Trouble::Starting);
        starting.age_seconds = 100;
        let mut workload = short(false);
        workload.age_seconds = 5;
        assert_eq!(
            judge(vec![workload], vec![young, starting]),
            (Outcome::Pass, None)
        );
    }

    #[test]
    fn a_workload_that_is_short_fails_and_one_that_is_being_replaced_warns() {
        assert_eq!(
            judge(vec![short(false)], Vec::new()),
            (Outcome::Fail, Some(CauseId::AddonShort))
        );
        assert_eq!(
            judge(vec![short(true)], Vec::new()),
            (Outcome::Warn, Some(CauseId::AddonShort))
        );
        let mut refused = short(true);
        refused.refused = Some("exceeded quota".to_owned());
        assert_eq!(
            judge(vec![refused], Vec::new()),
            (Outcome::Fail, Some(CauseId::AddonRefused))
        );
    }

    #[test]
    fn a_pod_that_is_not_ready_is_its_workload_s_business_and_warns_where_there_is_none() {
        let unready = |kind: &str| {
            let mut pod = pod(Trouble::Unready);
            pod.owner = owner(kind);
            judge(Vec::new(), vec![pod])
        };
        assert_eq!(unready("DaemonSet"), (Outcome::Pass, None));
        assert_eq!(unready("Job"), (Outcome::Pass, None));
        assert_eq!(unready("Pod"), (Outcome::Warn, Some(CauseId::AddonUnready)));
    }

    #[test]
    fn references_are_completed_as_runtimes_do() {
        assert_eq!(full("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(full("a/b:1"), "docker.io/a/b:1");
        assert_eq!(full("quay.io/a/b"), "quay.io/a/b:latest");
        assert_eq!(full("reg:5000/a@sha256:00"), "reg:5000/a@sha256:00");
        let index = index("quay.io/a/b:1");
        let digest = bundle::Digest::of("index");
        assert!(carries(&index, "quay.io/a/b:1") && carries(&index, &format!("quay.io/a/b@{digest}")));
        assert!(!carries(&index, "quay.io/a/b:2") && !carries(&index, "b:1"));
    }
}
