//! Whom the API server calls over TLS: webhooks of admission, and the servers behind APIServices. Who must have signed what they
//! show, by which name it is called, and where they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Api;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};

use super::resource::resource;
use super::{Cluster, ClusterError, ServicePort, name};
use crate::certs::{Found, of_pem};
use crate::protocol::Der;

/// More of them no API server calls.
const LIMIT: usize = 500;
/// How many Services are asked for at once.
const AT_ONCE: usize = 8;
/// So many of the endpoints of one are looked at.
const ENDPOINTS: usize = 8;

/// A server that the API server calls over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalleeFacts {
    /// What names it, for example `APIService/v1beta1.metrics.k8s.io`; a webhook's with its configuration.
    pub subject: String,
    /// The Service.
    pub service: ServicePort,
    /// The certificates of its `caBundle`.
    pub authorities: Vec<Der>,
    /// Whether the API server takes any certificate of it.
    pub unverified: bool,
    /// Where it stands.
    pub endpoints: Vec<SocketAddr>,
}

impl CalleeFacts {
    /// Returns the name that its certificate must have.
    pub fn host_name(&self) -> String {
        format!("{}.{}.svc", self.service.name, self.service.namespace)
    }
}

/// An APIService, as far as it is read.
#[derive(Deserialize)]
struct Aggregated {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
}

resource!(
    Aggregated,
    ClusterResourceScope,
    "apiregistration.k8s.io",
    "APIService",
    "apiservices"
);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    service: Option<Named>,
    ca_bundle: String,
    #[serde(rename = "insecureSkipTLSVerify")]
    unverified: bool,
}

#[derive(Deserialize)]
struct Named {
    namespace: String,
    name: String,
    #[serde(default)]
    port: Option<i32>,
}

impl Cluster {
    /// Returns whom the API server calls over TLS, by Services.
    pub async fn callees(&self) -> Result<Vec<CalleeFacts>, ClusterError> {
        self.kept("callees", self.callees_now()).await
    }

    async fn callees_now(&self) -> Result<Vec<CalleeFacts>, ClusterError> {
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let mutating: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let aggregated: Api<Aggregated> = Api::all(self.client.clone());
        let all = ListParams::default;
        let operations = [
            "list validatingwebhookconfigurations",
            "list mutatingwebhookconfigurations",
            "list apiservices",
        ];
        let (validating, mutating, aggregated) = futures::try_join!(
            self.list(operations[0], &validating, all(), of_validating),
            self.list(operations[1], &mutating, all(), of_mutating),
            self.list(operations[2], &aggregated, all(), of_aggregated),
        )?;
        let found = validating.into_iter().chain(mutating).flatten();
        let mut callees: Vec<CalleeFacts> = found.chain(aggregated.into_iter().flatten()).collect();
        if callees.len() > LIMIT {
            return Err(self.strange(
                "list webhooks",
                &format!("more than {LIMIT} webhooks and APIServices"),
            ));
        }
        let services: BTreeSet<ServicePort> = callees.iter().map(|callee| callee.service.clone()).collect();
        let asked = services.into_iter().map(|service| async move {
            let endpoints = self.behind(&service).await?;
            Ok::<_, ClusterError>((service, endpoints))
        });
        let asked = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
        let asked: Vec<Result<_, ClusterError>> = asked.collect().await;
        let endpoints: BTreeMap<ServicePort, Vec<SocketAddr>> =
            asked.into_iter().collect::<Result<_, _>>()?;
        for callee in &mut callees {
            callee.endpoints = endpoints.get(&callee.service).cloned().unwrap_or_default();
        }
        Ok(callees)
    }

    /// Returns where a port of a Service leads; none where there is no such Service or port, or nobody is ready.
    async fn behind(&self, of: &ServicePort) -> Result<Vec<SocketAddr>, ClusterError> {
        let faults = [
            name::label("namespace", &of.namespace),
            name::subdomain("Service", &of.name),
        ];
        if let Some(fault) = faults.into_iter().flatten().next() {
            return Err(self.strange("list webhooks", &fault));
        }
        let operation = format!("get services {} in {}", of.name, of.namespace);
        let api: Api<Service> = Api::namespaced(self.client.clone(), &of.namespace);
        let Some(found) = self.ask(&operation, api.get_opt(&of.name)).await? else {
            return Ok(Vec::new());
        };
        let spec = found.spec.unwrap_or_default();
        let Some(port) = spec.ports.into_iter().flatten().find(|port| port.port == of.port) else {
            return Ok(Vec::new());
        };
        let to = |ip: &str, port: i32| Some(SocketAddr::new(ip.parse().ok()?, u16::try_from(port).ok()?));
        if let Some(at) = spec.cluster_ip.and_then(|ip| to(&ip, port.port)) {
            return Ok(vec![at]);
        }
        // Without an address of its own its pods are called. What a pod calls its port only the pod says.
        let target = match port.target_port {
            Some(IntOrString::Int(target)) => target,
            Some(IntOrString::String(_)) => return Ok(Vec::new()),
            None => port.port,
        };
        let found = self.addresses(&of.namespace, &of.name).await?;
        let ready = found.iter().filter(|endpoint| endpoint.ready);
        let at = ready.filter_map(|endpoint| to(&endpoint.address, target));
        Ok(at.take(ENDPOINTS).collect())
    }
}

fn of_validating(object: ValidatingWebhookConfiguration) -> Vec<CalleeFacts> {
    let name = object.metadata.name.unwrap_or_default();
    let webhooks = object.webhooks.into_iter().flatten();
    let found = webhooks.filter_map(|webhook| {
        let subject = format!("ValidatingWebhookConfiguration/{name}/{}", webhook.name);
        webhook.rules.filter(|rules| !rules.is_empty())?;
        callee(subject, webhook.client_config)
    });
    found.collect()
}

fn of_mutating(object: MutatingWebhookConfiguration) -> Vec<CalleeFacts> {
    let name = object.metadata.name.unwrap_or_default();
    let webhooks = object.webhooks.into_iter().flatten();
    let found = webhooks.filter_map(|webhook| {
        let subject = format!("MutatingWebhookConfiguration/{name}/{}", webhook.name);
        webhook.rules.filter(|rules| !rules.is_empty())?;
        callee(subject, webhook.client_config)
    });
    found.collect()
}

/// Returns whom a webhook calls by a Service; one that is called by URL nobody here can look at.
fn callee(subject: String, client: WebhookClientConfig) -> Option<CalleeFacts> {
    let service = client.service?;
    Some(CalleeFacts {
        subject,
        service: ServicePort {
            namespace: service.namespace,
            name: service.name,
            port: service.port.unwrap_or(443),
        },
        authorities: certificates(&client.ca_bundle.unwrap_or_default().0),
        unverified: false,
        endpoints: Vec::new(),
    })
}

fn of_aggregated(object: Aggregated) -> Option<CalleeFacts> {
    let service = object.spec.service?;
    Some(CalleeFacts {
        subject: format!("APIService/{}", object.metadata.name.unwrap_or_default()),
        service: ServicePort {
            namespace: service.namespace,
            name: service.name,
            port: service.port.unwrap_or(443),
        },
        authorities: certificates(&STANDARD.decode(object.spec.ca_bundle).unwrap_or_default()),
        unverified: object.spec.unverified,
        endpoints: Vec::new(),
    })
}

fn certificates(pem: &[u8]) -> Vec<Der> {
    let found = of_pem(pem, true).into_iter().filter_map(|found| match found {
        Found::Certificate(der) => Some(Der {
            der: STANDARD.encode(der),
        }),
        Found::Item(_) => None,
    });
    found.collect()
}
