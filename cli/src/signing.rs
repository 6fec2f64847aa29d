//! The key that signs: read, and opened with a passphrase that is asked for on the terminal.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use bundle::UserFile;
use secrets::{Secret, Wiped};
use signatures::{SigningError, SigningKey};

use crate::failure::{Failure, Kind};
use crate::shown::Shown;
use crate::terminal;

const KEY: UserFile = UserFile::new("a key", 64 << 10).or_pipe();

/// How often a passphrase may be wrong.
const TRIES: usize = 3;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
enum KeyError {
    #[error("cannot read the key {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot sign", path.display())]
    Open { path: PathBuf, source: SigningError },
    #[error("the passphrase of {} cannot be asked without a terminal", path.display())]
    NoTerminal { path: PathBuf, source: io::Error },
    #[error("interrupted at the question for a passphrase")]
    Interrupted,
}

/// Reads and opens a key that signs: a private key of OpenSSH or of minisign, or a public key of OpenSSH whose private half the
/// agent at SSH_AUTH_SOCK has. The passphrase of one that is encrypted is that of the environment variable `passphrase`, or
/// asked for.
///
/// # Errors
/// When it cannot be read, opened or used.
pub fn signing_key(path: &Path, passphrase: &str) -> Result<SigningKey, Failure> {
    let owned = || path.to_owned();
    let text = KEY.read_text(path).map(Wiped::new).map_err(|source| {
        Failure::new(Kind::Error, KeyError::Read { path: owned(), source })
            .hint("name a private key of ssh-keygen or minisign, or the public one whose other half your SSH agent has")
    })?;
    let agent = env::var_os("SSH_AUTH_SOCK")
        .filter(|socket| !socket.is_empty())
        .map(PathBuf::from);
    let given = env::var(passphrase).ok().map(Secret::new);
    let open = |passphrase: Option<&Secret>| SigningKey::open(&text, passphrase, agent.as_deref());
    let mut opened = open(given.as_ref());
    for _ in 0..TRIES {
        let again = given.is_none() && matches!(opened, Err(SigningError::Passphrase));
        if !again && !matches!(opened, Err(SigningError::Encrypted)) {
            break;
        }
        let question = format!("passphrase of {}", Shown::new(&path.display()));
        let answer = terminal::ask(&question).map_err(|source| {
            Failure::new(Kind::Error, KeyError::NoTerminal { path: owned(), source }).hint(
                "run it on a terminal, add the key to an SSH agent and name its public half, or see --help for the variable of the passphrase",
            )
        })?;
        let answer = answer.ok_or_else(|| Failure::new(Kind::Interrupted, KeyError::Interrupted))?;
        opened = open(Some(&answer));
    }
    opened.map_err(|source| {
        let hint = match &source {
            SigningError::NoAgent => "name the private key itself, or start an agent: `ssh-add KEY`",
            SigningError::Passphrase => "try again",
            SigningError::Agent { .. } => {
                "see that the agent runs and has the key: `ssh-add -l` lists its keys, `ssh-add KEY` adds one"
            }
            _ => "keys are ed25519, ECDSA or RSA of OpenSSH (`ssh-keygen -t ed25519`), or minisign's",
        };
        Failure::new(
            Kind::Error,
            KeyError::Open {
                path: owned(),
                source,
            },
        )
        .hint(hint)
    })
}
