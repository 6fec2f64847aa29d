//! What the verifier must say of a fault, and what the fault may drag along.
//!
//! Pure: values and comparisons.

/// A result that a run must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Id of the check.
    pub check: &'static str,
    /// The host that is judged, none for the cluster.
    pub host: Option<&'static str>,
    /// fail, error or warn.
    pub outcome: &'static str,
    /// Id of the cause.
    pub cause: &'static str,
}

/// Checks that a fault touches besides those that must name it: they may be anything. All others must pass or be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Id of a check, or a beginning of ids that ends with `*`.
    pub checks: &'static str,
    /// The host that is judged; none for every host, and for the cluster.
    pub host: Option<&'static str>,
}

impl Touch {
    /// Returns whether it means this check on this host (`-` where the scope is the cluster).
    pub fn covers(&self, check: &str, host: &str) -> bool {
        matches(self.checks, check) && self.host.is_none_or(|own| own == host)
    }
}

/// Returns whether an id is meant by a pattern, which may end with `*`.
pub fn matches(pattern: &str, check: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => check.starts_with(beginning),
        None => check == pattern,
    }
}

pub(super) const fn fails(check: &'static str, host: &'static str, cause: &'static str) -> Expectation {
    Expectation {
        check,
        host: Some(host),
        outcome: "fail",
        cause,
    }
}

pub(super) const fn fails_cluster(check: &'static str, cause: &'static str) -> Expectation {
    Expectation {
        check,
        host: None,
        outcome: "fail",
        cause,
    }
}

pub(super) const fn errs(check: &'static str, cause: &'static str) -> Expectation {
    Expectation {
        check,
        host: None,
        outcome: "error",
        cause,
    }
}

pub(super) const fn errs_on(check: &'static str, host: &'static str, cause: &'static str) -> Expectation {
    Expectation {
        check,
        host: Some(host),
        outcome: "error",
        cause,
    }
}

pub(super) const fn warns(check: &'static str, host: &'static str, cause: &'static str) -> Expectation {
    Expectation {
        check,
        host: Some(host),
        outcome: "warn",
        cause,
    }
}

pub(super) const fn warns_cluster(check: &'static str, cause: &'static str) -> Expectation {
    Expectation {
        check,
        host: None,
        outcome: "warn",
        cause,
    }
}

pub(super) const fn on(checks: &'static str, host: &'static str) -> Touch {
    Touch {
        checks,
        host: Some(host),
    }
}

pub(super) const fn anywhere(checks: &'static str) -> Touch {
    Touch { checks, host: None }
}

/// What asks the API server, and can say nothing good where none answers.
pub(super) const ASKS_THE_API: &[&str] = &[
    "api.*",
    "nodes.ready",
    "secrets.roundtrip",
    "secrets.encrypted-at-rest",
    "workload.*",
    "kubectl.*",
    "service.*",
    "network.pod-*",
    "network.udp",
    "network.mtu",
    "addons.*",
    "certs.called",
    "hosts.versions",
];

/// What may be other than good where the API server does not work for us.
pub(super) const OF_THE_API: &[Touch] = &[
    anywhere("api.*"),
    anywhere("addons.*"),
    anywhere("hosts.versions"),
    anywhere("certs.called"),
    anywhere("certs.kubeconfig"),
    anywhere("nodes.ready"),
    anywhere("components.control-plane"),
    anywhere("secrets.*"),
    anywhere("workload.*"),
    anywhere("kubectl.*"),
    anywhere("service.*"),
    anywhere("network.*"),
    anywhere("runtime.containers"),
    anywhere("runtime.process-tree"),
    anywhere("run.removal"),
];

/// What rests on pods that run on node-0.
pub(super) const PODS_OF_NODE_0: &[Touch] = &[
    anywhere("workload.deployment"),
    on("workload.*", "node-0"),
    on("runtime.containers", "node-0"),
    on("runtime.process-tree", "node-0"),
    on("network.bridge", "node-0"),
    on("network.veth", "node-0"),
    on("kubectl.*", "node-0"),
    on("api.from-pods", "node-0"),
    anywhere("network.pod-reachable"),
    anywhere("network.pod-to-pod"),
    anywhere("network.udp"),
    anywhere("network.mtu"),
    anywhere("service.*"),
];

/// What rests on pods that run on node-1.
pub(super) const PODS_OF_NODE_1: &[Touch] = &[
    anywhere("workload.deployment"),
    on("workload.*", "node-1"),
    on("runtime.containers", "node-1"),
    on("runtime.process-tree", "node-1"),
    on("network.bridge", "node-1"),
    on("network.veth", "node-1"),
    on("kubectl.*", "node-1"),
    on("api.from-pods", "node-1"),
    anywhere("network.pod-reachable"),
    anywhere("network.pod-to-pod"),
    anywhere("network.udp"),
    anywhere("network.mtu"),
    anywhere("service.*"),
];

/// What is not looked at where node-0 cannot be logged into. In its pod no echo server can be started.
pub(super) const NODE_0_UNREACHED: &[Touch] = &[
    on("*", "node-0"),
    anywhere("network.udp"),
    anywhere("network.mtu"),
    anywhere("service.udp"),
];

/// What rests on the container runtime of node-1.
pub(super) const RUNTIME_OF_NODE_1: &[Touch] = &[
    on("nodes.ready", "node-1"),
    on("images.present", "node-1"),
    on("runtime.*", "node-1"),
    anywhere("workload.deployment"),
    on("workload.*", "node-1"),
    on("network.*", "node-1"),
    on("kubectl.*", "node-1"),
    on("api.from-pods", "node-1"),
    anywhere("network.pod-reachable"),
    anywhere("network.pod-to-pod"),
    anywhere("network.udp"),
    anywhere("network.mtu"),
    anywhere("service.*"),
];

/// What crosses the network to pods and Services.
pub(super) const WAYS_TO_PODS: &[Touch] = &[
    anywhere("network.pod-reachable"),
    anywhere("network.pod-to-pod"),
    anywhere("network.udp"),
    anywhere("network.mtu"),
    anywhere("service.clusterip"),
    anywhere("service.from-pod"),
    anywhere("service.udp"),
    anywhere("service.nodeport"),
    // The API is asked from a pod too.
    anywhere("api.from-pods"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_an_id_or_a_beginning() {
        assert!(matches("kubectl.*", "kubectl.logs") && matches("*", "api.ready"));
        assert!(!matches("kubectl.logs", "kubectl.logs-more") && !matches("kubectl.*", "network.routes"));
    }

    #[test]
    fn a_touch_on_a_host_leaves_the_others() {
        let touch = on("kubectl.*", "node-1");
        assert!(touch.covers("kubectl.exec", "node-1") && !touch.covers("kubectl.exec", "node-0"));
        assert!(anywhere("service.*").covers("service.endpoints", "-"));
    }
}
