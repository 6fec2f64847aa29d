//! Whether an image's snapshots still hold what its layers have. containerd keeps a record of each snapshot; that the files
//! below it were ever written to the disk, or still are there, nobody asks until a container starts. Every regular file of
//! each layer is looked for by its length, which reads the blobs and none of the files. Changes nothing that stays.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bundle::{Digest, Layer};

use super::client::Containerd;
use super::contents;
use super::error::Error;
use super::layer::{Straight, archive, inside};
use super::leases;
use super::proto::types::Mount;
use super::runtime::runtime;
use super::snapshots::Snapshots;
use crate::protocol::{HollowLayer, Proof, Unpacked, UnpackedReply, chain_ids};

/// Where containerd keeps blobs below its root (plugins/content/local).
const BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";
/// The most files of a layer that are compared.
const FILES: usize = 2_000_000;

/// Compares the layers of an image with its snapshots.
pub async fn unpacked(ask: &Unpacked) -> Result<UnpackedReply, Error> {
    let mut reply = UnpackedReply {
        present: false,
        compared: 0,
        hollow: Vec::new(),
        unproven: Vec::new(),
        spoilt: Vec::new(),
    };
    let containerd = Containerd::connect(ask.socket.as_deref()).await?;
    let runtime = runtime(&containerd).await?;
    let Some(top) = chain_ids(ask.layers.iter().map(|layer| layer.diff_id)).pop() else {
        return Ok(reply);
    };
    let snapshots = Snapshots {
        containerd: containerd.clone(),
        snapshotter: runtime.snapshotter,
    };
    reply.present = snapshots.has(top).await?;
    if !reply.present {
        return Ok(reply);
    }
    let lease = leases::create(&containerd).await?;
    let held = Snapshots {
        containerd: containerd.leased(&lease),
        ..snapshots
    };
    let found = directories(&held, &format!("{lease}-look"), top).await;
    let ended = leases::delete(&containerd, &lease).await;
    let directories = found?;
    ended?;
    let root = runtime.directory.as_deref().map(Path::new).and_then(Path::parent);
    let blobs = root.map(|root| root.join(BLOBS));
    let (Some(blobs), true) = (blobs, directories.len() == ask.layers.len()) else {
        reply.unproven = ask.layers.iter().map(|layer| layer.digest).collect();
        return Ok(reply);
    };
    let (layers, proof) = (ask.layers.clone(), ask.proof);
    let compared = tokio::task::spawn_blocking(move || match proof {
        Proof::Lengths => compare(reply, &layers, &directories, &blobs),
        Proof::Contents => compare_contents(reply, &layers, &directories, &blobs),
    });
    let compared = compared.await;
    compared.map_err(|_| Error::Stopped)
}

/// Returns the directory of each layer, bottom first; none where the snapshotter has no such.
pub(super) async fn directories(
    snapshots: &Snapshots,
    key: &str,
    top: Digest,
) -> Result<Vec<PathBuf>, Error> {
    let mounts = snapshots.above(key, top).await?;
    let found = lower(&mounts);
    snapshots.remove(key).await?;
    Ok(found)
}

/// Returns the lower directories of an overlay, bottom first (Documentation/filesystems/overlayfs.rst has them top first).
fn lower(mounts: &[Mount]) -> Vec<PathBuf> {
    let [mount] = mounts else { return Vec::new() };
    let mut options = mount
        .options
        .iter()
        .filter_map(|option| option.strip_prefix("lowerdir="));
    let list = options.next().unwrap_or_default();
    let paths = list.split(':').filter(|path| path.starts_with('/'));
    let mut paths: Vec<PathBuf> = paths.map(PathBuf::from).collect();
    paths.reverse();
    paths
}

fn blob_of(blobs: &Path, layer: &Layer) -> PathBuf {
    let hex = layer.digest.to_string();
    blobs.join(hex.strip_prefix("sha256:").unwrap_or(&hex))
}

/// Returns a layer of which these files are not what they should be; nothing where there are none.
fn hollow(layer: &Layer, wrong: &[impl AsRef<Path>]) -> Option<HollowLayer> {
    let first = wrong.first()?.as_ref();
    Some(HollowLayer {
        layer: layer.digest,
        files: wrong.len() as u64,
        first: format!("/{}", first.display()).into(),
    })
}

fn compare_contents(
    mut reply: UnpackedReply,
    layers: &[Layer],
    directories: &[PathBuf],
    blobs: &Path,
) -> UnpackedReply {
    for (layer, directory) in layers.iter().zip(directories) {
        let blob = blob_of(blobs, layer);
        if !contents::is_itself(&blob, layer.digest).unwrap_or(false) {
            reply.spoilt.push(layer.digest);
            continue;
        }
        let Ok(found) = File::open(&blob).and_then(|blob| contents::compare(blob, directory)) else {
            reply.unproven.push(layer.digest);
            continue;
        };
        reply.compared += found.files;
        reply.hollow.extend(hollow(layer, &found.other));
    }
    reply
}

fn compare(
    mut reply: UnpackedReply,
    layers: &[Layer],
    directories: &[PathBuf],
    blobs: &Path,
) -> UnpackedReply {
    for (layer, directory) in layers.iter().zip(directories) {
        let blob = blob_of(blobs, layer);
        let Ok(lengths) = File::open(blob).and_then(lengths) else {
            reply.unproven.push(layer.digest);
            continue;
        };
        reply.compared += lengths.len() as u64;
        reply.hollow.extend(hollow(layer, &lacking(&lengths, directory)));
    }
    reply
}

/// Returns the length of each regular file of a layer, by its path.
fn lengths(blob: File) -> io::Result<BTreeMap<PathBuf, u64>> {
    let mut archive = archive(blob)?;
    let mut found = BTreeMap::new();
    for entry in archive.entries()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if let Some(path) = inside(&entry.path()?) {
            found.insert(path, entry.size());
        }
        if found.len() > FILES {
            return Err(io::Error::other("more files than a layer has"));
        }
    }
    Ok(found)
}

/// Returns the files that a directory lacks or has in another length. What lies behind a symlink is left out: it may lead
/// anywhere.
fn lacking<'a>(lengths: &'a BTreeMap<PathBuf, u64>, directory: &Path) -> Vec<&'a Path> {
    let mut straight = Straight::below(directory);
    let files = lengths.iter().filter(|(path, length)| {
        let found = || std::fs::symlink_metadata(directory.join(path));
        straight.leads_to(path) && !found().is_ok_and(|found| found.is_file() && found.len() == **length)
    });
    files.map(|(path, _)| path.as_path()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn layer(gzip: bool) -> File {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, text) in [
            ("etc/conf", "conf"),
            ("bin/tool", "tool"),
            ("lib/x", "x"),
            ("etc/.wh.old", ""),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        if gzip {
            let mut encoder = flate2::write::GzEncoder::new(&mut file, flate2::Compression::fast());
            encoder.write_all(&tar).unwrap();
            encoder.finish().unwrap();
        } else {
            file.write_all(&tar).unwrap();
        }
        io::Seek::rewind(&mut file).unwrap();
        file
    }

    #[test]
    fn a_file_that_is_gone_or_shorter_is_found_and_what_lies_behind_a_link_is_not_followed() {
        for gzip in [false, true] {
            let lengths = lengths(layer(gzip)).unwrap();
            assert_eq!(lengths.len(), 3, "a whiteout is no file");
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path();
            std::fs::create_dir_all(root.join("etc")).unwrap();
            std::fs::create_dir_all(root.join("bin")).unwrap();
            std::fs::write(root.join("etc/conf"), "conf").unwrap();
            std::fs::write(root.join("bin/tool"), "tool").unwrap();
            std::os::unix::fs::symlink("/nowhere", root.join("lib")).unwrap();
            assert_eq!(lacking(&lengths, root), Vec::<&Path>::new());
            std::fs::write(root.join("bin/tool"), "").unwrap();
            std::fs::remove_file(root.join("etc/conf")).unwrap();
            assert_eq!(
                lacking(&lengths, root),
                [Path::new("bin/tool"), Path::new("etc/conf")]
            );
        }
    }

    #[test]
    fn the_directories_of_an_overlay_are_told_bottom_first() {
        let mount = |options: &[&str]| Mount {
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            ..Mount::default()
        };
        let overlay = mount(&[
            "index=off",
            "workdir=/s/3/work",
            "upperdir=/s/3/fs",
            "lowerdir=/s/2/fs:/s/1/fs",
        ]);
        assert_eq!(
            lower(&[overlay]),
            [PathBuf::from("/s/1/fs"), PathBuf::from("/s/2/fs")]
        );
        assert_eq!(lower(&[mount(&["rbind", "ro"])]), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_path_that_leads_out_is_no_file_of_a_layer() {
        assert_eq!(inside(Path::new("./a/b")), Some(PathBuf::from("a/b")));
        assert_eq!(inside(Path::new("/a")), Some(PathBuf::from("a")));
        assert_eq!(inside(Path::new("../a")), None);
        assert_eq!(inside(Path::new("a/.wh.b")), None);
    }
}
