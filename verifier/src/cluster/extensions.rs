//! What extends the API: APIServices and `CustomResourceDefinitions`. Of each only its conditions are read: a definition's
//! schema may have a megabyte.

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::{Deserialize, Serialize};

use super::resource::resource;
use super::{Cluster, ClusterError, ConditionFacts};

/// No more of a kind than these are kept; the others are counted.
const LIMIT: usize = 1000;
/// The most that is kept of a sentence, in bytes.
const SENTENCE: usize = 1024;

/// What extends the API and does not work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionFacts {
    /// How many APIServices and `CustomResourceDefinitions` were looked at.
    pub looked_at: [usize; 2],
    /// The APIServices that are not available.
    pub services: Vec<ExtensionTrouble>,
    /// The definitions that are not established, or whose names are not accepted.
    pub definitions: Vec<ExtensionTrouble>,
    /// How many more there are that were not kept.
    pub more: usize,
}

/// An extension that does not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionTrouble {
    /// Its name, for example `v1beta1.metrics.k8s.io`.
    pub name: String,
    /// The Service that serves it, as `namespace/name`; absent where the API server does.
    pub service: Option<String>,
    /// The condition that is not as it must be; one that is not there at all has no status.
    pub condition: ConditionFacts,
    /// How old it is, in seconds.
    pub age_seconds: u64,
}

/// Declares a kind of which only the conditions are read.
macro_rules! conditioned {
    ($name:ident, $kind:literal, $group:literal, $plural:literal) => {
        #[derive(Deserialize)]
        struct $name {
            metadata: ObjectMeta,
            #[serde(default)]
            spec: Spec,
            #[serde(default)]
            status: Status,
        }

        resource!($name, ClusterResourceScope, $group, $kind, $plural);

        impl From<$name> for Conditioned {
            fn from(object: $name) -> Self {
                Self {
                    metadata: object.metadata,
                    service: object.spec.service,
                    conditions: object.status.conditions.unwrap_or_default(),
                }
            }
        }
    };
}

conditioned!(ApiService, "APIService", "apiregistration.k8s.io", "apiservices");
conditioned!(
    Definition,
    "CustomResourceDefinition",
    "apiextensions.k8s.io",
    "customresourcedefinitions"
);

#[derive(Default, Deserialize)]
struct Spec {
    #[serde(default)]
    service: Option<Service>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// An object with its conditions.
struct Conditioned {
    metadata: ObjectMeta,
    service: Option<Service>,
    conditions: Vec<Condition>,
}

impl Cluster {
    /// Returns what extends the API and does not work.
    pub async fn extensions(&self) -> Result<ExtensionFacts, ClusterError> {
        self.kept("extensions", self.extensions_now()).await
    }

    async fn extensions_now(&self) -> Result<ExtensionFacts, ClusterError> {
        let now = self.now().await?;
        let more = AtomicUsize::new(0);
        let (services, definitions) = futures::try_join!(
            self.conditions::<ApiService>("list apiservices", &["Available"], now, &more),
            self.conditions::<Definition>(
                "list customresourcedefinitions",
                &["NamesAccepted", "Established"],
                now,
                &more
            ),
        )?;
        Ok(ExtensionFacts {
            looked_at: [services.1, definitions.1],
            services: services.0,
            definitions: definitions.0,
            more: more.load(Ordering::Relaxed),
        })
    }

    /// Reads a list; returns those that lack a condition, and how many were looked at.
    async fn conditions<K>(
        &self,
        operation: &str,
        wanted: &[&str],
        now: Timestamp,
        more: &AtomicUsize,
    ) -> Result<(Vec<ExtensionTrouble>, usize), ClusterError>
    where
        K: Resource<DynamicType = ()> + for<'a> Deserialize<'a> + Into<Conditioned>,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let kept = AtomicUsize::new(0);
        let keep = |object: K| {
            let trouble = trouble(object.into(), wanted, now)?;
            if kept.fetch_add(1, Ordering::Relaxed) < LIMIT {
                return Some(Box::new(trouble));
            }
            more.fetch_add(1, Ordering::Relaxed);
            None
        };
        let items = self.list(operation, &api, ListParams::default(), keep).await?;
        let all = items.len();
        Ok((items.into_iter().flatten().map(|item| *item).collect(), all))
    }
}

/// Returns the first of the wanted conditions that an object lacks; nothing of one that is being removed.
fn trouble(object: Conditioned, wanted: &[&str], now: Timestamp) -> Option<ExtensionTrouble> {
    if object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let condition = wanted.iter().find_map(|name| {
        let found = object
            .conditions
            .iter()
            .find(|condition| condition.r#type == *name);
        let condition = ConditionFacts {
            r#type: (*name).to_owned(),
            status: found.map(|found| found.status.clone()).unwrap_or_default(),
            reason: found.map(|found| found.reason.clone()).unwrap_or_default(),
            message: found.map(|found| sentence(&found.message)).unwrap_or_default(),
        };
        (condition.status != "True").then_some(condition)
    })?;
    let made = object.metadata.creation_timestamp.map(|time| time.0);
    let age = made.map_or(0, |made| now.duration_since(made).as_secs());
    Some(ExtensionTrouble {
        name: object.metadata.name.unwrap_or_default(),
        service: object
            .service
            .map(|service| format!("{}/{}", service.namespace, service.name)),
        condition,
        age_seconds: u64::try_from(age).unwrap_or_default(),
    })
}

fn sentence(text: &str) -> String {
    text[..text.floor_char_boundary(SENTENCE)].to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn look(conditions: &Value) -> Option<ExtensionTrouble> {
        let object = json!({"metadata": {"name": "v1beta1.metrics.k8s.io", "creationTimestamp": "2026-11-30T09:00:00Z"},
            "spec": {"service": {"namespace": "kube-system", "name": "metrics-server", "port": 443}},
            "status": {"conditions": conditions}});
        let object: ApiService = serde_json::from_value(object).unwrap();
        trouble(
            object.into(),
            &["Available"],
            "2026-11-30T09:10:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn an_api_service_is_kept_where_it_is_not_available_or_nobody_ever_said_so() {
        assert_eq!(
            look(&json!([{"type": "Available", "status": "True", "reason": "Passed"}])),
            None
        );
        let dead = json!([{"type": "Available", "status": "False", "reason": "ServiceNotFound", "message": "not present"}]);
        let dead = look(&dead).unwrap();
        assert_eq!(dead.service.as_deref(), Some("kube-system/metrics-server"));
        assert_eq!(
            (dead.condition.reason.as_str(), dead.age_seconds),
            ("ServiceNotFound", 600)
        );
        for none in [json!([]), Value::Null] {
            assert_eq!(look(&none).unwrap().condition.status, "");
        }
    }

    #[test]
    fn a_definition_needs_its_names_and_then_to_be_established() {
        let wanted = ["NamesAccepted", "Established"];
        let look = |names: &str, established: &str| {
            let conditions = json!([{"type": "Established", "status": established}, {"type": "NamesAccepted", "status": names}]);
            let object = json!({"metadata": {"name": "a.b.c"}, "spec": {"versions": []}, "status": {"conditions": conditions}});
            let object: Definition = serde_json::from_value(object).unwrap();
            let found = trouble(object.into(), &wanted, Timestamp::UNIX_EPOCH);
            found.map(|found| found.condition.r#type)
        };
        assert_eq!(look("True", "True"), None);
        assert_eq!(look("True", "False").as_deref(), Some("Established"));
        assert_eq!(look("False", "False").as_deref(), Some("NamesAccepted"));
    }
}
