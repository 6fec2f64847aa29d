//! Turns every .proto below `proto/` into client code: `proto/NAME/` is the root of its own imports. No protoc. And compresses
//! the licence texts and the words of each language, which are carried onto every host and hardly ever read there.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> Result<(), Box<dyn Error>> {
    notices()?;
    for lang in ["en", "ko"] {
        words(lang)?;
    }
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

fn notices() -> Result<(), Box<dyn Error>> {
    const NAME: &str = "NOTICES.txt";
    println!("cargo::rerun-if-changed={NAME}");
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join(format!("{NAME}.gz"));
    let mut encoder = GzEncoder::new(File::create(out)?, Compression::best());
    io::copy(&mut File::open(NAME)?, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}

/// Packs the files of a language: of each its name and its text, with a zero behind either.
fn words(lang: &str) -> Result<(), Box<dyn Error>> {
    let directory = Path::new("words").join(lang);
    println!("cargo::rerun-if-changed={}", directory.display());
    let entries = std::fs::read_dir(&directory)?.collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    files.sort();
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join(format!("words-{lang}.gz"));
    let mut encoder = GzEncoder::new(File::create(out)?, Compression::best());
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        write!(encoder, "{name}\0{}\0", std::fs::read_to_string(&file)?)?;
    }
    encoder.finish()?;
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
