//! Images as lists have them, their names as runtimes complete them, what they take on a disk. Pure: values in, values out.
//! The agent finds them, the checks of the group `images` judge them, reports list them.

mod listed;
mod name;
mod room;

pub use listed::{HostImages, Listed, Totals};
pub(crate) use name::{full, is_mutable, same_id};
pub(crate) use room::{bytes, freed, sizes};
