//! A host that holds the bundle's image and another one.

use bundle::{Digest, Image, Index, PlatformImage};

use crate::protocol::{CriImage, ImageStoreReply, Store, StoredImage, StoredLayer};

pub(super) const NGINX: &str = "docker.io/library/nginx:1.29";

/// Returns a bundle with one image for two platforms.
pub(super) fn index() -> Index {
    let platform = |name: &str| PlatformImage {
        platform: format!("linux/{name}").parse().unwrap(),
        manifest: Digest::of(format!("manifest of {name}")),
        config: Digest::of(format!("config of {name}")),
        layers: Vec::new(),
    };
    Index {
        format: 1,
        name: "site".to_owned(),
        serial: None,
        created: None,
        tool: "bundler 0.1.0".to_owned(),
        platforms: Vec::new(),
        requires: Vec::new(),
        smoke: None,
        images: vec![Image {
            name: NGINX.to_owned(),
            from: NGINX.to_owned(),
            digest: Digest::of("index"),
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            platforms: vec![platform("amd64"), platform("arm64")],
        }],
        members: Vec::new(),
    }
}

/// Returns what such a host says.
pub(super) fn reply() -> ImageStoreReply {
    let image = |name: &str, id: &str, target: &str| CriImage {
        id: Digest::of(id).to_string(),
        tags: vec![name.to_owned()],
        digests: vec![format!(
            "{}@{}",
            name.rsplit_once(':').unwrap().0,
            Digest::of(target)
        )],
        size: 100,
        pinned: true,
        platform: None,
    };
    let stored = |name: &str, id: &str, target: &str, layer: usize| StoredImage {
        target: Digest::of(target).to_string(),
        names: vec![name.to_owned()],
        platform: Some("linux/amd64".to_owned()),
        id: Some(Digest::of(id).to_string()),
        documents: 10,
        layers: vec![layer],
        ..StoredImage::default()
    };
    let layer = |name: &str, size| StoredLayer {
        digest: Digest::of(name).to_string(),
        size,
        unpacked: size * 3,
        ..StoredLayer::default()
    };
    let other = CriImage {
        pinned: false,
        ..image("example.org/other:1", "other", "other index")
    };
    ImageStoreReply {
        runtime: "containerd".to_owned(),
        version: "v2.4.2".to_owned(),
        platform: "linux/amd64".to_owned(),
        sandbox_image: None,
        images: vec![image(NGINX, "config of amd64", "index"), other],
        running: Vec::new(),
        store: Some(Store {
            snapshotter: "overlayfs".to_owned(),
            images: vec![
                stored(NGINX, "config of amd64", "index", 0),
                stored("example.org/other:1", "other", "other index", 1),
            ],
            layers: vec![layer("nginx", 100), layer("other", 50)],
            ..Store::default()
        }),
    }
}
