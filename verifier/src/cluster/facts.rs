//! What the API says, as values of our own. Kept as evidence, and judged.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the API server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyFacts {
    /// The server's URL.
    pub server: String,
    /// Whether its certificate was checked.
    pub verified: bool,
    /// The status of `/readyz?verbose`.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// The version, for example `v1.37.2`; absent where `/version` answers something else.
    pub version: Option<String>,
    /// The server's clock.
    pub date: Option<Timestamp>,
}

/// Which cluster it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The version of the API server that was asked.
    pub version: Option<String>,
    /// The UID of the namespace kube-system; absent where it may not be read.
    pub uid: Option<String>,
}

/// A Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its conditions.
    pub conditions: Vec<ConditionFacts>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// Its taints.
    pub taints: Vec<TaintFacts>,
    /// The version of its kubelet.
    pub kubelet: String,
    /// Its container runtime with its version, for example `containerd://2.4.2`.
    #[serde(default)]
    pub runtime: String,
    /// Its addresses by type, for example `InternalIP`.
    pub addresses: Vec<(String, String)>,
    /// `spec.podCIDRs`; empty where the controller manager allocates none.
    pub pod_cidrs: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A condition of a Node, a Deployment or a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionFacts {
    /// For example `Ready`.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word of why.
    pub reason: String,
    /// A sentence of why.
    pub message: String,
}

/// A taint of a Node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaintFacts {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// `NoSchedule`, `NoExecute` or `PreferNoSchedule`.
    pub effect: String,
}

/// A Lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseFacts {
    /// Who holds it.
    pub holder: String,
    /// When it was renewed last, by the holder's clock.
    pub renewed: Option<Timestamp>,
}

/// A Lease by which a leader is elected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderFacts {
    /// Who leads; empty: the last one let go.
    pub holder: String,
    /// When it was renewed last, by the holder's clock.
    pub renewed: Option<Timestamp>,
    /// How long it is good for, in seconds.
    pub seconds: u32,
}

impl LeaderFacts {
    /// The least that a Lease is good for here: the components' own default.
    const LEAST: u32 = 15;
    /// Seconds over its time that are allowed: another candidate needs some to take it.
    const SPARE: u32 = 5;

    /// Returns how long ago it was renewed; nothing where it never was.
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        Some(Duration::try_from(now.duration_since(self.renewed?)).unwrap_or_default())
    }

    /// Returns whether its time is over, and nobody took it.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let limit = self.seconds.max(Self::LEAST) + Self::SPARE;
        self.age(now)
            .is_some_and(|age| age > Duration::from_secs(limit.into()))
    }
}

/// A Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentFacts {
    /// Its name.
    pub name: String,
    /// `spec.replicas`.
    pub wanted: i32,
    /// `status.availableReplicas`.
    pub available: i32,
    /// Whether its controller has seen the newest spec.
    pub observed: bool,
    /// Its conditions.
    pub conditions: Vec<ConditionFacts>,
}

/// A Pod.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The Node that it is placed on.
    pub node: Option<String>,
    /// `Pending`, `Running` …
    pub phase: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub ending: bool,
    /// Whether it is the API's picture of a static pod.
    pub mirror: bool,
    /// Whether it may pull its image, as the site file says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pulls: bool,
    /// Its IP address.
    pub ip: Option<String>,
    /// Its conditions.
    pub conditions: Vec<ConditionFacts>,
    /// Its containers.
    pub containers: Vec<ContainerFacts>,
}

/// A container of a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerFacts {
    /// Its name.
    pub name: String,
    /// The image as the spec names it.
    pub image: String,
    /// When it is pulled: `Always`, `IfNotPresent` or `Never`; empty where the API does not say.
    #[serde(default)]
    pub pull: String,
    /// The image as the runtime names it; empty until it runs.
    pub image_id: String,
    /// The container as the runtime names it; empty until it runs.
    pub id: String,
    /// Whether it runs.
    pub running: bool,
    /// Why it waits or ended, for example `ErrImageNeverPull`.
    pub reason: String,
    /// The sentence that belongs to it.
    pub message: String,
    /// With which code it ended last.
    #[serde(default)]
    pub exit: Option<i32>,
    /// How often it was started again.
    pub restarts: i32,
}

/// An Event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFacts {
    /// `Normal` or `Warning`.
    pub r#type: String,
    /// `Pod/nginx-…`
    pub object: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When it came last.
    pub last: Option<Timestamp>,
}

impl NodeFacts {
    /// Returns a condition.
    pub fn condition(&self, name: &str) -> Option<&ConditionFacts> {
        self.conditions.iter().find(|condition| condition.r#type == name)
    }

    /// Returns whether a condition is `True`.
    pub fn is_true(&self, name: &str) -> bool {
        self.condition(name)
            .is_some_and(|condition| condition.status == "True")
    }
}

impl TaintFacts {
    /// Returns whether it is one that Kubernetes takes away by itself, a few seconds after the condition of the Node for
    /// which it was put there is over, and that one is over (`nodeConditionToTaintKeyStatusMap` of the node lifecycle
    /// controller).
    pub fn is_left_over(&self, node: &NodeFacts) -> bool {
        let Some(key) = self.key.strip_prefix("node.kubernetes.io/") else {
            return false;
        };
        match key {
            "not-ready" | "unreachable" => node.is_true("Ready"),
            "memory-pressure" => !node.is_true("MemoryPressure"),
            "disk-pressure" => !node.is_true("DiskPressure"),
            "pid-pressure" => !node.is_true("PIDPressure"),
            "network-unavailable" => !node.is_true("NetworkUnavailable"),
            "unschedulable" => !node.unschedulable,
            _ => false,
        }
    }

    /// Returns whether it keeps pods away that do not tolerate it.
    pub fn keeps_away(&self) -> bool {
        self.effect == "NoSchedule" || self.effect == "NoExecute"
    }
}

impl std::fmt::Display for TaintFacts {
    /// Writes it as `kubectl taint` takes it: `key=value:effect`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, value, effect } = self;
        let sign = if value.is_empty() { "" } else { "=" };
        write!(f, "{key}{sign}{value}:{effect}")
    }
}

impl PodFacts {
    /// Returns whether it runs and is ready.
    pub fn is_up(&self) -> bool {
        self.phase == "Running" && self.ready && !self.ending
    }
}

impl EventFacts {
    /// Returns a line for a person.
    pub fn line(&self) -> String {
        format!(
            "{} {} {}: {}",
            self.r#type, self.object, self.reason, self.message
        )
    }
}
