//! `NetworkPolicies`: one of the run's own, and which there are of others.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::resource::resource;
use super::{COMPONENT, Cluster, ClusterError, RunNamespace};

/// What the run's policy is called.
const NAME: &str = "deny";

/// A policy; what it says is the API server's to read.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Policy {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
}

resource!(
    Policy,
    NamespaceResourceScope,
    "networking.k8s.io",
    "NetworkPolicy",
    "networkpolicies"
);

impl Cluster {
    /// Makes a policy that lets nobody in to the pods of a check.
    pub async fn deny(
        &self,
        namespace: &RunNamespace,
        run: &str,
        component: &str,
    ) -> Result<(), ClusterError> {
        let policy = Policy {
            metadata: ObjectMeta {
                name: Some(namespace.object(NAME)),
                namespace: Some(namespace.name.clone()),
                labels: Some(self.labels(run)),
                owner_references: namespace.owners(),
                ..ObjectMeta::default()
            },
            spec: json!({
                "podSelector": {"matchLabels": {COMPONENT: component, super::LABEL: run}},
                "policyTypes": ["Ingress"],
                "ingress": [],
            }),
        };
        let api: Api<Policy> = Api::namespaced(self.client.clone(), &namespace.name);
        let operation = format!("create networkpolicies {NAME} in {}", namespace.name);
        let params = PostParams::default();
        let made = self.ask(&operation, api.create(&params, &policy));
        self.keep(&made.await?);
        Ok(())
    }

    /// Takes the run's policy away.
    pub async fn deny_no_more(&self, namespace: &RunNamespace) -> Result<(), ClusterError> {
        let api: Api<Policy> = Api::namespaced(self.client.clone(), &namespace.name);
        let operation = format!("delete networkpolicies {NAME} in {}", namespace.name);
        let params = DeleteParams::default();
        let name = namespace.object(NAME);
        let deleted = self.ask(&operation, api.delete(&name, &params));
        deleted.await.map(drop)
    }

    /// Returns the policies of all namespaces but those of runs, as `namespace/name`.
    pub async fn policies(&self) -> Result<Vec<String>, ClusterError> {
        let api: Api<Policy> = Api::all(self.client.clone());
        let others = ListParams::default().labels(&format!("!{}", super::LABEL));
        let name = |policy: Policy| {
            let ObjectMeta { namespace, name, .. } = policy.metadata;
            format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default())
        };
        self.list("list networkpolicies", &api, others, name).await
    }
}
