//! The run's own namespace: made, looked after, removed. Only what carries our label and our name is ever deleted, by UID.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions};

use super::{Cluster, ClusterError, ConditionFacts};

/// The label that every object of a run carries; its value is the run.
pub const LABEL: &str = "verifier.dev/run";
/// The value of `app.kubernetes.io/managed-by` on every object of a run.
pub const MANAGER: &str = "verifier";
/// The label of a namespace that stays when its run ends.
pub(super) const KEEP: &str = "verifier.dev/keep";

/// The namespace that a run works in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunNamespace {
    /// Its name.
    pub name: String,
    /// Its UID: what is deleted must be the same.
    pub uid: String,
    /// What the run is known by where the namespace is not its own; absent: the run made it.
    pub guest: Option<Guest>,
}

/// A run in a namespace that was there before. Its Lease owns all that it makes: when that goes, the cluster's garbage
/// collector takes the rest, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The run.
    pub run: String,
    /// The UID of its Lease.
    pub lease: String,
}

impl RunNamespace {
    /// Returns what an object of the run is called: runs that share a namespace must not meet.
    pub fn object(&self, name: &str) -> String {
        match &self.guest {
            Some(guest) => format!("{name}-{}", guest.run),
            None => name.to_owned(),
        }
    }

    /// Returns a selector for the run's own objects; nothing where all in the namespace are.
    pub(super) fn selector(&self) -> Option<String> {
        self.guest.as_ref().map(|guest| format!("{LABEL}={}", guest.run))
    }

    /// Returns who owns the run's objects.
    pub(super) fn owners(&self) -> Option<Vec<OwnerReference>> {
        let guest = self.guest.as_ref()?;
        Some(vec![OwnerReference {
            api_version: "coordination.k8s.io/v1".to_owned(),
            kind: "Lease".to_owned(),
            name: name_of(&guest.run),
            uid: guest.lease.clone(),
            ..OwnerReference::default()
        }])
    }
}

/// What became of a namespace that a run is to work in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is there.
    There(RunNamespace),
    /// It is being removed.
    Ending,
    /// There is none.
    Missing,
}

/// Returns what lists the run's own objects of a namespace.
pub(super) fn own(namespace: &RunNamespace) -> ListParams {
    let all = ListParams::default();
    match namespace.selector() {
        Some(selector) => all.labels(&selector),
        None => all,
    }
}

/// Returns the name of a run's namespace.
pub(crate) fn name_of(run: &str) -> String {
    format!("verifier-{run}")
}

impl Cluster {
    /// Makes the namespace of a run.
    pub async fn make_namespace(&self, run: &str, keep: bool) -> Result<RunNamespace, ClusterError> {
        let name = name_of(run);
        let operation = format!("create namespace {name}");
        let api: Api<Namespace> = Api::all(self.client.clone());
        let mut marks = self.labels(run);
        if keep {
            marks.insert(KEEP.to_owned(), "true".to_owned());
        }
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(marks),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let made = self
            .ask(&operation, api.create(&PostParams::default(), &namespace))
            .await?;
        let uid = made
            .metadata
            .uid
            .clone()
            .filter(|_| made.metadata.name.as_deref() == Some(&name));
        let uid = uid.ok_or_else(|| self.strange(&operation, "the namespace has no name and UID"))?;
        self.keep(&made);
        Ok(RunNamespace {
            name,
            uid,
            guest: None,
        })
    }

    /// Returns the labels of a run's objects.
    pub(super) fn labels(&self, run: &str) -> BTreeMap<String, String> {
        let own = [("app.kubernetes.io/managed-by", MANAGER), (LABEL, run)];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let marks = self.marks.iter().map(|(key, value)| (key.clone(), value.clone()));
        marks.chain(own).collect()
    }

    /// Returns a namespace that was there before.
    pub async fn existing(&self, name: &str) -> Result<Existing, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let operation = format!("get namespace {name}");
        let Some(found) = self.ask(&operation, api.get_opt(name)).await? else {
            return Ok(Existing::Missing);
        };
        let meta = found.metadata;
        if meta.deletion_timestamp.is_some() {
            return Ok(Existing::Ending);
        }
        let uid = meta.uid.filter(|_| meta.name.as_deref() == Some(name));
        let uid = uid.ok_or_else(|| self.strange(&operation, "the namespace has no name and UID"))?;
        Ok(Existing::There(RunNamespace {
            name: name.to_owned(),
            uid,
            guest: None,
        }))
    }

    /// Begins to remove a namespace and all that is in it. One that is gone, or that another made anew under the
    /// same name, is left as it is.
    pub async fn remove_namespace(&self, namespace: &RunNamespace) -> Result<(), ClusterError> {
        match self.remove_version(namespace, None).await {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            other => other,
        }
    }

    /// Begins to remove a namespace, if it is the very one and has this version still.
    pub(super) async fn remove_version(
        &self,
        namespace: &RunNamespace,
        version: Option<&str>,
    ) -> Result<(), ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(namespace.uid.clone()),
                resource_version: version.map(str::to_owned),
            }),
            ..DeleteParams::default()
        };
        let operation = format!("delete namespace {}", namespace.name);
        self.ask(&operation, api.delete(&namespace.name, &params))
            .await
            .map(drop)
    }

    /// Returns a run's namespace if it is there, by name: for a run that was interrupted while making it.
    pub async fn find_namespace(&self, run: &str) -> Result<Option<RunNamespace>, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let name = name_of(run);
        let found = self
            .ask(&format!("get namespace {name}"), api.get_opt(&name))
            .await?;
        Ok(found.and_then(|namespace| {
            let labels = namespace.metadata.labels.unwrap_or_default();
            let ours = labels.get(LABEL).is_some_and(|value| value == run);
            ours.then_some(RunNamespace {
                name,
                uid: namespace.metadata.uid?,
                guest: None,
            })
        }))
    }

    /// Returns whether the namespace is there still, the very one, and stays.
    pub async fn stays(&self, namespace: &RunNamespace) -> Result<bool, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let operation = format!("get namespace {}", namespace.name);
        let found = self.ask(&operation, api.get_opt(&namespace.name)).await?;
        let stays = found.is_some_and(|found| {
            found.metadata.uid.as_ref() == Some(&namespace.uid) && found.metadata.deletion_timestamp.is_none()
        });
        match &namespace.guest {
            Some(_) if stays => self.is_guest(namespace).await,
            _ => Ok(stays),
        }
    }

    /// Returns whether the namespace is gone.
    pub async fn is_gone(&self, namespace: &RunNamespace) -> Result<bool, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = self
            .ask(
                &format!("get namespace {}", namespace.name),
                api.get_opt(&namespace.name),
            )
            .await?;
        Ok(found.is_none_or(|found| found.metadata.uid.as_ref() != Some(&namespace.uid)))
    }

    /// Returns what holds a namespace that is being removed: its conditions that are true; none where it is gone.
    pub async fn held_by(&self, namespace: &RunNamespace) -> Result<Vec<ConditionFacts>, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let operation = format!("get namespace {}", namespace.name);
        let found = self.ask(&operation, api.get_opt(&namespace.name)).await?;
        let found = found.filter(|found| found.metadata.uid.as_ref() == Some(&namespace.uid));
        let conditions = found
            .and_then(|found| found.status?.conditions)
            .unwrap_or_default();
        let held = conditions
            .into_iter()
            .filter(|condition| condition.status == "True");
        let facts = held.map(|condition| ConditionFacts {
            r#type: condition.type_,
            status: condition.status,
            reason: condition.reason.unwrap_or_default(),
            message: condition.message.unwrap_or_default(),
        });
        Ok(facts.collect())
    }

    /// Deletes the pods of a run's namespace at once: where their kubelet is dead, nobody else ever will.
    pub async fn end_pods(&self, namespace: &RunNamespace, grace: u32) -> Result<(), ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace.name);
        let params = DeleteParams {
            grace_period_seconds: Some(grace),
            ..DeleteParams::default()
        };
        let operation = format!("delete pods in {}", namespace.name);
        let pods = match self
            .list("list pods", &api, own(namespace), |pod: Pod| pod.metadata.name)
            .await
        {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        for name in pods.into_iter().flatten() {
            match self.ask(&operation, api.delete(&name, &params)).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
