//! A real Kubernetes the Hard Way cluster on one Linux machine, without uplink.
//!
//! Hosts are namespaces with systemd as PID 1 on a switch that leads nowhere. It may touch this machine: namespaces,
//! cgroups and files, all named after the lab; it must not give the machine or a host of the lab a way to the other.

pub mod cache;
pub mod components;
mod error;
pub mod images;
pub mod kubernetes;
mod model;
mod paths;
pub mod pki;
pub mod registry;
mod run;
mod tool;

pub use error::Error;
pub use model::{
    CONNECTED, DOMAIN, Encryption, HOST_NETWORK, Host, HostSpec, JUMPBOX, LabFile, Layout, MOST_NODES,
    Options, POD_NETWORK, Role, SERVER, SERVICE_NETWORK, validate_name,
};
pub use paths::{MEDIA, Paths, STATE};
pub use tool::Say;
