//! What a person is told, and can do, when a bundle cannot be read.

use std::error::Error;
use std::fmt;
use std::path::Path;

use bundle::ReadError;

use crate::failure::{Failure, Kind};
use crate::template::Hint;

/// What stands for standard input where a bundle is named.
pub(crate) const STDIN: &str = "-";

/// Returns the failure for an error of reading the bundle at `path`: exit code 3 where its contents are bad, 2 where
/// it could not be looked at; with what to do next.
pub fn bundle_failure(path: &Path, error: ReadError) -> Failure {
    let file = path.display();
    let named = |sentence| Hint::new(sentence, &[("file", &file)]);
    let unread = |error: &ReadError| matches!(error, ReadError::Read { .. });
    let medium = error.problems().iter().any(unread) && !error.is_contents();
    let hint = match &error {
        ReadError::Open { .. } => "look at the path and its permissions: `ls -l` shows both".into(),
        _ if medium => {
            named("the medium or its mount gives errors (`dmesg` names them): copy {file} to a disk and try again")
        }
        ReadError::Room { .. } | ReadError::Inodes { .. } => "free some room, or choose a directory on another file system".into(),
        ReadError::Target { .. } => "choose a directory that does not exist yet".into(),
        ReadError::Write { .. } => "look at the room and the permissions there: `df -h`, `ls -ld`".into(),
        ReadError::Thread { .. } => "look at the limits of this user: `ulimit -u`".into(),
        ReadError::Changed { .. } => "let the copy finish, then try again".into(),
        ReadError::Unexpected { .. } => named(
            "it is another bundle, nothing of it was used: take the one that was announced, or the identity of this one by a way that you trust (the identity is what `bundler inspect {file}` shows as its bundle, not the SHA-256 of the file)"
        ),
        ReadError::Unsigned => named(
            "nothing of it was used: ask its maker for a signature (`bundler build --sign KEY`, or `bundler sign {file}` for {file}.sig beside it)"
        ),
        ReadError::Signatures { .. } => {
            "nothing of it was used: ask its maker by a way that you trust which key signs, and name that one with --key; if it is the right one, take the bundle from its maker again".into()
        }
        ReadError::NoBundle { .. } => {
            named("give a file that `bundler build` wrote; `file {file}` tells what this one is")
        }
        ReadError::Index {
            source: bundle::IndexError::Format { .. },
        } => "use the verifier that lies in the bundle: `tar -xf FILE --wildcards 'verifier-*'`".into(),
        ReadError::Layer { .. } | ReadError::DiffId { .. } => {
            "the archive is as it was built, and the image in it was broken before: push or save that image anew, then build again with --deep"
                .into()
        }
        ReadError::BesideSyntax { .. } => named(
            "it came here damaged or is something else: copy it again from where the archive was made, or write it anew there: `sha256sum {file}`"
        ),
        _ if path.as_os_str() == STDIN => {
            "look at what writes into the pipe: it ended early, or sends something else; `check` can read the archive where it lies, too".into()
        }
        _ if path.is_dir() => named(
            "copy the directory again from the medium, or unpack its archive again; `(cd {file} && sha256sum --quiet -c SHA256SUMS)` names what is altered, here and where it comes from"
        ),
        _ => named(
            "copy the archive again from the medium, and compare: `sha256sum {file}` must print what its .sha256 says, \
             here and where it was made; if it does there and not here, the way is at fault, else build it again"
        ),
    };
    let kind = if error.is_contents() {
        Kind::BadBundle
    } else {
        Kind::Error
    };
    // Errors of opening and writing name their path themselves.
    let failure = if error.is_contents() || medium {
        Failure::new(
            kind,
            InFile {
                file: file.to_string(),
                error,
            },
        )
    } else {
        Failure::new(kind, error)
    };
    failure.hint(hint)
}

/// An error with the file that it is about; the causes are those of the error.
#[derive(Debug)]
struct InFile {
    file: String,
    error: ReadError,
}

impl fmt::Display for InFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.error)
    }
}

impl Error for InFile {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
