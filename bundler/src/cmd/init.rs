//! `bundler init`.

use std::io::{self, Write};
use std::path::PathBuf;

use bundle::{AtomicFile, Platform};
use cli::{Failure, Hint, Kind, exit};

use crate::render;

/// The arguments of `init`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The spec to write
    #[arg(default_value = "bundle.yaml")]
    file: PathBuf,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let path = &arguments.file;
    let text = render::SPEC.replace("linux/amd64", &Platform::current().to_string());
    let write = || {
        let mut file = AtomicFile::create(path)?;
        file.put(text.as_bytes())?;
        file.commit_new()
    };
    match write() {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let message = format!("{} is there already, and is not overwritten", path.display());
            return Err(
                Failure::new(Kind::Usage, message).hint("name another file: `bundler init other.yaml`")
            );
        }
        Err(error) => {
            return Err(
                Failure::new(Kind::Error, error).hint("check that the directory exists and is writable")
            );
        }
    }
    let written = Hint::new(
        "{file} written; edit it, then: `bundler build -f {file} -o site.tar`\n",
        &[("file", &path.display())],
    );
    cli::tell_text(out, written.as_str());
    Ok(exit::PASS)
}
