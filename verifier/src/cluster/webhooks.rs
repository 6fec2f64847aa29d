//! Webhooks of admission: what they call, and whether anybody is there.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};
use x509_parser::pem::Pem;

use super::{Cluster, ClusterError, name};

/// More webhooks than these are not looked at.
const LIMIT: usize = 1000;
/// How many Services are asked for at once.
const AT_ONCE: usize = 8;
/// The most certificates that are read of a bundle.
const CERTIFICATES: usize = 64;

/// A webhook that is called for some requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookFacts {
    /// `ValidatingWebhookConfiguration` or `MutatingWebhookConfiguration`.
    pub kind: String,
    /// The configuration that it stands in.
    pub configuration: String,
    /// Its name.
    pub name: String,
    /// Whether requests fail when it does not answer (`failurePolicy: Fail`).
    pub fails: bool,
    /// Whom it calls; absent for one that is called by URL, where nobody here can look.
    pub service: Option<ServicePort>,
    /// What stands behind that; absent: nothing was to be looked at.
    pub backend: Option<Backend>,
    /// The authority that its certificate must be of.
    pub authority: Authority,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServicePort {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The port.
    pub port: i32,
}

/// What stands behind a port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// There is no such Service.
    Missing,
    /// The Service has other ports.
    OtherPorts(Vec<i32>),
    /// The Service is another name for something outside.
    Outside,
    /// So many ready endpoints.
    Ready(usize),
}

/// The certificates of a `caBundle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authority {
    /// None is named: the API server's own roots count.
    Absent,
    /// No certificate can be read.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// The one that is good the longest.
    Good {
        /// From when on.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
}

impl Cluster {
    /// Returns the webhooks of admission that are called for anything, and the time by the API server's clock.
    pub async fn webhooks(&self) -> Result<(Vec<WebhookFacts>, Timestamp), ClusterError> {
        self.kept("webhooks", self.webhooks_now()).await
    }

    async fn webhooks_now(&self) -> Result<(Vec<WebhookFacts>, Timestamp), ClusterError> {
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let mutating: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let all = ListParams::default;
        let (validating, mutating, now) = futures::try_join!(
            self.list(
                "list validatingwebhookconfigurations",
                &validating,
                all(),
                of_validating
            ),
            self.list(
                "list mutatingwebhookconfigurations",
                &mutating,
                all(),
                of_mutating
            ),
            self.now(),
        )?;
        let mut webhooks: Vec<WebhookFacts> = validating.into_iter().chain(mutating).flatten().collect();
        if webhooks.len() > LIMIT {
            return Err(self.strange("list webhooks", &format!("more than {LIMIT} webhooks")));
        }
        let backends = self.backends(&webhooks).await?;
        for webhook in &mut webhooks {
            webhook.backend = webhook
                .service
                .as_ref()
                .and_then(|service| backends.get(service).cloned());
        }
        Ok((webhooks, now))
    }

    /// Looks behind each Service once.
    async fn backends(
        &self,
        webhooks: &[WebhookFacts],
    ) -> Result<BTreeMap<ServicePort, Backend>, ClusterError> {
        let services = webhooks.iter().filter_map(|webhook| webhook.service.clone());
        let services: std::collections::BTreeSet<ServicePort> = services.collect();
        let looks = services.into_iter().map(|service| async move {
            let backend = self.backend(&service).await?;
            Ok((service, backend))
        });
        let looks = futures::stream::iter(looks).buffer_unordered(AT_ONCE);
        let found: Vec<Result<_, ClusterError>> = looks.collect().await;
        found.into_iter().collect()
    }

    async fn backend(&self, of: &ServicePort) -> Result<Backend, ClusterError> {
        let operation = format!("get services {} in {}", of.name, of.namespace);
        let faults = [
            name::label("namespace", &of.namespace),
            name::subdomain("Service", &of.name),
        ];
        if let Some(fault) = faults.into_iter().flatten().next() {
            return Err(self.strange("list webhooks", &fault));
        }
        let api: Api<Service> = Api::namespaced(self.client.clone(), &of.namespace);
        let Some(found) = self.ask(&operation, api.get_opt(&of.name)).await? else {
            return Ok(Backend::Missing);
        };
        let spec = found.spec.unwrap_or_default();
        if spec.type_.as_deref() == Some("ExternalName") {
            return Ok(Backend::Outside);
        }
        let ports: Vec<i32> = spec.ports.iter().flatten().map(|port| port.port).collect();
        if !ports.contains(&of.port) {
            return Ok(Backend::OtherPorts(ports));
        }
        let endpoints = self.addresses(&of.namespace, &of.name).await?;
        Ok(Backend::Ready(
            endpoints.iter().filter(|endpoint| endpoint.ready).count(),
        ))
    }
}

/// What both kinds have in common.
struct Webhook {
    name: String,
    policy: Option<String>,
    has_rules: bool,
    client: WebhookClientConfig,
}

fn of_validating(object: ValidatingWebhookConfiguration) -> Vec<WebhookFacts> {
    let webhooks = object.webhooks.into_iter().flatten().map(|webhook| Webhook {
        name: webhook.name,
        policy: webhook.failure_policy,
        has_rules: webhook.rules.is_some_and(|rules| !rules.is_empty()),
        client: webhook.client_config,
    });
    facts("ValidatingWebhookConfiguration", object.metadata.name, webhooks)
}

fn of_mutating(object: MutatingWebhookConfiguration) -> Vec<WebhookFacts> {
    let webhooks = object.webhooks.into_iter().flatten().map(|webhook| Webhook {
        name: webhook.name,
        policy: webhook.failure_policy,
        has_rules: webhook.rules.is_some_and(|rules| !rules.is_empty()),
        client: webhook.client_config,
    });
    facts("MutatingWebhookConfiguration", object.metadata.name, webhooks)
}

/// Returns those that are called for anything: one without rules never is.
fn facts(
    kind: &str,
    configuration: Option<String>,
    webhooks: impl Iterator<Item = Webhook>,
) -> Vec<WebhookFacts> {
    let configuration = configuration.unwrap_or_default();
    let called = webhooks.filter(|webhook| webhook.has_rules);
    let facts = called.map(|webhook| WebhookFacts {
        kind: kind.to_owned(),
        configuration: configuration.clone(),
        name: webhook.name,
        // Nothing said means Fail (admissionregistration.k8s.io/v1).
        fails: webhook.policy.as_deref() != Some("Ignore"),
        service: webhook.client.service.map(|service| ServicePort {
            namespace: service.namespace,
            name: service.name,
            port: service.port.unwrap_or(443),
        }),
        backend: None,
        authority: authority(webhook.client.ca_bundle.as_ref()),
    });
    facts.collect()
}

fn authority(bundle: Option<&ByteString>) -> Authority {
    let Some(ByteString(bytes)) = bundle.filter(|bundle| !bundle.0.is_empty()) else {
        return Authority::Absent;
    };
    let mut longest: Option<(Timestamp, Timestamp)> = None;
    let mut fault = None;
    for pem in Pem::iter_from_buffer(bytes).take(CERTIFICATES) {
        match pem.map_err(|error| error.to_string()).and_then(|pem| dates(&pem)) {
            Ok(dates) if longest.is_none_or(|longest| longest.1 < dates.1) => longest = Some(dates),
            Ok(_) => {}
            Err(error) => fault = Some(error),
        }
    }
    match longest {
        Some((from, until)) => Authority::Good { from, until },
        None => Authority::Unreadable {
            reason: fault.unwrap_or_else(|| "no certificate in PEM".to_owned()),
        },
    }
}

/// Returns from when and until when a certificate is good.
fn dates(pem: &Pem) -> Result<(Timestamp, Timestamp), String> {
    let certificate = pem.parse_x509().map_err(|error| error.to_string())?;
    let validity = certificate.validity();
    let time = |seconds: i64| Timestamp::from_second(seconds).map_err(|error| error.to_string());
    Ok((
        time(validity.not_before.timestamp())?,
        time(validity.not_after.timestamp())?,
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn certificate(until: i32) -> String {
        let mut params = rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    fn authority_of(text: &str) -> Authority {
        authority(Some(&ByteString(text.as_bytes().to_vec())))
    }

    fn read(webhook: &Value) -> Vec<WebhookFacts> {
        let object = json!({"metadata": {"name": "policy"}, "webhooks": [webhook]});
        of_validating(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn of_several_authorities_the_one_counts_that_is_good_the_longest() {
        let Authority::Good { until, .. } = authority_of(&(certificate(2021) + &certificate(2031))) else {
            panic!("not read");
        };
        assert_eq!(until.to_string(), "2031-01-01T00:00:00Z");
    }

    #[test]
    fn a_bundle_that_is_no_certificate_is_unreadable_and_an_empty_one_is_absent() {
        assert_eq!(authority(None), Authority::Absent);
        assert_eq!(authority_of(""), Authority::Absent);
        let key = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in ["Cg==", key] {
            assert!(matches!(authority_of(bad), Authority::Unreadable { .. }), "{bad}");
        }
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
        assert_eq!(read(&webhook("Fail".into(), json!([]))), []);
    }
}
