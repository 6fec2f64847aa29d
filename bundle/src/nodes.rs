//! `config/nodes.json`: which images of a bundle are for some nodes only. A member of its own, and no field of the index:
//! readers that do not know it load every image everywhere, which is right too.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where it lies in a bundle.
pub const NODES: &str = "config/nodes.json";

/// The longest that is read, in bytes.
pub(crate) const NODES_LIMIT: u64 = 4 << 20;

/// No image is for some nodes only.
pub static EVERYWHERE: ImageNodes = ImageNodes {
    version: 1,
    images: BTreeMap::new(),
};

/// Which images are for some nodes only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageNodes {
    /// The version of this form: 1.
    version: u32,
    /// By the image's name: which nodes it is for. An image that is not here is for all.
    images: BTreeMap<String, Vec<NodePattern>>,
}

/// Which nodes: `gpu-*` names some by pattern (`*` and `?`), `role:control-plane` those of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NodePattern {
    /// Hosts or Nodes of such a name.
    Name(String),
    /// Hosts of this role: `control-plane`, `etcd` or `worker`.
    Role(String),
}

/// A text that names no nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a node's name, a pattern of names such as gpu-*, or role:control-plane, role:etcd, role:worker")]
pub struct NoPattern;

/// A node, by all that patterns may name.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its names: that of the host and that of the Node.
    pub names: [&'a str; 2],
    /// What it does.
    pub roles: &'a [String],
}

impl FromStr for NodePattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        if let Some(role) = text.strip_prefix("role:") {
            let known = ["control-plane", "etcd", "worker"].contains(&role);
            return known.then(|| Self::Role(role.to_owned())).ok_or(NoPattern);
        }
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '*' | '?');
        let good = !text.is_empty() && text.len() <= 253 && text.chars().all(letter);
        good.then(|| Self::Name(text.to_owned())).ok_or(NoPattern)
    }
}

impl fmt::Display for NodePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Role(role) => write!(f, "role:{role}"),
        }
    }
}

impl TryFrom<String> for NodePattern {
    type Error = NoPattern;

    fn try_from(text: String) -> Result<Self, NoPattern> {
        text.parse()
    }
}

impl From<NodePattern> for String {
    fn from(pattern: NodePattern) -> Self {
        pattern.to_string()
    }
}

impl NodePattern {
    fn is_for(&self, place: Place<'_>) -> bool {
        match self {
            Self::Name(pattern) => place
                .names
                .iter()
                .any(|name| matches(pattern.as_bytes(), name.as_bytes())),
            Self::Role(role) => place.roles.contains(role),
        }
    }
}

impl ImageNodes {
    /// Returns which images are for some nodes only.
    pub fn new(images: BTreeMap<String, Vec<NodePattern>>) -> Self {
        Self { version: 1, images }
    }

    /// Returns its JSON, as it lies in a bundle.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and lists always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Parses it. A version that is not known is refused: what it says of nodes would be lost.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let found: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match found.version {
            1 => Ok(found),
            other => Err(format!("version {other} is not known")),
        }
    }

    /// Returns whether an image is for a node.
    pub fn is_for(&self, image: &str, place: Place<'_>) -> bool {
        let patterns = self.images.get(image);
        patterns.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.is_for(place)))
    }

    /// Returns the images that are for some nodes only, each with its patterns.
    pub fn images(&self) -> impl Iterator<Item = (&str, &[NodePattern])> {
        self.images
            .iter()
            .map(|(name, patterns)| (name.as_str(), patterns.as_slice()))
    }
}

/// Returns whether a text matches a pattern: `*` is any text, `?` any letter. Time grows with the product of both lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // The last star, and the place in the text up to which it reaches.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, from));
                at += 1;
            }
            (Some(letter), _) if *letter == b'?' || *letter == text[from] => {
                at += 1;
                from += 1;
            }
            (_, Some((last, reached))) => {
                star = Some((last, reached + 1));
                at = last + 1;
                from = reached + 1;
            }
            _ => return false,
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_by_pattern() {
        for (pattern, text, expected) in [
            ("node-0", "node-0", true),
            ("node-0", "node-00", false),
            ("gpu-*", "gpu-", true),
            ("*-0", "node-0", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab-b", true),
            ("*a*b", "abc", false),
            ("n?de", "node", true),
            ("?", "", false),
            ("*", "", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn an_image_without_an_entry_is_for_all_and_one_with_an_entry_for_those_it_names() {
        let pattern = |text: &str| text.parse::<NodePattern>().unwrap();
        let nodes = ImageNodes::new(BTreeMap::from([
            (
                "a:1".to_owned(),
                vec![pattern("gpu-*"), pattern("role:control-plane")],
            ),
            ("b:1".to_owned(), vec![pattern("ip-10-0-0-1")]),
        ]));
        let nodes = ImageNodes::parse(&nodes.to_json()).unwrap();
        let worker = ["worker".to_owned()];
        let control_plane = ["control-plane".to_owned(), "etcd".to_owned()];
        let place = |names, roles| Place { names, roles };
        assert!(nodes.is_for("a:1", place(["gpu-1", "gpu-1"], &worker)));
        assert!(nodes.is_for("a:1", place(["cp", "cp"], &control_plane)));
        assert!(!nodes.is_for("a:1", place(["node-0", "node-0"], &worker)));
        assert!(nodes.is_for("b:1", place(["node-0", "ip-10-0-0-1"], &worker)));
        assert!(nodes.is_for("c:1", place(["node-0", "node-0"], &worker)));
    }

    #[test]
    fn a_form_of_the_first_version_is_read() {
        let stored = br#"{"version":1,"images":{"a:1":["gpu-*","role:etcd"]}}"#;
        let read = ImageNodes::parse(stored).unwrap();
        assert_eq!(read.to_json(), stored);
    }

    #[test]
    fn what_names_no_nodes_is_refused() {
        for text in ["", "role:master", "role:", "a b", "a/b", "{a,b}", "한"] {
            assert_eq!(text.parse::<NodePattern>(), Err(NoPattern), "{text}");
        }
        assert!(ImageNodes::parse(br#"{"version":2,"images":{}}"#).is_err());
        assert!(ImageNodes::parse(br#"{"version":1,"images":{"a":["role:x"]}}"#).is_err());
    }
}
