//! The cluster's own DNS: its Service, and the pods behind it.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};

use super::{Cluster, ClusterError, name};

/// Where DNS is asked for (RFC 1035, 4.2).
const PORT: i32 = 53;
/// More endpoints than these are no DNS that anybody runs.
const ENDPOINTS: usize = 10_000;

/// What the API says of DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsFacts {
    /// The Services that serve DNS over UDP, of all namespaces.
    pub services: Vec<DnsServiceFacts>,
    /// The addresses of the Service `kubernetes`: what its name must mean.
    pub kubernetes: Vec<IpAddr>,
}

/// A Service that serves DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsServiceFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it says of itself that it is the cluster's: by its name, or its label `k8s-app`.
    pub said: bool,
    /// Its addresses; none where it has no address of its own.
    pub addresses: Vec<IpAddr>,
    /// The name of its port for UDP.
    pub udp: String,
    /// The name of its port for TCP; absent: it serves none.
    pub tcp: Option<String>,
}

/// What a Service of DNS leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DnsEndpoint {
    /// The pod, or the address where no pod is named.
    pub pod: String,
    /// Its address.
    pub address: IpAddr,
    /// The Node that it is on.
    pub node: Option<String>,
    /// Where it is asked over UDP.
    pub udp: Option<u16>,
    /// Where it is asked over TCP.
    pub tcp: Option<u16>,
}

impl DnsServiceFacts {
    /// Returns `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Cluster {
    /// Returns which Services serve DNS.
    pub async fn dns(&self) -> Result<DnsFacts, ClusterError> {
        let api: Api<Service> = Api::all(self.client.clone());
        let services = self
            .list("list services", &api, ListParams::default(), of_service)
            .await?;
        let mut facts = DnsFacts::default();
        for found in services.into_iter().flatten() {
            match *found {
                Found::Kubernetes(addresses) => facts.kubernetes = addresses,
                Found::Dns(service) => facts.services.push(service),
            }
        }
        facts.services.sort_by_key(DnsServiceFacts::full_name);
        Ok(facts)
    }

    /// Returns the ready endpoints of a Service of DNS, by pod.
    pub async fn dns_endpoints(&self, of: &DnsServiceFacts) -> Result<Vec<DnsEndpoint>, ClusterError> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &of.namespace);
        let label = format!("kubernetes.io/service-name={}", of.name);
        let slices = ListParams::default().labels(&label);
        let operation = format!("list endpointslices in {}", of.namespace);
        let found = self
            .list(&operation, &api, slices, |slice| of_slice(slice, of))
            .await?;
        let mut endpoints: Vec<DnsEndpoint> = found.into_iter().flatten().collect();
        if endpoints.len() > ENDPOINTS {
            return Err(self.strange(&operation, &format!("more than {ENDPOINTS} endpoints")));
        }
        let named = |endpoint: &DnsEndpoint| {
            let node = endpoint.node.as_deref();
            let node = node.and_then(|node| name::subdomain("Node", node));
            node.or_else(|| name::subdomain("Pod", &endpoint.pod).filter(|_| !endpoint.is_unnamed()))
        };
        if let Some(fault) = endpoints.iter().find_map(named) {
            return Err(self.strange(&operation, &fault));
        }
        endpoints.sort();
        endpoints.dedup();
        Ok(endpoints)
    }
}

impl DnsEndpoint {
    /// Returns whether no pod is named.
    fn is_unnamed(&self) -> bool {
        self.pod == self.address.to_string()
    }
}

/// What is kept of a Service.
#[derive(Serialize)]
enum Found {
    Kubernetes(Vec<IpAddr>),
    Dns(DnsServiceFacts),
}

// Boxed: hardly any Service is one of these.
fn of_service(service: Service) -> Option<Box<Found>> {
    let spec = service.spec?;
    let (namespace, name) = (service.metadata.namespace?, service.metadata.name?);
    if (namespace.as_str(), name.as_str()) == ("default", "kubernetes") {
        return Some(Box::new(Found::Kubernetes(addresses(&spec))));
    }
    let port = |protocol: &str| {
        let mut ports = spec.ports.iter().flatten();
        ports.find(|port| port.port == PORT && is_of(port, protocol))
    };
    let named = |port: &ServicePort| port.name.clone().unwrap_or_default();
    let udp = named(port("UDP")?);
    let labels = service.metadata.labels.unwrap_or_default();
    let app = labels.get("k8s-app").map(String::as_str);
    Some(Box::new(Found::Dns(DnsServiceFacts {
        said: name == "kube-dns" || matches!(app, Some("kube-dns" | "coredns")),
        addresses: addresses(&spec),
        tcp: port("TCP").map(named),
        udp,
        namespace,
        name,
    })))
}

/// Nothing said means TCP (core/v1, `ServicePort`).
fn is_of(port: &ServicePort, protocol: &str) -> bool {
    port.protocol.as_deref().unwrap_or("TCP") == protocol
}

/// A headless one has `None` in the place of an address.
fn addresses(spec: &ServiceSpec) -> Vec<IpAddr> {
    let all = spec.cluster_ips.iter().flatten();
    let mut all: Vec<IpAddr> = all.filter_map(|address| address.parse().ok()).collect();
    if all.is_empty() {
        all.extend(
            spec.cluster_ip
                .iter()
                .filter_map(|address| address.parse::<IpAddr>().ok()),
        );
    }
    all
}

fn of_slice(slice: EndpointSlice, of: &DnsServiceFacts) -> Vec<DnsEndpoint> {
    let ports = slice.ports.unwrap_or_default();
    let port = |name: &str, protocol: &str| {
        let mut all = ports.iter();
        let port = all.find(|port| {
            port.name.as_deref().unwrap_or_default() == name
                && port.protocol.as_deref().unwrap_or("TCP") == protocol
        })?;
        u16::try_from(port.port?).ok()
    };
    let (udp, tcp) = (
        port(&of.udp, "UDP"),
        of.tcp.as_deref().and_then(|name| port(name, "TCP")),
    );
    let endpoints = slice.endpoints.into_iter().flatten().filter(|endpoint| {
        let ready = endpoint
            .conditions
            .as_ref()
            .and_then(|conditions| conditions.ready);
        ready.unwrap_or(true)
    });
    let endpoints = endpoints.filter_map(|endpoint| {
        let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
        let target = endpoint
            .target_ref
            .filter(|target| target.kind.as_deref() == Some("Pod"));
        let pod = target.and_then(|target| target.name);
        Some(DnsEndpoint {
            pod: pod.unwrap_or_else(|| address.to_string()),
            address,
            node: endpoint.node_name,
            udp,
            tcp,
        })
    });
    endpoints.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(object: Value) -> Option<Found> {
        of_service(serde_json::from_value(object).unwrap()).map(|found| *found)
    }

    fn dns(name: &str, labels: &Value, spec: &Value) -> Option<DnsServiceFacts> {
        let meta = json!({"namespace": "kube-system", "name": name, "labels": labels});
        match found(json!({"metadata": meta, "spec": spec}))? {
            Found::Dns(service) => Some(service),
            Found::Kubernetes(_) => None,
        }
    }

    #[test]
    fn a_service_of_dns_is_known_by_its_port_and_says_itself_whether_it_is_the_cluster_s() {
        let ports = json!([{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}]);
        let spec = json!({"clusterIPs": ["10.43.0.10", "fd00::a"], "ports": ports});
        let rke2 = dns(
            "rke2-coredns-rke2-coredns",
            &json!({"k8s-app": "kube-dns"}),
            &spec,
        )
        .unwrap();
        assert!(rke2.said && rke2.tcp.as_deref() == Some("dns-tcp"));
        assert_eq!(rke2.addresses.len(), 2);
        // OpenShift's is known by what pods are told.
        assert!(!dns("dns-default", &json!({}), &spec).unwrap().said);
        let headless = json!({"clusterIP": "None", "ports": ports});
        assert!(
            dns("kube-dns", &json!({}), &headless)
                .unwrap()
                .addresses
                .is_empty()
        );
        let web = json!({"clusterIP": "10.32.0.7", "ports": [{"port": 53}]});
        assert_eq!(dns("web", &json!({}), &web), None);
    }

    #[test]
    fn endpoints_have_the_ports_of_their_slice_and_only_ready_ones_count() {
        let service = DnsServiceFacts {
            namespace: "openshift-dns".to_owned(),
            name: "dns-default".to_owned(),
            said: false,
            addresses: Vec::new(),
            udp: "dns".to_owned(),
            tcp: Some("dns-tcp".to_owned()),
        };
        let slice = json!({"metadata": {}, "addressType": "IPv4",
        "ports": [{"name": "dns", "port": 5353, "protocol": "UDP"}, {"name": "dns-tcp", "port": 5353, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": ["10.128.0.5"], "nodeName": "a", "targetRef": {"kind": "Pod", "name": "dns-x"}},
            {"addresses": ["10.128.2.5"], "conditions": {"ready": false}},
            {"addresses": ["10.128.4.5"], "conditions": {"ready": true}},
        ]});
        let endpoints = of_slice(serde_json::from_value(slice).unwrap(), &service);
        let pods: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.pod.as_str()).collect();
        assert_eq!(pods, ["dns-x", "10.128.4.5"]);
        assert_eq!((endpoints[0].udp, endpoints[0].tcp), (Some(5353), Some(5353)));
        assert!(endpoints[1].is_unnamed() && !endpoints[0].is_unnamed());
    }

    #[test]
    fn the_service_kubernetes_is_kept_for_its_addresses() {
        let object = json!({"metadata": {"namespace": "default", "name": "kubernetes"},
            "spec": {"clusterIP": "10.32.0.1", "ports": [{"port": 443}]}});
        let Some(Found::Kubernetes(addresses)) = found(object) else {
            panic!("not kept");
        };
        assert_eq!(addresses, ["10.32.0.1".parse::<IpAddr>().unwrap()]);
    }
}
