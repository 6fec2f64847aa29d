//! A real Kubernetes the Hard Way cluster on one Linux machine, without uplink.
//!
//! Hosts are namespaces with systemd as PID 1 on a switch that leads nowhere. It may touch this machine: namespaces,
//! cgroups and files, all named after the lab; it must not give the machine or a host of the lab a way to the other.

mod boot;
pub mod cache;
mod cgroups;
pub mod components;
mod down;
mod error;
mod exec;
pub mod faults;
mod hardened;
mod host;
pub mod images;
mod keys;
pub mod kubernetes;
mod lab;
mod machine;
mod model;
mod network;
mod paths;
pub mod pki;
mod processes;
pub mod registry;
mod restart;
mod rootfs;
mod run;
mod site;
mod stage;
mod state;
pub mod terminal;
mod tool;

pub use boot::REGISTRY;
pub use error::Error;
pub use lab::{Guard, Lab};
pub use model::{
    BALANCER, CONNECTED, DOMAIN, Encryption, HOST_NETWORK, Host, HostSpec, JUMPBOX, LabFile, Layout,
    MOST_NODES, Options, POD_NETWORK, Role, SERVER, SERVICE_NETWORK, validate_name,
};
pub use paths::{MEDIA, Paths, STATE};
pub use state::Phase;
pub use tool::Say;
