//! What was made at the API, and what of it is there still.

use std::sync::{Arc, Mutex};

use hyper::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ObjectMeta;
use kube::{Api, Resource};
use serde_json::Value;

use super::namespace::own;
use super::{Cluster, ClusterError, RunNamespace};

/// All that was made, in order.
#[derive(Clone, Default)]
pub(super) struct Record(Arc<Mutex<Vec<Object>>>);

/// An object that was made.
#[derive(Clone)]
struct Object {
    /// Where the API has it.
    path: String,
    uid: String,
    /// `RESOURCE NAMESPACE/NAME`.
    said: String,
}

impl Cluster {
    /// Keeps in mind that an object was made.
    pub(super) fn keep<K: Resource<DynamicType = ()>>(&self, made: &K) {
        let ObjectMeta {
            name, namespace, uid, ..
        } = made.meta();
        let (Some(name), Some(uid)) = (name, uid) else {
            return;
        };
        let place = namespace.as_deref().map(|namespace| format!("{namespace}/"));
        let object = Object {
            path: format!("{}/{name}", K::url_path(&(), namespace.as_deref())),
            uid: uid.clone(),
            said: format!("{} {}{name}", K::plural(&()), place.unwrap_or_default()),
        };
        if let Ok(mut made) = self.made.0.lock() {
            made.push(object);
        }
    }

    /// Returns what was made, as `RESOURCE NAMESPACE/NAME`.
    pub fn made(&self) -> Vec<String> {
        self.objects().into_iter().map(|object| object.said).collect()
    }

    fn objects(&self) -> Vec<Object> {
        self.made.0.lock().map(|made| made.clone()).unwrap_or_default()
    }

    /// Returns what is there still of what was made in a namespace that is not the run's own, its pods among it.
    ///
    /// # Errors
    /// Where the API does not say: who cannot look knows of nothing that it is gone.
    pub async fn left_of(&self, namespace: &RunNamespace) -> Result<Vec<String>, ClusterError> {
        let operation = format!("list pods in {}", namespace.name);
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace.name);
        let name = |pod: Pod| format!("pods {}", pod.metadata.name.unwrap_or_default());
        let pods = self.list(&operation, &api, own(namespace), name).await?;
        let objects = self.objects();
        let there = objects.iter().map(|object| self.is_there(object));
        let there = futures::future::try_join_all(there).await?;
        let others = objects.iter().zip(there).filter(|(_, there)| *there);
        Ok(pods
            .into_iter()
            .chain(others.map(|(object, _)| object.said.clone()))
            .collect())
    }

    async fn is_there(&self, object: &Object) -> Result<bool, ClusterError> {
        let operation = format!("get {}", object.said);
        let request = Request::get(&object.path).body(Vec::new());
        let request = request.map_err(|error| self.strange(&operation, &error.to_string()))?;
        match self.ask(&operation, self.client.request::<Value>(request)).await {
            Ok(found) => {
                let uid = found.pointer("/metadata/uid").and_then(Value::as_str);
                Ok(uid == Some(&object.uid))
            }
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
