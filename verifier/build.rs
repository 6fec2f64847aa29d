//! Turns every .proto below `proto/` into client code: `proto/NAME/` is the root of its own imports. No protoc.

use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut roots = Vec::new();
    for entry in std::fs::read_dir("proto")? {
        roots.push(entry?.path());
    }
    roots.sort();
    let mut files = Vec::new();
    for root in &roots {
        protos(root, &mut files)?;
    }
    files.sort();
    let descriptors = protox::compile(&files, &roots)?;
    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".containerd.services.content.v1")
        .compile_fds(descriptors)?;
    Ok(())
}

fn protos(directory: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            protos(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}
