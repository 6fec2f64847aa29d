//! The components of Kubernetes with their programs and the ports of their health, from
//! k8s.io/kubernetes/pkg/cluster/ports and the components' own defaults.

use super::{Component, Wire};
use crate::findings::CauseId;

/// The kubelet.
pub(crate) const KUBELET: Component = Component {
    name: "kubelet",
    programs: &["kubelet"],
    embedded: &["k3s", "k3s-server", "k3s-agent", "kubelite"],
    port: 10248,
    paths: &["/healthz"],
    wire: Wire::Plain,
    stopped: CauseId::KubeletStopped,
    hung: CauseId::KubeletHung,
};

/// kube-proxy. Its /healthz also says that the node is going away, which is no fault of its own; /livez does not, and
/// is of 1.28 and newer.
pub(crate) const KUBE_PROXY: Component = Component {
    name: "kube-proxy",
    programs: &["kube-proxy"],
    embedded: &["k3s", "k3s-server", "k3s-agent", "kubelite"],
    port: 10256,
    paths: &["/livez", "/healthz"],
    wire: Wire::Plain,
    stopped: CauseId::KubeProxyStopped,
    hung: CauseId::KubeProxyHung,
};

/// kube-apiserver.
pub(crate) const API_SERVER: Component = Component {
    name: "kube-apiserver",
    programs: &["kube-apiserver"],
    embedded: &["k3s", "k3s-server", "kubelite"],
    port: 6443,
    paths: &["/livez?verbose", "/healthz?verbose"],
    wire: Wire::Tls,
    stopped: CauseId::ApiserverStopped,
    hung: CauseId::ApiserverHung,
};

/// kube-scheduler.
pub(crate) const SCHEDULER: Component = Component {
    name: "kube-scheduler",
    programs: &["kube-scheduler"],
    embedded: &["k3s", "k3s-server", "kubelite"],
    port: 10259,
    paths: &["/healthz"],
    wire: Wire::Tls,
    stopped: CauseId::SchedulerStopped,
    hung: CauseId::SchedulerHung,
};

/// kube-controller-manager, whose name is longer than what the kernel keeps of it.
pub(crate) const CONTROLLER_MANAGER: Component = Component {
    name: "kube-controller-manager",
    programs: &["kube-controller-manager", "kube-controller"],
    embedded: &["k3s", "k3s-server", "kubelite"],
    port: 10257,
    paths: &["/healthz"],
    wire: Wire::Tls,
    stopped: CauseId::ControllerManagerStopped,
    hung: CauseId::ControllerManagerHung,
};
