//! The container runtime of a host: what the CRI says, crictl's and the CNI's configuration, loads.

use std::collections::BTreeMap;

use secrets::Masked;
use serde::{Deserialize, Serialize};

use super::{Blob, Interface, LoadPlan};

/// Asks for crictl's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Crictl {
    /// As in [`CriStatus`]: the node's own runtime.
    pub socket: Option<String>,
}

/// What crictl would read on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrictlReply {
    /// Where it looks, in order.
    pub places: Vec<String>,
    /// The first of them that is there; absent: none is.
    pub file: Option<String>,
    /// Why the file cannot be used.
    pub problem: Option<CrictlProblem>,
    /// The settings that crictl knows.
    pub settings: BTreeMap<String, String>,
    /// Keys that crictl does not know; it refuses the file for them.
    pub unknown: Vec<String>,
    /// Which runtime answers on `runtime-endpoint`; absent where the file names none, or nobody answers.
    pub runtime: Option<String>,
    /// Whether that is another process than the node's own runtime.
    #[serde(default)]
    pub other: bool,
    /// Why nobody answers there.
    pub silent: Option<Masked>,
    /// Why nobody answers for images on `image-endpoint`; absent where somebody does, or the file names none.
    pub images_silent: Option<Masked>,
}

/// Why crictl's configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrictlProblem {
    /// It cannot be read, or it is no YAML; with what the system or the parser says.
    Unreadable(Masked),
    /// Its document is no mapping of settings.
    NoMapping,
}

/// Asks for sandboxes and containers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CriPods {
    /// As in [`CriStatus`].
    pub socket: Option<String>,
}

/// What the container runtime holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriPodsReply {
    /// The runtime, for example `containerd`.
    pub runtime: String,
    /// The sandboxes, by id.
    pub sandboxes: Vec<SandboxNetwork>,
    /// The containers, by id.
    pub containers: Vec<Container>,
}

/// The sandbox of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Its id.
    pub id: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// Whether it is ready.
    pub ready: bool,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// The id of its sandbox.
    pub sandbox: String,
    /// Its name in the pod.
    pub name: String,
    /// The image as the runtime refers to it: an id, or a reference.
    pub image: String,
    /// Whether it runs.
    pub running: bool,
}

/// A sandbox with its network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxNetwork {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// Whether it shares the host's network namespace.
    pub host_network: bool,
    /// The interfaces inside; absent where it is not ready, shares the host's, or its namespace could not be entered.
    pub interfaces: Option<Vec<Interface>>,
}

/// Asks the CRI for its version, its state and its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CriStatus {
    /// The socket's path; absent: the ones that the usual runtimes have, in turn.
    pub socket: Option<String>,
}

/// What the CRI says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriStatusReply {
    /// The socket that answered.
    pub socket: String,
    /// For example `containerd`.
    pub runtime: String,
    /// For example `v2.4.2`.
    pub version: String,
    /// The image of the sandboxes, as the runtime is configured; absent where it does not say.
    pub sandbox_image: Option<String>,
    /// The snapshotter, as the runtime is configured.
    pub snapshotter: Option<String>,
    /// What it says of itself: `RuntimeReady`, `NetworkReady`.
    #[serde(default)]
    pub conditions: Vec<CriCondition>,
}

/// What a runtime says of a part of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriCondition {
    /// Which, for example `NetworkReady`.
    pub name: String,
    /// Whether it is so.
    pub holds: bool,
    /// Why not, in a word.
    pub reason: String,
    /// Why not.
    pub message: Masked,
}

/// Asks for all images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CriImages {
    /// As in [`CriStatus`].
    pub socket: Option<String>,
}

/// Asks for one image by tag, by digest or by id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CriImageStatus {
    /// As in [`CriStatus`].
    pub socket: Option<String>,
    /// `docker.io/library/nginx:1.29`, `docker.io/library/nginx@sha256:…` or `sha256:…`.
    pub reference: String,
}

/// An image as the CRI has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriImage {
    /// The digest of its configuration.
    pub id: String,
    /// References by tag.
    pub tags: Vec<String>,
    /// References by digest.
    pub digests: Vec<String>,
    /// Its size in bytes as the runtime counts it.
    pub size: u64,
    /// Whether the kubelet must keep it.
    pub pinned: bool,
    /// `os/architecture` from its configuration, where it was asked for by name and the runtime says it.
    pub platform: Option<String>,
}

/// Asks what a load would have to bring.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// What is to be there in the end.
    pub plan: LoadPlan,
}

/// Asks for a load. The bytes of `send` follow, blob after blob in this order, without anything between them, and the
/// byte [`COMMIT`](super::COMMIT) behind them once the whole archive was verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// What is to be there in the end.
    pub plan: LoadPlan,
    /// The blobs that follow, in order: a subset of the plan's.
    pub send: Vec<Blob>,
}

/// Asks how much is left of what the kubelet watches: its pressures are about these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Headroom {
    /// As in [`CriStatus`].
    pub socket: Option<String>,
}

/// What is left of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadroomReply {
    /// Of the file system where the images lie, in bytes.
    pub disk: Left,
    /// Of memory, in bytes.
    pub memory: Left,
    /// Of process ids, threads counted.
    pub processes: Left,
}

/// What is left of something that can be used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// What can still be taken.
    pub available: u64,
    /// How much there is in all.
    pub capacity: u64,
}
