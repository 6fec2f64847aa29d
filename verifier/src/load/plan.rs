//! From the index of a bundle to what one host should hold. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bundle::{Digest, Image, Index, Platform, PlatformImage};

use crate::protocol::{Blob, LoadPlan, PlannedImage, PlannedLayer, split_digest};

/// Why a bundle cannot be loaded on a host.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The bundle was built for other platforms.
    #[error("the bundle has image {image} for {has} only, the host is {platform}")]
    Platform {
        /// The image.
        image: String,
        /// The platform of the host.
        platform: Platform,
        /// The platforms that the bundle has.
        has: String,
    },
    /// A blob that nothing holds.
    #[error("image {image} needs blob {digest}, which the bundle neither holds nor requires from a base")]
    Blob {
        /// The image.
        image: String,
        /// The blob.
        digest: Digest,
    },
    /// A name that says another digest than the image has.
    #[error("image {image} is named by another digest than its own, {digest}")]
    Name {
        /// The image.
        image: String,
        /// The digest of the image.
        digest: Digest,
    },
    /// A name without tag and digest.
    #[error("image {image} has neither a tag nor a digest in its name")]
    Tag {
        /// The image.
        image: String,
    },
}

/// Makes the plan for a host of `platform` that gets all images but those of `without`.
///
/// Blobs that a delta bundle takes from a base have length 0 in the plan: they must be on the host already.
pub fn load_plan(
    index: &Index,
    platform: &Platform,
    pin: bool,
    without: &BTreeSet<String>,
) -> Result<LoadPlan, PlanError> {
    let sizes = sizes(index);
    let images = index.images.iter().filter(|image| !without.contains(&image.name));
    let images = images.map(|image| planned(image, platform, &sizes));
    Ok(LoadPlan {
        socket: None,
        pin,
        images: images.collect::<Result<_, _>>()?,
        redo: Vec::new(),
    })
}

/// Returns the length of every blob that the bundle holds, or 0 for those that it requires.
fn sizes(index: &Index) -> BTreeMap<Digest, u64> {
    let required = index.requires.iter().flat_map(|base| &base.blobs);
    let mut sizes: BTreeMap<_, _> = required.map(|digest| (*digest, 0)).collect();
    let blobs = index
        .members
        .iter()
        .filter(|member| member.kind == bundle::Kind::Blob);
    sizes.extend(blobs.map(|member| (member.sha256, member.size)));
    sizes
}

fn planned(
    image: &Image,
    platform: &Platform,
    sizes: &BTreeMap<Digest, u64>,
) -> Result<PlannedImage, PlanError> {
    check_name(image)?;
    let chosen = choose(image, platform)?;
    let blob = |digest: Digest| match sizes.get(&digest) {
        Some(&size) => Ok(Blob { digest, size }),
        None => Err(PlanError::Blob {
            image: image.name.clone(),
            digest,
        }),
    };
    let layers = chosen.layers.iter().map(|layer| {
        Ok(PlannedLayer {
            blob: blob(layer.digest)?,
            diff_id: layer.diff_id,
            unpacked: layer.unpacked,
        })
    });
    Ok(PlannedImage {
        name: image.name.clone(),
        target: blob(image.digest)?,
        media_type: image.media_type.clone(),
        manifest: blob(chosen.manifest)?,
        config: blob(chosen.config)?,
        layers: layers.collect::<Result<_, _>>()?,
    })
}

fn check_name(image: &Image) -> Result<(), PlanError> {
    let (name, digest) = split_digest(&image.name);
    let last = name.rsplit('/').next().unwrap_or(name);
    match digest {
        Some(digest) if digest != image.digest.to_string() => Err(PlanError::Name {
            image: image.name.clone(),
            digest: image.digest,
        }),
        None if !last.contains(':') => Err(PlanError::Tag {
            image: image.name.clone(),
        }),
        _ => Ok(()),
    }
}

fn choose<'a>(image: &'a Image, platform: &Platform) -> Result<&'a PlatformImage, PlanError> {
    image.for_host(platform).ok_or_else(|| {
        let has = image.platforms.iter().map(|one| one.platform.to_string());
        PlanError::Platform {
            image: image.name.clone(),
            platform: platform.clone(),
            has: has.collect::<Vec<_>>().join(", "),
        }
    })
}

#[cfg(test)]
mod tests {
    use bundle::{Kind, Layer, Member, MemberPath};

    use super::*;

    fn member(text: &str) -> Member {
        let digest = Digest::of(text);
        Member {
            path: MemberPath::new(format!("blobs/sha256/{}", digest.hex())).unwrap(),
            kind: Kind::Blob,
            size: text.len() as u64,
            sha256: digest,
            mode: 0o644,
        }
    }

    fn platform_image(platform: &str, manifest: &str) -> PlatformImage {
        PlatformImage {
            platform: platform.parse().unwrap(),
            manifest: Digest::of(manifest),
            config: Digest::of("config"),
            layers: vec![Layer {
                digest: Digest::of("layer"),
                diff_id: Digest::of("diff"),
                unpacked: Some(7),
            }],
        }
    }

    fn index(name: &str) -> Index {
        Index {
            format: 1,
            name: "test".into(),
            serial: None,
            created: None,
            tool: "test".into(),
            platforms: Vec::new(),
            requires: Vec::new(),
            smoke: None,
            images: vec![Image {
                name: name.into(),
                from: name.into(),
                digest: Digest::of("index"),
                media_type: "application/vnd.oci.image.index.v1+json".into(),
                platforms: vec![
                    platform_image("linux/amd64", "manifest-amd64"),
                    platform_image("linux/arm64/v9", "manifest-newer"),
                    platform_image("linux/arm64/v8", "manifest-arm64"),
                ],
            }],
            members: ["index", "manifest-amd64", "manifest-arm64", "config", "layer"]
                .map(member)
                .to_vec(),
        }
    }

    #[test]
    fn a_plan_takes_the_image_of_the_hosts_platform_with_the_lengths_of_the_members() {
        let plan = load_plan(
            &index("a.example/b:1"),
            &"linux/arm64".parse().unwrap(),
            true,
            &BTreeSet::new(),
        )
        .unwrap();
        let image = &plan.images[0];
        assert_eq!(image.manifest.digest, Digest::of("manifest-arm64"));
        assert_eq!(image.layers[0].blob.size, 5);
        assert_eq!(plan.blobs().len(), 4);
    }

    #[test]
    fn an_image_that_is_not_there_for_the_host_is_named() {
        let error = load_plan(
            &index("a.example/b:1"),
            &"linux/riscv64".parse().unwrap(),
            true,
            &BTreeSet::new(),
        )
        .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("linux/amd64, linux/arm64/v9, linux/arm64/v8 only"),
            "{error}"
        );
    }

    #[test]
    fn an_image_that_is_not_for_the_host_is_no_part_of_its_plan_whatever_its_platforms() {
        let without = BTreeSet::from(["a.example/b:1".to_owned()]);
        let plan = load_plan(
            &index("a.example/b:1"),
            &"linux/riscv64".parse().unwrap(),
            true,
            &without,
        );
        assert_eq!(plan.unwrap().images, []);
    }

    #[test]
    fn a_blob_that_nothing_holds_is_named_and_one_of_a_base_is_taken_for_granted() {
        let mut index = index("a.example/b:1");
        let amd64 = "linux/amd64".parse().unwrap();
        index.members.pop();
        let error = load_plan(&index, &amd64, true, &BTreeSet::new()).unwrap_err();
        assert!(matches!(error, PlanError::Blob { digest, .. } if digest == Digest::of("layer")));
        index.requires.push(bundle::Requirement {
            bundle: Digest::of("base"),
            blobs: vec![Digest::of("layer")],
        });
        assert_eq!(
            load_plan(&index, &amd64, true, &BTreeSet::new()).unwrap().images[0].layers[0]
                .blob
                .size,
            0
        );
    }

    #[test]
    fn a_name_must_have_a_tag_or_the_images_own_digest() {
        let amd64 = "linux/amd64".parse().unwrap();
        let plan = |name: &str| load_plan(&index(name), &amd64, false, &BTreeSet::new());
        assert!(matches!(plan("a.example:5000/b"), Err(PlanError::Tag { .. })));
        let other = format!("a.example/b@{}", Digest::of("other"));
        assert!(matches!(plan(&other), Err(PlanError::Name { .. })));
        plan(&format!("a.example/b@{}", Digest::of("index"))).unwrap();
    }
}
