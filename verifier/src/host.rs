//! What runs on a host: `verifier agent`, the facts that it reads, and loads into its container runtime. It reads its
//! host and writes nothing but through containerd's API.

mod answer;
mod certificates;
pub mod containerd;
pub mod cri;
mod dns;
mod echo;
mod etcd;
mod facts;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod grpc;
mod kubelet;
mod netns;
mod probe;
mod runtime_socket;
mod serve;
mod stdio;

#[cfg(test)]
pub(crate) use certificates::testing as certificates_of;
pub(crate) use probe::from_here as probe;
pub use runtime_socket::SocketError;
pub use serve::serve;
pub use stdio::serve_stdio;
pub(crate) use stdio::{DIRECTORY, PROGRAM};
