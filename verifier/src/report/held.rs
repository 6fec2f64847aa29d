//! Which image a node has, as `images.present` shows it.

use super::ResultEntry;

/// The check whose evidence says it.
pub(super) const CHECK: &str = "images.present";

/// Returns the images that a result tells of, with their ids; none where an image is not there.
pub(super) fn held(result: &ResultEntry) -> impl Iterator<Item = (&str, Option<&str>)> {
    let lines = result.evidence.iter().flat_map(|evidence| evidence.text.lines());
    lines.map(|line| match line.split_once(" -> ") {
        Some((name, rest)) => (name, rest.split([',', ' ']).next()),
        None => (line.rsplit_once(": ").map_or(line, |(name, _)| name), None),
    })
}
