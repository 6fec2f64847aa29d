//! From an error of the API to its cause. Pure.

use crate::cluster::ClusterError;
use crate::findings::{Cause, Unjudged, cause};

impl From<ClusterError> for Unjudged {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Ungathered { .. } => Self::Skip(cause_of(&error)),
            error => Self::Error(cause_of(&error)),
        }
    }
}

/// Returns the cause of an error of the API.
pub(crate) fn cause_of(error: &ClusterError) -> Cause {
    match error {
        ClusterError::Kubeconfig { path, reason } => cause::KubeconfigBad {
            path: &path.display(),
            reason,
        }
        .into(),
        ClusterError::Client { server, reason } => cause::KubeconfigBad { path: server, reason }.into(),
        ClusterError::Unreachable { server, reason, .. } => cause::ApiUnreachable { server, reason }.into(),
        ClusterError::Certificate { server, reason, .. } => cause::ApiCertificate { server, reason }.into(),
        ClusterError::NotKubernetes {
            operation,
            server,
            reason,
        } => cause::ApiNotKubernetes {
            operation,
            server,
            reason,
        }
        .into(),
        ClusterError::Late {
            operation,
            server,
            seconds,
        } => cause::ApiTimeout {
            operation,
            server,
            seconds,
        }
        .into(),
        ClusterError::Ungathered { operation } => cause::ApiNotGathered { operation }.into(),
        ClusterError::Refused {
            operation,
            code,
            reason,
            message,
        } => refused(operation, *code, reason, message),
    }
}

fn refused(operation: &str, code: u16, reason: &str, message: &str) -> Cause {
    if let Some(webhook) = dead_webhook(message) {
        return cause::WebhookDead {
            webhook: &webhook,
            operation: &operation,
            message: &message,
        }
        .into();
    }
    match code {
        401 => cause::ApiCredentials {
            operation: &operation,
            message: &message,
        }
        .into(),
        403 | 400 | 422 if !is_rbac(message) && is_admission(message) => cause::AdmissionRefused {
            operation: &operation,
            message: &message,
        }
        .into(),
        403 => cause::Forbidden {
            operation: &operation,
            verbs: &verbs(message).unwrap_or_else(|| operation.to_owned()),
            message: &message,
        }
        .into(),
        _ => cause::ApiRefused {
            operation: &operation,
            code: &code,
            reason: &reason,
            message: &message,
        }
        .into(),
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

/// Returns the webhook that did not answer, from the API server's sentence: `failed calling webhook "NAME": …`
/// (k8s.io/apiserver, pkg/admission/plugin/webhook).
pub(crate) fn dead_webhook(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("failed calling webhook \"")?;
    rest.split('"').next()
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
    use crate::findings::CauseId;

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
        assert_eq!(cause.id(), CauseId::Forbidden);
        assert_eq!(cause.args()["verbs"], "create deployments.apps");
        let cause = refused(
            403,
            "namespaces is forbidden: User \"u\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope",
        );
        assert_eq!(cause.args()["verbs"], "list namespaces");
    }

    #[test]
    fn a_webhook_that_does_not_answer_is_named_and_is_no_refusal() {
        let words = "Internal error occurred: failed calling webhook \"validate.kyverno.svc-fail\": failed to call webhook: \
            Post \"https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s\": service \"kyverno-svc\" not found";
        let cause = refused(500, words);
        assert_eq!(cause.id(), CauseId::WebhookDead);
        assert_eq!(cause.args()["webhook"], "validate.kyverno.svc-fail");
        let denied = "admission webhook \"validate.kyverno.svc-fail\" denied the request: no";
        assert_eq!(refused(403, denied).id(), CauseId::AdmissionRefused);
    }

    #[test]
    fn a_refusal_of_admission_keeps_the_policys_words() {
        let words = "pods \"nginx\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false";
        let cause = refused(403, words);
        assert_eq!(
            (cause.id(), cause.args()["message"].as_str()),
            (CauseId::AdmissionRefused, words)
        );
        assert_eq!(
            refused(
                403,
                "pods \"x\" is forbidden: exceeded quota: none, requested: pods=1"
            )
            .id(),
            CauseId::AdmissionRefused
        );
        assert_eq!(refused(401, "Unauthorized").id(), CauseId::ApiCredentials);
        assert_eq!(
            refused(500, "etcdserver: request timed out").id(),
            CauseId::ApiRefused
        );
    }
}
