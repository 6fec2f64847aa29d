//! `api.ready`: the API server answers as Kubernetes does, is ready, and shows a certificate of the kubeconfig's CA; every
//! server that serves this API is a host of the site file.

use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterError, Permission, ReadyFacts};
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, cause_of};

pub(super) const CHECK: Check = Check::of::<ApiReady>("api.ready", Scope::Cluster)
    .permissions(&[Permission::across("list", "discovery.k8s.io", "endpointslices")]);

struct ApiReady;

#[derive(Serialize, Deserialize)]
enum Facts {
    Answered(Answer),
    Failed { cause: Cause },
}

#[derive(Serialize, Deserialize)]
struct Answer {
    #[serde(flatten)]
    ready: ReadyFacts,
    /// The addresses at which API servers of this cluster say that they serve; absent where it was not asked.
    #[serde(default)]
    servers: Option<Result<Vec<String>, Cause>>,
}

impl Probe for ApiReady {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let api = ctx.api()?;
        match api.ready().await {
            Ok(ready) => Ok(Facts::Answered(Answer {
                ready,
                servers: Some(api.servers().await.map_err(|error| cause_of(&error))),
            })),
            // We could not even look: our own file is at fault.
            Err(
                error @ (ClusterError::Kubeconfig { .. }
                | ClusterError::Client { .. }
                | ClusterError::Ungathered { .. }),
            ) => Err(error.into()),
            Err(error) => Ok(Facts::Failed {
                cause: cause_of(&error),
            }),
        }
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let Answer { ready, servers } = match facts {
            Facts::Failed { cause } => return Ok(vec![Finding::fail(cause.clone())]),
            Facts::Answered(answer) => answer,
        };
        let server = &ready.server;
        let mut findings: Vec<Finding> = readiness(ready).into_iter().collect();
        findings.extend(version(ready));
        if !ready.verified {
            findings.push(Finding::warn(cause::ApiUnverified { server }));
        }
        // Where it is not ready, it may not know of itself yet.
        if findings.is_empty() {
            findings.extend(match servers {
                Some(Ok(servers)) => unlisted(&expect.site.unlisted_servers(servers)),
                Some(Err(cause)) => Some(Finding::error(cause.clone())),
                None => None,
            });
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let Facts::Answered(Answer { ready, .. }) = facts else {
            return Vec::new();
        };
        let version = ready.version.as_deref().unwrap_or_default();
        let text = format!("{} {version}\n{}", ready.server, ready.body);
        Evidence::text(phrase::Readyz, &text).into_iter().collect()
    }
}

/// Returns that nobody looked at API servers which serve too.
fn unlisted(servers: &[&str]) -> Option<Finding> {
    let addresses = &servers.join(", ");
    (!servers.is_empty()).then(|| Finding::warn(cause::ApiServerUnlisted { addresses }))
}

/// Returns what of an answer of `/readyz` says that the server is not ready; nothing where it says that it is.
pub(in crate::checks) fn unready(ready: &ReadyFacts) -> Option<String> {
    let (status, body) = (ready.status, ready.body.trim());
    let failed: Vec<&str> = failed(body).collect();
    if !failed.is_empty() {
        return Some(failed.join(", "));
    }
    let start: String = body.chars().take(40).collect();
    (status != 200 || !says_ready(body)).then(|| format!("{status} {start:?}"))
}

fn failed(body: &str) -> impl Iterator<Item = &str> {
    body.lines().filter(|line| line.starts_with("[-]"))
}

fn says_ready(body: &str) -> bool {
    body.ends_with("check passed") || body == "ok"
}

/// Returns what is wrong with the answer of `/readyz`.
fn readiness(ready: &ReadyFacts) -> Option<Finding> {
    let operation = &"get /readyz";
    let (status, body) = (&ready.status, ready.body.trim());
    let failed: Vec<&str> = failed(body).collect();
    let cause: Cause = if *status == 401 || *status == 403 {
        let message = status;
        cause::ApiCredentials { operation, message }.into()
    } else if !failed.is_empty() {
        let failed = &failed.join(", ");
        cause::ApiNotReady { failed }.into()
    } else if *status >= 500 {
        cause::ApiNotReady { failed: status }.into()
    } else if *status == 200 && says_ready(body) {
        return None;
    } else {
        let start: String = ready.body.chars().take(40).collect();
        cause::ApiNotKubernetes {
            operation,
            server: &ready.server,
            reason: &format!("{status} {start:?}"),
        }
        .into()
    };
    Some(Finding::fail(cause))
}

/// Returns what is wrong with the answer of `/version`.
fn version(ready: &ReadyFacts) -> Option<Finding> {
    let server = &ready.server;
    let cause: Cause = match ready.version.as_deref() {
        None => cause::ApiVersionUnknown { server }.into(),
        Some(found) if minor(found).is_some() => return None,
        Some(found) => cause::ApiNotKubernetes {
            operation: &"get /version",
            server,
            reason: &found,
        }
        .into(),
    };
    Some(Finding::fail(cause))
}

/// Returns the minor version of `v1.37.2`.
pub(in crate::checks) fn minor(version: &str) -> Option<u32> {
    let mut parts = version.strip_prefix('v')?.split('.');
    let major = parts.next()?.parse::<u32>().ok()?;
    let minor = parts.next()?.trim_end_matches('+').parse().ok()?;
    (major == 1).then_some(minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::site::{Host, Role, Site};

    fn answered(status: u16, body: &str, version: Option<&str>, verified: bool) -> Facts {
        Facts::Answered(Answer {
            ready: ReadyFacts {
                server: "https://server:6443".to_owned(),
                verified,
                status,
                body: body.to_owned(),
                version: version.map(str::to_owned),
                date: None,
            },
            servers: None,
        })
    }

    fn judge_of(servers: Result<&[&str], Cause>, hosts: &[&str]) -> (Outcome, Option<CauseId>) {
        let Facts::Answered(mut answer) = answered(200, "ok", Some("v1.37.2"), true) else {
            unreachable!()
        };
        answer.servers =
            Some(servers.map(|servers| servers.iter().map(|server| (*server).to_owned()).collect()));
        let planes = hosts
            .iter()
            .map(|host| Host::new(*host, *host, vec![Role::ControlPlane]));
        let site = Site {
            hosts: planes.collect(),
            ..Site::default()
        };
        judged::<ApiReady>(&Facts::Answered(answer), &expect(&site, ""))
    }

    #[test]
    fn a_server_that_no_host_is_was_not_looked_at() {
        let warns = (Outcome::Warn, Some(CauseId::ApiServerUnlisted));
        let passes = (Outcome::Pass, None);
        assert_eq!(judge_of(Ok(&["10.0.0.1", "10.0.0.2"]), &["10.0.0.1"]), warns);
        assert_eq!(
            judge_of(Ok(&["10.0.0.1", "10.0.0.2"]), &["10.0.0.1", "10.0.0.2"]),
            passes
        );
        // It announces another address of its own, or all announce one.
        assert_eq!(judge_of(Ok(&["192.168.0.1"]), &["10.0.0.1"]), passes);
        assert_eq!(judge_of(Ok(&["10.0.0.9"]), &["10.0.0.1", "10.0.0.2"]), passes);
        assert_eq!(
            judge_of(Ok(&["10.0.0.1", "10.0.0.9"]), &["10.0.0.1", "10.0.0.2"]),
            passes
        );
        // Somebody else's control plane.
        assert_eq!(judge_of(Ok(&["10.0.0.1", "10.0.0.2"]), &[]), passes);
        let refused = cause::ApiRefused {
            operation: &"list endpointslices in default",
            code: &403,
            reason: &"Forbidden",
            message: &"no",
        };
        assert_eq!(judge_of(Err(refused.into()), &["10.0.0.1"]).0, Outcome::Error);
    }

    fn judge(status: u16, body: &str, version: Option<&str>, verified: bool) -> (Outcome, Option<CauseId>) {
        let facts = answered(status, body, version, verified);
        judged::<ApiReady>(&facts, &expect(&site(), ""))
    }

    #[test]
    fn a_ready_server_passes() {
        let body = "[+]ping ok\n[+]etcd ok\nreadyz check passed\n";
        assert_eq!(judge(200, body, Some("v1.37.2"), true), (Outcome::Pass, None));
        assert_eq!(
            judge(200, "ok", Some("v1.20.0"), false),
            (Outcome::Warn, Some(CauseId::ApiUnverified))
        );
    }

    #[test]
    fn a_server_that_is_not_ready_fails_with_the_check_that_failed() {
        let body = "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n";
        assert_eq!(
            judge(500, body, Some("v1.37.2"), true),
            (Outcome::Fail, Some(CauseId::ApiNotReady))
        );
        assert_eq!(
            judge(401, "{}", None, true),
            (Outcome::Fail, Some(CauseId::ApiCredentials))
        );
    }

    #[test]
    fn a_server_that_answers_the_same_to_everything_fails() {
        assert_eq!(
            judge(200, "{}", None, true),
            (Outcome::Fail, Some(CauseId::ApiNotKubernetes))
        );
        assert_eq!(
            judge(200, "ok", None, true),
            (Outcome::Fail, Some(CauseId::ApiVersionUnknown))
        );
        assert_eq!(
            judge(200, "ok", Some("2.1"), true),
            (Outcome::Fail, Some(CauseId::ApiNotKubernetes))
        );
        assert_eq!(
            judge(404, "not found", Some("v1.37.2"), true),
            (Outcome::Fail, Some(CauseId::ApiNotKubernetes))
        );
    }

    #[test]
    fn a_server_that_does_not_answer_fails() {
        let cause = cause::ApiUnreachable {
            server: &"https://server:6443",
            reason: &"refused",
        }
        .into();
        assert_eq!(
            judged::<ApiReady>(&Facts::Failed { cause }, &expect(&site(), "")),
            (Outcome::Fail, Some(CauseId::ApiUnreachable))
        );
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(
            (minor("v1.37.2"), minor("v1.30+"), minor("1.2.3"), minor("v2.1")),
            (Some(37), Some(30), None, None)
        );
    }
}
