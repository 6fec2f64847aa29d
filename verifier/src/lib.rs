//! Checks a bundle, loads its images and proves that a cluster works, without internet.

pub mod agent;
pub mod containerd;
pub mod cri;
mod etcd;
mod facts;
mod probe;
pub mod site;
