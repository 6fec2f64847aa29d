//! What the suite runs: the objects that a bundle carries, or our own around an image that is on the nodes already.

use std::collections::BTreeMap;
use std::io::Read as _;

use bundle::{BundleFile, Index, ReadError};
use jiff::Timestamp;

use crate::suite::{Created, Suite};

/// The members of a bundle that the suite applies.
const SUITE: &str = "manifests/smoke/";
/// The templates from which bundler makes them.
const TEMPLATES: [(&str, &str); 3] = [
    (
        "deployment.yaml",
        include_str!("../../../manifests/deployment.yaml"),
    ),
    ("service.yaml", include_str!("../../../manifests/service.yaml")),
    ("secret.yaml", include_str!("../../../manifests/secret.yaml")),
];
/// Where the image stands in them.
const IMAGE: &str = "{{ image | tojson }}";
/// The longest of them that is read, in bytes.
const MANIFEST: u64 = 1 << 20;

/// Reads what the suite uses of the bundle.
pub(super) fn read(bundle: &BundleFile) -> Result<Suite, ReadError> {
    let configs = configs(bundle.index());
    let members = bundle.index().members.iter().filter(|member| {
        let path = member.path.as_str();
        member.size <= MANIFEST && (path.starts_with(SUITE) || configs.contains_key(path))
    });
    let wanted = members.map(|member| member.path.clone()).collect();
    let mut reader = bundle.reader()?.only(wanted);
    let mut manifests = BTreeMap::new();
    let mut newest = None;
    while let Some(mut entry) = reader.next_entry()? {
        let member = entry.member().path.clone();
        let path = member.to_string();
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| match ReadError::from_io(error) {
                Ok(error) => error,
                Err(source) => ReadError::Read {
                    during: path.clone(),
                    member: Some(member.clone()),
                    offset: None,
                    source,
                },
            })?;
        match configs.get(&path) {
            Some(image) => {
                let created = created(&bytes).map(|created| Created {
                    image: image.clone(),
                    created,
                });
                newest = newest.max(created);
            }
            None => {
                manifests.insert(path, bytes);
            }
        }
    }
    Ok(Suite {
        index: Some(bundle.index().as_ref().clone()),
        identity: Some(bundle.id()),
        manifests,
        newest,
    })
}

/// Returns the suite around an image: the objects that a bundle of that image would carry.
pub(super) fn around(image: &str) -> Suite {
    let manifest = |(name, template): (&str, &str)| {
        let text = template.replace(IMAGE, &serde_json::Value::from(image).to_string());
        (format!("{SUITE}{name}"), text.into_bytes())
    };
    Suite {
        index: None,
        identity: None,
        manifests: TEMPLATES.into_iter().map(manifest).collect(),
        newest: None,
    }
}

/// Returns the members that are configurations of images, each with the image's name.
fn configs(index: &Index) -> BTreeMap<String, String> {
    let of = |image: &bundle::Image| {
        let name = image.name.clone();
        let paths = image
            .platforms
            .iter()
            .map(|one| format!("blobs/sha256/{}", one.config.hex()));
        paths.map(move |path| (path, name.clone())).collect::<Vec<_>>()
    };
    index.images.iter().flat_map(of).collect()
}

/// Returns when an image was made (OCI image-spec, config.md: `created`); none where it does not say.
fn created(config: &[u8]) -> Option<Timestamp> {
    let config: serde_json::Value = serde_json::from_slice(config).ok()?;
    config.get("created")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Manifest;

    #[test]
    fn a_suite_around_an_image_runs_that_image_and_nothing_is_left_to_fill_in() {
        let suite = around("registry.example:5000/web/nginx:1.29");
        for (path, bytes) in &suite.manifests {
            assert!(!String::from_utf8_lossy(bytes).contains("{{"), "{path}");
        }
        let bytes = &suite.manifests["manifests/smoke/deployment.yaml"];
        let deployment = Manifest::parse("deployment.yaml", bytes, "Deployment").unwrap();
        assert_eq!(deployment.image(), Some("registry.example:5000/web/nginx:1.29"));
    }
}
