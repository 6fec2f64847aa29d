//! What the suite runs: the objects that a bundle carries, or our own around an image that is on the nodes already.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use bundle::nodes::{EVERYWHERE, ImageNodes, NodePattern};
use bundle::{BundleFile, Index, MemberPath, ReadError};
use jiff::Timestamp;

use super::order;
use crate::load::Kept;
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

/// Returns the members that the suite uses: its objects, and the images' configurations.
pub(super) fn wanted(index: &Index) -> BTreeSet<MemberPath> {
    let configs = configs(index);
    let members = index.members.iter().filter(|member| {
        let path = member.path.as_str();
        member.size <= MANIFEST && (path.starts_with(SUITE) || configs.contains_key(path))
    });
    members.map(|member| member.path.clone()).collect()
}

/// Reads what the suite uses of the bundle.
pub(super) fn read(bundle: &BundleFile) -> Result<Suite, ReadError> {
    let mut reader = bundle.reader()?.only(wanted(bundle.index()));
    let mut kept = Kept::new();
    while let Some(mut entry) = reader.next_entry()? {
        let member = entry.member().path.clone();
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| match ReadError::from_io(error) {
                Ok(error) => error,
                Err(source) => ReadError::Read {
                    during: member.to_string(),
                    member: Some(member.clone()),
                    offset: None,
                    source,
                },
            })?;
        kept.insert(member, bytes);
    }
    of(bundle, kept)
}

/// Makes the suite of the members that it uses.
pub(super) fn of(bundle: &BundleFile, members: Kept) -> Result<Suite, ReadError> {
    let configs = configs(bundle.index());
    let mut manifests = BTreeMap::new();
    let mut newest = None;
    for (path, bytes) in members {
        match configs.get(path.as_str()) {
            Some(image) => {
                let created = created(&bytes).map(|created| Created {
                    image: image.clone(),
                    created,
                });
                newest = newest.max(created);
            }
            None => {
                manifests.insert(path.to_string(), bytes);
            }
        }
    }
    Ok(Suite {
        index: Some(bundle.index().as_ref().clone()),
        nodes: bundle.image_nodes()?,
        identity: Some(bundle.id()),
        manifests,
        newest,
    })
}

/// Returns what several bundles carry together, for who only compares it; none where there is no bundle. An image that one
/// of them has for all nodes is for all.
pub(super) fn together(bundles: &[BundleFile]) -> Result<Option<Suite>, ReadError> {
    let Some(first) = bundles.first() else {
        return Ok(None);
    };
    let mut restricted: BTreeMap<String, Vec<NodePattern>> = BTreeMap::new();
    let mut everywhere = BTreeSet::new();
    for bundle in bundles {
        let nodes = bundle.image_nodes()?;
        let some: BTreeMap<&str, &[NodePattern]> = nodes.images().collect();
        for image in &bundle.index().images {
            match some.get(image.name.as_str()) {
                Some(patterns) => {
                    let all = restricted.entry(image.name.clone()).or_default();
                    all.extend(patterns.iter().cloned());
                }
                None => drop(everywhere.insert(image.name.clone())),
            }
        }
    }
    restricted.retain(|name, _| !everywhere.contains(name));
    let indexes: Vec<&Index> = bundles.iter().map(|bundle| bundle.index().as_ref()).collect();
    let index = match indexes[..] {
        [one] => one.clone(),
        _ => order::together(&indexes),
    };
    Ok(Some(Suite {
        index: Some(index),
        nodes: ImageNodes::new(restricted),
        identity: Some(first.id()),
        manifests: BTreeMap::new(),
        newest: None,
    }))
}

/// Returns the suite around an image: the objects that a bundle of that image would carry.
pub(super) fn around(image: &str) -> Suite {
    let manifest = |(name, template): (&str, &str)| {
        let text = template.replace(IMAGE, &serde_json::Value::from(image).to_string());
        (format!("{SUITE}{name}"), text.into_bytes())
    };
    Suite {
        index: None,
        nodes: EVERYWHERE.clone(),
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
