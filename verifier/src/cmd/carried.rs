//! What the suite uses of a bundle: the objects that it applies, and when the newest image was made.

use std::collections::BTreeMap;
use std::io::Read as _;

use bundle::{BundleFile, Index};
use cli::Failure;
use jiff::Timestamp;

use crate::check::{Created, Suite};

/// The members of a bundle that the suite applies.
const SUITE: &str = "manifests/smoke/";
/// The longest of them that is read, in bytes.
const MANIFEST: u64 = 1 << 20;

/// Reads what the suite uses of the bundle.
pub(super) fn read(bundle: &BundleFile) -> Result<Suite, Failure> {
    let failed = |error| cli::bundle_failure(bundle.path(), error);
    let configs = configs(bundle.index());
    let members = bundle.index().members.iter().filter(|member| {
        let path = member.path.as_str();
        member.size <= MANIFEST && (path.starts_with(SUITE) || configs.contains_key(path))
    });
    let wanted = members.map(|member| member.path.clone()).collect();
    let mut reader = bundle.reader().map_err(failed)?.only(wanted);
    let mut manifests = BTreeMap::new();
    let mut newest = None;
    while let Some(mut entry) = reader.next_entry().map_err(failed)? {
        let path = entry.member().path.to_string();
        let mut bytes = Vec::new();
        entry
            .read_to_end(&mut bytes)
            .map_err(|error| match bundle::ReadError::from_io(error) {
                Ok(error) => failed(error),
                Err(source) => failed(bundle::ReadError::Read {
                    during: path.clone(),
                    source,
                }),
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
        index: bundle.index().as_ref().clone(),
        identity: bundle.id(),
        manifests,
        newest,
    })
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
