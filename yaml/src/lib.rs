//! YAML decoded with places: all problems of a file at once, each with line and column.
//!
//! [`decode()`] reads a file of one document (bundle.yaml, site.yaml) with a decoder of the caller's, [`documents`] a
//! file of several (Kubernetes manifests), [`images()`] finds the images that manifests name, [`emit()`] writes what was read. Values in, values out:
//! it opens no file and prints nothing.
//!
//! ```
//! let text = "name: smoke\ntimeout: 10\n";
//! let decoded = yaml::decode("bundle.yaml", text, |node, problems| {
//!     let mut map = node.map(problems)?;
//!     let name = map.required("name", yaml::text);
//!     let timeout = map.optional("timeout", yaml::integer);
//!     map.finish();
//!     Some((name?, timeout))
//! });
//! assert_eq!(decoded.unwrap(), ("smoke".to_owned(), Some(10)));
//! ```

mod decode;
mod emit;
mod images;
mod load;
mod node;
mod problem;
mod suggest;

pub use decode::{Map, boolean, decode, entries, integer, list, parsed, placed, text, unsigned};
pub use emit::emit;
pub use images::{ImageField, images};
pub use load::{SIZE_LIMIT, documents};
pub use node::{Node, Place, Placed, Value};
pub use problem::{Problem, Problems};
pub use suggest::closest;
