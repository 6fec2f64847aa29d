//! The Kubernetes API, as far as the checks ask it. The only home of kube and k8s_openapi: what leaves it are values
//! of our own. Every request has a deadline; nothing here judges or prints.

mod addons;
mod admission;
mod asked;
mod backend;
mod callees;
mod detour;
mod dns;
mod error;
mod extensions;
mod facts;
mod images;
mod in_cluster;
mod kept;
mod kubeconfig;
mod lease;
mod limits;
mod list;
mod made;
mod manifest;
mod name;
mod namespace;
mod objects;
mod permission;
mod policies;
mod read;
mod resource;
mod service;
mod signs;
mod socket;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
mod tls_secrets;
mod volumes;
mod webhooks;
mod workload;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bundle::Digest;
use kube::{Client, Config};

use kept::Kept;
use list::Shared;

pub use addons::{AddonFacts, Owner, PodTrouble, Trouble, Waiting, WorkloadFacts, YOUNG};
pub use backend::{Backend, ServicePort};
pub use callees::CalleeFacts;
pub use detour::Detour;
pub use dns::{DnsEndpoint, DnsFacts, DnsServiceFacts};
pub use error::ClusterError;
pub use extensions::{ExtensionFacts, ExtensionTrouble};
pub use facts::{
    ConditionFacts, ContainerFacts, DeploymentFacts, EventFacts, Identity, LeaderFacts, LeaseFacts,
    NodeFacts, PodFacts, ReadyFacts, TaintFacts,
};
pub use images::{NamingFacts, Placing, Requirement, Term, Toleration};
pub use in_cluster::InCluster;
pub use lease::{Sign, Swept};
pub use manifest::{Manifest, ManifestError};
pub use namespace::{Existing, LABEL, MANAGER, RunNamespace};
pub use permission::Permission;
pub use service::{EndpointFacts, ServiceFacts};
pub use signs::LeftRun;
pub use streams::{Executed, Forwarded};
pub use tls_secrets::{SecretKey, TlsSecretFacts};
pub use volumes::{CLAIM, ClaimFacts, ClassFacts};
pub use webhooks::{Authority, WebhookFacts};
pub use workload::{COMPONENT, MadeSecret, PULLS};

/// No single request waits longer than this.
const REQUEST: Duration = Duration::from_secs(15);

/// An API server with the credentials of a kubeconfig.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    server: String,
    verified: bool,
    authority: Option<String>,
    /// What the client was made of, for clients of the same credentials elsewhere.
    config: Arc<Config>,
    lists: Arc<Lists>,
    /// The labels that the site puts on all that is made.
    marks: Arc<BTreeMap<String, String>>,
    made: made::Record,
    asked: asked::Asked,
    /// Where what it says is kept, or comes from.
    kept: Option<Kept>,
}

/// What many checks ask for.
#[derive(Default)]
struct Lists {
    nodes: Shared<Vec<NodeFacts>>,
    node_leases: Shared<BTreeMap<String, LeaseFacts>>,
    leaders: Shared<BTreeMap<String, LeaderFacts>>,
}

/// Where the API server of a kubeconfig is.
#[derive(Clone, Debug)]
pub struct Target {
    config: Config,
    server: String,
    asked: asked::Asked,
}

impl Target {
    /// Reads a kubeconfig, its current context. Proxies of the environment are ignored.
    pub async fn read(path: &Path) -> Result<Self, ClusterError> {
        let mut config = kubeconfig::read(path).await?;
        config.connect_timeout = Some(REQUEST / 3);
        config.default_retry = false;
        let server = server_of(&config);
        Ok(Self {
            config,
            server,
            asked: asked::Asked::default(),
        })
    }

    /// Returns the URL of the API server as it is shown: without a login in it.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns `host:port` of the API server, as the kubeconfig has it.
    pub fn address(&self) -> String {
        let url = &self.config.cluster_url;
        let port = url
            .port_u16()
            .unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
        format!("{}:{port}", url.host().unwrap_or_default())
    }

    /// Returns the API server, reached straight or by a detour. Nothing is sent yet.
    pub fn open(self, detour: Option<Detour>) -> Result<Cluster, ClusterError> {
        let verified =
            !self.config.accept_invalid_certs && self.config.cluster_url.scheme_str() == Some("https");
        let authority = self
            .config
            .root_cert
            .as_ref()
            .and_then(|certificates| certificates.first());
        let authority = authority.map(|der| Digest::of(der).to_string());
        let config = Arc::new(self.config.clone());
        let client = kubeconfig::client(self.config, detour, self.asked.clone()).map_err(|reason| {
            ClusterError::Client {
                server: self.server.clone(),
                reason,
            }
        })?;
        Ok(Cluster {
            client,
            server: self.server,
            verified,
            authority,
            config,
            lists: Arc::default(),
            marks: Arc::default(),
            made: made::Record::default(),
            asked: self.asked,
            kept: None,
        })
    }
}

/// Returns the URL of the server as it is shown: without a login in it.
fn server_of(config: &Config) -> String {
    let url = &config.cluster_url;
    let text = url.to_string();
    let text = text.trim_end_matches('/');
    match (text.split_once("://"), url.authority()) {
        (Some((scheme, rest)), Some(authority)) => {
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            let path = rest.strip_prefix(authority.as_str()).unwrap_or_default();
            let path = path.split('?').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        _ => text.to_owned(),
    }
}

impl Cluster {
    /// Returns the URL of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns the API server of a host, one of those behind this one, with the same credentials and CA, by a way of its own.
    /// Its certificate must be good for `name`; absent: for the name that the kubeconfig has.
    pub fn at(
        &self,
        (host, server): (&str, &str),
        name: Option<&str>,
        detour: Detour,
    ) -> Result<Self, ClusterError> {
        let mut config = Config::clone(&self.config);
        if let Some(name) = name {
            config.tls_server_name = Some(name.to_owned());
        }
        let server = server.to_owned();
        let asked = self.asked.clone();
        let target = Target {
            config,
            server,
            asked,
        };
        Ok(Self {
            marks: Arc::clone(&self.marks),
            made: self.made.clone(),
            kept: self.kept.as_ref().map(|kept| kept.at(host, name)),
            verified: self.verified,
            ..target.open(Some(detour))?
        })
    }

    /// Lets nothing through from now on that makes, changes or removes anything.
    pub fn only_read(&self) {
        self.asked.only_read();
    }

    /// Returns how often each thing was asked, as permissions are written.
    pub fn asked(&self) -> BTreeMap<String, u64> {
        self.asked.counts()
    }

    /// Puts these labels on all that is made.
    #[must_use]
    pub fn marked(mut self, marks: BTreeMap<String, String>) -> Self {
        self.marks = Arc::new(marks);
        self
    }

    /// Returns whether the server's certificate is checked against the kubeconfig's CA.
    pub const fn verified(&self) -> bool {
        self.verified
    }

    /// Returns `sha256:` of the CA's certificate by which the kubeconfig knows the server; none where it names none.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Waits for a request, no longer than [`REQUEST`], and names the operation in its error.
    async fn ask<T>(
        &self,
        operation: &str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ClusterError> {
        let request = async {
            let answer = request.await;
            answer.map_err(|error| ClusterError::of(operation, &self.server, &error))
        };
        self.in_time(operation, request).await
    }

    /// Waits for an answer, no longer than [`REQUEST`].
    async fn in_time<T>(
        &self,
        operation: &str,
        answer: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        if self.is_told() {
            return Err(ClusterError::Ungathered {
                operation: operation.to_owned(),
            });
        }
        match tokio::time::timeout(REQUEST, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(ClusterError::Late {
                operation: operation.to_owned(),
                server: self.server.clone(),
                seconds: REQUEST.as_secs(),
            }),
        }
    }
}
