//! The suite's objects in the run's namespace: created, scaled, read back.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Event, Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::facts::{ConditionFacts, ContainerFacts, DeploymentFacts, EventFacts, PodFacts};
use super::namespace::LABEL;
use super::{Cluster, ClusterError, Manifest, RunNamespace, name};

/// The label of pods that are there for one check alone, which no other look at the suite's pods is for.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// The annotation of pods that may pull their image, as the site file says.
pub const PULLS: &str = "verifier.dev/pulls";

/// A Secret that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeSecret {
    /// Its name.
    pub name: String,
    /// Its UID: what is deleted must be the same.
    pub uid: String,
}

impl Cluster {
    /// Creates a Secret of one value, and returns its name and UID.
    pub async fn make_secret(
        &self,
        namespace: &RunNamespace,
        run: &str,
        manifest: Manifest,
        value: &str,
    ) -> Result<MadeSecret, ClusterError> {
        let mut manifest = manifest;
        manifest.set("", "stringData", json!({"canary": value}));
        let made = self.make::<Secret>("secrets", namespace, run, manifest).await?;
        Ok(MadeSecret {
            name: made.metadata.name.unwrap_or_default(),
            uid: made.metadata.uid.unwrap_or_default(),
        })
    }

    /// Removes a Secret, if it is the very one.
    pub async fn remove_secret(&self, namespace: &str, name: &str, uid: &str) -> Result<(), ClusterError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let operation = format!("delete secrets {name} in {namespace}");
        self.ask(&operation, api.delete(name, &params)).await.map(drop)
    }

    /// Returns the value of a Secret that [`Self::make_secret`] made; nothing where the Secret has none.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Vec<u8>>, ClusterError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let operation = format!("get secrets {name} in {namespace}");
        let found = self.ask(&operation, api.get(name)).await?;
        if found.metadata.name.as_deref() != Some(name) {
            return Err(self.strange(&operation, "the object has another name"));
        }
        Ok(found
            .data
            .unwrap_or_default()
            .remove("canary")
            .map(|value| value.0))
    }

    /// Creates a Deployment.
    pub async fn make_deployment(
        &self,
        namespace: &RunNamespace,
        run: &str,
        manifest: Manifest,
    ) -> Result<String, ClusterError> {
        let made = self
            .make::<Deployment>("deployments", namespace, run, manifest)
            .await?;
        Ok(made.metadata.name.unwrap_or_default())
    }

    /// Creates an object of the suite in the run's namespace.
    pub(super) async fn make<K>(
        &self,
        resource: &str,
        namespace: &RunNamespace,
        run: &str,
        manifest: Manifest,
    ) -> Result<K, ClusterError>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Serialize
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let labels: Map<String, Value> = self
            .labels(run)
            .into_iter()
            .map(|(key, value)| (key, Value::from(value)))
            .collect();
        let mut manifest = manifest.within(&namespace.name, &labels);
        let name = namespace.object(manifest.name());
        if let Some(owners) = namespace.owners() {
            manifest.apart(&name, (LABEL, run), &owners);
        }
        let operation = format!("create {resource} {name} in {}", namespace.name);
        let object: K = serde_json::from_value(manifest.object).map_err(|error| ClusterError::Client {
            server: self.server().to_owned(),
            reason: format!("the bundle's manifest of {resource} {name} is not valid: {error}"),
        })?;
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace.name);
        let made = self
            .ask(&operation, api.create(&PostParams::default(), &object))
            .await?;
        match (&made.meta().name, &made.meta().uid) {
            (Some(other), Some(_)) if *other == name => {
                self.keep(&made);
                Ok(made)
            }
            _ => Err(self.strange(&operation, "the object has no name and UID")),
        }
    }

    /// Scales a Deployment.
    pub async fn scale(
        &self,
        namespace: &RunNamespace,
        name: &str,
        replicas: usize,
    ) -> Result<(), ClusterError> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &namespace.name);
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let operation = format!("patch deployments/scale {name} in {}", namespace.name);
        self.ask(&operation, api.patch_scale(name, &PatchParams::default(), &patch))
            .await?;
        Ok(())
    }

    /// Returns a Deployment.
    pub async fn deployment(
        &self,
        namespace: &RunNamespace,
        name: &str,
    ) -> Result<DeploymentFacts, ClusterError> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &namespace.name);
        let operation = format!("get deployments {name} in {}", namespace.name);
        let found = self.ask(&operation, api.get(name)).await?;
        if found.metadata.name.as_deref() != Some(name) {
            return Err(self.strange(&operation, "the object has another name"));
        }
        let status = found.status.unwrap_or_default();
        let conditions = status
            .conditions
            .unwrap_or_default()
            .into_iter()
            .map(|condition| ConditionFacts {
                r#type: condition.type_.unwrap_or_default(),
                status: condition.status.unwrap_or_default(),
                reason: condition.reason.unwrap_or_default(),
                message: condition.message.unwrap_or_default(),
            });
        Ok(DeploymentFacts {
            name: name.to_owned(),
            wanted: found.spec.replicas.unwrap_or(1),
            available: status.available_replicas.unwrap_or_default(),
            observed: status.observed_generation >= found.metadata.generation,
            conditions: conditions.collect(),
        })
    }

    /// Returns the pods of a run's namespace that many checks look at, by name.
    pub async fn pods(&self, namespace: &RunNamespace) -> Result<Vec<PodFacts>, ClusterError> {
        self.pods_with(namespace, &format!("!{COMPONENT}")).await
    }

    /// Returns those that are there for one check alone, by name.
    pub async fn pods_apart(
        &self,
        namespace: &RunNamespace,
        component: &str,
    ) -> Result<Vec<PodFacts>, ClusterError> {
        self.pods_with(namespace, &format!("{COMPONENT}={component}"))
            .await
    }

    async fn pods_with(&self, namespace: &RunNamespace, labels: &str) -> Result<Vec<PodFacts>, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace.name);
        let operation = format!("list pods in {}", namespace.name);
        let selector = namespace.selector().map(|own| format!("{labels},{own}"));
        let with = ListParams::default().labels(selector.as_deref().unwrap_or(labels));
        let pods = self.list(&operation, &api, with, pod).await?;
        self.sorted(&operation, pods)
    }

    /// Deletes a pod, if it is the very one. It gets the time to end that its spec gives it.
    pub async fn remove_pod(
        &self,
        namespace: &RunNamespace,
        name: &str,
        uid: &str,
    ) -> Result<(), ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace.name);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let operation = format!("delete pods {name} in {}", namespace.name);
        self.ask(&operation, api.delete(name, &params)).await.map(drop)
    }

    /// Returns the pods of all namespaces that are placed on a Node, by name.
    pub async fn pods_of(&self, node: &str) -> Result<Vec<PodFacts>, ClusterError> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let here = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let operation = format!("list pods on {node}");
        let pods = self.list(&operation, &api, here, pod);
        let pods = self.kept(&operation, pods).await?;
        self.sorted(&operation, pods)
    }

    /// Returns pods by name. The names and addresses in them are judged as their own were.
    fn sorted(&self, operation: &str, mut pods: Vec<PodFacts>) -> Result<Vec<PodFacts>, ClusterError> {
        if let Some(fault) = pods.iter().find_map(fault_of) {
            return Err(self.strange(operation, &fault));
        }
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pods)
    }

    /// Returns the events of a run's namespace, oldest first.
    pub async fn events(&self, namespace: &RunNamespace) -> Result<Vec<EventFacts>, ClusterError> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace.name);
        let operation = format!("list events in {}", namespace.name);
        let mut events = self.list(&operation, &api, ListParams::default(), event).await?;
        // Of a namespace that others work in, too, only what is told of the run's objects.
        if let Some(guest) = &namespace.guest {
            events.retain(|event| event.object.contains(&format!("-{}", guest.run)));
        }
        events.sort_by_key(|event| event.last);
        Ok(events)
    }
}

/// Returns what is wrong with the names and addresses in a pod.
fn fault_of(pod: &PodFacts) -> Option<String> {
    let node = pod.node.as_deref().and_then(|node| name::subdomain("Node", node));
    let mut containers = pod.containers.iter();
    node.or_else(|| {
        pod.ip
            .as_deref()
            .filter(|ip| !ip.is_empty())
            .and_then(name::address)
    })
    .or_else(|| containers.find_map(|container| name::label("container", &container.name)))
}

fn pod(pod: Pod) -> PodFacts {
    let spec = pod.spec.unwrap_or_default();
    let status = pod.status.unwrap_or_default();
    let conditions: Vec<ConditionFacts> = status
        .conditions
        .unwrap_or_default()
        .into_iter()
        .map(|condition| ConditionFacts {
            r#type: condition.type_,
            status: condition.status,
            reason: condition.reason.unwrap_or_default(),
            message: condition.message.unwrap_or_default(),
        })
        .collect();
    let statuses = status.container_statuses.unwrap_or_default();
    let containers = spec.containers.iter().map(|container| {
        let status = statuses.iter().find(|status| status.name == container.name);
        self::container(container, status)
    });
    let annotations = pod.metadata.annotations.unwrap_or_default();
    PodFacts {
        pulls: annotations.contains_key(PULLS),
        namespace: pod.metadata.namespace.unwrap_or_default(),
        mirror: annotations.contains_key("kubernetes.io/config.mirror"),
        name: pod.metadata.name.unwrap_or_default(),
        uid: pod.metadata.uid.unwrap_or_default(),
        node: spec.node_name.clone(),
        phase: status.phase.unwrap_or_default(),
        ready: conditions
            .iter()
            .any(|condition| condition.r#type == "Ready" && condition.status == "True"),
        ending: pod.metadata.deletion_timestamp.is_some(),
        ip: status.pod_ip,
        containers: containers.collect(),
        conditions,
    }
}

fn container(spec: &Container, status: Option<&ContainerStatus>) -> ContainerFacts {
    let state = status.and_then(|status| status.state.as_ref());
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let ended = state.and_then(|state| state.terminated.as_ref());
    let before = status.and_then(|status| status.last_state.as_ref()?.terminated.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.clone());
    let message = waiting.and_then(|waiting| waiting.message.clone());
    ContainerFacts {
        name: spec.name.clone(),
        image: spec.image.clone().unwrap_or_default(),
        pull: spec.image_pull_policy.clone().unwrap_or_default(),
        image_id: status.map(|status| status.image_id.clone()).unwrap_or_default(),
        id: status
            .and_then(|status| status.container_id.clone())
            .unwrap_or_default(),
        running: state.is_some_and(|state| state.running.is_some()),
        reason: reason.or_else(|| ended?.reason.clone()).unwrap_or_default(),
        message: message.or_else(|| ended?.message.clone()).unwrap_or_default(),
        exit: ended.or(before).map(|ended| ended.exit_code),
        restarts: status.map(|status| status.restart_count).unwrap_or_default(),
    }
}

fn event(event: Event) -> EventFacts {
    let object = event.involved_object;
    let last = event
        .last_timestamp
        .map(|time| time.0)
        .or(event.event_time.map(|time| time.0));
    EventFacts {
        r#type: event.type_.unwrap_or_default(),
        object: format!(
            "{}/{}",
            object.kind.unwrap_or_default(),
            object.name.unwrap_or_default()
        ),
        reason: event.reason.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
        last: last.or(event.metadata.creation_timestamp.map(|time| time.0)),
    }
}
