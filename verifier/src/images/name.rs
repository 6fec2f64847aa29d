//! Names of images.

use crate::protocol::split_digest;

/// Tags that stand for another content from one day to the next.
const MUTABLE: [&str; 12] = [
    "latest", "stable", "main", "master", "edge", "nightly", "dev", "develop", "current", "head", "snapshot",
    "testing",
];

/// Returns a reference as runtimes complete it: `nginx` is `docker.io/library/nginx:latest`.
pub(crate) fn full(image: &str) -> String {
    if let Some(rest) = image.strip_prefix("index.docker.io/") {
        return full(&format!("docker.io/{rest}"));
    }
    let first = image.split('/').next().unwrap_or_default();
    let has_registry = image.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let mut full = match (has_registry, image.contains('/')) {
        (true, _) => image.to_owned(),
        (false, true) => format!("docker.io/{image}"),
        (false, false) => format!("docker.io/library/{image}"),
    };
    let last = full.rsplit('/').next().unwrap_or_default();
    if !last.contains([':', '@']) {
        full.push_str(":latest");
    }
    full
}

/// Returns whether a name's tag is one that moves; one by digest does not.
pub(crate) fn is_mutable(name: &str) -> bool {
    let (name, digest) = split_digest(name);
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':'));
    let tag = tag.map_or("latest", |(_, tag)| tag);
    digest.is_none() && MUTABLE.contains(&tag)
}

/// Returns whether two image ids are one: some runtimes leave `sha256:` out.
pub(crate) fn same_id(one: &str, other: &str) -> bool {
    let hex = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).to_owned();
    let (one, other) = (hex(one), hex(other));
    one == other && one.len() == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_runtimes_do() {
        for (name, whole) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("a/b:1", "docker.io/a/b:1"),
            ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
            ("registry:5000/b", "registry:5000/b:latest"),
            ("localhost/b:1", "localhost/b:1"),
            ("quay.io/a/b@sha256:00", "quay.io/a/b@sha256:00"),
        ] {
            assert_eq!(full(name), whole);
        }
    }

    #[test]
    fn a_tag_that_moves_is_told_from_one_that_does_not() {
        for name in ["docker.io/library/nginx:latest", "registry:5000/a", "a/b:edge"] {
            assert!(is_mutable(name), "{name}");
        }
        for name in [
            "a/b:1.29",
            "registry:5000/a:v1",
            "a/b@sha256:00",
            "a/b:latest@sha256:00",
        ] {
            assert!(!is_mutable(name), "{name}");
        }
        let hex = "ab".repeat(32);
        assert!(same_id(&hex, &format!("sha256:{hex}")) && !same_id("x", "x"));
    }
}
