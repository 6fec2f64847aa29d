//! Signatures over files, as `ssh-keygen -Y sign` makes them (OpenSSH: PROTOCOL.sshsig): the keys that people log in with sign
//! what they answer for. RSA keys sign through ring, as at a login.

use std::io;
use std::path::{Path, PathBuf};

use bundle::UserFile;
use russh::keys::ssh_key::{LineEnding, SshSig};
use russh::keys::{Algorithm, HashAlg, PublicKey, decode_secret_key};
use secrets::{Secret, Wiped};

use super::file_key::{FileKey, SignError};

const KEY: UserFile = UserFile::new("a private key", 64 << 10);
const PUBLIC: UserFile = UserFile::new("a file of public keys", 1 << 20);
/// What goes over the text before it is signed.
const HASH: HashAlg = HashAlg::Sha512;

/// Why a key does not sign, or a signature is not good.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The key's file.
    #[error("cannot read the key {}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is encrypted.
    #[error("the key {} is encrypted, and no passphrase opens it", path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// It is no key, or one that does not sign.
    #[error("{} is no key that signs: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The signature's own form.
    #[error("it is no SSH signature: {0}")]
    Form(String),
    /// It is of another key.
    #[error("it was made with the key {0}, which is none of those that were named")]
    OtherKey(String),
    /// It is of other bytes, or for another purpose.
    #[error("it does not fit: {0}")]
    Wrong(String),
}

/// A key that signs files.
pub struct SigningKey {
    path: PathBuf,
    key: FileKey,
}

impl SigningKey {
    /// Reads a private key.
    ///
    /// # Errors
    /// When it cannot be read, opened or used.
    pub fn read(path: &Path, passphrase: Option<&Secret>) -> Result<Self, SignatureError> {
        let path = path.to_owned();
        let text = match KEY.read_text(&path) {
            Ok(text) => Wiped::new(text),
            Err(source) => return Err(SignatureError::Key { path, source }),
        };
        let key = match decode_secret_key(&text, passphrase.map(Secret::reveal)) {
            Ok(key) => key,
            Err(russh::keys::Error::KeyIsEncrypted) => return Err(SignatureError::Encrypted { path }),
            Err(error) => {
                let reason = error.to_string();
                return Err(SignatureError::Unusable { path, reason });
            }
        };
        match FileKey::new(key) {
            Ok(key) => Ok(Self { path, key }),
            Err(error) => {
                let reason = error.to_string();
                Err(SignatureError::Unusable { path, reason })
            }
        }
    }

    /// Returns the fingerprint of its public half.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.key.public())
    }

    /// Signs bytes for a purpose; returns the file of the signature.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, namespace: &str, bytes: &[u8]) -> Result<String, SignatureError> {
        self.signature(namespace, bytes)
            .map_err(|reason| SignatureError::Unusable {
                path: self.path.clone(),
                reason,
            })
    }

    fn signature(&self, namespace: &str, bytes: &[u8]) -> Result<String, String> {
        let said = |error: russh::keys::ssh_key::Error| error.to_string();
        let data = SshSig::signed_data(namespace, HASH, bytes).map_err(said)?;
        let rsa = matches!(self.key.public().algorithm(), Algorithm::Rsa { .. });
        let signature = self.key.sign(rsa.then_some(HASH), &data);
        let signature = signature.map_err(|error: SignError| error.to_string())?;
        let public = self.key.public().key_data().clone();
        let signed = SshSig::new(public, namespace, HASH, signature).map_err(said)?;
        signed.to_pem(LineEnding::LF).map_err(said)
    }
}

/// Returns the fingerprint of a key as OpenSSH shows it.
fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Returns the keys of a file: a public key, authorized keys, or allowed signers, a line each.
fn public_keys(path: &Path) -> Result<Vec<PublicKey>, SignatureError> {
    let text = PUBLIC.read_text(path).map_err(|source| SignatureError::Key {
        path: path.to_owned(),
        source,
    })?;
    let unusable = |reason: &str| SignatureError::Unusable {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let mut keys = Vec::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_type =
            |word: &&str| word.starts_with("ssh-") || word.starts_with("ecdsa-") || word.starts_with("sk-");
        let at = words.iter().position(is_type);
        let at = at.ok_or_else(|| unusable("a line has no public key"))?;
        // Options limit what a key may do; who does not know them must not take it.
        if at > 1 {
            return Err(unusable(
                "a line has options, which are not known here: name the public key alone",
            ));
        }
        let key = PublicKey::from_openssh(&words[at..].join(" "));
        keys.push(key.map_err(|error| unusable(&error.to_string()))?);
    }
    if keys.is_empty() {
        return Err(unusable("it has no public key"));
    }
    Ok(keys)
}

/// Checks that a signature was made over bytes for a purpose with one of the keys of a file; returns that key's fingerprint.
///
/// # Errors
/// When the keys cannot be read, or it was not.
pub fn verify_signature(
    keys: &Path,
    signature: &str,
    namespace: &str,
    bytes: &[u8],
) -> Result<String, SignatureError> {
    let keys = public_keys(keys)?;
    let signature = SshSig::from_pem(signature).map_err(|error| SignatureError::Form(error.to_string()))?;
    let of = keys.iter().find(|key| key.key_data() == signature.public_key());
    let Some(key) = of else {
        let other = PublicKey::new(signature.public_key().clone(), "");
        return Err(SignatureError::OtherKey(fingerprint(&other)));
    };
    key.verify(namespace, bytes, &signature)
        .map_err(|error| SignatureError::Wrong(error.to_string()))?;
    Ok(fingerprint(key))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Runs OpenSSH's ssh-keygen.
    fn keygen(arguments: &[&str], input: &[u8]) -> bool {
        use std::io::Write as _;
        let mut child = Command::new("ssh-keygen")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh-keygen is there");
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait().unwrap().success()
    }

    #[test]
    fn openssh_takes_our_signatures_and_we_take_its() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).display().to_string();
        for kind in [["ed25519", "256"], ["ecdsa", "256"], ["rsa", "3072"]] {
            let key = path(kind[0]);
            assert!(keygen(
                &["-q", "-t", kind[0], "-b", kind[1], "-N", "", "-f", &key],
                b""
            ));
            let public = format!("{key}.pub");
            let signing = SigningKey::read(Path::new(&key), None).unwrap();
            let signature = signing.sign("verifier-report", b"bytes").unwrap();
            let line = std::fs::read_to_string(&public).unwrap();
            let (signers, signed) = (path("signers"), path("signed.sig"));
            std::fs::write(&signers, format!("inspector {line}")).unwrap();
            std::fs::write(&signed, &signature).unwrap();
            let verify = |bytes: &[u8]| {
                let arguments = [
                    "-Y",
                    "verify",
                    "-f",
                    &signers,
                    "-I",
                    "inspector",
                    "-n",
                    "verifier-report",
                    "-s",
                    &signed,
                ];
                keygen(&arguments, bytes)
            };
            assert!(verify(b"bytes") && !verify(b"other"), "{kind:?}");
            for keys in [&public, &signers] {
                let ours = |namespace: &str, bytes: &[u8]| {
                    verify_signature(Path::new(keys), &signature, namespace, bytes)
                };
                assert_eq!(ours("verifier-report", b"bytes").unwrap(), signing.fingerprint());
                assert!(matches!(
                    ours("verifier-report", b"other"),
                    Err(SignatureError::Wrong(_))
                ));
                assert!(matches!(ours("file", b"bytes"), Err(SignatureError::Wrong(_))));
            }
            // And the other way round.
            let file = path("file");
            std::fs::write(&file, b"bytes").unwrap();
            assert!(keygen(
                &["-Y", "sign", "-f", &key, "-n", "verifier-report", &file],
                b""
            ));
            let theirs = std::fs::read_to_string(format!("{file}.sig")).unwrap();
            assert!(verify_signature(Path::new(&public), &theirs, "verifier-report", b"bytes").is_ok());
            std::fs::remove_file(format!("{file}.sig")).unwrap();
        }
        let [one, other] = [path("ed25519"), path("ecdsa.pub")];
        let signature = SigningKey::read(Path::new(&one), None)
            .unwrap()
            .sign("x", b"")
            .unwrap();
        let error = verify_signature(Path::new(&other), &signature, "x", b"").unwrap_err();
        assert!(matches!(error, SignatureError::OtherKey(_)), "{error}");
    }

    #[test]
    fn keys_with_options_and_files_without_keys_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("signers");
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGfmvjHK9f7u3TAxVxbXWrxAv8FKt2ZUZqJ5vQmSj4Lx";
        for text in [
            "",
            "# nothing\n",
            "hello\n",
            &format!("a@b namespaces=\"git\" {key}\n"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(
                matches!(public_keys(&file), Err(SignatureError::Unusable { .. })),
                "{text}"
            );
        }
    }
}
