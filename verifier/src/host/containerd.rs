//! Loading images through containerd's own API. The only home of its gRPC types.
//!
//! What a host should hold is a [`LoadPlan`](crate::protocol::LoadPlan), made from the bundle's index alone. [`missing()`] compares it with the
//! host and changes nothing; [`load()`] writes what is missing, and makes the images' records last, after whoever
//! sends the bytes has said that the whole archive was good. Until then a lease holds everything, and whatever ends
//! the load early drops it: no half image is ever seen. Nothing is written but through containerd's API.

mod client;
mod content;
mod contents;
mod documents;
mod error;
mod images;
mod layer;
mod leases;
mod load;
mod missing;
mod namespaces;
mod on_disk;
mod proto;
mod records;
mod redo;
mod room;
mod runtime;
mod snapshots;
mod store;
mod survey;
mod unpack;
mod unpacked;

pub use error::Error;
pub use load::load;
pub use missing::missing;
pub(crate) use room::left;
pub use store::store;
pub use unpacked::unpacked;
