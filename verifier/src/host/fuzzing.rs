//! The doors of `fuzz/` into what hosts say.

pub(crate) use super::certificates::fuzz_file as certificate_file;
pub(crate) use super::cri::fuzzing::{containerd_configuration, crictl_yaml};
pub(crate) use super::dns::read_any as dns;
pub(crate) use super::etcd::fuzzing::etcd_metrics;
pub(crate) use super::facts::fuzzing::{cni_file, lines, names, rules, time};
