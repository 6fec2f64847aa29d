//! `api.ready`: the API server answers as Kubernetes does, is ready, and shows a certificate of the kubeconfig's CA.

use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterError, ReadyFacts};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope, cause_of};

pub(super) const CHECK: Check = Check::of::<ApiReady>(About {
    id: "api.ready",
    scope: Scope::Cluster,
    needs: &[],
    permissions: &[],
    summary: "the API server is ready, its certificate is of the kubeconfig's CA",
    explain: "Proves that /readyz of the API server says ok with every one of its checks, that /version names a \
version of Kubernetes, and that the certificate which the server shows chains to the CA in the kubeconfig and carries \
the name or address in use.\n\nUsual causes of failure, in order: kube-apiserver does not run; etcd does not answer, \
so that /readyz names it; the kubeconfig names another server or an old CA; its client certificate has expired; a \
proxy answers in its place.\n\nWhere to look: `journalctl -u kube-apiserver` and `-u etcd` on the control plane.",
    by_hand: "kubectl get --raw '/readyz?verbose'; kubectl version",
});

struct ApiReady;

#[derive(Serialize, Deserialize)]
enum Facts {
    Answered(ReadyFacts),
    Failed { cause: Cause },
}

impl Probe for ApiReady {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Trouble> {
        match ctx.api()?.ready().await {
            Ok(ready) => Ok(Facts::Answered(ready)),
            // We could not even look: our own file is at fault.
            Err(error @ (ClusterError::Kubeconfig { .. } | ClusterError::Client { .. })) => Err(error.into()),
            Err(error) => Ok(Facts::Failed {
                cause: cause_of(&error),
            }),
        }
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Verdict {
        let ready = match facts {
            Facts::Failed { cause } => return Verdict::of(vec![Finding::fail(cause.clone())]),
            Facts::Answered(ready) => ready,
        };
        let mut findings = Vec::new();
        let strange = |operation: &str, reason: String| {
            let cause = Cause::new(CauseId::ApiNotKubernetes).with("operation", operation);
            Finding::fail(cause.with("server", &ready.server).with("reason", reason))
        };
        let failed: Vec<&str> = ready
            .body
            .lines()
            .filter(|line| line.starts_with("[-]"))
            .collect();
        let says_ready = ready.body.trim_end().ends_with("check passed") || ready.body.trim() == "ok";
        if ready.status == 401 || ready.status == 403 {
            let cause = Cause::new(CauseId::ApiCredentials).with("operation", "get /readyz");
            findings.push(Finding::fail(
                cause.with("message", format!("status {}", ready.status)),
            ));
        } else if !failed.is_empty() || ready.status >= 500 {
            let failed = if failed.is_empty() {
                format!("status {}", ready.status)
            } else {
                failed.join(", ")
            };
            findings.push(Finding::fail(
                Cause::new(CauseId::ApiNotReady).with("failed", failed),
            ));
        } else if ready.status != 200 || !says_ready {
            let start: String = ready.body.chars().take(40).collect();
            findings.push(strange(
                "get /readyz",
                format!("status {}, {start:?}", ready.status),
            ));
        }
        if ready.version.as_deref().and_then(minor).is_none() {
            findings.push(strange("get /version", "no version of Kubernetes".to_owned()));
        }
        if !ready.verified {
            findings.push(Finding::warn(
                Cause::new(CauseId::ApiUnverified).with("server", &ready.server),
            ));
        }
        let version = ready.version.as_deref().unwrap_or("no version");
        let text = format!("{} {version}\n{}", ready.server, ready.body);
        Verdict::of(findings).with([Evidence::new("/readyz?verbose", text)])
    }
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
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;

    fn judge(status: u16, body: &str, version: Option<&str>, verified: bool) -> (Outcome, Option<CauseId>) {
        let facts = Facts::Answered(ReadyFacts {
            server: "https://server:6443".to_owned(),
            verified,
            status,
            body: body.to_owned(),
            version: version.map(str::to_owned),
            date: None,
        });
        seen(&ApiReady::judge(&facts, &expect(&site(), "")))
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
            (Outcome::Fail, Some(CauseId::ApiNotKubernetes))
        );
        assert_eq!(
            judge(404, "not found", Some("v1.37.2"), true),
            (Outcome::Fail, Some(CauseId::ApiNotKubernetes))
        );
    }

    #[test]
    fn a_server_that_does_not_answer_fails() {
        let cause = Cause::new(CauseId::ApiUnreachable)
            .with("server", "https://server:6443")
            .with("reason", "refused");
        let verdict = ApiReady::judge(&Facts::Failed { cause }, &expect(&site(), ""));
        assert_eq!(seen(&verdict), (Outcome::Fail, Some(CauseId::ApiUnreachable)));
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(
            (minor("v1.37.2"), minor("v1.30+"), minor("1.2.3"), minor("v2.1")),
            (Some(37), Some(30), None, None)
        );
    }
}
