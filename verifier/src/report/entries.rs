//! What a report is made of, in the form that `docs/report.schema.json` describes.

use std::collections::BTreeMap;

use cli::Shown;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distribution::Distribution;
use crate::findings::{Outcome, Severity};

/// Who ran the verifier, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct By {
    /// The user.
    #[schemars(with = "String")]
    pub user: Shown,
    /// The name of the machine.
    #[schemars(with = "String")]
    pub machine: Shown,
}

/// Which cluster it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterEntry {
    /// The URL of the API server that was asked.
    #[schemars(with = "String")]
    pub server: Shown,
    /// Its version.
    #[schemars(with = "Option<String>")]
    pub version: Option<Shown>,
    /// The UID of the namespace kube-system: it stays the same for as long as the cluster lives. Null where it may not be
    /// read.
    #[schemars(with = "Option<String>")]
    pub uid: Option<Shown>,
    /// `sha256:` of the CA's certificate (DER) by which the kubeconfig knows the server; null where it names none.
    pub ca: Option<String>,
}

/// A host of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostEntry {
    /// Its name.
    #[schemars(with = "String")]
    pub name: Shown,
    /// Where its sshd is.
    #[schemars(with = "String")]
    pub address: Shown,
    /// What it does: `control-plane`, `etcd`, `worker`.
    pub roles: Vec<String>,
    /// The version of its kubelet, as its Node has it; null where there is none.
    #[schemars(with = "Option<String>")]
    pub kubelet: Option<Shown>,
    /// Its container runtime with its version, as its Node has it, for example `containerd://2.4.2`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub runtime: Option<Shown>,
    /// The release of its kernel, as its agent has it; null where it was not reached.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub kernel: Option<Shown>,
    /// Its system, for example `Debian GNU/Linux 12 (bookworm)`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub system: Option<Shown>,
    /// The number of its present life: another one after each start.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub boot: Option<Shown>,
    /// The name of its Node, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub node: Option<Shown>,
    /// How a person logs in to it; absent where the site file does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginEntry>,
}

/// How a person logs in to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginEntry {
    /// The command, quoted for a shell.
    #[schemars(with = "String")]
    pub command: Shown,
    /// Whether what needs root is run through sudo there.
    pub sudo: bool,
}

/// Which checks were asked for, by patterns over their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Only those that match one of these; empty: all.
    pub only: Vec<String>,
    /// Without those that match one of these.
    pub skip: Vec<String>,
    /// Whether only those were asked for that make nothing; absent: they were not.
    #[serde(default, rename = "readOnly", skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// How many results there are of each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// As it should be.
    pub pass: usize,
    /// Known, and somebody answers for it until a day; absent: none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub accepted: usize,
    /// Works, and deserves attention.
    pub warn: usize,
    /// Wrong.
    pub fail: usize,
    /// Could not be looked at.
    pub error: usize,
    /// Not looked at, with a reason.
    pub skip: usize,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultEntry {
    /// The check.
    pub id: String,
    /// The host; absent where the scope is the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub host: Option<Shown>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// What the check proves.
    pub summary: String,
    /// Why it is no pass: that of the worst finding, or the reason of a skip; null on a pass.
    pub cause: Option<CauseEntry>,
    /// What to do next; null on a pass.
    pub hint: Option<String>,
    /// All that was found, the worst first.
    pub findings: Vec<FindingEntry>,
    /// What a person can look at.
    pub evidence: Vec<EvidenceEntry>,
    /// How to redo it by hand, in a shell.
    #[serde(default, rename = "byHand", skip_serializing_if = "String::is_empty")]
    pub by_hand: String,
    /// How the host is laid out, in whose words the hints are; absent: a unit for each component.
    #[serde(default, skip_serializing_if = "is_usual")]
    #[schemars(with = "String")]
    pub layout: Distribution,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_usual(layout: &Distribution) -> bool {
    *layout == Distribution::default()
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingEntry {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, where the check looks at several: a file, a certificate, an image, a pod.
    #[schemars(with = "Option<String>")]
    pub subject: Option<Shown>,
    /// What it is.
    pub cause: CauseEntry,
    /// What to do next.
    pub hint: String,
    /// Who answers for it, where the site has accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<AcceptedEntry>,
}

/// That somebody answers for a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptedEntry {
    /// Why.
    #[schemars(with = "String")]
    pub reason: Shown,
    /// Who.
    #[schemars(with = "String")]
    pub by: Shown,
    /// The last day, UTC, the day itself included.
    pub until: String,
}

/// What the site file accepts, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptanceEntry {
    /// The check, the cause, or both.
    pub id: String,
    /// The host; absent: the result is the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub host: Option<Shown>,
    /// What it is about; absent: nothing in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub subject: Option<Shown>,
    /// Why.
    #[schemars(with = "String")]
    pub reason: Shown,
    /// Who answers for it.
    #[schemars(with = "String")]
    pub by: Shown,
    /// The last day, UTC, the day itself included.
    pub until: String,
    /// What became of it in this run.
    pub state: AcceptanceState,
}

/// What a run touched, and what of it its plan does not say (`run --plan`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TouchedEntry {
    /// The hosts that were connected.
    pub hosts: Vec<TouchedHost>,
    /// How often each thing was asked of the API, as permissions are written: `list pods`, `create deployments.apps`.
    pub api: BTreeMap<String, u64>,
    /// The objects that were made, as `RESOURCE NAMESPACE/NAME`.
    #[schemars(with = "Vec<String>")]
    pub made: Vec<Shown>,
    /// What was touched and not planned: a defect of the plan.
    #[schemars(with = "Vec<String>")]
    pub beyond: Vec<Shown>,
    /// What was planned and not touched.
    #[schemars(with = "Vec<String>")]
    pub unused: Vec<Shown>,
}

/// What a run touched on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TouchedHost {
    /// The host.
    #[schemars(with = "String")]
    pub name: Shown,
    /// Where the agent's program was, for the moment in which it started; null where none was brought.
    #[schemars(with = "Option<String>")]
    pub directory: Option<Shown>,
    /// The length of that program.
    pub program_bytes: u64,
    /// How many bytes of images were sent.
    pub loaded_bytes: u64,
    /// How often the agent was asked what.
    pub requests: BTreeMap<String, u64>,
}

/// What became of what the site file accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcceptanceState {
    /// It was found, and is accepted.
    Matched,
    /// Nothing of the kind was found.
    Unmatched,
    /// Nobody could look, or nobody was asked to.
    Unseen,
    /// Its day has passed: it counts for nothing.
    Expired,
}

/// Something that a person can look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceEntry {
    /// What it is.
    pub title: String,
    /// The text.
    pub text: String,
}

/// A cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseEntry {
    /// Its stable id.
    pub id: String,
    /// What it concerns, by name.
    #[schemars(with = "BTreeMap<String, String>")]
    pub args: BTreeMap<String, Shown>,
    /// The sentence. Not stable.
    pub text: String,
}
