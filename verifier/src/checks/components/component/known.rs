//! The components of Kubernetes with their programs and the ports of their health, from
//! k8s.io/kubernetes/pkg/cluster/ports and the components' own defaults.

use super::{Component, Wire};
use crate::distribution::{CONTROL_PLANE_INSIDE, KUBELET_INSIDE};
use crate::findings::cause;

/// The kubelet.
pub(crate) const KUBELET: Component = Component {
    name: "kubelet",
    programs: &["kubelet"],
    embedded: KUBELET_INSIDE,
    port: 10248,
    paths: &["/healthz"],
    wire: Wire::Plain,
    stopped: |host| cause::KubeletStopped { node: &host }.into(),
    hung: |host, state| {
        cause::KubeletHung {
            node: &host,
            state: &state,
        }
        .into()
    },
};

/// kube-proxy. Its /healthz also says that the node is going away, which is no fault of its own; /livez does not, and
/// is of 1.28 and newer.
pub(crate) const KUBE_PROXY: Component = Component {
    name: "kube-proxy",
    programs: &["kube-proxy"],
    embedded: KUBELET_INSIDE,
    port: 10256,
    paths: &["/livez", "/healthz"],
    wire: Wire::Plain,
    stopped: |host| cause::KubeProxyStopped { host: &host }.into(),
    hung: |host, state| {
        cause::KubeProxyHung {
            host: &host,
            state: &state,
        }
        .into()
    },
};

/// kube-apiserver.
pub(crate) const API_SERVER: Component = Component {
    name: "kube-apiserver",
    programs: &["kube-apiserver"],
    embedded: CONTROL_PLANE_INSIDE,
    port: 6443,
    paths: &["/livez?verbose", "/healthz?verbose"],
    wire: Wire::Tls,
    stopped: |host| cause::ApiserverStopped { host: &host }.into(),
    hung: |host, state| {
        cause::ApiserverHung {
            host: &host,
            state: &state,
        }
        .into()
    },
};

/// kube-scheduler.
pub(crate) const SCHEDULER: Component = Component {
    name: "kube-scheduler",
    programs: &["kube-scheduler"],
    embedded: CONTROL_PLANE_INSIDE,
    port: 10259,
    paths: &["/healthz"],
    wire: Wire::Tls,
    stopped: |host| cause::SchedulerStopped { host: &host }.into(),
    hung: |host, state| {
        cause::SchedulerHung {
            host: &host,
            state: &state,
        }
        .into()
    },
};

/// kube-controller-manager, whose name is longer than what the kernel keeps of it.
pub(crate) const CONTROLLER_MANAGER: Component = Component {
    name: "kube-controller-manager",
    programs: &["kube-controller-manager", "kube-controller"],
    embedded: CONTROL_PLANE_INSIDE,
    port: 10257,
    paths: &["/healthz"],
    wire: Wire::Tls,
    stopped: |host| cause::ControllerManagerStopped { host: &host }.into(),
    hung: |host, state| {
        cause::ControllerManagerHung {
            host: &host,
            state: &state,
        }
        .into()
    },
};
