//! `bundler sign`: a signature beside a bundle.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bundle::{AtomicFile, Digest, NAMESPACE, Reader, Trust, UserFile};
use cli::{Failure, Form, Kind, Shown, bundle_source, exit};
use serde::Serialize;
use signatures::SignatureForm;

use super::build::PASSPHRASE;

const SIGNATURE: UserFile = UserFile::new("a signature", signatures::SIGNATURE_LIMIT);

/// The arguments of `sign`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The bundle: an archive, or a directory that it was unpacked to
    file: PathBuf,
    /// The key: a private key of OpenSSH (ed25519, ECDSA, RSA) or of minisign, or a public key whose private half your SSH agent has
    #[arg(long, visible_alias = "sign", value_name = "KEY")]
    key: PathBuf,
    /// The bundle must be this one, by its identity
    #[arg(long, value_name = "sha256:HEX")]
    expect: Option<Digest>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The result as JSON, version 1.
#[derive(Serialize)]
struct Report {
    version: u32,
    file: String,
    bundle: Digest,
    signature: String,
    key: String,
}

/// Why no signature lies beside the bundle.
#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error("a signature beside standard input has no place")]
    Stream,
    #[error("{} is there already, and is no signature of a bundle", path.display())]
    Other { path: PathBuf },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let path = &arguments.file;
    if path.as_os_str() == "-" {
        return Err(Failure::new(Kind::Usage, SignError::Stream).hint("name the file of the bundle"));
    }
    let beside = bundle::signature_file(path);
    may_replace(&beside)?;
    let trust = match arguments.expect {
        Some(identity) => Trust::any().expect([identity]),
        None => Trust::any(),
    };
    let bundle =
        Reader::open(bundle_source(path), &trust).map_err(|error| cli::bundle_failure(path, error))?;
    let key = cli::signing_key(&arguments.key, PASSPHRASE)?;
    // A reader takes an index in one form only, so these are the bytes that were read.
    let signature = key
        .sign(
            NAMESPACE,
            &format!("bundle {}", bundle.id()),
            &bundle.index().to_json(),
        )
        .map_err(|error| {
            Failure::new(Kind::Error, error).hint("see that the key and its agent work: `ssh-add -l`")
        })?;
    AtomicFile::write(&beside, signature.as_bytes()).map_err(|error| {
        Failure::new(Kind::Error, error).hint("look at the room and the permissions there: `df -h`, `ls -ld`")
    })?;
    let report = Report {
        version: 1,
        file: path.display().to_string(),
        bundle: bundle.id(),
        signature: beside.display().to_string(),
        key: key.fingerprint(),
    };
    match Form::from_flag(arguments.json) {
        Form::Json => cli::tell_json(out, &report),
        Form::Text => cli::tell_text(
            out,
            &format!(
                "{}: bundle {}, signed with {}\n",
                Shown::new(&report.signature),
                report.bundle,
                report.key
            ),
        ),
    }
    Ok(exit::PASS)
}

/// Refuses to write over what is no signature of a bundle.
fn may_replace(path: &Path) -> Result<(), Failure> {
    let there = match SIGNATURE.read(path) {
        Ok(bytes) => SignatureForm::of(&bytes).is_ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => false,
        Err(source) => {
            let path = path.to_owned();
            return Err(Failure::new(Kind::Error, SignError::Read { path, source })
                .hint("look at the path and its permissions: `ls -l` shows both"));
        }
    };
    if there {
        return Ok(());
    }
    let path = path.to_owned();
    Err(Failure::new(Kind::Usage, SignError::Other { path }).hint("move it away, then sign again"))
}
