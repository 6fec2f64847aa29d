//! Which resource lies where in etcd, and which entry of an encryption configuration is for it. Pure.

use crate::protocol::EncryptionEntry;

/// Resources of Kubernetes itself by where they lie, with their groups: the path says none
/// (`pkg/kubeapiserver/default_storage_factory_builder.go`, `pkg/controlplane`). The resource is given where it is called
/// otherwise than the path.
const BUILT_IN: &[(&str, &[(&str, &str)])] = &[
    (
        "",
        &[
            ("configmaps", ""),
            ("controllers", "replicationcontrollers"),
            ("events", ""),
            ("limitranges", ""),
            ("minions", "nodes"),
            ("namespaces", ""),
            ("persistentvolumeclaims", ""),
            ("persistentvolumes", ""),
            ("pods", ""),
            ("podtemplates", ""),
            ("resourcequotas", ""),
            ("secrets", ""),
            ("serviceaccounts", ""),
            ("services/endpoints", "endpoints"),
            ("services/specs", "services"),
        ],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            ("mutatingadmissionpolicies", ""),
            ("mutatingadmissionpolicybindings", ""),
            ("mutatingwebhookconfigurations", ""),
            ("validatingadmissionpolicies", ""),
            ("validatingadmissionpolicybindings", ""),
            ("validatingwebhookconfigurations", ""),
        ],
    ),
    (
        "apps",
        &[
            ("controllerrevisions", ""),
            ("daemonsets", ""),
            ("deployments", ""),
            ("replicasets", ""),
            ("statefulsets", ""),
        ],
    ),
    ("autoscaling", &[("horizontalpodautoscalers", "")]),
    ("batch", &[("cronjobs", ""), ("jobs", "")]),
    (
        "certificates.k8s.io",
        &[
            ("certificatesigningrequests", ""),
            ("clustertrustbundles", ""),
            ("podcertificaterequests", ""),
        ],
    ),
    ("coordination.k8s.io", &[("leasecandidates", ""), ("leases", "")]),
    ("discovery.k8s.io", &[("endpointslices", "")]),
    (
        "flowcontrol.apiserver.k8s.io",
        &[("flowschemas", ""), ("prioritylevelconfigurations", "")],
    ),
    ("internal.apiserver.k8s.io", &[("storageversions", "")]),
    (
        "networking.k8s.io",
        &[
            ("ingress", "ingresses"),
            ("ingressclasses", ""),
            ("ipaddresses", ""),
            ("networkpolicies", ""),
            ("servicecidrs", ""),
        ],
    ),
    ("node.k8s.io", &[("runtimeclasses", "")]),
    (
        "policy",
        &[
            ("poddisruptionbudgets", ""),
            ("podsecuritypolicy", "podsecuritypolicies"),
        ],
    ),
    (
        "rbac.authorization.k8s.io",
        &[
            ("clusterrolebindings", ""),
            ("clusterroles", ""),
            ("rolebindings", ""),
            ("roles", ""),
        ],
    ),
    (
        "resource.k8s.io",
        &[
            ("deviceclasses", ""),
            ("devicetaintrules", ""),
            ("podschedulingcontexts", ""),
            ("resourceclaims", ""),
            ("resourceclaimtemplates", ""),
            ("resourceclasses", ""),
            ("resourceslices", ""),
        ],
    ),
    ("scheduling.k8s.io", &[("priorityclasses", ""), ("workloads", "")]),
    (
        "storage.k8s.io",
        &[
            ("csidrivers", ""),
            ("csinodes", ""),
            ("csistoragecapacities", ""),
            ("storageclasses", ""),
            ("volumeattachments", ""),
            ("volumeattributesclasses", ""),
        ],
    ),
    ("storagemigration.k8s.io", &[("storageversionmigrations", "")]),
];

/// What API servers keep in etcd that is no resource of the API: where they are, and which addresses and ports Services have. It
/// is never encrypted, whatever the configuration says (seen with 1.37 and `*.*`).
const INTERNAL: [&str; 3] = ["masterleases", "peerserverleases", "ranges/"];

/// Returns whether a path holds what is no resource of the API.
pub(super) fn is_internal(path: &str) -> bool {
    INTERNAL.iter().any(|own| path.starts_with(own))
}

/// A resource with its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resource<'a> {
    group: &'a str,
    name: &'a str,
}

impl<'a> Resource<'a> {
    /// Returns what lies at a path of etcd. Of a path that nobody here knows the group is not known.
    pub(super) fn at(path: &'a str) -> Option<Self> {
        if let Some((group, name)) = path.split_once('/').filter(|(group, _)| group.contains('.')) {
            return Some(Self { group, name });
        }
        BUILT_IN.iter().find_map(|(group, resources)| {
            let (path, name) = resources.iter().find(|(own, _)| *own == path)?;
            let name = if name.is_empty() { path } else { name };
            Some(Self { group, name })
        })
    }

    /// Reads `secrets`, `deployments.apps`, `widgets.example.com`, `*.apps`.
    pub(super) fn named(text: &'a str) -> Self {
        let (name, group) = text.split_once('.').unwrap_or((text, ""));
        Self { group, name }
    }

    /// Returns where it lies below the API server's prefix: nothing of a wildcard, which may lie anywhere.
    pub(super) fn paths(self) -> Option<Vec<String>> {
        if self.name == "*" {
            return None;
        }
        let own = BUILT_IN.iter().filter(|(group, _)| *group == self.group);
        let resources = own.flat_map(|(_, resources)| resources.iter());
        let is_ours =
            |(path, name): &&(&str, &str)| (if name.is_empty() { path } else { name }) == &self.name;
        let built_in: Vec<String> = resources
            .filter(is_ours)
            .map(|(path, _)| (*path).to_owned())
            .collect();
        if !built_in.is_empty() {
            return Some(built_in);
        }
        Some(vec![if self.group.contains('.') {
            format!("{}/{}", self.group, self.name)
        } else {
            self.name.to_owned()
        }])
    }
}

/// Returns what may stand before the values of a resource, the writer first; nothing where no entry is for it: then it is
/// not encrypted. The exact name goes before its group's wildcard, and that before all (`encryptionconfig/config.go` of
/// k8s.io/apiserver: `transformerFromOverrides`).
pub(super) fn writers<'a>(entries: &'a [EncryptionEntry], resource: Option<Resource<'_>>) -> Vec<&'a str> {
    let of = |wanted: &dyn Fn(Resource<'_>) -> bool| -> Vec<&'a str> {
        let own = entries
            .iter()
            .filter(|entry| entry.resources.iter().any(|name| wanted(Resource::named(name))));
        own.flat_map(|entry| entry.writers.iter().map(String::as_str))
            .collect()
    };
    let all = || of(&|named| named.name == "*" && named.group == "*");
    let Some(resource) = resource else { return all() };
    let exact = of(&|named| named == resource);
    if !exact.is_empty() {
        return exact;
    }
    let group = of(&|named| named.name == "*" && named.group == resource.group);
    if group.is_empty() { all() } else { group }
}

/// Returns whether a configuration has a wildcard for one group: then what nobody knows the group of may be its.
pub(super) fn has_group_wildcard(entries: &[EncryptionEntry]) -> bool {
    let names = entries.iter().flat_map(|entry| &entry.resources);
    names
        .map(|name| Resource::named(name))
        .any(|named| named.name == "*" && named.group != "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(resources: &[&str], writers: &[&str]) -> EncryptionEntry {
        let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        EncryptionEntry {
            resources: owned(resources),
            writers: owned(writers),
        }
    }

    #[test]
    fn the_exact_name_goes_before_the_group_and_that_before_all() {
        let entries = [
            entry(&["*.*"], &["all"]),
            entry(&["*."], &["core"]),
            entry(&["secrets"], &["one"]),
            entry(&["secrets", "*.apps"], &["two"]),
            entry(&["widgets.example.com"], &["custom"]),
        ];
        let at = |path| writers(&entries, Resource::at(path));
        assert_eq!(at("secrets"), ["one", "two"]);
        assert_eq!(at("configmaps"), ["core"]);
        assert_eq!(at("services/endpoints"), ["core"]);
        assert_eq!(at("deployments"), ["two"]);
        assert_eq!(at("leases"), ["all"]);
        assert_eq!(at("example.com/widgets"), ["custom"]);
        assert_eq!(at("example.com/gadgets"), ["all"]);
        assert_eq!(at("nobody-knows"), ["all"]);
        assert!(writers(&entries[2..3], Resource::at("configmaps")).is_empty());
    }

    #[test]
    fn a_resource_lies_at_its_paths_and_a_wildcard_anywhere() {
        let paths = |name| Resource::named(name).paths();
        assert_eq!(paths("secrets").unwrap(), ["secrets"]);
        assert_eq!(paths("nodes").unwrap(), ["minions"]);
        assert_eq!(paths("ingresses.networking.k8s.io").unwrap(), ["ingress"]);
        assert_eq!(paths("services").unwrap(), ["services/specs"]);
        assert_eq!(paths("widgets.example.com").unwrap(), ["example.com/widgets"]);
        assert_eq!(paths("somethings").unwrap(), ["somethings"]);
        for wildcard in ["*.*", "*.", "*.apps"] {
            assert_eq!(paths(wildcard), None);
        }
    }
}
