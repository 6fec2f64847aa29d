//! What a check may ask: the site, the bundle, the agents, the API, the fixtures. The only way out for a check.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bundle::Index;
use cli::chain;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Expect;
use super::engine::Limits;
use super::fixtures::Fixtures;
use crate::carrier::ssh::ConnectError;
use crate::carrier::{Agent, Hosts, local};
use crate::cluster::{Cluster, ClusterError, Permission};
use crate::findings::{Cause, CauseId, Evidence, Outcome, Trouble};
use crate::protocol::{Ask, HttpProbe, HttpReply, Journal};
use crate::site::{Host, LOCAL, Site};

/// A container runtime that answers takes milliseconds.
const RUNTIME: Duration = Duration::from_secs(10);
/// What an agent may take beside the time of a probe itself.
const MARGIN: Duration = Duration::from_secs(5);

/// Whom a check judges this time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The host's name; absent where the scope is the cluster. A Node that the site file does not know stands here
    /// under its own name.
    pub host: Option<String>,
}

/// What the suite runs: of a bundle, or an image that is on the nodes already.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The bundle's index; absent: only an image was named.
    pub index: Option<Index>,
    /// The identity of the bundle; absent: only an image was named.
    pub identity: Option<bundle::Digest>,
    /// What stands below `manifests/smoke/`, by path.
    pub manifests: BTreeMap<String, Vec<u8>>,
    /// The image that was made last; absent where none says when it was.
    pub newest: Option<Created>,
}

/// When an image was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Created {
    /// When.
    pub created: Timestamp,
    /// The image's name.
    pub image: String,
}

/// What a [`Ctx`] is made of.
pub struct CtxParts {
    /// The run: the ending of its namespace.
    pub run: String,
    /// Who runs: `user@host`, for colleagues who find the namespace.
    pub holder: String,
    /// The site.
    pub site: Site,
    /// The bundle; absent: none was given.
    pub suite: Option<Suite>,
    /// The hosts, connected or not.
    pub hosts: Hosts,
    /// The API server.
    pub api: Result<Cluster, ClusterError>,
    /// How long things may take.
    pub limits: Limits,
    /// What the chosen checks ask of the API.
    pub permissions: BTreeSet<Permission>,
    /// Whether what the run makes is left there.
    pub keep: bool,
}

/// What a check may ask.
pub struct Ctx {
    /// The run: the ending of its namespace.
    pub run: String,
    /// The site.
    pub site: Site,
    /// The bundle; absent: none was given.
    pub suite: Option<Suite>,
    /// How long things may take.
    pub limits: Limits,
    /// What the chosen checks ask of the API.
    pub permissions: BTreeSet<Permission>,
    hosts: Hosts,
    api: Result<Cluster, ClusterError>,
    fixtures: Fixtures,
}

impl Ctx {
    /// Returns the context of a run. Nothing is asked or made yet.
    pub fn new(parts: CtxParts) -> Arc<Self> {
        Arc::new(Self {
            fixtures: Fixtures::new(parts.holder, parts.keep),
            run: parts.run,
            site: parts.site,
            suite: parts.suite,
            limits: parts.limits,
            permissions: parts.permissions,
            hosts: parts.hosts,
            api: parts.api,
        })
    }

    /// Returns the API server.
    pub fn api(&self) -> Result<&Cluster, Trouble> {
        self.api.as_ref().map_err(|error| Trouble::from(error.clone()))
    }

    /// Returns what several checks need.
    pub const fn fixtures(&self) -> &Fixtures {
        &self.fixtures
    }

    /// Returns the agent of a host, or why there is none in the host's own words.
    pub fn agent(&self, host: &str) -> Result<&Agent, Option<&ConnectError>> {
        match self.hosts.get(host) {
            Some(found) => found.map_err(Some),
            None => Err(None),
        }
    }

    /// Returns the host that a member names.
    pub fn host<'a>(&'a self, member: &Member) -> Result<&'a Host, Trouble> {
        let name = member.host.as_deref().unwrap_or_default();
        let missing = || Trouble::internal(&format!("{name:?} is no host of the site"));
        self.site.host(name).ok_or_else(missing)
    }

    /// Asks the agent of a host; the wait has the run's longest single wait as its deadline.
    pub async fn ask<A: Ask>(&self, host: &str, ask: A) -> Result<A::Reply, Trouble> {
        self.ask_within(host, ask, self.limits.timeout).await
    }

    /// Asks the agent of a host, with a deadline.
    pub async fn ask_within<A: Ask>(
        &self,
        host: &str,
        ask: A,
        deadline: Duration,
    ) -> Result<A::Reply, Trouble> {
        let agent = self.agent(host).map_err(|error| unreachable(host, error))?;
        agent.ask(ask, deadline).await.map_err(|error| {
            let cause = Cause::new(CauseId::AgentRefused)
                .with("host", host)
                .with("message", chain(&error));
            Trouble::error(cause)
        })
    }

    /// Asks the container runtime of a host, through its agent. A runtime that does not answer is named as such.
    pub async fn ask_runtime<A: Ask>(&self, host: &str, ask: A) -> Result<A::Reply, Trouble> {
        let deadline = RUNTIME.min(self.limits.timeout);
        self.ask_within(host, ask, deadline).await.map_err(|trouble| {
            match trouble
                .cause
                .args
                .get("message")
                .filter(|_| trouble.cause.id == CauseId::AgentRefused)
            {
                Some(message) => Trouble::error(Cause::new(CauseId::RuntimeSilent).with("message", message)),
                None => trouble,
            }
        })
    }

    /// Makes an HTTP request from a host, through its agent; from this machine where the place is [`LOCAL`].
    pub async fn probe_from(&self, place: &str, probe: HttpProbe) -> Result<HttpReply, Trouble> {
        if place == LOCAL {
            return local::probe(probe)
                .await
                .map_err(|error| Trouble::internal(&error));
        }
        let deadline = Duration::from_millis(probe.timeout_millis) + MARGIN;
        self.ask_within(place, probe, deadline).await
    }

    /// Returns the last lines of a unit's journal as evidence; none where they cannot be had.
    pub async fn journal(&self, host: &str, unit: &str) -> Option<Evidence> {
        let ask = Journal {
            unit: unit.to_owned(),
            lines: 20,
        };
        let lines = self.ask_within(host, ask, Duration::from_secs(5)).await.ok()?;
        Evidence::lines(format!("{unit} on {host}, last lines"), &lines)
    }

    /// Returns why a host's checks cannot look, or nothing where they can.
    pub fn reach(&self, host: &str) -> Result<(), Trouble> {
        self.agent(host)
            .map(|_| ())
            .map_err(|error| unreachable(host, error))
    }

    /// Returns what judges measure against.
    pub fn expect<'a>(&'a self, member: &Member) -> Expect<'a> {
        Expect {
            site: &self.site,
            index: self.suite.as_ref().and_then(|suite| suite.index.as_ref()),
            host: member.host.as_deref().and_then(|name| self.site.host(name)),
        }
    }
}

fn unreachable(host: &str, error: Option<&ConnectError>) -> Trouble {
    let reason = error.map_or_else(|| "no connection was tried".to_owned(), |error| chain(error));
    Trouble::error(
        Cause::new(CauseId::HostUnreachable)
            .with("host", host)
            .with("reason", reason),
    )
}

impl From<ClusterError> for Trouble {
    fn from(error: ClusterError) -> Self {
        Self {
            outcome: Outcome::Error,
            cause: cause_of(&error),
            evidence: Vec::new(),
        }
    }
}

/// Returns the cause of an error of the API.
pub(crate) fn cause_of(error: &ClusterError) -> Cause {
    match error {
        ClusterError::Kubeconfig { path, reason } => Cause::new(CauseId::KubeconfigBad)
            .with("path", path.display())
            .with("reason", reason),
        ClusterError::Client { server, reason } => Cause::new(CauseId::KubeconfigBad)
            .with("path", server)
            .with("reason", reason),
        ClusterError::Unreachable { server, reason, .. } => Cause::new(CauseId::ApiUnreachable)
            .with("server", server)
            .with("reason", reason),
        ClusterError::Certificate { server, reason, .. } => Cause::new(CauseId::ApiCertificate)
            .with("server", server)
            .with("reason", reason),
        ClusterError::NotKubernetes {
            operation,
            server,
            reason,
        } => Cause::new(CauseId::ApiNotKubernetes)
            .with("operation", operation)
            .with("server", server)
            .with("reason", reason),
        ClusterError::Late {
            operation,
            server,
            seconds,
        } => Cause::new(CauseId::ApiLate)
            .with("operation", operation)
            .with("server", server)
            .with("seconds", seconds),
        ClusterError::Refused {
            operation,
            code,
            reason,
            message,
        } => {
            let id = match code {
                401 => CauseId::ApiCredentials,
                403 if is_rbac(message) => CauseId::Forbidden,
                403 | 400 | 422 if is_admission(message) => CauseId::AdmissionRefused,
                403 => CauseId::Forbidden,
                _ => CauseId::ApiRefused,
            };
            let cause = Cause::new(id)
                .with("operation", operation)
                .with("message", message);
            match id {
                CauseId::Forbidden => {
                    cause.with("verbs", verbs(message).unwrap_or_else(|| operation.clone()))
                }
                CauseId::ApiRefused => cause.with("code", code).with("reason", reason),
                _ => cause,
            }
        }
    }
}

/// RBAC's own words, from `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go`.
fn is_rbac(message: &str) -> bool {
    message.contains(" cannot ")
}

/// The words of PodSecurity, quotas and webhooks.
pub(crate) fn is_admission(message: &str) -> bool {
    [
        "admission webhook",
        "violates PodSecurity",
        "exceeded quota",
        "failed quota",
        "ValidatingAdmissionPolicy",
        "LimitRange",
    ]
    .iter()
    .any(|words| message.contains(words))
        || message.contains("is forbidden: maximum")
        || message.contains("is forbidden: minimum")
}

/// Returns `create deployments.apps` from RBAC's sentence.
fn verbs(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(" cannot ")?;
    let (verb, rest) = rest.split_once(' ')?;
    let mut quoted = rest.split('"');
    let resource = quoted.nth(1)?;
    let group = rest
        .split_once("API group \"")
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or_default();
    Some(if group.is_empty() {
        format!("{verb} {resource}")
    } else {
        format!("{verb} {resource}.{group}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> Cause {
        cause_of(&ClusterError::Refused {
            operation: "create deployments nginx in verifier-x".to_owned(),
            code,
            reason: String::new(),
            message: message.to_owned(),
        })
    }

    #[test]
    fn a_refusal_of_rbac_names_the_verb() {
        let cause = refused(
            403,
            "deployments.apps is forbidden: User \"u\" cannot create resource \"deployments\" in API group \"apps\" in the namespace \"verifier-x\"",
        );
        assert_eq!(cause.id, CauseId::Forbidden);
        assert_eq!(cause.args["verbs"], "create deployments.apps");
        let cause = refused(
            403,
            "namespaces is forbidden: User \"u\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope",
        );
        assert_eq!(cause.args["verbs"], "list namespaces");
    }

    #[test]
    fn a_refusal_of_admission_keeps_the_policys_words() {
        let words = "pods \"nginx\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false";
        let cause = refused(403, words);
        assert_eq!(
            (cause.id, cause.args["message"].as_str()),
            (CauseId::AdmissionRefused, words)
        );
        assert_eq!(
            refused(
                403,
                "pods \"x\" is forbidden: exceeded quota: none, requested: pods=1"
            )
            .id,
            CauseId::AdmissionRefused
        );
        assert_eq!(refused(401, "Unauthorized").id, CauseId::ApiCredentials);
        assert_eq!(
            refused(500, "etcdserver: request timed out").id,
            CauseId::ApiRefused
        );
    }
}
