//! What runs in all namespaces: workloads that have less than they want, pods that are not up. Of a large cluster only
//! these are kept, and no more than [`LIMIT`] of each kind.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, DeploymentCondition, StatefulSet};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Cluster, ClusterError};

/// No more of a kind than these are kept; the others are counted.
const LIMIT: usize = 1000;
/// The kubelet's word for a container that ends over and over.
const CRASHES: &str = "CrashLoopBackOff";
/// The most that is kept of a sentence, in bytes.
const SENTENCE: usize = 1024;

/// What does not run as it is to, over all namespaces but those of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddonFacts {
    /// How many Deployments, `DaemonSets`, `StatefulSets` and pods were looked at.
    pub looked_at: [usize; 4],
    /// The workloads that have less than they want.
    pub workloads: Vec<WorkloadFacts>,
    /// The pods that are not up, or hardly.
    pub pods: Vec<PodTrouble>,
    /// How many more there are that were not kept.
    pub more: usize,
}

/// A workload that has less than it wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadFacts {
    /// Which.
    pub owner: Owner,
    /// How many pods it wants.
    pub wanted: i32,
    /// How many of them serve.
    pub ready: i32,
    /// Whether its pods are just being replaced by newer ones.
    pub rolling: bool,
    /// With which words the API refuses its pods.
    pub refused: Option<String>,
    /// How old it is, in seconds.
    pub age_seconds: u64,
}

/// Whose a pod is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// `Deployment`, `DaemonSet`, `StatefulSet`, `Job` …; `Pod` where nobody owns it, or a node does.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A pod that is not up, or hardly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodTrouble {
    /// Whose it is.
    pub owner: Owner,
    /// Its name.
    pub name: String,
    /// The Node that it is placed on.
    pub node: Option<String>,
    /// How old it is, in seconds.
    pub age_seconds: u64,
    /// What it is about.
    pub trouble: Trouble,
}

/// What is wrong with a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// The scheduler finds no node for it.
    Unplaced {
        /// The scheduler's words.
        message: String,
    },
    /// The scheduler has not looked at it.
    Unseen,
    /// A container waits for something that may never come.
    Waiting(Waiting),
    /// It is on a node, and its containers were not started yet.
    Starting,
    /// It runs, and a container of it ended not long ago.
    Restarted {
        /// The container.
        container: String,
        /// How often it was started again.
        restarts: i32,
        /// How it ended.
        ended: String,
        /// How long ago, in seconds.
        seconds: u64,
    },
    /// Its containers run, and it does not say that it is ready.
    Unready,
}

/// A container that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The container.
    pub container: String,
    /// Its image, as the spec names it.
    pub image: String,
    /// Whether the image is to be pulled even where it is there (`imagePullPolicy: Always`).
    pub always: bool,
    /// The kubelet's word, for example `ErrImagePull`.
    pub reason: String,
    /// The kubelet's or the runtime's sentence.
    pub message: String,
    /// How often it was started again.
    pub restarts: i32,
    /// How it ended last; empty where it never ran.
    pub ended: String,
}

impl Owner {
    /// Returns whether it has a count of its own that is looked at.
    pub fn is_counted(&self) -> bool {
        matches!(self.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet")
    }
}

/// What is kept while lists are read.
struct Look {
    /// The time by the API server's clock.
    now: Timestamp,
    /// Namespaces of runs, ours and others'.
    runs: BTreeSet<String>,
    more: AtomicUsize,
}

impl Cluster {
    /// Looks over all namespaces but those of runs for what does not run as it is to.
    pub async fn addons(&self) -> Result<AddonFacts, ClusterError> {
        let runs = self.left_runs().await?;
        let look = Look {
            now: self.now().await?,
            runs: runs.into_iter().map(|left| left.namespace.name).collect(),
            more: AtomicUsize::new(0),
        };
        let ((deployments, one), (daemons, two), (stateful, three), (pods, four)) = futures::try_join!(
            self.look(&look, "list deployments", |object| deployment(object, look.now)),
            self.look(&look, "list daemonsets", |object| daemon_set(object, look.now)),
            self.look(&look, "list statefulsets", |object| stateful_set(
                object, look.now
            )),
            self.look(&look, "list pods", |object: Pod| pod(&object, look.now)),
        )?;
        Ok(AddonFacts {
            looked_at: [one, two, three, four],
            workloads: [deployments, daemons, stateful].concat(),
            pods,
            more: look.more.load(Ordering::Relaxed),
        })
    }

    /// Reads a list over all namespaces; returns what was kept, and how many objects were looked at.
    async fn look<K, T>(
        &self,
        look: &Look,
        operation: &str,
        keep: impl Fn(K) -> Option<T>,
    ) -> Result<(Vec<T>, usize), ClusterError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
        T: Serialize,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let kept = AtomicUsize::new(0);
        // Boxed: most objects are well, and of these nothing is kept but the place.
        let keep = |object: K| {
            let namespace = object.meta().namespace.as_deref().unwrap_or_default();
            if look.runs.contains(namespace) || object.meta().deletion_timestamp.is_some() {
                return None;
            }
            let item = keep(object)?;
            if kept.fetch_add(1, Ordering::Relaxed) < LIMIT {
                return Some(Box::new(item));
            }
            look.more.fetch_add(1, Ordering::Relaxed);
            None
        };
        let items = self.list(operation, &api, ListParams::default(), keep).await?;
        let all = items.len();
        Ok((items.into_iter().flatten().map(|item| *item).collect(), all))
    }
}

fn age(meta: &ObjectMeta, now: Timestamp) -> u64 {
    let made = meta.creation_timestamp.as_ref().map(|time| time.0);
    made.map_or(0, |made| since(made, now))
}

fn since(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.duration_since(then).as_secs()).unwrap_or_default()
}

fn owner(meta: &ObjectMeta, kind: &str, name: &str) -> Owner {
    Owner {
        namespace: meta.namespace.clone().unwrap_or_default(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

/// Returns the owner that an object is itself.
fn itself(meta: &ObjectMeta, kind: &str) -> Owner {
    owner(meta, kind, meta.name.as_deref().unwrap_or_default())
}

/// Returns a sentence, no longer than is kept.
fn sentence(text: Option<&String>) -> String {
    let text = text.map(String::as_str).unwrap_or_default();
    text[..text.floor_char_boundary(SENTENCE)].to_owned()
}

fn deployment(object: Deployment, now: Timestamp) -> Option<WorkloadFacts> {
    let status = object.status.unwrap_or_default();
    let wanted = object.spec.replicas.unwrap_or(1);
    let ready = status.available_replicas.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let find = |name: &str| {
        let is_true = |condition: &&DeploymentCondition| condition.status.as_deref() == Some("True");
        let mut named = conditions
            .iter()
            .filter(|condition| condition.type_.as_deref() == Some(name));
        named.find(is_true)
    };
    let refused = find("ReplicaFailure");
    // A Deployment that makes no progress is not on its way any more.
    let stuck = find("Progressing").is_none();
    (ready < wanted || refused.is_some()).then(|| WorkloadFacts {
        owner: itself(&object.metadata, "Deployment"),
        wanted,
        ready,
        rolling: !stuck && status.updated_replicas.unwrap_or_default() < status.replicas.unwrap_or_default(),
        refused: refused.map(|condition| sentence(condition.message.as_ref())),
        age_seconds: age(&object.metadata, now),
    })
}

fn daemon_set(object: DaemonSet, now: Timestamp) -> Option<WorkloadFacts> {
    let status = object.status.unwrap_or_default();
    let wanted = status.desired_number_scheduled;
    let ready = status.number_available.unwrap_or(0);
    (ready < wanted).then(|| WorkloadFacts {
        owner: itself(&object.metadata, "DaemonSet"),
        wanted,
        ready,
        rolling: status.updated_number_scheduled.unwrap_or_default() < status.current_number_scheduled,
        refused: None,
        age_seconds: age(&object.metadata, now),
    })
}

fn stateful_set(object: StatefulSet, now: Timestamp) -> Option<WorkloadFacts> {
    let status = object.status.unwrap_or_default();
    let wanted = object.spec.replicas.unwrap_or(1);
    let ready = status.ready_replicas.unwrap_or_default();
    (ready < wanted).then(|| WorkloadFacts {
        owner: itself(&object.metadata, "StatefulSet"),
        wanted,
        ready,
        rolling: status.current_revision != status.update_revision,
        refused: None,
        age_seconds: age(&object.metadata, now),
    })
}

fn pod(object: &Pod, now: Timestamp) -> Option<PodTrouble> {
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
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or_default();
    // What has ended is its owner's business: a Job's pod may fail, and another one takes its turn.
    if matches!(phase, "Succeeded" | "Failed") {
        return None;
    }
    let conditions = status.conditions.unwrap_or_default();
    let find = |name: &str| conditions.iter().find(|condition| condition.type_ == name);
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
    if phase == "Pending" {
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

    #[test]
    fn a_workload_is_kept_where_it_has_less_than_it_wants() {
        let of = |status: Value| {
            let object = json!({"metadata": {"name": "a", "namespace": "n"}, "status": status,
                "spec": {"replicas": 2, "selector": {}, "template": {}}});
            deployment(serde_json::from_value(object).unwrap(), now())
        };
        assert_eq!(of(json!({"availableReplicas": 2})), None);
        let short = of(json!({"availableReplicas": 1})).unwrap();
        assert_eq!((short.wanted, short.ready, short.rolling), (2, 1, false));
        let progressing = json!([{"type": "Progressing", "status": "True"}]);
        let rolling = of(
            json!({"availableReplicas": 1, "replicas": 3, "updatedReplicas": 1, "conditions": progressing}),
        );
        assert!(rolling.unwrap().rolling);
        let refused =
            json!([{"type": "ReplicaFailure", "status": "True", "message": "failed calling webhook \"x\""}]);
        let refused = of(json!({"conditions": refused})).unwrap().refused.unwrap();
        assert!(refused.contains("webhook"));
    }
}
