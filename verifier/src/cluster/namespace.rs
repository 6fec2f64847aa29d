//! The run's own namespace: made, marked as alive by a Lease, removed; and what dead runs left. Only what carries
//! our label and our name is ever deleted, by UID.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};

use super::read::lease;
use super::{Cluster, ClusterError};

/// The label that every object of a run carries; its value is the run.
pub const LABEL: &str = "verifier.dev/run";
/// The value of `app.kubernetes.io/managed-by` on every object of a run.
pub const MANAGER: &str = "verifier";
/// The label of a namespace that stays when its run ends.
const KEEP: &str = "verifier.dev/keep";
/// The Lease in the run's namespace.
const LEASE: &str = "run";
/// A namespace of ours whose Lease was not renewed for this long is of a dead run.
const DEAD_AFTER: Duration = Duration::from_mins(1);

/// A namespace of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunNamespace {
    /// Its name.
    pub name: String,
    /// Its UID: what is deleted must be the same.
    pub uid: String,
}

/// A namespace that some run made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleRun {
    /// The namespace.
    pub namespace: RunNamespace,
    /// The run.
    pub run: String,
    /// Whether its run still renews its Lease, by the API server's clock.
    pub alive: bool,
    /// Whether it is being removed already.
    pub ending: bool,
    /// Whether it was to stay when its run ended.
    pub kept: bool,
    /// Who holds the Lease: `user@host`.
    pub holder: String,
}

/// Whose namespace it is.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The run.
    pub run: &'a str,
    /// Who runs: `user@host`.
    pub holder: &'a str,
    /// Whether it stays when the run ends.
    pub keep: bool,
}

/// Returns the labels of a run's objects.
pub(super) fn labels(run: &str) -> BTreeMap<String, String> {
    [("app.kubernetes.io/managed-by", MANAGER), (LABEL, run)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Returns the name of a run's namespace.
pub(crate) fn name_of(run: &str) -> String {
    format!("verifier-{run}")
}

impl Cluster {
    /// Makes the namespace of a run, and the Lease in it.
    pub async fn make_namespace(
        &self,
        owner: Owner<'_>,
        now: Timestamp,
    ) -> Result<RunNamespace, ClusterError> {
        let Owner { run, holder, keep } = owner;
        let name = name_of(run);
        let operation = format!("create namespace {name}");
        let api: Api<Namespace> = Api::all(self.client.clone());
        let mut marks = labels(run);
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
            .filter(|_| made.metadata.name.as_deref() == Some(&name));
        let uid = uid.ok_or_else(|| self.strange(&operation, "the namespace has no name and UID"))?;
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &name);
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(LEASE.to_owned()),
                labels: Some(labels(run)),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: i32::try_from(DEAD_AFTER.as_secs()).ok(),
                renew_time: Some(MicroTime(now)),
                ..LeaseSpec::default()
            }),
        };
        let operation = format!("create lease {LEASE} in {name}");
        let made = self
            .ask(&operation, leases.create(&PostParams::default(), &lease))
            .await?;
        if made.metadata.uid.is_none() {
            return Err(self.strange(&operation, "the lease has no UID"));
        }
        Ok(RunNamespace { name, uid })
    }

    /// Renews the Lease of a run; `now` is the time by the API server's clock.
    pub async fn renew(&self, namespace: &RunNamespace, now: Timestamp) -> Result<(), ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &namespace.name);
        let patch = serde_json::json!({"spec": {"renewTime": MicroTime(now)}});
        let operation = format!("patch lease {LEASE} in {}", namespace.name);
        self.ask(
            &operation,
            api.patch(LEASE, &PatchParams::default(), &Patch::Merge(patch)),
        )
        .await?;
        Ok(())
    }

    /// Returns the namespaces that runs made, ours and others'.
    pub async fn stale_runs(&self) -> Result<Vec<StaleRun>, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let params = ListParams::default().labels(&format!("app.kubernetes.io/managed-by={MANAGER},{LABEL}"));
        let namespaces = self
            .list("list namespaces", &api, params, |namespace| namespace)
            .await?;
        let now = self.now().await?;
        let mut left = Vec::new();
        for namespace in namespaces {
            let meta = namespace.metadata;
            let (Some(name), Some(uid)) = (meta.name, meta.uid) else {
                continue;
            };
            let mut labels = meta.labels.unwrap_or_default();
            let run = labels.remove(LABEL).unwrap_or_default();
            let kept = labels.contains_key(KEEP);
            // Somebody else's namespace may carry our label by a copied manifest: the name must be of the run too.
            if name != name_of(&run) {
                continue;
            }
            let made = meta.creation_timestamp.map(|time| time.0);
            let (renewed, holder) = self.lease_of(&name).await?;
            // One that is just being made has no Lease yet; one that was kept has none any more.
            let last = if kept { renewed } else { renewed.max(made) };
            left.push(StaleRun {
                alive: last.is_some_and(|last| is_alive(last, now)),
                ending: meta.deletion_timestamp.is_some(),
                kept,
                namespace: RunNamespace { name, uid },
                run,
                holder,
            });
        }
        Ok(left)
    }

    async fn lease_of(&self, namespace: &str) -> Result<(Option<Timestamp>, String), ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let operation = format!("get lease {LEASE} in {namespace}");
        let found = self.ask(&operation, api.get_opt(LEASE)).await?;
        Ok(found
            .map(lease)
            .map_or((None, String::new()), |lease| (lease.renewed, lease.holder)))
    }

    /// Deletes the Lease of a run whose namespace stays.
    pub async fn drop_lease(&self, namespace: &RunNamespace) -> Result<(), ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &namespace.name);
        let operation = format!("delete lease {LEASE} in {}", namespace.name);
        self.ask(&operation, api.delete(LEASE, &DeleteParams::default()))
            .await?;
        Ok(())
    }

    /// Begins to remove a namespace and all that is in it. One that is gone, or that another made anew under the
    /// same name, is left as it is.
    pub async fn remove_namespace(&self, namespace: &RunNamespace) -> Result<(), ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(namespace.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let operation = format!("delete namespace {}", namespace.name);
        match self.ask(&operation, api.delete(&namespace.name, &params)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
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
            })
        }))
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

    /// Deletes the pods of a run's namespace at once: where their kubelet is dead, nobody else ever will.
    pub async fn end_pods(&self, namespace: &RunNamespace, grace: u32) -> Result<(), ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace.name);
        let params = DeleteParams {
            grace_period_seconds: Some(grace),
            ..DeleteParams::default()
        };
        let operation = format!("delete pods in {}", namespace.name);
        let pods = match self
            .list("list pods", &api, ListParams::default(), |pod: Pod| {
                pod.metadata.name
            })
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

/// Returns whether a run that gave its last sign at `last` is alive at `now`.
fn is_alive(last: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(last);
    age < jiff::SignedDuration::try_from(DEAD_AFTER).unwrap_or(jiff::SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_dead_once_its_sign_is_a_minute_old() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let last = at("2026-11-23T09:00:00Z");
        assert!(is_alive(last, at("2026-11-23T09:00:59Z")));
        assert!(!is_alive(last, at("2026-11-23T09:01:00Z")));
        // A clock that ran ahead is no reason to delete anything.
        assert!(is_alive(last, at("2026-11-23T08:59:00Z")));
    }
}
