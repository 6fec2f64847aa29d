//! The signs of life of runs, at the API: Leases made, renewed, given up; the namespaces that runs left, and their sweep.

use std::collections::BTreeMap;
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

use super::lease::{
    BEAT, DEAD_AFTER, Keeper, KeeperAsk, KeeperTold, Sign, Sweeper, SweeperAsk, SweeperTold, Swept, Trace,
    WATCH,
};
use super::namespace::{Guest, KEEP, LABEL, MANAGER, RunNamespace, name_of};
use super::{Cluster, ClusterError};

/// The Lease in the run's namespace.
const LEASE: &str = "run";

/// A namespace that some run made.
#[derive(Clone, Debug)]
pub struct LeftRun {
    /// The namespace.
    pub namespace: RunNamespace,
    /// The run.
    pub run: String,
    /// Whether it was to stay when its run ended.
    pub kept: bool,
    /// Its resourceVersion.
    version: String,
    trace: Trace,
    /// What time the API server had when it was seen.
    now: Timestamp,
}

impl LeftRun {
    /// Returns whether it is being removed already.
    pub const fn is_ending(&self) -> bool {
        self.trace.ending
    }

    /// Returns who holds its Lease: `user@host`; empty where nobody does.
    pub fn holder(&self) -> &str {
        self.trace.sign.as_ref().map_or("", |sign| &sign.holder)
    }
}

impl Cluster {
    /// Makes the Lease of a run, in its namespace; without a holder it is given up from the first. `now` is the time by the API
    /// server's clock.
    pub async fn make_sign(
        &self,
        namespace: &str,
        (run, holder): (&str, Option<&str>),
        now: Timestamp,
    ) -> Result<Sign, ClusterError> {
        let labels = self.labels(run);
        let made = self.make_lease(namespace, (LEASE, labels), holder, now).await?;
        Ok(sign(made))
    }

    /// Makes the Lease of a run in a namespace that is not its own, where it owns all that the run makes.
    pub async fn enter(
        &self,
        namespace: &mut RunNamespace,
        (run, holder): (&str, &str),
        keep: bool,
        now: Timestamp,
    ) -> Result<Sign, ClusterError> {
        let mut labels = self.labels(run);
        if keep {
            labels.insert(KEEP.to_owned(), "true".to_owned());
        }
        let name = name_of(run);
        let made = self.make_lease(&namespace.name, (&name, labels), Some(holder), now);
        let made = made.await?;
        namespace.guest = Some(Guest {
            run: run.to_owned(),
            lease: made.metadata.uid.clone().unwrap_or_default(),
        });
        Ok(sign(made))
    }

    async fn make_lease(
        &self,
        namespace: &str,
        (name, labels): (&str, BTreeMap<String, String>),
        holder: Option<&str>,
        now: Timestamp,
    ) -> Result<Lease, ClusterError> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: holder.map(str::to_owned),
                lease_duration_seconds: i32::try_from(DEAD_AFTER.as_secs()).ok(),
                renew_time: Some(MicroTime(now)),
                ..LeaseSpec::default()
            }),
        };
        let operation = format!("create lease {name} in {namespace}");
        let made = self
            .ask(&operation, leases.create(&PostParams::default(), &lease))
            .await?;
        if made.metadata.uid.is_none() {
            return Err(self.strange(&operation, "the lease has no UID"));
        }
        self.keep(&made);
        Ok(made)
    }

    /// Gives signs of life until the namespace is taken, and returns then. `first` is the Lease as it was made.
    pub async fn keep_alive(&self, namespace: &RunNamespace, first: &Sign) {
        let mut keeper = Keeper::new(first);
        let mut clock = ServerClock::new(first);
        loop {
            let told = match keeper.next() {
                KeeperAsk::Stop => return,
                KeeperAsk::Rest => {
                    // By the monotonic clock, as all that rests here: no wall clock of ours takes part.
                    tokio::time::sleep(BEAT).await;
                    KeeperTold::Rested
                }
                KeeperAsk::Renew(version) => {
                    let patch =
                        json!({"metadata": {"resourceVersion": version}, "spec": {"renewTime": clock.now()}});
                    self.patch_sign(namespace, patch).await.into()
                }
                KeeperAsk::Read => {
                    let api: Api<Lease> = Api::namespaced(self.client.clone(), &namespace.name);
                    let name = lease_of(namespace);
                    let operation = format!("get lease {name} in {}", namespace.name);
                    self.ask(&operation, api.get(&name)).await.map(sign).into()
                }
            };
            if let KeeperTold::Sign(sign) = &told {
                clock = ServerClock::new(sign);
            }
            keeper.told(told);
        }
    }

    async fn patch_sign(
        &self,
        namespace: &RunNamespace,
        patch: serde_json::Value,
    ) -> Result<Sign, ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &namespace.name);
        let name = lease_of(namespace);
        let operation = format!("patch lease {name} in {}", namespace.name);
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = self.ask(&operation, api.patch(&name, &params, &patch)).await;
        patched.map(sign)
    }

    /// Gives up the Lease of a run whose namespace stays: it is nobody's live run any more.
    pub async fn give_up(&self, namespace: &RunNamespace) -> Result<(), ClusterError> {
        let nobody = json!({"spec": {"holderIdentity": null}});
        self.patch_sign(namespace, nobody).await.map(drop)
    }

    /// Returns the namespaces that runs made, ours and others'.
    pub async fn left_runs(&self) -> Result<Vec<LeftRun>, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let params = ListParams::default().labels(&format!("app.kubernetes.io/managed-by={MANAGER},{LABEL}"));
        let namespaces = self
            .list("list namespaces", &api, params, |namespace| namespace)
            .await?;
        let now = self.now().await?;
        let mut left = Vec::new();
        for namespace in namespaces {
            let meta = namespace.metadata;
            let (Some(name), Some(uid), Some(version)) = (meta.name, meta.uid, meta.resource_version) else {
                continue;
            };
            let mut labels = meta.labels.unwrap_or_default();
            let run = labels.remove(LABEL).unwrap_or_default();
            // Somebody else's namespace may carry our label by a copied manifest: the name must be of the run too.
            if name != name_of(&run) {
                continue;
            }
            let leases: Api<Lease> = Api::namespaced(self.client.clone(), &name);
            let operation = format!("get lease {LEASE} in {name}");
            let found = self.ask(&operation, leases.get_opt(LEASE)).await?;
            left.push(LeftRun {
                kept: labels.contains_key(KEEP),
                trace: Trace {
                    made: meta.creation_timestamp.map(|time| time.0),
                    ending: meta.deletion_timestamp.is_some(),
                    sign: found.map(sign),
                },
                namespace: RunNamespace {
                    name,
                    uid,
                    guest: None,
                },
                run,
                version,
                now,
            });
        }
        Ok(left)
    }

    /// Returns the runs in a namespace that is none of theirs, ours and others'.
    pub async fn guests(&self, namespace: &RunNamespace) -> Result<Vec<LeftRun>, ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &namespace.name);
        let params = ListParams::default().labels(&format!("app.kubernetes.io/managed-by={MANAGER},{LABEL}"));
        let operation = format!("list leases in {}", namespace.name);
        let leases = self.list(&operation, &api, params, |lease: Lease| lease).await?;
        let now = self.now().await?;
        let left = leases.into_iter().filter_map(|lease| {
            let meta = lease.metadata.clone();
            let mut labels = meta.labels.unwrap_or_default();
            let run = labels.remove(LABEL).unwrap_or_default();
            let (name, lease_uid, version) = (meta.name?, meta.uid?, meta.resource_version?);
            // The Lease of a run's own namespace is called otherwise, and a copied label is nobody's word.
            (name == name_of(&run)).then(|| LeftRun {
                kept: labels.contains_key(KEEP),
                trace: Trace {
                    made: meta.creation_timestamp.map(|time| time.0),
                    ending: meta.deletion_timestamp.is_some(),
                    sign: Some(sign(lease)),
                },
                namespace: RunNamespace {
                    guest: Some(Guest {
                        run: run.clone(),
                        lease: lease_uid,
                    }),
                    ..namespace.clone()
                },
                run,
                version,
                now,
            })
        });
        Ok(left.collect())
    }

    /// Returns whether the run's Lease in a namespace that is not its own is there still, the very one, and stays.
    pub(super) async fn is_guest(&self, namespace: &RunNamespace) -> Result<bool, ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &namespace.name);
        let name = lease_of(namespace);
        let operation = format!("get lease {name} in {}", namespace.name);
        let found = self.ask(&operation, api.get_opt(&name)).await?;
        let uid = namespace.guest.as_ref().map(|guest| &guest.lease);
        Ok(found.is_some_and(|found| {
            found.metadata.uid.as_ref() == uid && found.metadata.deletion_timestamp.is_none()
        }))
    }

    /// Removes the Lease of a run in a namespace that is not its own, if it is the very one, and so all that it owns. One that
    /// is gone is left so.
    pub async fn leave(&self, namespace: &RunNamespace) -> Result<(), ClusterError> {
        let Some(guest) = &namespace.guest else {
            return Ok(());
        };
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &namespace.name);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(guest.lease.clone()),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        let name = lease_of(namespace);
        let operation = format!("delete lease {name} in {}", namespace.name);
        match self.ask(&operation, api.delete(&name, &params)).await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    /// Begins to remove what a run left, unless the run is alive; returns how it ended, and why where it failed.
    pub async fn sweep(&self, left: &LeftRun) -> (Swept, Option<ClusterError>) {
        let name = &left.namespace.name;
        let mut sweeper = Sweeper::new(&left.trace, left.now);
        let mut why = None;
        loop {
            let done = match sweeper.next() {
                SweeperAsk::End(swept) => return (swept, why),
                SweeperAsk::Watch => {
                    tokio::time::sleep(WATCH).await;
                    Ok(())
                }
                SweeperAsk::GiveUp(version) => {
                    let patch =
                        json!({"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": null}});
                    self.patch_sign(&left.namespace, patch).await.map(drop)
                }
                SweeperAsk::Take => self.make_sign(name, (&left.run, None), left.now).await.map(drop),
                SweeperAsk::Remove if left.trace.ending => Ok(()),
                SweeperAsk::Remove if left.namespace.guest.is_some() => self.leave(&left.namespace).await,
                SweeperAsk::Remove => self.remove_version(&left.namespace, Some(&left.version)).await,
            };
            sweeper.told(match &done {
                Ok(()) => SweeperTold::Done,
                Err(error) if error.is_conflict() => SweeperTold::Conflict,
                Err(error) if error.is_not_found() => SweeperTold::Missing,
                Err(_) => SweeperTold::Failed,
            });
            why = done.err();
        }
    }
}

impl From<Result<Sign, ClusterError>> for KeeperTold {
    fn from(answer: Result<Sign, ClusterError>) -> Self {
        match answer {
            Ok(sign) => Self::Sign(sign),
            Err(error) if error.is_conflict() => Self::Conflict,
            Err(error) if error.is_not_found() => Self::Missing,
            Err(_) => Self::Silent,
        }
    }
}

/// Returns what the Lease of a run is called.
fn lease_of(namespace: &RunNamespace) -> String {
    match &namespace.guest {
        Some(guest) => name_of(&guest.run),
        None => LEASE.to_owned(),
    }
}

/// What time the API server has, from the last thing that it wrote and our monotonic clock since.
struct ServerClock {
    then: Timestamp,
    since: Instant,
}

impl ServerClock {
    fn new(sign: &Sign) -> Self {
        Self {
            then: sign.written.unwrap_or_else(Timestamp::now),
            since: Instant::now(),
        }
    }

    fn now(&self) -> MicroTime {
        let since = jiff::SignedDuration::try_from(self.since.elapsed()).unwrap_or_default();
        MicroTime(self.then.checked_add(since).unwrap_or(self.then))
    }
}

/// Returns what a Lease says. When it was written the server itself stamps, in managedFields; where something between us
/// leaves those out, the run's own word stands for it.
fn sign(lease: Lease) -> Sign {
    let spec = lease.spec.unwrap_or_default();
    let fields = lease.metadata.managed_fields.unwrap_or_default();
    let stamped = fields
        .into_iter()
        .filter_map(|field| field.time)
        .map(|time| time.0);
    Sign {
        version: lease.metadata.resource_version.unwrap_or_default(),
        holder: spec.holder_identity.unwrap_or_default(),
        written: stamped.max().or(spec.renew_time.map(|time| time.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_as_old_as_the_server_says_and_not_as_the_run_does() {
        let lease = |fields: serde_json::Value| {
            let lease = json!({
                "metadata": {"name": "run", "resourceVersion": "7", "managedFields": fields},
                "spec": {"holderIdentity": "u@h", "renewTime": "2026-11-23T03:00:00.000000Z"},
            });
            sign(serde_json::from_value(lease).unwrap())
        };
        let stamps = json!([{"time": "2026-11-23T09:00:00Z"}, {"time": "2026-11-23T09:00:05Z"}]);
        let written = lease(stamps).written.map(|time| time.to_string());
        assert_eq!(written.as_deref(), Some("2026-11-23T09:00:05Z"));
        let written = lease(json!([])).written.map(|time| time.to_string());
        assert_eq!(written.as_deref(), Some("2026-11-23T03:00:00Z"));
    }
}
