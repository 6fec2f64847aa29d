//! Logins as Docker keeps them: `config.json` with `auths`, `credHelpers` and `credsStore`.
//!
//! Credential helpers are programs by design (docker/docker-credential-helpers): `docker-credential-NAME get` gets the
//! registry's name on stdin and answers JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// Who we are to a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Anonymous,
    Password {
        username: String,
        password: String,
    },
    /// A bearer token that the registry takes as it is (`registrytoken`).
    Token(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Password { username, .. } => write!(f, "Password({username}, redacted)"),
            Self::Token(_) => f.write_str("Token(redacted)"),
        }
    }
}

/// A login that is there but cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not Docker's config.json", path.display())]
    Syntax {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("the `auth` of {registry} is not base64 of NAME:PASSWORD")]
    Auth { registry: String },
    #[error(
        "{registry} has an identity token, which is not supported: log in with a password or an access token"
    )]
    IdentityToken { registry: String },
    #[error("the credential helper {program} cannot be run")]
    Helper { program: String, source: io::Error },
    #[error("the credential helper {program} failed: {message}")]
    HelperFailed { program: String, message: String },
    #[error("the credential helper {program} did not answer in JSON")]
    HelperAnswer {
        program: String,
        source: serde_json::Error,
    },
}

/// Docker's config.json, as far as it is about logins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(redacted)")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// The key of Docker Hub in config.json.
const HUB_KEY: &str = "https://index.docker.io/v1/";

impl DockerConfig {
    /// Reads the file; an absent one has no logins.
    pub(crate) fn load(path: &Path) -> Result<Self, LoginError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(LoginError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        serde_json::from_str(&text).map_err(|source| LoginError::Syntax {
            path: path.to_owned(),
            source,
        })
    }

    /// Returns the login for a registry: its own helper, else the store, else what the file itself holds.
    pub(crate) fn login(&self, registry: &str) -> Result<Login, LoginError> {
        let entry = self.auths.iter().find(|(key, _)| names_registry(key, registry));
        let key = match entry {
            Some((key, _)) => key.as_str(),
            None if registry == "docker.io" => HUB_KEY,
            None => registry,
        };
        let helper = self
            .cred_helpers
            .iter()
            .find(|(key, _)| names_registry(key, registry));
        if let Some((key, helper)) = helper {
            return ask_helper(helper, key);
        }
        if let Some(store) = self.creds_store.as_deref().filter(|store| !store.is_empty()) {
            let login = ask_helper(store, key)?;
            if login != Login::Anonymous {
                return Ok(login);
            }
        }
        entry.map_or(Ok(Login::Anonymous), |(_, auth)| auth.login(registry))
    }
}

impl Entry {
    fn login(&self, registry: &str) -> Result<Login, LoginError> {
        let registry = registry.to_owned();
        if !self.registrytoken.is_empty() {
            return Ok(Login::Token(self.registrytoken.clone()));
        }
        if !self.identitytoken.is_empty() {
            return Err(LoginError::IdentityToken { registry });
        }
        if self.auth.is_empty() {
            if self.username.is_empty() {
                return Ok(Login::Anonymous);
            }
            return Ok(Login::Password {
                username: self.username.clone(),
                password: self.password.clone(),
            });
        }
        let plain = STANDARD
            .decode(self.auth.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = plain.as_deref().and_then(|text| text.split_once(':'));
        let Some((username, password)) = pair else {
            return Err(LoginError::Auth { registry });
        };
        Ok(Login::Password {
            username: username.to_owned(),
            // Docker pads old entries with zero bytes.
            password: password.trim_end_matches('\0').to_owned(),
        })
    }
}

/// Returns whether a key of config.json is about `registry`: keys may be URLs and Docker Hub has several names.
fn names_registry(key: &str, registry: &str) -> bool {
    let host = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let host = host.split('/').next().unwrap_or(host);
    let normal = |host: &str| match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    };
    normal(host) == normal(registry)
}

fn ask_helper(helper: &str, key: &str) -> Result<Login, LoginError> {
    let program = format!("docker-credential-{helper}");
    let fail = |source| LoginError::Helper {
        program: program.clone(),
        source,
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input says so by its answer.
        let _ = stdin.write_all(key.as_bytes());
    }
    let output = child.wait_with_output().map_err(fail)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        // The helpers' own protocol: this sentence on stdout means that there is no login.
        if message.contains("credentials not found") {
            return Ok(Login::Anonymous);
        }
        return Err(LoginError::HelperFailed { program, message });
    }
    let answer: HelperAnswer =
        serde_json::from_slice(&output.stdout).map_err(|source| LoginError::HelperAnswer {
            program: program.clone(),
            source,
        })?;
    if answer.username == "<token>" {
        return Err(LoginError::IdentityToken {
            registry: key.to_owned(),
        });
    }
    Ok(Login::Password {
        username: answer.username,
        password: answer.secret,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> DockerConfig {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn logins_are_found_under_every_form_of_the_name() {
        // "me:secret"
        let config = config(
            r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"},
                "r.example:5000": {"username": "a", "password": "b:c"}, "https://old.example/v2/": {"registrytoken": "t"}}}"#,
        );
        let hub = Login::Password {
            username: "me".to_owned(),
            password: "secret".to_owned(),
        };
        assert_eq!(config.login("docker.io").unwrap(), hub);
        assert!(
            matches!(config.login("r.example:5000").unwrap(), Login::Password { password, .. } if password == "b:c")
        );
        assert_eq!(config.login("old.example").unwrap(), Login::Token("t".to_owned()));
        assert_eq!(config.login("r.example").unwrap(), Login::Anonymous);
    }

    #[test]
    fn bad_entries_are_errors_and_not_anonymous() {
        let config = config(r#"{"auths": {"a.b": {"auth": "%%"}, "c.d": {"identitytoken": "x"}}}"#);
        assert!(matches!(config.login("a.b"), Err(LoginError::Auth { .. })));
        assert!(matches!(
            config.login("c.d"),
            Err(LoginError::IdentityToken { .. })
        ));
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let login = Login::Password {
            username: "me".to_owned(),
            password: "hunter2".to_owned(),
        };
        assert!(!format!("{login:?}").contains("hunter2"));
    }

    #[test]
    fn a_missing_helper_is_named() {
        let config = config(r#"{"credHelpers": {"a.b": "surely-not-installed"}}"#);
        let error = config.login("a.b").unwrap_err().to_string();
        assert_eq!(
            error,
            "the credential helper docker-credential-surely-not-installed cannot be run"
        );
    }
}
