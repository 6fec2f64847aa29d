//! The runtime's sandboxes (one a pod) and containers.

use std::path::Path;

use futures::StreamExt as _;
use serde::Deserialize;

use super::proto::{
    ContainerState, ListContainersRequest, ListPodSandboxRequest, PodSandboxState, PodSandboxStatusRequest,
};
use super::{Cri, Error, answer};
use crate::host::facts;
use crate::host::netns::{self, Sandboxes};
use crate::protocol::{Container, CriPodsReply, RunningImage, Sandbox, SandboxNetwork};

/// How many sandboxes are looked into at once; each takes a thread.
const AT_ONCE: usize = 16;

/// containerd's own additions (internal/cri/server/podsandbox: SandboxInfo).
#[derive(Deserialize)]
struct SandboxInfo {
    pid: i32,
    #[serde(default)]
    image: String,
}

impl Cri {
    /// Returns sandboxes and containers, and the interfaces inside the sandboxes that are ready.
    pub(crate) async fn pods(&self, known: &Sandboxes) -> Result<CriPodsReply, Error> {
        let (version, sandboxes, containers) =
            futures::try_join!(self.version(), self.sandboxes(), self.containers())?;
        let networks = sandboxes.into_iter().map(|sandbox| network(sandbox, known));
        let sandboxes = futures::stream::iter(networks).buffered(AT_ONCE).collect().await;
        Ok(CriPodsReply {
            runtime: version.split(' ').next().unwrap_or_default().to_owned(),
            sandboxes,
            containers,
        })
    }

    /// Returns all sandboxes, by id.
    pub async fn sandboxes(&self) -> Result<Vec<Sandbox>, Error> {
        let mut client = self.runtime();
        let call = client.list_pod_sandbox(ListPodSandboxRequest::default());
        let reply = answer(|| "list the sandboxes".into(), call).await?;
        let sandboxes = reply.items.into_iter().map(|item| {
            let ready = item.state() == PodSandboxState::SandboxReady;
            let metadata = item.metadata.unwrap_or_default();
            Sandbox {
                id: item.id,
                namespace: metadata.namespace,
                name: metadata.name,
                uid: metadata.uid,
                ready,
            }
        });
        let mut sandboxes: Vec<_> = sandboxes.collect();
        sandboxes.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(sandboxes)
    }

    /// Returns all containers, by id.
    pub async fn containers(&self) -> Result<Vec<Container>, Error> {
        let mut client = self.runtime();
        let call = client.list_containers(ListContainersRequest::default());
        let reply = answer(|| "list the containers".into(), call).await?;
        let containers = reply.containers.into_iter().map(|item| Container {
            running: item.state() == ContainerState::ContainerRunning,
            name: item.metadata.map(|metadata| metadata.name).unwrap_or_default(),
            id: item.id,
            sandbox: item.pod_sandbox_id,
            image: item.image_ref,
        });
        let mut containers: Vec<_> = containers.collect();
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(containers)
    }

    /// Returns the containers that run, each with its pod.
    pub(crate) async fn running(&self) -> Result<Vec<RunningImage>, Error> {
        let (sandboxes, containers) = futures::try_join!(self.sandboxes(), self.containers())?;
        let pod = |id: &str| {
            let found = sandboxes.iter().find(|sandbox| sandbox.id == id);
            found.map_or_else(String::new, |pod| format!("{}/{}", pod.namespace, pod.name))
        };
        let running = containers.into_iter().filter(|container| container.running);
        let running = running.map(|container| RunningImage {
            pod: pod(&container.sandbox),
            image: container.image,
            container: container.name,
        });
        Ok(running.collect())
    }

    /// Returns the process that holds a sandbox's namespaces open.
    pub async fn sandbox_pid(&self, id: &str) -> Result<i32, Error> {
        let pid = self.sandbox_info(id).await?.map(|info| info.pid);
        pid.filter(|pid| *pid > 0).ok_or_else(|| Error::Lacks {
            operation: format!("ask for the process of sandbox {id}"),
            what: "its process id",
        })
    }

    /// Returns the image of the sandbox that was made last; none where there is no sandbox.
    pub(super) async fn sandbox_image_in_use(&self) -> Result<Option<String>, Error> {
        let mut client = self.runtime();
        let call = client.list_pod_sandbox(ListPodSandboxRequest::default());
        let reply = answer(|| "list the sandboxes".into(), call).await?;
        let Some(last) = reply.items.into_iter().max_by_key(|item| item.created_at) else {
            return Ok(None);
        };
        let image = self.sandbox_info(&last.id).await?.map(|info| info.image);
        Ok(image.filter(|image| !image.is_empty()))
    }

    async fn sandbox_info(&self, id: &str) -> Result<Option<SandboxInfo>, Error> {
        let request = PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: true,
        };
        let mut client = self.runtime();
        let call = client.pod_sandbox_status(request);
        let reply = answer(|| format!("ask about sandbox {id}"), call).await?;
        let info = reply.info.get("info");
        Ok(info.and_then(|text| serde_json::from_str(text).ok()))
    }
}

/// Looks at a sandbox's network from inside. One that ends meanwhile has none.
async fn network(sandbox: Sandbox, known: &Sandboxes) -> SandboxNetwork {
    let namespace = if sandbox.ready {
        known.namespace(&sandbox.id).await.ok()
    } else {
        None
    };
    let host_network = namespace
        .as_deref()
        .is_some_and(|namespace| netns::is_same(namespace, Path::new("/proc/self/ns/net")));
    let interfaces = match namespace.filter(|_| !host_network) {
        Some(namespace) => netns::within(namespace, facts::interfaces)
            .await
            .ok()
            .and_then(Result::ok),
        None => None,
    };
    SandboxNetwork {
        sandbox,
        host_network,
        interfaces,
    }
}
