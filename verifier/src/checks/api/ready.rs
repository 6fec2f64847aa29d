//! `api.ready`: the API server answers as Kubernetes does, is ready, and shows a certificate of the kubeconfig's CA.

use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterError, ReadyFacts};
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, cause_of};

pub(super) const CHECK: Check = Check::of::<ApiReady>("api.ready", Scope::Cluster);

struct ApiReady;

#[derive(Serialize, Deserialize)]
enum Facts {
    Answered(ReadyFacts),
    Failed { cause: Cause },
}

impl Probe for ApiReady {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        match ctx.api()?.ready().await {
            Ok(ready) => Ok(Facts::Answered(ready)),
            // We could not even look: our own file is at fault.
            Err(error @ (ClusterError::Kubeconfig { .. } | ClusterError::Client { .. })) => Err(error.into()),
            Err(error) => Ok(Facts::Failed {
                cause: cause_of(&error),
            }),
        }
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let ready = match facts {
            Facts::Failed { cause } => return Ok(vec![Finding::fail(cause.clone())]),
            Facts::Answered(ready) => ready,
        };
        let server = &ready.server;
        let mut findings: Vec<Finding> = readiness(ready).into_iter().collect();
        findings.extend(version(ready));
        if !ready.verified {
            findings.push(Finding::warn(cause::ApiUnverified { server }));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let Facts::Answered(ready) = facts else {
            return Vec::new();
        };
        let version = ready.version.as_deref().unwrap_or_default();
        let text = format!("{} {version}\n{}", ready.server, ready.body);
        Evidence::text(phrase::Readyz, &text).into_iter().collect()
    }
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

    fn judge(status: u16, body: &str, version: Option<&str>, verified: bool) -> (Outcome, Option<CauseId>) {
        let facts = Facts::Answered(ReadyFacts {
            server: "https://server:6443".to_owned(),
            verified,
            status,
            body: body.to_owned(),
            version: version.map(str::to_owned),
            date: None,
        });
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
