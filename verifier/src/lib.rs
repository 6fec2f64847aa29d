//! Checks a bundle, loads its images and proves that a cluster works, without internet.

pub mod agent;
pub mod check;
pub mod checks;
pub mod cluster;
pub mod cmd;
pub mod containerd;
pub mod cri;
mod etcd;
mod facts;
pub mod hosts;
pub mod load;
mod netns;
mod probe;
pub mod report;
pub mod site;
pub mod ssh;
