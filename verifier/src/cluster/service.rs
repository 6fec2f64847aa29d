//! The suite's Service and its endpoints.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Endpoints, Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};

use super::{Cluster, ClusterError, Manifest, RunNamespace, name};

/// A Service of the suite, as the API server made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its cluster IP.
    pub cluster_ip: IpAddr,
    /// The port of its cluster IP.
    pub port: u16,
    /// The port that every node serves it on.
    pub node_port: u16,
    /// The port of its cluster IP that takes datagrams; absent in what older bundlers made.
    #[serde(default)]
    pub udp_port: Option<u16>,
}

/// An address that a Service leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EndpointFacts {
    /// The address.
    pub address: String,
    /// The pod behind it, where the endpoint names one.
    pub pod: Option<String>,
    /// Whether it takes connections.
    pub ready: bool,
}

impl ServiceFacts {
    /// Returns `namespace/name`, as kube-proxy's comments have it.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Cluster {
    /// Creates a Service of type `NodePort`.
    pub async fn make_service(
        &self,
        namespace: &RunNamespace,
        run: &str,
        manifest: Manifest,
    ) -> Result<ServiceFacts, ClusterError> {
        let made = self.make::<Service>("services", namespace, run, manifest).await?;
        let name = made.metadata.name.clone().unwrap_or_default();
        let operation = format!("create services {name} in {}", namespace.name);
        service(namespace, made).ok_or_else(|| {
            self.strange(
                &operation,
                "the Service has no cluster IP, no port or no node port",
            )
        })
    }

    /// Returns the addresses that a Service leads to, sorted.
    pub async fn endpoints(
        &self,
        namespace: &RunNamespace,
        service: &str,
    ) -> Result<Vec<EndpointFacts>, ClusterError> {
        self.addresses(&namespace.name, service).await
    }

    /// Returns the addresses that a Service of any namespace leads to, sorted.
    pub(super) async fn addresses(
        &self,
        namespace: &str,
        service: &str,
    ) -> Result<Vec<EndpointFacts>, ClusterError> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let of = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let operation = format!("list endpointslices in {namespace}");
        let mut endpoints: Vec<EndpointFacts> = match self.list(&operation, &api, of, of_slice).await {
            Ok(slices) => slices.into_iter().flatten().collect(),
            // Before Kubernetes 1.21 there is no discovery.k8s.io/v1.
            Err(error) if error.is_not_found() => self.old_endpoints(namespace, service).await?,
            Err(error) => return Err(error),
        };
        let mut pods = endpoints.iter().filter_map(|endpoint| endpoint.pod.as_deref());
        if let Some(fault) = pods.find_map(|pod| name::subdomain("Pod", pod)) {
            return Err(self.strange(&operation, &fault));
        }
        endpoints.sort();
        endpoints.dedup();
        Ok(endpoints)
    }

    async fn old_endpoints(
        &self,
        namespace: &str,
        service: &str,
    ) -> Result<Vec<EndpointFacts>, ClusterError> {
        let api: Api<Endpoints> = Api::namespaced(self.client.clone(), namespace);
        let operation = format!("get endpoints {service} in {namespace}");
        let found = self.ask(&operation, api.get_opt(service)).await?;
        let subsets = found.and_then(|found| found.subsets).unwrap_or_default();
        let endpoints = subsets.into_iter().flat_map(|subset| {
            let ready = subset.addresses.unwrap_or_default().into_iter();
            let not = subset.not_ready_addresses.unwrap_or_default().into_iter();
            ready
                .map(|address| (address, true))
                .chain(not.map(|address| (address, false)))
                .map(|(address, ready)| EndpointFacts {
                    address: address.ip,
                    pod: address.target_ref.and_then(|target| target.name),
                    ready,
                })
                .collect::<Vec<_>>()
        });
        Ok(endpoints.collect())
    }
}

fn service(namespace: &RunNamespace, made: Service) -> Option<ServiceFacts> {
    let spec = made.spec?;
    let ports = spec.ports?;
    let is_udp = |port: &&ServicePort| port.protocol.as_deref() == Some("UDP");
    let udp = ports.iter().find(is_udp);
    let port = ports.iter().find(|port| !is_udp(port))?;
    Some(ServiceFacts {
        namespace: namespace.name.clone(),
        name: made.metadata.name?,
        cluster_ip: spec.cluster_ip?.parse().ok()?,
        port: port.port.try_into().ok()?,
        node_port: port.node_port?.try_into().ok()?,
        udp_port: udp.and_then(|udp| udp.port.try_into().ok()),
    })
}

fn of_slice(slice: EndpointSlice) -> Vec<EndpointFacts> {
    let endpoints = slice.endpoints.into_iter().flatten().flat_map(|endpoint| {
        let conditions = endpoint.conditions.unwrap_or_default();
        // Nothing said means ready (discovery.k8s.io/v1, EndpointConditions).
        let ready = conditions.ready.unwrap_or(true);
        let target = endpoint
            .target_ref
            .filter(|target| target.kind.as_deref() == Some("Pod"));
        let pod = target.and_then(|target| target.name);
        endpoint
            .addresses
            .into_iter()
            .map(|address| EndpointFacts {
                address,
                pod: pod.clone(),
                ready,
            })
            .collect::<Vec<_>>()
    });
    endpoints.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slice_without_conditions_is_ready_and_one_that_ends_is_not() {
        let slice = json!({"metadata": {"name": "nginx-x"}, "addressType": "IPv4", "endpoints": [
            {"addresses": ["10.200.0.2"], "targetRef": {"kind": "Pod", "name": "a"}},
            {"addresses": ["10.200.1.2"], "conditions": {"ready": false, "terminating": true}},
        ]});
        let endpoints = of_slice(serde_json::from_value(slice).unwrap());
        assert_eq!(
            (endpoints[0].pod.as_deref(), endpoints[0].ready),
            (Some("a"), true)
        );
        assert_eq!((endpoints[1].pod.as_deref(), endpoints[1].ready), (None, false));
    }

    #[test]
    fn a_service_needs_its_cluster_ip_and_its_node_port() {
        let namespace = RunNamespace {
            guest: None,
            name: "verifier-x".to_owned(),
            uid: String::new(),
        };
        let object = |ip: &str| {
            let udp = json!({"port": 7, "protocol": "UDP", "nodePort": 30444});
            let ports = json!([udp, {"port": 80, "protocol": "TCP", "nodePort": 30443}]);
            serde_json::from_value(
                json!({"metadata": {"name": "nginx"}, "spec": {"clusterIP": ip, "ports": ports}}),
            )
            .unwrap()
        };
        let made = service(&namespace, object("10.32.0.7")).unwrap();
        assert_eq!((made.node_port, made.udp_port), (30443, Some(7)));
        assert_eq!(service(&namespace, object("None")), None);
    }
}
