//! `bundler init`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use bundle::Platform;
use cli::{Failure, Kind, exit};

use crate::render;

/// The arguments of `init`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The spec to write
    #[arg(default_value = "bundle.yaml")]
    file: PathBuf,
}

/// The spec cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
struct Unwritten {
    path: PathBuf,
    source: io::Error,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let path = &arguments.file;
    let text = render::SPEC.replace("linux/amd64", &Platform::current().to_string());
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    match written.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} is there already, and is not overwritten", path.display());
            return Err(
                Failure::new(Kind::Usage, message).hint("name another file: `bundler init other.yaml`")
            );
        }
        Err(source) => {
            let path = path.clone();
            return Err(Failure::new(Kind::Error, Unwritten { path, source })
                .hint("check that the directory exists and is writable"));
        }
    }
    let shown = path.display();
    cli::write_text(
        out,
        &format!("{shown} written; edit it, then: bundler build -f {shown} -o site.tar\n"),
    )?;
    Ok(exit::PASS)
}
