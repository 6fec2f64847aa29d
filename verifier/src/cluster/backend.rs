//! What stands behind a Service that the API server calls.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Api;
use serde::{Deserialize, Serialize};

use super::{Cluster, ClusterError, EndpointFacts, name};

/// How many Services are asked for at once.
const AT_ONCE: usize = 8;
/// So many of the endpoints of one are looked at.
const ENDPOINTS: usize = 8;

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

/// A port of a Service, looked at.
pub(super) struct Behind {
    /// What stands there.
    pub backend: Backend,
    /// Where it is called: at the Service's own address, or, where it has none, at those of its endpoints that are ready.
    pub at: Vec<SocketAddr>,
}

impl Cluster {
    /// Looks behind each port of a Service once.
    pub(super) async fn behind(
        &self,
        services: impl Iterator<Item = &ServicePort>,
    ) -> Result<BTreeMap<ServicePort, Behind>, ClusterError> {
        let services: BTreeSet<ServicePort> = services.cloned().collect();
        let looks = services.into_iter().map(|service| async move {
            let behind = self.look_behind(&service).await?;
            Ok((service, behind))
        });
        let looks = futures::stream::iter(looks).buffer_unordered(AT_ONCE);
        let found: Vec<Result<_, ClusterError>> = looks.collect().await;
        found.into_iter().collect()
    }

    async fn look_behind(&self, of: &ServicePort) -> Result<Behind, ClusterError> {
        let operation = format!("get services {} in {}", of.name, of.namespace);
        let faults = [
            name::label("namespace", &of.namespace),
            name::subdomain("Service", &of.name),
        ];
        if let Some(fault) = faults.into_iter().flatten().next() {
            return Err(self.strange("list webhooks", &fault));
        }
        let nobody = |backend| Behind {
            backend,
            at: Vec::new(),
        };
        let api: Api<Service> = Api::namespaced(self.client.clone(), &of.namespace);
        let Some(found) = self.ask(&operation, api.get_opt(&of.name)).await? else {
            return Ok(nobody(Backend::Missing));
        };
        let spec = found.spec.unwrap_or_default();
        if spec.type_.as_deref() == Some("ExternalName") {
            return Ok(nobody(Backend::Outside));
        }
        let ports: Vec<i32> = spec.ports.iter().flatten().map(|port| port.port).collect();
        if !ports.contains(&of.port) {
            return Ok(nobody(Backend::OtherPorts(ports)));
        }
        let mut ready = self.addresses(&of.namespace, &of.name).await?;
        ready.retain(|endpoint| endpoint.ready);
        Ok(Behind {
            backend: Backend::Ready(ready.len()),
            at: places(&spec, of.port, &ready),
        })
    }
}

/// Returns where a port of a Service is called. Without an address of its own its endpoints are; what a pod calls its port
/// only the pod says.
fn places(spec: &ServiceSpec, port: i32, ready: &[EndpointFacts]) -> Vec<SocketAddr> {
    let to = |ip: &str, port: i32| Some(SocketAddr::new(ip.parse().ok()?, u16::try_from(port).ok()?));
    if let Some(at) = spec.cluster_ip.as_deref().and_then(|ip| to(ip, port)) {
        return vec![at];
    }
    let mut ports = spec.ports.iter().flatten();
    let target = match ports
        .find(|one| one.port == port)
        .and_then(|one| one.target_port.as_ref())
    {
        Some(IntOrString::Int(target)) => *target,
        Some(IntOrString::String(_)) => return Vec::new(),
        None => port,
    };
    let at = ready.iter().filter_map(|endpoint| to(&endpoint.address, target));
    at.take(ENDPOINTS).collect()
}
