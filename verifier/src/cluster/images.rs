//! Every image that an object of the API names, with what says which Nodes may run it. Of each object no more is read than
//! that: a pod's environment and volumes are none of our business.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::resource::resource;
use super::{Cluster, ClusterError};

/// What starts pods, or is one, and the images that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamingFacts {
    /// Its namespace.
    pub namespace: String,
    /// `Deployment`, `CronJob`, `Pod` …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The images, each once, as it writes them.
    pub images: Vec<String>,
    /// Whether it starts nothing now: scaled to nothing, or suspended.
    #[serde(default)]
    pub asleep: bool,
    /// Where its pods may be placed.
    #[serde(default)]
    pub place: Placing,
}

/// Where pods may be placed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placing {
    /// The Node, where it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Labels that a Node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Terms of which a Node must meet one; none: it needs to meet none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<Term>,
    /// Taints that are tolerated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
}

/// A term: a Node must meet all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Term {
    /// About labels.
    #[serde(default, deserialize_with = "list")]
    pub match_expressions: Vec<Requirement>,
    /// About fields: `metadata.name`.
    #[serde(default, deserialize_with = "list")]
    pub match_fields: Vec<Requirement>,
}

/// What is required of a label or field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The label or field.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`.
    pub operator: String,
    /// The values.
    #[serde(default, deserialize_with = "list")]
    pub values: Vec<String>,
}

/// A taint, or several, that pods tolerate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toleration {
    /// The key; empty: all.
    #[serde(default)]
    pub key: Option<String>,
    /// `Equal` or `Exists`.
    #[serde(default)]
    pub operator: Option<String>,
    /// The value.
    #[serde(default)]
    pub value: Option<String>,
    /// The effect; empty: all.
    #[serde(default)]
    pub effect: Option<String>,
}

/// Reads a list; `null` is an empty one.
fn list<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(input).map(Option::unwrap_or_default)
}

/// The spec of a pod, or of what starts pods: the template stands in it, however deep.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    template: Option<Box<Template>>,
    job_template: Option<Box<Template>>,
    replicas: Option<i64>,
    suspend: Option<bool>,
    #[serde(deserialize_with = "list")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "list")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "list")]
    ephemeral_containers: Vec<Container>,
    node_name: Option<String>,
    node_selector: Option<BTreeMap<String, String>>,
    affinity: Option<Affinity>,
    #[serde(deserialize_with = "list")]
    tolerations: Vec<Toleration>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    image: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: Option<NodeAffinity>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<Required>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Required {
    #[serde(deserialize_with = "list")]
    node_selector_terms: Vec<Term>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: Option<String>,
    #[serde(deserialize_with = "list")]
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
}

/// An object that names images.
struct Naming {
    metadata: ObjectMeta,
    spec: Spec,
    status: Status,
}

/// Declares a kind of which only that is read.
macro_rules! naming {
    ($($name:ident, $group:literal, $plural:literal;)*) => {$(
        #[derive(Deserialize)]
        struct $name {
            metadata: ObjectMeta,
            #[serde(default)]
            spec: Spec,
            #[serde(default)]
            status: Status,
        }

        resource!($name, NamespaceResourceScope, $group, stringify!($name), $plural);

        impl From<$name> for Naming {
            fn from(object: $name) -> Self {
                Self {
                    metadata: object.metadata,
                    spec: object.spec,
                    status: object.status,
                }
            }
        }
    )*};
}

naming! {
    Deployment, "apps", "deployments";
    DaemonSet, "apps", "daemonsets";
    StatefulSet, "apps", "statefulsets";
    ReplicaSet, "apps", "replicasets";
    Job, "batch", "jobs";
    CronJob, "batch", "cronjobs";
    Pod, "", "pods";
}

impl Cluster {
    /// Returns every object that names images and may start a container yet, and which kinds could not be read.
    pub async fn naming(&self) -> (Vec<NamingFacts>, BTreeMap<String, ClusterError>) {
        let naming = self.naming_now().map(Ok);
        let unread = |error| (Vec::new(), BTreeMap::from([("Pod".to_owned(), error)]));
        self.kept("naming", naming).await.unwrap_or_else(unread)
    }

    async fn naming_now(&self) -> (Vec<NamingFacts>, BTreeMap<String, ClusterError>) {
        let asked = futures::join!(
            self.naming_of::<Deployment>("list deployments"),
            self.naming_of::<DaemonSet>("list daemonsets"),
            self.naming_of::<StatefulSet>("list statefulsets"),
            self.naming_of::<ReplicaSet>("list replicasets"),
            self.naming_of::<Job>("list jobs"),
            self.naming_of::<CronJob>("list cronjobs"),
            self.naming_of::<Pod>("list pods"),
        );
        let kinds = [
            ("Deployment", asked.0),
            ("DaemonSet", asked.1),
            ("StatefulSet", asked.2),
            ("ReplicaSet", asked.3),
            ("Job", asked.4),
            ("CronJob", asked.5),
            ("Pod", asked.6),
        ];
        let (mut found, mut unread) = (Vec::new(), BTreeMap::new());
        for (kind, asked) in kinds {
            match asked {
                Ok(objects) => found.extend(objects),
                Err(error) => drop(unread.insert(kind.to_owned(), error)),
            }
        }
        (found, unread)
    }

    async fn naming_of<K>(&self, operation: &str) -> Result<Vec<NamingFacts>, ClusterError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Into<Naming>,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let kind = K::kind(&()).into_owned();
        let keep = |object: K| facts(&kind, object.into());
        let found = self.list(operation, &api, ListParams::default(), keep).await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// Returns what an object names; none where it starts nothing any more, or where its owner names the same.
fn facts(kind: &str, object: Naming) -> Option<NamingFacts> {
    let Naming {
        metadata,
        spec,
        status,
    } = object;
    let ended = |condition: &Condition| {
        matches!(condition.r#type.as_str(), "Complete" | "Failed") && condition.status == "True"
    };
    let is_over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
        || (kind == "Job" && status.conditions.iter().any(ended));
    if is_over || metadata.deletion_timestamp.is_some() {
        return None;
    }
    let owned = metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true) && owner.kind != "Node");
    let asleep = spec.replicas == Some(0) || spec.suspend == Some(true);
    let spec = pods(spec);
    // What a controller makes of a template of its own has only what was put into it afterwards.
    let derived = owned && matches!(kind, "Pod" | "ReplicaSet" | "Job");
    let own = if derived { &[][..] } else { &spec.containers };
    let init = if derived { &[][..] } else { &spec.init_containers };
    let all = init.iter().chain(own).chain(&spec.ephemeral_containers);
    let mut images: Vec<String> = all
        .filter_map(|container| container.image.clone())
        .filter(|image| !image.is_empty())
        .collect();
    images.sort();
    images.dedup();
    let required = spec
        .affinity
        .and_then(|affinity| affinity.node_affinity?.required);
    (!images.is_empty()).then(|| NamingFacts {
        namespace: metadata.namespace.unwrap_or_default(),
        kind: kind.to_owned(),
        name: metadata.name.unwrap_or_default(),
        images,
        asleep,
        place: Placing {
            node_name: spec.node_name,
            node_selector: spec.node_selector.unwrap_or_default(),
            terms: required
                .map(|required| required.node_selector_terms)
                .unwrap_or_default(),
            tolerations: spec.tolerations,
        },
    })
}

/// Returns the spec of the pods that a spec is about.
fn pods(spec: Spec) -> Spec {
    match spec.template.or(spec.job_template) {
        Some(template) => pods(template.spec),
        None => Spec {
            template: None,
            job_template: None,
            ..spec
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of<K: DeserializeOwned + Into<Naming>>(kind: &str, object: Value) -> Option<NamingFacts> {
        let object: K = serde_json::from_value(object).unwrap();
        facts(kind, object.into())
    }

    #[test]
    fn images_are_read_however_deep_the_template_stands() {
        let pod = json!({"containers": [{"image": "b", "name": "x"}, {"image": "a"}], "initContainers": [{"image": "c"}],
            "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]});
        let meta = json!({"name": "n", "namespace": "s"});
        let template = json!({"template": {"metadata": {}, "spec": pod}, "replicas": 2});
        let found = of::<Deployment>("Deployment", json!({"metadata": meta, "spec": template})).unwrap();
        assert_eq!(
            (found.images, found.asleep),
            (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], false)
        );
        assert_eq!(found.place.node_selector["disk"], "ssd");
        let cron = json!({"schedule": "* * * * *", "suspend": true, "jobTemplate": {"spec": template}});
        let found = of::<CronJob>("CronJob", json!({"metadata": meta, "spec": cron})).unwrap();
        assert_eq!(
            (found.images.len(), found.asleep, found.place.tolerations.len()),
            (3, true, 1)
        );
    }

    #[test]
    fn of_a_pod_that_somebody_makes_only_what_was_added_counts() {
        let owner = |kind: &str| json!([{"apiVersion": "v1", "kind": kind, "name": "o", "uid": "u", "controller": true}]);
        let pod = |owner: Value, phase: &str| {
            json!({"metadata": {"name": "p", "ownerReferences": owner}, "status": {"phase": phase},
                "spec": {"nodeName": "node-0", "containers": [{"image": "a"}], "ephemeralContainers": [{"image": "debug"}]}})
        };
        let found = of::<Pod>("Pod", pod(owner("ReplicaSet"), "Running")).unwrap();
        assert_eq!(found.images, ["debug"]);
        // A static pod's picture belongs to its Node.
        let found = of::<Pod>("Pod", pod(owner("Node"), "Running")).unwrap();
        assert_eq!(
            (found.images.len(), found.place.node_name.as_deref()),
            (2, Some("node-0"))
        );
        assert!(of::<Pod>("Pod", pod(json!([]), "Succeeded")).is_none());
    }

    #[test]
    fn a_job_that_is_over_names_nothing_and_null_lists_are_empty() {
        let job = |status: Value| {
            json!({"metadata": {"name": "j"}, "status": status, "spec": {"template": {"spec":
                {"containers": [{"image": "a"}], "initContainers": null, "tolerations": null,
                 "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                    {"nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "Exists"}]}]}}}}}}})
        };
        let over = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        assert!(of::<Job>("Job", job(over)).is_none());
        let found = of::<Job>("Job", job(json!({"conditions": null}))).unwrap();
        assert_eq!(found.place.terms[0].match_expressions[0].key, "k");
    }
}
