//! The API as pods see it (`InClusterConfig` of client-go): the address of the Service `kubernetes`, the CA that is given to
//! every namespace, and a token of a service account.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hyper::Request;
use kube::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Cluster, ClusterError, Detour, RunNamespace, Target};

/// How long the controllers may take to give a new namespace its service account and its CA.
const GIVEN: Duration = Duration::from_secs(8);
const POLL: Duration = Duration::from_millis(250);
/// The shortest life that a token may have.
const SECONDS: u32 = 600;

/// What a pod is told of the API.
#[derive(Clone)]
pub struct InCluster {
    /// The address of the Service `kubernetes`, as `KUBERNETES_SERVICE_HOST` and `_PORT` have it.
    pub service: SocketAddr,
    /// Where the Service leads: the API servers as they announce themselves.
    pub endpoints: Vec<SocketAddr>,
    /// The certificates of `kube-root-ca.crt`; none: the namespace was not given it.
    pub authorities: Vec<Vec<u8>>,
    /// A token of the service account `default`; absent: the namespace was given none.
    token: Option<SecretString>,
}

impl InCluster {
    /// Returns whether there is a service account whose token a pod could show.
    pub const fn has_token(&self) -> bool {
        self.token.is_some()
    }
}

impl Cluster {
    /// Returns what the pods of a namespace are told.
    pub async fn in_cluster(&self, namespace: &RunNamespace) -> Result<InCluster, ClusterError> {
        let (service, endpoints, authorities, token) = futures::try_join!(
            self.kubernetes_service(),
            self.kubernetes_endpoints(),
            self.root_authorities(namespace),
            self.pod_token(namespace),
        )?;
        Ok(InCluster {
            service,
            endpoints,
            authorities,
            token,
        })
    }

    /// Returns the API as a pod asks it: at the Service's address, with the pod's CA and token and nothing of the
    /// kubeconfig's, by a way of its own.
    pub fn as_pod(&self, told: &InCluster, detour: Detour) -> Result<Self, ClusterError> {
        let server = format!("https://{}", told.service);
        let url = server.parse().map_err(|_| ClusterError::Client {
            server: server.clone(),
            reason: "it is no URL".to_owned(),
        })?;
        let mut config = Config::new(url);
        config.root_cert = Some(told.authorities.clone());
        config.auth_info.token.clone_from(&told.token);
        config.default_retry = false;
        config.proxy_url = None;
        let asked = self.asked.clone();
        let target = Target {
            config,
            server,
            asked,
        };
        target.open(Some(detour))
    }

    /// Returns with which HTTP status `/version` is answered.
    pub async fn version_status(&self) -> Result<u16, ClusterError> {
        let (status, _, _) = self.raw("get /version", "/version").await?;
        Ok(status)
    }

    async fn kubernetes_service(&self) -> Result<SocketAddr, ClusterError> {
        let operation = "get services kubernetes in default";
        let path = "/api/v1/namespaces/default/services/kubernetes";
        let service = self.value(operation, path).await?;
        let address = service["spec"]["clusterIP"].as_str();
        let address: Option<IpAddr> = address.and_then(|address| address.parse().ok());
        let ports = service["spec"]["ports"].as_array();
        let port = ports.and_then(|ports| port(ports.first()?));
        match address.zip(port) {
            Some((address, port)) => Ok(SocketAddr::new(address, port)),
            None => Err(self.strange(operation, "it has no address")),
        }
    }

    async fn kubernetes_endpoints(&self) -> Result<Vec<SocketAddr>, ClusterError> {
        let operation = "list endpointslices in default";
        let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices\
                    ?labelSelector=kubernetes.io/service-name%3Dkubernetes";
        let list = self.value(operation, path).await?;
        let mut endpoints: Vec<SocketAddr> = items(&list["items"]).flat_map(of_slice).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        Ok(endpoints)
    }

    async fn root_authorities(&self, namespace: &RunNamespace) -> Result<Vec<Vec<u8>>, ClusterError> {
        let name = &namespace.name;
        let operation = format!("get configmaps kube-root-ca.crt in {name}");
        let path = format!("/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt");
        let map = given(|| self.value(&operation, &path)).await?;
        let pem = map.as_ref().and_then(|map| map["data"]["ca.crt"].as_str());
        let found = CertificateDer::pem_slice_iter(pem.unwrap_or_default().as_bytes());
        Ok(found.flatten().map(|der| der.to_vec()).collect())
    }

    async fn pod_token(&self, namespace: &RunNamespace) -> Result<Option<SecretString>, ClusterError> {
        let name = &namespace.name;
        let operation = format!("create serviceaccounts/token default in {name}");
        let path = format!("/api/v1/namespaces/{name}/serviceaccounts/default/token");
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": SECONDS},
        });
        let ask = || async {
            let request = Request::post(&path)
                .header("content-type", "application/json")
                .body(body.to_string().into_bytes());
            self.object(&operation, request).await
        };
        let made = given(ask).await?;
        let token = made.as_ref().and_then(|made| made["status"]["token"].as_str());
        Ok(token.map(SecretString::from))
    }

    /// Reads an object of the API as it is.
    async fn value(&self, operation: &str, path: &str) -> Result<Value, ClusterError> {
        self.object(operation, Request::get(path).body(Vec::new())).await
    }

    async fn object(
        &self,
        operation: &str,
        request: hyper::http::Result<Request<Vec<u8>>>,
    ) -> Result<Value, ClusterError> {
        let request = request.map_err(|error| ClusterError::Client {
            server: self.server().to_owned(),
            reason: error.to_string(),
        })?;
        self.ask(operation, self.client.request(request)).await
    }
}

/// Asks until it is there; `None` where it does not come.
async fn given<F>(ask: impl Fn() -> F) -> Result<Option<Value>, ClusterError>
where
    F: Future<Output = Result<Value, ClusterError>>,
{
    let since = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_not_found() && since.elapsed() < GIVEN => tokio::time::sleep(POLL).await,
            Err(error) if error.is_not_found() => return Ok(None),
            asked => return asked.map(Some),
        }
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn port(of: &Value) -> Option<u16> {
    of["port"].as_u64().and_then(|port| u16::try_from(port).ok())
}

/// Returns the addresses of a slice that are ready, with its port.
fn of_slice(slice: &Value) -> Vec<SocketAddr> {
    let Some(port) = items(&slice["ports"]).find_map(port) else {
        return Vec::new();
    };
    let ready = items(&slice["endpoints"]).filter(|endpoint| endpoint["conditions"]["ready"] != json!(false));
    let addresses = ready.flat_map(|endpoint| items(&endpoint["addresses"]));
    let addresses = addresses.filter_map(|address| address.as_str()?.parse().ok());
    addresses
        .map(|address: IpAddr| SocketAddr::new(address, port))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_leads_to_its_ready_addresses_at_its_port() {
        let slice = json!({
            "ports": [{"name": "https", "port": 6443}],
            "endpoints": [
                {"addresses": ["192.168.10.100"], "conditions": {"ready": true}},
                {"addresses": ["192.168.10.98"], "conditions": {"ready": false}},
                {"addresses": ["fd00::1"], "conditions": {}},
            ],
        });
        let found: Vec<String> = of_slice(&slice).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.168.10.100:6443", "[fd00::1]:6443"]);
        assert!(of_slice(&json!({"endpoints": [{"addresses": ["192.0.2.1"]}]})).is_empty());
    }
}
