//! Whom the API server calls over TLS: webhooks of admission, and the servers behind APIServices. Who must have signed what they
//! show, by which name it is called, and where they stand.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};

use super::admission::Webhook;
use super::backend::ServicePort;
use super::resource::resource;
use super::{Cluster, ClusterError};
use crate::certs::{Found, of_pem};
use crate::protocol::Der;

/// More of them no API server calls.
const LIMIT: usize = 500;

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
        let aggregated: Api<Aggregated> = Api::all(self.client.clone());
        let aggregated = self.list(
            "list apiservices",
            &aggregated,
            ListParams::default(),
            of_aggregated,
        );
        let (webhooks, aggregated) = futures::try_join!(self.admission(), aggregated)?;
        let webhooks = webhooks.into_iter().filter_map(of_webhook);
        let mut callees: Vec<CalleeFacts> = webhooks.chain(aggregated.into_iter().flatten()).collect();
        if callees.len() > LIMIT {
            return Err(self.strange(
                "list webhooks",
                &format!("more than {LIMIT} webhooks and APIServices"),
            ));
        }
        let behind = self.behind(callees.iter().map(|callee| &callee.service)).await?;
        for callee in &mut callees {
            callee.endpoints = behind
                .get(&callee.service)
                .map_or_else(Vec::new, |behind| behind.at.clone());
        }
        Ok(callees)
    }
}

/// Returns whom a webhook calls by a Service; one that is called by URL nobody here can look at.
fn of_webhook(webhook: Webhook) -> Option<CalleeFacts> {
    Some(CalleeFacts {
        subject: format!("{}/{}/{}", webhook.kind, webhook.configuration, webhook.name),
        service: webhook.service?,
        authorities: certificates(&webhook.authorities),
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
