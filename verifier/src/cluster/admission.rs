//! The configurations of admission webhooks, as far as others ask about them: each webhook that is called for anything, once.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;

use super::backend::ServicePort;
use super::{Cluster, ClusterError};

/// More webhooks than these are not looked at.
const LIMIT: usize = 1000;

/// A webhook that is called for some requests.
#[derive(Serialize)]
pub(super) struct Webhook {
    /// `ValidatingWebhookConfiguration` or `MutatingWebhookConfiguration`.
    pub kind: &'static str,
    /// The configuration that it stands in.
    pub configuration: String,
    /// Its name.
    pub name: String,
    /// Whether requests fail when it does not answer (`failurePolicy: Fail`).
    pub fails: bool,
    /// Whom it calls; absent for one that is called by URL, where nobody here can look.
    pub service: Option<ServicePort>,
    /// Its `caBundle`, as PEM; empty where it names none.
    pub authorities: Vec<u8>,
}

impl Cluster {
    /// Returns the webhooks of admission that are called for anything.
    pub(super) async fn admission(&self) -> Result<Vec<Webhook>, ClusterError> {
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let mutating: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let all = ListParams::default;
        let operations = [
            "list validatingwebhookconfigurations",
            "list mutatingwebhookconfigurations",
        ];
        let (validating, mutating) = futures::try_join!(
            self.list(operations[0], &validating, all(), of_validating),
            self.list(operations[1], &mutating, all(), of_mutating),
        )?;
        let webhooks: Vec<Webhook> = validating.into_iter().chain(mutating).flatten().collect();
        if webhooks.len() > LIMIT {
            return Err(self.strange("list webhooks", &format!("more than {LIMIT} webhooks")));
        }
        Ok(webhooks)
    }
}

/// What both kinds say of a webhook.
struct Said {
    name: String,
    policy: Option<String>,
    has_rules: bool,
    client: WebhookClientConfig,
}

fn of_validating(object: ValidatingWebhookConfiguration) -> Vec<Webhook> {
    let webhooks = object.webhooks.into_iter().flatten().map(|webhook| Said {
        name: webhook.name,
        policy: webhook.failure_policy,
        has_rules: webhook.rules.is_some_and(|rules| !rules.is_empty()),
        client: webhook.client_config,
    });
    called("ValidatingWebhookConfiguration", object.metadata.name, webhooks)
}

fn of_mutating(object: MutatingWebhookConfiguration) -> Vec<Webhook> {
    let webhooks = object.webhooks.into_iter().flatten().map(|webhook| Said {
        name: webhook.name,
        policy: webhook.failure_policy,
        has_rules: webhook.rules.is_some_and(|rules| !rules.is_empty()),
        client: webhook.client_config,
    });
    called("MutatingWebhookConfiguration", object.metadata.name, webhooks)
}

/// Returns those that are called for anything: one without rules never is.
fn called(
    kind: &'static str,
    configuration: Option<String>,
    webhooks: impl Iterator<Item = Said>,
) -> Vec<Webhook> {
    let configuration = configuration.unwrap_or_default();
    let called = webhooks.filter(|webhook| webhook.has_rules);
    let called = called.map(|webhook| Webhook {
        kind,
        configuration: configuration.clone(),
        name: webhook.name,
        // Nothing said means Fail (admissionregistration.k8s.io/v1).
        fails: webhook.policy.as_deref() != Some("Ignore"),
        service: webhook.client.service.map(|service| ServicePort {
            namespace: service.namespace,
            name: service.name,
            port: service.port.unwrap_or(443),
        }),
        authorities: webhook
            .client
            .ca_bundle
            .map(|bundle| bundle.0)
            .unwrap_or_default(),
    });
    called.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(webhook: &Value) -> Vec<Webhook> {
        let object = json!({"metadata": {"name": "policy"}, "webhooks": [webhook]});
        of_validating(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_webhook_fails_unless_it_says_otherwise_and_one_without_rules_is_never_called() {
        let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]);
        let webhook = |policy: Value, rules: Value| {
            json!({"name": "a.b.c", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": policy,
                "rules": rules, "clientConfig": {"service": {"namespace": "n", "name": "s"}}})
        };
        let found = read(&webhook(Value::Null, rules.clone()));
        assert!(found[0].fails);
        assert_eq!(found[0].service.as_ref().map(|service| service.port), Some(443));
        assert!(!read(&webhook("Ignore".into(), rules))[0].fails);
        assert!(read(&webhook("Fail".into(), json!([]))).is_empty());
    }
}
