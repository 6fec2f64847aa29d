//! StorageClasses, and a claim of the run's own.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::resource::resource;
use super::{Cluster, ClusterError, RunNamespace};

/// What the run's claim is called.
pub const CLAIM: &str = "volume";
/// How much it asks for. Some storage gives no less than a gibibyte, and rounds up.
const SIZE: &str = "64Mi";

/// A `StorageClass`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassFacts {
    /// What makes its volumes.
    pub provisioner: String,
    /// `Delete` or `Retain`: what becomes of a volume whose claim is gone.
    pub reclaims: String,
}

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimFacts {
    /// `Pending`, `Bound` or `Lost`.
    pub phase: String,
    /// The volume that it is bound to.
    pub volume: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Class {
    metadata: ObjectMeta,
    provisioner: String,
    #[serde(default, rename = "reclaimPolicy")]
    reclaims: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claim {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default, skip_serializing)]
    status: Value,
}

resource!(
    Class,
    ClusterResourceScope,
    "storage.k8s.io",
    "StorageClass",
    "storageclasses"
);
resource!(
    Claim,
    NamespaceResourceScope,
    "",
    "PersistentVolumeClaim",
    "persistentvolumeclaims"
);

impl Cluster {
    /// Returns a `StorageClass`, if it is there.
    pub async fn storage_class(&self, name: &str) -> Result<Option<ClassFacts>, ClusterError> {
        let api: Api<Class> = Api::all(self.client.clone());
        let operation = format!("get storageclasses {name}");
        let found = self.ask(&operation, api.get_opt(name)).await?;
        Ok(found.map(|class| ClassFacts {
            provisioner: class.provisioner,
            reclaims: class.reclaims.unwrap_or_else(|| "Delete".to_owned()),
        }))
    }

    /// Makes the run's claim of a class.
    pub async fn make_claim(
        &self,
        namespace: &RunNamespace,
        run: &str,
        class: &str,
    ) -> Result<(), ClusterError> {
        let claim = Claim {
            metadata: ObjectMeta {
                name: Some(namespace.object(CLAIM)),
                namespace: Some(namespace.name.clone()),
                labels: Some(self.labels(run)),
                owner_references: namespace.owners(),
                ..ObjectMeta::default()
            },
            spec: json!({
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": class,
                "resources": {"requests": {"storage": SIZE}},
            }),
            status: Value::Null,
        };
        let api: Api<Claim> = Api::namespaced(self.client.clone(), &namespace.name);
        let operation = format!("create persistentvolumeclaims {CLAIM} in {}", namespace.name);
        let params = PostParams::default();
        let made = self.ask(&operation, api.create(&params, &claim));
        self.keep(&made.await?);
        Ok(())
    }

    /// Returns the run's claim.
    pub async fn claim(&self, namespace: &RunNamespace) -> Result<ClaimFacts, ClusterError> {
        let api: Api<Claim> = Api::namespaced(self.client.clone(), &namespace.name);
        let operation = format!("get persistentvolumeclaims {CLAIM} in {}", namespace.name);
        let claim = self.ask(&operation, api.get(&namespace.object(CLAIM))).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(ClaimFacts {
            phase: claim.status.get("phase").and_then(text).unwrap_or_default(),
            volume: claim.spec.get("volumeName").and_then(text),
        })
    }
}
