//! The runtime's images.

use std::collections::HashMap;

use serde::Deserialize;

use super::proto::{Image, ImageFsInfoRequest, ImageSpec, ImageStatusRequest, ListImagesRequest};
use super::{Cri, Error, answer};
use crate::protocol::CriImage;

impl Cri {
    /// Returns all images, by id.
    pub async fn images(&self) -> Result<Vec<CriImage>, Error> {
        let mut client = self.images_client();
        let call = client.list_images(ListImagesRequest::default());
        let reply = answer(|| "list the images".into(), call).await?;
        let mut images: Vec<_> = reply
            .images
            .into_iter()
            .map(|image| convert(image, None))
            .collect();
        images.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(images)
    }

    /// Returns the image that the runtime finds by a tag, a digest or an id.
    pub async fn image_status(&self, reference: &str) -> Result<Option<CriImage>, Error> {
        let request = ImageStatusRequest {
            image: Some(ImageSpec {
                image: reference.to_owned(),
                ..ImageSpec::default()
            }),
            verbose: true,
        };
        let mut client = self.images_client();
        let call = client.image_status(request);
        let reply = answer(|| format!("look for image {reference}"), call).await?;
        Ok(reply.image.map(|image| convert(image, platform(&reply.info))))
    }

    /// Returns the directory where the runtime keeps unpacked images.
    pub(crate) async fn image_directory(&self) -> Result<Option<String>, Error> {
        let mut client = self.images_client();
        let call = client.image_fs_info(ImageFsInfoRequest {});
        let reply = answer(|| "ask where the images lie".into(), call).await?;
        let first = reply.image_filesystems.into_iter().next();
        let directory = first.and_then(|usage| usage.fs_id).map(|id| id.mountpoint);
        Ok(directory.filter(|directory| !directory.is_empty()))
    }
}

fn convert(image: Image, platform: Option<String>) -> CriImage {
    CriImage {
        id: image.id,
        tags: image.repo_tags,
        digests: image.repo_digests,
        size: image.size,
        pinned: image.pinned,
        platform,
    }
}

/// containerd's own additions (internal/cri/server/images/image_status.go, verboseImageInfo).
#[derive(Deserialize)]
struct Verbose {
    #[serde(rename = "imageSpec")]
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    os: String,
    architecture: String,
    variant: Option<String>,
}

fn platform(info: &HashMap<String, String>) -> Option<String> {
    let Verbose { spec } = serde_json::from_str(info.get("info")?).ok()?;
    let variant = spec.variant.filter(|variant| !variant.is_empty());
    let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
    Some(format!("{}/{}{variant}", spec.os, spec.architecture))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_that_of_the_images_configuration() {
        let info = |text: &str| HashMap::from([("info".to_owned(), text.to_owned())]);
        let amd64 =
            r#"{"chainID":"sha256:00","imageSpec":{"created":"x","architecture":"amd64","os":"linux"}}"#;
        assert_eq!(platform(&info(amd64)).as_deref(), Some("linux/amd64"));
        let arm = r#"{"imageSpec":{"architecture":"arm","os":"linux","variant":"v7"}}"#;
        assert_eq!(platform(&info(arm)).as_deref(), Some("linux/arm/v7"));
        assert_eq!(platform(&info("no json")), None);
        assert_eq!(platform(&HashMap::new()), None);
    }
}
