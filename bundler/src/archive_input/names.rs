//! Which image of an archive a name of the spec means. Pure.
//!
//! Programs that save several images write two names for each: the full one, and in OCI's annotation the bare tag,
//! which most of Kubernetes' images share. So the full name decides, and a bare tag counts only where no image has a
//! full name and one alone has the tag.

use std::collections::BTreeSet;
use std::path::Path;

use bundle::Digest;

use super::{ArchiveError, ArchiveImage};
use crate::reference::Reference;

/// What an archive calls an image.
enum Name<'a> {
    Full(Reference),
    /// A tag, or a word that only its writer understands.
    Bare(&'a str),
}

impl<'a> Name<'a> {
    /// A tag has neither `/` nor `:` nor `@`, and every full name that programs write has one of them.
    fn new(text: &'a str) -> Self {
        let full = text
            .contains(['/', ':', '@'])
            .then(|| text.parse())
            .and_then(Result::ok);
        full.map_or(Self::Bare(text), Self::Full)
    }
}

/// Returns the image that is meant, with a warning where its name in the archive is another.
pub(crate) fn select<'a>(
    path: &Path,
    images: &'a [ArchiveImage],
    wanted: &Reference,
) -> Result<(&'a ArchiveImage, Option<String>), ArchiveError> {
    let chosen = choose(path, images, wanted)?;
    match wanted.digest() {
        Some(digest) if digest != chosen.0.digest => Err(ArchiveError::OtherDigest {
            path: path.to_owned(),
            wanted: wanted.to_string(),
            found: chosen.0.digest,
        }),
        _ => Ok(chosen),
    }
}

fn choose<'a>(
    path: &Path,
    images: &'a [ArchiveImage],
    wanted: &Reference,
) -> Result<(&'a ArchiveImage, Option<String>), ArchiveError> {
    let is_full = |image: &&ArchiveImage| names(image).any(|name| matches!(name, Name::Full(_)));
    let by_name = |image: &&ArchiveImage| {
        names(image).any(|name| matches!(name, Name::Full(name) if name.is_same_name(wanted)))
    };
    if let Some(image) = one(path, images.iter().filter(by_name), wanted)? {
        return Ok((image, None));
    }
    let by_digest = |image: &&ArchiveImage| wanted.digest() == Some(image.digest);
    if let Some(image) = images.iter().find(by_digest) {
        return Ok((image, None));
    }
    if !images.iter().any(|image| is_full(&image)) {
        let by_word = |image: &&ArchiveImage| {
            names(image).any(|name| matches!(name, Name::Bare(word) if means(word, wanted)))
        };
        if let Some(image) = one(path, images.iter().filter(by_word), wanted)? {
            return Ok((image, None));
        }
    }
    let digests: BTreeSet<Digest> = images.iter().map(|image| image.digest).collect();
    match (images.first(), digests.len()) {
        (Some(image), 1) => Ok((image, other_name(path, images, wanted))),
        _ => Err(ArchiveError::NotInside {
            path: path.to_owned(),
            wanted: wanted.to_string(),
            found: match all_names(images).as_slice() {
                [] if images.is_empty() => "it holds none".to_owned(),
                [] => "it names none".to_owned(),
                found => format!("it has {}", found.join(", ")),
            },
        }),
    }
}

fn names(image: &ArchiveImage) -> impl Iterator<Item = Name<'_>> {
    image.names.iter().map(|name| Name::new(name))
}

/// Returns whether a bare word is the wanted tag, or the wanted image's short name.
fn means(word: &str, wanted: &Reference) -> bool {
    let is_name = || {
        word.parse::<Reference>()
            .is_ok_and(|name| name.is_same_name(wanted))
    };
    wanted.tag() == Some(word) || is_name()
}

/// Returns the only image among the candidates; several entries for the same bytes are one.
fn one<'a>(
    path: &Path,
    candidates: impl Iterator<Item = &'a ArchiveImage>,
    wanted: &Reference,
) -> Result<Option<&'a ArchiveImage>, ArchiveError> {
    let candidates: Vec<&ArchiveImage> = candidates.collect();
    let digests: BTreeSet<Digest> = candidates.iter().map(|image| image.digest).collect();
    if digests.len() > 1 {
        let shown =
            |image: &&ArchiveImage| format!("{} ({})", cli::shown(&image.names.join(" ")), image.digest);
        return Err(ArchiveError::Ambiguous {
            path: path.to_owned(),
            wanted: wanted.to_string(),
            candidates: candidates.iter().map(shown).collect(),
        });
    }
    Ok(candidates.first().copied())
}

fn other_name(path: &Path, images: &[ArchiveImage], wanted: &Reference) -> Option<String> {
    let found = all_names(images);
    (!found.is_empty()).then(|| {
        format!(
            "{} calls its only image {}, the spec calls it {}: it is packed under the name of the spec",
            path.display(),
            found.join(", "),
            wanted.name()
        )
    })
}

/// Returns the names as the archive writes them, of each image the full ones where it has any.
fn all_names(images: &[ArchiveImage]) -> Vec<String> {
    let mut all = Vec::new();
    for image in images {
        let full: Vec<&String> = image
            .names
            .iter()
            .filter(|name| matches!(Name::new(name), Name::Full(_)))
            .collect();
        let shown = if full.is_empty() {
            image.names.iter().collect()
        } else {
            full
        };
        all.extend(shown.into_iter().map(|name| cli::shown(name)));
    }
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(digest: &str, names: &[&str]) -> ArchiveImage {
        ArchiveImage {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            media_type: String::new(),
            digest: Digest::of(digest),
            size: 1,
        }
    }

    /// Gives what was chosen by the seed of its digest, `?` where a warning comes with it, or the error.
    fn chosen(images: &[ArchiveImage], wanted: &str) -> Result<(Digest, bool), String> {
        let (image, note) = select(Path::new("a.tar"), images, &wanted.parse().unwrap())
            .map_err(|error| error.to_string())?;
        Ok((image.digest, note.is_some()))
    }

    #[test]
    fn the_full_name_decides_where_images_share_a_tag() {
        let images = ["kube-apiserver", "kube-controller-manager", "kube-proxy"].map(|name| {
            let full = format!("registry.k8s.io/{name}:v1.30.0");
            image(name, &[&full, "v1.30.0"])
        });
        for name in ["kube-proxy", "kube-apiserver", "kube-controller-manager"] {
            let wanted = format!("registry.k8s.io/{name}:v1.30.0");
            assert_eq!(chosen(&images, &wanted), Ok((Digest::of(name), false)));
        }
        let error = chosen(&images, "registry.k8s.io/etcd:v1.30.0").unwrap_err();
        assert_eq!(
            error,
            "a.tar has no image registry.k8s.io/etcd:v1.30.0: it has registry.k8s.io/kube-apiserver:v1.30.0, \
             registry.k8s.io/kube-controller-manager:v1.30.0, registry.k8s.io/kube-proxy:v1.30.0"
        );
    }

    #[test]
    fn a_bare_tag_counts_only_where_one_entry_has_it_and_none_a_full_name() {
        assert_eq!(
            chosen(&[image("a", &["1"]), image("b", &["2"])], "app:2"),
            Ok((Digest::of("b"), false))
        );
        let error = chosen(&[image("a", &["1"]), image("b", &["1"])], "app:1").unwrap_err();
        assert!(
            error.contains("several images") && error.contains(&Digest::of("b").to_string()),
            "{error}"
        );
        // Twice the same bytes are one image.
        assert!(chosen(&[image("a", &["1"]), image("a", &["1", "2"])], "app:1").is_ok());
        let mixed = [image("a", &["docker.io/library/other:1"]), image("b", &["1"])];
        assert!(chosen(&mixed, "app:1").unwrap_err().contains("has no image"));
    }

    #[test]
    fn names_meet_in_their_normal_form() {
        let images = [
            image("a", &["redis:7"]),
            image("b", &["Registry.Example:5000/app:1"]),
        ];
        assert_eq!(
            chosen(&images, "docker.io/library/redis:7"),
            Ok((Digest::of("a"), false))
        );
        assert_eq!(
            chosen(&images, "index.docker.io/redis:7"),
            Ok((Digest::of("a"), false))
        );
        assert_eq!(
            chosen(&images, "registry.example:5000/app:1"),
            Ok((Digest::of("b"), false))
        );
        assert_eq!(
            chosen(&[image("a", &["nginx"]), image("b", &["redis"])], "nginx"),
            Ok((Digest::of("a"), false))
        );
    }

    #[test]
    fn the_only_image_is_taken_with_a_warning_that_says_both_names() {
        let redis = [image("a", &["docker.io/library/redis:7", "7"])];
        let (_, note) = select(Path::new("a.tar"), &redis, &"nginx:1".parse().unwrap()).unwrap();
        assert_eq!(
            note.unwrap(),
            "a.tar calls its only image docker.io/library/redis:7, the spec calls it docker.io/library/nginx:1: it \
             is packed under the name of the spec"
        );
        assert_eq!(
            chosen(&[image("a", &["image"])], "app:1"),
            Ok((Digest::of("a"), true))
        );
        assert_eq!(chosen(&[image("a", &[])], "app:1"), Ok((Digest::of("a"), false)));
        assert!(chosen(&[], "app:1").is_err());
    }

    #[test]
    fn two_images_of_one_full_name_are_an_error() {
        let images = [image("a", &["app:1"]), image("b", &["docker.io/library/app:1"])];
        assert!(chosen(&images, "app:1").unwrap_err().contains("several images"));
    }

    #[test]
    fn a_digest_in_the_name_must_be_the_image_s() {
        let images = [image("a", &["app:1"]), image("b", &["app:2"])];
        let (a, b) = (Digest::of("a"), Digest::of("b"));
        assert_eq!(chosen(&images, &format!("app@{b}")), Ok((b, false)));
        assert_eq!(chosen(&images, &format!("app:1@{a}")), Ok((a, false)));
        let error = chosen(&images, &format!("app:1@{b}")).unwrap_err();
        assert!(
            error.contains(&a.to_string()) && error.contains(&b.to_string()),
            "{error}"
        );
    }
}
