//! What runs in all namespaces: workloads that have less than they want, pods that are not up. Of a large cluster only
//! these are kept, and no more than [`LIMIT`] of each kind.

mod pods;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, DeploymentCondition, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Cluster, ClusterError, Existing, LABEL};

/// What is younger may still be on its way, in seconds.
pub const YOUNG: u64 = 30;
/// No more of a kind than these are kept; the others are counted.
const LIMIT: usize = 1000;
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
    /// How many of its pods are younger than [`YOUNG`], up or not: the counts may be of the moment before them.
    #[serde(default)]
    pub young: usize,
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
    /// The namespace that the site file names, and the runs that work there.
    guests: (Option<String>, BTreeSet<String>),
    more: AtomicUsize,
}

impl Cluster {
    /// Looks over all namespaces but those of runs for what does not run as it is to.
    pub async fn addons(&self, place: Option<&str>) -> Result<AddonFacts, ClusterError> {
        self.kept("addons", self.addons_now(place)).await
    }

    async fn addons_now(&self, place: Option<&str>) -> Result<AddonFacts, ClusterError> {
        let runs = self.left_runs().await?;
        let guests = match place {
            Some(place) => match self.existing(place).await? {
                Existing::There(namespace) => self.guests(&namespace).await?,
                Existing::Ending | Existing::Missing => Vec::new(),
            },
            None => Vec::new(),
        };
        let look = Look {
            guests: (
                place.map(str::to_owned),
                guests.into_iter().map(|left| left.run).collect(),
            ),
            now: self.now().await?,
            runs: runs.into_iter().map(|left| left.namespace.name).collect(),
            more: AtomicUsize::new(0),
        };
        let young: Mutex<BTreeMap<Owner, usize>> = Mutex::default();
        let ((deployments, one), (daemons, two), (stateful, three), (pods, four)) = futures::try_join!(
            self.look(&look, "list deployments", |object| deployment(object, look.now)),
            self.look(&look, "list daemonsets", |object| daemon_set(object, look.now)),
            self.look(&look, "list statefulsets", |object| stateful_set(
                object, look.now
            )),
            self.look(&look, "list pods", |object: Pod| {
                if let Some(owner) = pods::coming(&object, look.now)
                    && let Ok(mut young) = young.lock()
                {
                    *young.entry(owner).or_default() += 1;
                }
                pods::pod(&object, look.now)
            }),
        )?;
        let mut workloads = [deployments, daemons, stateful].concat();
        if let Ok(young) = young.lock() {
            for workload in &mut workloads {
                workload.young = young.get(&workload.owner).copied().unwrap_or_default();
            }
        }
        Ok(AddonFacts {
            looked_at: [one, two, three, four],
            workloads,
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
            if look.runs.contains(namespace)
                || look.is_guest(object.meta())
                || object.meta().deletion_timestamp.is_some()
            {
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

impl Look {
    /// Returns whether an object is of a run that works in the namespace that the site file names. The label alone is nobody's
    /// word: it may be copied.
    fn is_guest(&self, meta: &ObjectMeta) -> bool {
        let (place, runs) = &self.guests;
        let run = meta.labels.as_ref().and_then(|labels| labels.get(LABEL));
        place.is_some() && meta.namespace == *place && run.is_some_and(|run| runs.contains(run))
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
        young: 0,
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
        young: 0,
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
        young: 0,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_workload_is_kept_where_it_has_less_than_it_wants() {
        let of = |status: Value| {
            let object = json!({"metadata": {"name": "a", "namespace": "n"}, "status": status,
                "spec": {"replicas": 2, "selector": {}, "template": {}}});
            deployment(serde_json::from_value(object).unwrap(), Timestamp::UNIX_EPOCH)
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
