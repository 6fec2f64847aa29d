//! What is wrong with a pod, by its status.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Owner, PodTrouble, Trouble, Waiting, YOUNG, age, itself, owner, sentence, since};

/// The kubelet's word for a container that ends over and over.
const CRASHES: &str = "CrashLoopBackOff";

pub(super) fn pod(object: &Pod, now: Timestamp) -> Option<PodTrouble> {
    let trouble = trouble(object, now)?;
    let meta = &object.metadata;
    Some(PodTrouble {
        owner: owner_of(meta),
        name: meta.name.clone().unwrap_or_default(),
        node: object.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        age_seconds: age(meta, now),
        trouble,
    })
}

/// Returns whose a pod is that was made a moment ago and has not ended. One that nobody counts is nobody's.
pub(super) fn coming(object: &Pod, now: Timestamp) -> Option<Owner> {
    let is_young = age(&object.metadata, now) < YOUNG;
    let owner = owner_of(&object.metadata);
    (is_young && owner.is_counted() && !has_ended(object)).then_some(owner)
}

/// What has ended is its owner's business: a Job's pod may fail, and another one takes its turn.
fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Returns who owns a pod. A `ReplicaSet` of a Deployment is called after it and the hash of the pods' template, which
/// the pods have as a label.
fn owner_of(meta: &ObjectMeta) -> Owner {
    let mut owners = meta.owner_references.iter().flatten();
    let controller = owners.find(|owner| owner.controller == Some(true));
    let Some(controller) = controller.filter(|owner| owner.kind != "Node") else {
        return itself(meta, "Pod");
    };
    let hash = meta
        .labels
        .as_ref()
        .and_then(|labels| labels.get("pod-template-hash"));
    let deployment = hash.and_then(|hash| controller.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    match deployment.filter(|_| controller.kind == "ReplicaSet") {
        Some(deployment) => owner(meta, "Deployment", deployment),
        None => owner(meta, &controller.kind, &controller.name),
    }
}

fn trouble(pod: &Pod, now: Timestamp) -> Option<Trouble> {
    let spec = pod.spec.as_ref()?;
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    if has_ended(pod) {
        return None;
    }
    let conditions = || status.conditions.iter().flatten();
    let find = |name: &str| conditions().find(|condition| condition.type_ == name);
    if spec.node_name.is_none() {
        return match find("PodScheduled") {
            // Somebody holds it back on purpose.
            Some(placed) if placed.reason.as_deref() == Some("SchedulingGated") => None,
            Some(placed) if placed.status == "False" => Some(Trouble::Unplaced {
                message: sentence(placed.message.as_ref()),
            }),
            Some(_) => None,
            None => Some(Trouble::Unseen),
        };
    }
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let statuses = status.init_container_statuses.iter().flatten();
    let statuses: Vec<&ContainerStatus> = statuses
        .chain(status.container_statuses.iter().flatten())
        .collect();
    for container in containers {
        let Some(status) = statuses.iter().find(|status| status.name == container.name) else {
            continue;
        };
        if let Some((reason, message)) = waits(status) {
            return Some(Trouble::Waiting(Waiting {
                container: container.name.clone(),
                image: container.image.clone().unwrap_or_default(),
                always: container.image_pull_policy.as_deref() == Some("Always"),
                reason: reason.to_owned(),
                message: sentence(message),
                restarts: status.restart_count,
                ended: last(status).map(ending).unwrap_or_default(),
            }));
        }
    }
    if let Some(restarted) = statuses.iter().find_map(|status| restarted(status, now)) {
        return Some(restarted);
    }
    if status.phase.as_deref() == Some("Pending") {
        return Some(Trouble::Starting);
    }
    let ready = find("Ready").is_some_and(|condition| condition.status == "True");
    (!ready).then_some(Trouble::Unready)
}

/// Returns what a container waits for, unless it is on its way. One that has ended badly and not for the first time waits to
/// be started again: the kubelet says `CrashLoopBackOff` of it only when it comes to it the next time.
fn waits(status: &ContainerStatus) -> Option<(&str, Option<&String>)> {
    let state = status.state.as_ref()?;
    if let Some(ended) = &state.terminated {
        let crashes = ended.exit_code != 0 && status.restart_count > 0;
        return crashes.then_some((CRASHES, None));
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let on_its_way = matches!(reason, "" | "ContainerCreating" | "PodInitializing");
    (!on_its_way).then_some((reason, waiting.message.as_ref()))
}

/// Returns how a container ended last.
fn last(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let states = [&status.state, &status.last_state];
    states
        .into_iter()
        .flatten()
        .find_map(|state| state.terminated.as_ref())
}

/// Returns how a container ended, for example `Error, exit code 1`. Its own message is left out: it may be its log.
fn ending(ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_deref().unwrap_or("ended");
    format!("{reason}, exit code {}", ended.exit_code)
}

/// Returns that a container ended within the last five minutes, and not for the first time. Between two crashes it looks
/// well.
fn restarted(status: &ContainerStatus, now: Timestamp) -> Option<Trouble> {
    /// As often a component may end that waits for another one.
    const OFTEN: i32 = 3;
    const LATELY: u64 = 5 * 60;
    let ended = last(status)?;
    let seconds = since(ended.finished_at.as_ref()?.0, now);
    // Unknown: the host itself was started again.
    let counts = status.restart_count >= OFTEN && ended.reason.as_deref() != Some("Unknown");
    (counts && seconds < LATELY && ended.exit_code != 0).then(|| Trouble::Restarted {
        container: status.name.clone(),
        restarts: status.restart_count,
        ended: ending(ended),
        seconds,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-30T09:10:00Z".parse().unwrap()
    }

    fn seen(status: &Value) -> Option<PodTrouble> {
        let node = if status["conditions"][0]["type"] == "PodScheduled" {
            Value::Null
        } else {
            "node-0".into()
        };
        let object = json!({
            "metadata": {"name": "coredns-5d8-x", "namespace": "kube-system", "creationTimestamp": "2026-11-30T09:00:00Z",
                "labels": {"pod-template-hash": "5d8"}, "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "coredns-5d8", "uid": "u", "controller": true}]},
            "spec": {"nodeName": node, "containers": [{"name": "coredns", "image": "coredns:1", "imagePullPolicy": "Always"}]},
            "status": status,
        });
        pod(&serde_json::from_value(object).unwrap(), now())
    }

    fn container(state: &Value, restarts: u32, last: &Value) -> Value {
        json!([{"name": "coredns", "image": "", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last}])
    }

    #[test]
    fn a_pod_that_cannot_start_is_kept_under_the_name_of_its_deployment_with_the_runtime_s_words() {
        let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
        let found =
            seen(&json!({"phase": "Pending", "containerStatuses": container(&waiting, 0, &json!({}))}))
                .unwrap();
        assert_eq!(
            (found.owner.kind.as_str(), found.owner.name.as_str()),
            ("Deployment", "coredns")
        );
        let Trouble::Waiting(waiting) = found.trouble else {
            panic!("{found:?}")
        };
        assert_eq!(
            (waiting.reason.as_str(), waiting.message.as_str()),
            ("ErrImagePull", "not found")
        );
        assert!(waiting.always && found.age_seconds == 600);
    }

    #[test]
    fn pods_that_are_up_or_done_are_not_kept() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let running = json!({"running": {"startedAt": "2026-11-30T09:00:00Z"}});
        let up = json!({"phase": "Running", "conditions": ready, "containerStatuses": container(&running, 9, &json!({}))});
        assert_eq!(seen(&up), None);
        for phase in ["Succeeded", "Failed"] {
            assert_eq!(seen(&json!({"phase": phase})), None);
        }
        let gated = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]);
        assert_eq!(seen(&json!({"phase": "Pending", "conditions": gated})), None);
    }

    #[test]
    fn a_container_between_two_crashes_is_kept_and_one_that_the_host_s_restart_ended_is_not() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let running = json!({"running": {"startedAt": "2026-11-30T09:09:58Z"}});
        let status = |reason: &str, at: &str| {
            let last = json!({"terminated": {"exitCode": 1, "reason": reason, "finishedAt": at}});
            json!({"phase": "Running", "conditions": ready, "containerStatuses": container(&running, 4, &last)})
        };
        let found = seen(&status("Error", "2026-11-30T09:09:50Z")).unwrap();
        assert!(matches!(
            found.trouble,
            Trouble::Restarted {
                restarts: 4,
                seconds: 10,
                ..
            }
        ));
        assert_eq!(seen(&status("Unknown", "2026-11-30T09:09:50Z")), None);
        assert_eq!(seen(&status("Error", "2026-11-30T09:01:00Z")), None);
    }

    #[test]
    fn a_container_that_has_just_crashed_again_is_kept_as_one_that_crashes() {
        let ended =
            json!({"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": "2026-11-30T09:09:50Z"}});
        let status = |restarts: u32| json!({"phase": "Running", "containerStatuses": container(&ended, restarts, &json!({}))});
        let Trouble::Waiting(waiting) = seen(&status(1)).unwrap().trouble else {
            panic!("it waits");
        };
        assert_eq!(
            (waiting.reason.as_str(), waiting.ended.as_str()),
            (CRASHES, "Error, exit code 3")
        );
        assert_eq!(seen(&status(0)).unwrap().trouble, Trouble::Unready);
    }

    #[test]
    fn only_a_young_pod_that_has_not_ended_is_coming() {
        let now: Timestamp = "2026-11-30T09:10:00Z".parse().unwrap();
        let of = |made: &str, phase: &str| {
            let controller = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d9f", "uid": "u", "controller": true});
            let object = json!({
                "metadata": {"name": "web-5d9f-1", "namespace": "n", "creationTimestamp": made, "labels": {"pod-template-hash": "5d9f"},
                    "ownerReferences": [controller]},
                "status": {"phase": phase}});
            coming(&serde_json::from_value(object).unwrap(), now).map(|owner| owner.name)
        };
        assert_eq!(of("2026-11-30T09:09:45Z", "Running").as_deref(), Some("web"));
        assert_eq!(of("2026-11-30T09:09:45Z", "Failed"), None);
        assert_eq!(of("2026-11-30T09:09:00Z", "Running"), None);
    }

    #[test]
    fn a_pod_without_a_node_has_the_scheduler_s_words_or_none_at_all() {
        let unplaced = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}]);
        let found = seen(&json!({"phase": "Pending", "conditions": unplaced})).unwrap();
        assert_eq!(
            found.trouble,
            Trouble::Unplaced {
                message: "0/2 nodes".to_owned()
            }
        );
        assert_eq!(found.node, None);
    }
}
