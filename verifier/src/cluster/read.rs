//! Reading: the server itself, Nodes, Leases, permissions.

use std::collections::BTreeMap;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::Request;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::Api;
use kube::api::{ListParams, PostParams};
use kube::client::Body;

use super::facts::{ConditionFacts, Identity, LeaderFacts, LeaseFacts, NodeFacts, ReadyFacts, TaintFacts};
use super::{Cluster, ClusterError, Permission};

/// How the Leases by which API servers give signs of life are named (pkg/controlplane/apiserver, `apiserver-HASH`), and how long
/// one that is not renewed (each 10 s) is taken for alive.
const SERVER_LEASE: &str = "apiserver-";
const SIGN_OF_LIFE: SignedDuration = SignedDuration::from_secs(40);
/// The most of a body that is read where we read it raw.
const BODY: usize = 1 << 20;

impl Cluster {
    /// Asks `/readyz?verbose` and `/version`.
    pub async fn ready(&self) -> Result<ReadyFacts, ClusterError> {
        self.kept("ready", self.ready_now()).await
    }

    async fn ready_now(&self) -> Result<ReadyFacts, ClusterError> {
        let (status, date, body) = self.raw("get /readyz", "/readyz?verbose").await?;
        let version = self.version().await?;
        Ok(ReadyFacts {
            server: self.server().to_owned(),
            verified: self.verified(),
            status,
            body,
            version,
            date,
        })
    }

    /// Returns which cluster it is; nothing where the server does not answer.
    pub async fn identity(&self) -> Option<Identity> {
        let identity = async { Ok(self.identity_now().await) };
        self.kept("identity", identity).await.ok().flatten()
    }

    async fn identity_now(&self) -> Option<Identity> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let (version, found) = futures::join!(
            self.version(),
            self.ask("get namespace kube-system", namespaces.get_opt("kube-system"))
        );
        Some(Identity {
            version: version.ok()?,
            uid: found.ok().flatten().and_then(|namespace| namespace.metadata.uid),
        })
    }

    /// Returns what `/version` says; nothing where it answers something else.
    async fn version(&self) -> Result<Option<String>, ClusterError> {
        let (_, _, body) = self.raw("get /version", "/version").await?;
        let body = serde_json::from_str::<serde_json::Value>(&body).ok();
        Ok(body.and_then(|body| Some(body.get("gitVersion")?.as_str()?.to_owned())))
    }

    /// Returns the addresses at which API servers say that they serve.
    pub async fn servers(&self) -> Result<Vec<String>, ClusterError> {
        self.kept("servers", self.servers_now()).await
    }

    async fn servers_now(&self) -> Result<Vec<String>, ClusterError> {
        let found = self.addresses("default", "kubernetes").await?;
        let mut servers: Vec<String> = found.into_iter().map(|endpoint| endpoint.address).collect();
        servers.dedup();
        Ok(servers)
    }

    /// Returns how many API servers give signs of life by a Lease of their own; none before Kubernetes 1.26, where they have
    /// none.
    pub async fn living_servers(&self) -> Result<usize, ClusterError> {
        let leases = self.leaders().await?;
        let of_servers = leases
            .iter()
            .filter(|(name, _)| name.starts_with(SERVER_LEASE))
            .filter_map(|(_, lease)| lease.renewed);
        let renewed: Vec<Timestamp> = of_servers.collect();
        let newest = renewed.iter().max();
        let lives = |at: &&Timestamp| newest.is_some_and(|newest| newest.duration_since(**at) < SIGN_OF_LIFE);
        Ok(renewed.iter().filter(lives).count())
    }

    /// Returns the networks from which Services get their addresses; none before Kubernetes 1.33, whose API does not say.
    pub async fn service_cidrs(&self) -> Result<Vec<IpNet>, ClusterError> {
        let path = "/apis/networking.k8s.io/v1/servicecidrs";
        let (status, _, body) = self.raw("list servicecidrs", path).await?;
        if status != 200 {
            return Ok(Vec::new());
        }
        let list: serde_json::Value = serde_json::from_str(&body)
            .map_err(|_| self.strange("list servicecidrs", "the answer is no JSON"))?;
        let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = items
            .iter()
            .filter(|item| item["metadata"]["deletionTimestamp"].is_null());
        let cidrs = named.flat_map(|item| item["spec"]["cidrs"].as_array().cloned().unwrap_or_default());
        Ok(cidrs.filter_map(|cidr| cidr.as_str()?.parse().ok()).collect())
    }

    /// Returns the time by the API server's clock, to the second.
    pub async fn now(&self) -> Result<Timestamp, ClusterError> {
        self.kept("now", self.its_clock()).await
    }

    async fn its_clock(&self) -> Result<Timestamp, ClusterError> {
        let (_, date, _) = self.raw("get /version", "/version").await?;
        date.ok_or_else(|| ClusterError::NotKubernetes {
            operation: "get /version".to_owned(),
            server: self.server().to_owned(),
            reason: "the answer has no Date".to_owned(),
        })
    }

    pub(super) async fn raw(
        &self,
        operation: &str,
        path: &str,
    ) -> Result<(u16, Option<Timestamp>, String), ClusterError> {
        let request = Request::get(path)
            .body(Body::empty())
            .map_err(|error| ClusterError::Client {
                server: self.server().to_owned(),
                reason: error.to_string(),
            })?;
        self.ask(operation, async {
            let response = self.client.send(request).await?;
            let status = response.status().as_u16();
            let date = response
                .headers()
                .get("date")
                .and_then(|date| date.to_str().ok())
                .and_then(date_of);
            let body = http_body_util::Limited::new(response.into_body(), BODY);
            let bytes = body.collect().await.map_err(kube::Error::Service)?.to_bytes();
            Ok((status, date, String::from_utf8_lossy(&bytes).into_owned()))
        })
        .await
    }

    /// Returns the Nodes, by name. Read once for all who ask within a second.
    pub async fn nodes(&self) -> Result<Arc<Vec<NodeFacts>>, ClusterError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let read = async {
            let mut nodes = self.list("list nodes", &api, ListParams::default(), node).await?;
            nodes.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(nodes)
        };
        let read = self.kept("nodes", read);
        self.lists.nodes.get(read).await
    }

    /// Returns the Leases of `kube-node-lease`, by the name of the Node. Read once for all who ask within a second.
    pub async fn node_leases(&self) -> Result<Arc<BTreeMap<String, LeaseFacts>>, ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), "kube-node-lease");
        let named = |item: Lease| Some((item.metadata.name.clone()?, lease(item)));
        let read = async {
            let operation = "list leases in kube-node-lease";
            let leases = self.list(operation, &api, ListParams::default(), named).await?;
            Ok(leases.into_iter().flatten().collect())
        };
        let read = self.kept("node-leases", read);
        self.lists.node_leases.get(read).await
    }

    /// Returns the Leases of `kube-system` by which leaders are elected, by name. Read once for all who ask within a
    /// second.
    pub async fn leaders(&self) -> Result<Arc<BTreeMap<String, LeaderFacts>>, ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), "kube-system");
        let leader = |item: Lease| {
            let spec = item.spec?;
            let leader = LeaderFacts {
                holder: spec.holder_identity.unwrap_or_default(),
                renewed: spec.renew_time.map(|time| time.0),
                seconds: u32::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default(),
            };
            Some((item.metadata.name?, leader))
        };
        let read = async {
            let operation = "list leases in kube-system";
            let leaders = self.list(operation, &api, ListParams::default(), leader).await?;
            Ok(leaders.into_iter().flatten().collect())
        };
        let read = self.kept("leaders", read);
        self.lists.leaders.get(read).await
    }

    /// Returns which of the permissions the kubeconfig lacks, by SelfSubjectAccessReview.
    pub async fn missing(
        &self,
        permissions: &[Permission],
        namespace: &str,
    ) -> Result<Vec<Permission>, ClusterError> {
        let asks = permissions
            .iter()
            .map(|permission| self.may(*permission, namespace));
        let answers = futures::future::try_join_all(asks).await?;
        Ok(permissions
            .iter()
            .copied()
            .zip(answers)
            .filter(|(_, may)| !may)
            .map(|(p, _)| p)
            .collect())
    }

    async fn may(&self, permission: Permission, namespace: &str) -> Result<bool, ClusterError> {
        let place = if permission.namespaced {
            "in its namespace"
        } else {
            "everywhere"
        };
        let call = format!("may {permission} {place}");
        self.kept(&call, self.may_now(permission, namespace)).await
    }

    async fn may_now(&self, permission: Permission, namespace: &str) -> Result<bool, ClusterError> {
        let operation = "create selfsubjectaccessreviews";
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let mut parts = permission.resource.splitn(2, '/');
        let attributes = ResourceAttributes {
            verb: Some(permission.verb.to_owned()),
            group: Some(permission.group.to_owned()),
            resource: parts.next().map(str::to_owned),
            subresource: parts.next().map(str::to_owned),
            namespace: permission.namespaced.then(|| namespace.to_owned()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = self
            .ask(operation, api.create(&PostParams::default(), &review))
            .await?;
        let status = answer
            .status
            .ok_or_else(|| self.strange(operation, "the review has no status"))?;
        Ok(status.allowed)
    }

    /// Returns the error of an answer that no Kubernetes gives.
    pub(super) fn strange(&self, operation: &str, reason: &str) -> ClusterError {
        ClusterError::NotKubernetes {
            operation: operation.to_owned(),
            server: self.server().to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// Parses an HTTP date (RFC 9110, 5.6.7): `Mon, 23 Nov 2026 18:22:10 GMT`.
pub(super) fn date_of(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
}

fn node(node: Node) -> NodeFacts {
    let spec = node.spec.unwrap_or_default();
    let status = node.status.unwrap_or_default();
    let taints = spec
        .taints
        .unwrap_or_default()
        .into_iter()
        .map(|taint| TaintFacts {
            key: taint.key,
            value: taint.value.unwrap_or_default(),
            effect: taint.effect,
        });
    let conditions = status
        .conditions
        .unwrap_or_default()
        .into_iter()
        .map(|condition| ConditionFacts {
            r#type: condition.type_,
            status: condition.status,
            reason: condition.reason.unwrap_or_default(),
            message: condition.message.unwrap_or_default(),
        });
    let addresses = status.addresses.unwrap_or_default().into_iter();
    let info = status.node_info.unwrap_or_default();
    NodeFacts {
        name: node.metadata.name.unwrap_or_default(),
        conditions: conditions.collect(),
        unschedulable: spec.unschedulable.unwrap_or_default(),
        taints: taints.collect(),
        kubelet: info.kubelet_version,
        runtime: info.container_runtime_version,
        addresses: addresses
            .map(|address| (address.type_, address.address))
            .collect(),
        pod_cidrs: spec.pod_cidrs.unwrap_or_default(),
        labels: node.metadata.labels.unwrap_or_default(),
    }
}

pub(super) fn lease(lease: Lease) -> LeaseFacts {
    let spec = lease.spec.unwrap_or_default();
    LeaseFacts {
        holder: spec.holder_identity.unwrap_or_default(),
        renewed: spec.renew_time.map(|time| time.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_date_is_read() {
        let date = date_of("Mon, 23 Nov 2026 18:22:10 GMT").unwrap();
        assert_eq!(date.to_string(), "2026-11-23T18:22:10Z");
        assert!(date_of("yesterday").is_none());
    }
}
