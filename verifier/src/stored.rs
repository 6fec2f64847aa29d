//! What etcd stores, read from bytes alone: of a value which key wrote it, of many values how they are encrypted, of a
//! snapshot whether it is whole. Pure: no file is opened here, no clock is read, and no value leaves.

mod fields;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod opened;
mod snapshot;
mod tally;
mod value;

pub(crate) use opened::read;
pub(crate) use snapshot::{Form, Reader, Wanted};
pub(crate) use tally::Tally;
use tally::storage_path;
pub(crate) use value::{encryption_prefix, writer};

#[cfg(test)]
pub(crate) use snapshot::testing;
