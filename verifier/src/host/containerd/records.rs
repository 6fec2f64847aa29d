//! Under which names an image is recorded: by tag, by digest and by id, as a pull of the CRI does. Pure.
//!
//! A record by tag alone would leave the CRI's repo digests empty, and `nginx@sha256:…` in somebody's manifest would
//! mean a pull. The record by id keeps an image alive for its running containers when the tag moves on.

use crate::protocol::{PlannedImage, repository, split_digest};

/// Returns the names, each once: `NAME:TAG`, `NAME@DIGEST`, `ID`.
pub(super) fn records(image: &PlannedImage) -> Vec<String> {
    let mut names = Vec::with_capacity(3);
    names.extend(tagged(&image.name));
    names.push(format!("{}@{}", repository(&image.name), image.target.digest));
    names.push(image.config.digest.to_string());
    names
}

/// Returns the reference without a digest, if it has a tag.
fn tagged(name: &str) -> Option<String> {
    let (name, _) = split_digest(name);
    (name != repository(name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use bundle::Digest;

    use super::*;
    use crate::protocol::Blob;

    fn image(name: &str) -> PlannedImage {
        let blob = |text: &str| Blob {
            digest: Digest::of(text),
            size: 1,
        };
        PlannedImage {
            name: name.to_owned(),
            target: blob("target"),
            media_type: String::new(),
            manifest: blob("target"),
            config: blob("config"),
            layers: Vec::new(),
        }
    }

    #[test]
    fn an_image_is_recorded_by_tag_digest_and_id() {
        let (target, id) = (Digest::of("target"), Digest::of("config"));
        let by_tag = records(&image("registry:5000/a/b:1.2"));
        assert_eq!(
            by_tag,
            [
                "registry:5000/a/b:1.2".to_owned(),
                format!("registry:5000/a/b@{target}"),
                id.to_string()
            ]
        );
        let by_both = records(&image(&format!("registry/b:1@{target}")));
        assert_eq!(
            by_both,
            [
                "registry/b:1".to_owned(),
                format!("registry/b@{target}"),
                id.to_string()
            ]
        );
        let by_digest = records(&image(&format!("registry:5000/b@{target}")));
        assert_eq!(by_digest, [format!("registry:5000/b@{target}"), id.to_string()]);
    }
}
