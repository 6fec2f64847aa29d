//! Logins as Docker and podman keep them: `config.json` or `auth.json` with `auths`, `credHelpers` and `credsStore`.
//!
//! A key of `auths` is a registry, or a path in it (containers-auth.json): the longest that leads to the repository
//! counts, and never one that leads elsewhere. No error shows what a file or a helper says: it may be the secret.

mod helper;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::UserFile;
use secrets::{Secret, Wiped};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::json::{self, JsonError};
use crate::reference::normal_host;

const CONFIG: UserFile = UserFile::new("Docker's config.json", 4 << 20);

/// Who we are to a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Anonymous,
    Password {
        username: String,
        password: Secret,
    },
    /// A bearer token that the registry takes as it is (`registrytoken`).
    Token(Secret),
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

impl Login {
    /// Returns the value of an Authorization header that carries user and password.
    pub(super) fn basic(&self) -> Option<Wiped<String>> {
        match self {
            Self::Password { username, password } => {
                let pair = pair(username, password);
                Some(Wiped::new(format!("Basic {}", pair.as_str())))
            }
            Self::Anonymous | Self::Token(_) => None,
        }
    }

    /// Returns a text from outside without the secrets of the login: a server may give back what it got.
    pub(super) fn masked(&self, text: &str) -> String {
        let secrets = match self {
            Self::Anonymous => Vec::new(),
            Self::Token(token) => vec![Wiped::new(token.reveal().to_owned())],
            Self::Password { username, password } => vec![
                pair(username, password),
                Wiped::new(STANDARD.encode(password.reveal())),
                Wiped::new(password.reveal().to_owned()),
            ],
        };
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "***")
        })
    }
}

/// Returns base64 of `NAME:PASSWORD`.
fn pair(username: &str, password: &Secret) -> Wiped<String> {
    let plain = Wiped::new(format!("{username}:{}", password.reveal()));
    Wiped::new(STANDARD.encode(plain.as_bytes()))
}

/// A login that is there but cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not Docker's config.json", path.display())]
    Syntax { path: PathBuf, source: JsonError },
    #[error("the `auth` of {registry} is not base64 of NAME:PASSWORD")]
    Auth { registry: String },
    #[error(
        "{registry} has an identity token, which is not supported: log in with a password or an access token"
    )]
    IdentityToken { registry: String },
    /// Its name is not shown: what is no program may be a secret in the wrong place.
    #[error("the credential helper that credsStore or credHelpers names for {registry} is not on the PATH")]
    HelperMissing { registry: String },
    #[error("the credential helper {program} cannot be run")]
    Helper { program: String, source: io::Error },
    #[error("the credential helper {program} failed: `echo {registry} | {program} get` shows why")]
    HelperFailed { program: String, registry: String },
    #[error("the credential helper {program} gave no answer within {seconds} s")]
    HelperSlow { program: String, seconds: u64 },
    #[error("the answer of the credential helper {program} cannot be understood")]
    HelperAnswer { program: String, source: JsonError },
    #[error("the answer of the credential helper {program} is too long for one")]
    HelperLong { program: String },
}

/// Docker's config.json, as far as it is about logins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DockerConfig {
    #[serde(default, deserialize_with = "json::or_default")]
    auths: BTreeMap<String, Entry>,
    #[serde(default, deserialize_with = "json::or_default")]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
struct Entry {
    #[serde(default, deserialize_with = "json::or_default")]
    auth: Secret,
    #[serde(default, deserialize_with = "json::or_default")]
    username: String,
    #[serde(default, deserialize_with = "json::or_default")]
    password: Secret,
    #[serde(default, deserialize_with = "json::or_default")]
    identitytoken: Secret,
    #[serde(default, deserialize_with = "json::or_default")]
    registrytoken: Secret,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(redacted)")
    }
}

/// The key of Docker Hub in config.json.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Where a login is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A helper, and the name under which it knows the registry.
    Helper(String, String),
    /// A helper that may know nothing, and what else there is then.
    Store(String, String, Box<Place>),
    /// A key of `auths`.
    Auth(String),
    Nowhere,
}

impl DockerConfig {
    /// Reads the file; an absent one has no logins.
    pub(crate) fn load(path: &Path) -> Result<Self, LoginError> {
        let read = |source| LoginError::Read {
            path: path.to_owned(),
            source,
        };
        let bytes = match CONFIG.read(path) {
            Ok(bytes) => Wiped::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(read(error)),
        };
        json::read(&bytes).map_err(|source| LoginError::Syntax {
            path: path.to_owned(),
            source,
        })
    }

    /// Returns where the login for a repository is: the longest key that leads to it; of equally long ones a helper of
    /// its own, then the store, then what the file itself holds.
    fn place(&self, registry: &str, repository: &str) -> Place {
        let full = self.auths.iter().filter(|(_, entry)| !entry.is_empty());
        let auth = best(full.map(|(key, _)| key), registry, repository);
        let helper = best(self.cred_helpers.keys(), registry, repository);
        match (helper, auth) {
            (Some((depth, key)), auth) if auth.is_none_or(|(other, _)| depth >= other) => {
                return Place::Helper(self.cred_helpers[key].clone(), key.clone());
            }
            (_, Some((1.., key))) => return Place::Auth(key.clone()),
            _ => {}
        }
        let own = auth.map_or(Place::Nowhere, |(_, key)| Place::Auth(key.clone()));
        match self.creds_store.as_deref().filter(|store| !store.is_empty()) {
            Some(store) => {
                let known = best(self.auths.keys(), registry, "").map(|(_, key)| key.clone());
                let name = known.unwrap_or_else(|| match registry {
                    "docker.io" => HUB_KEY.to_owned(),
                    other => other.to_owned(),
                });
                Place::Store(store.to_owned(), name, Box::new(own))
            }
            None => own,
        }
    }
}

/// Logins, each looked for once: a helper may ask its user, and costs a process.
pub(super) struct Logins {
    config: DockerConfig,
    found: Mutex<BTreeMap<Place, Found>>,
}

type Found = Arc<OnceCell<Result<Login, Arc<LoginError>>>>;

impl Logins {
    pub(super) fn new(config: DockerConfig) -> Self {
        Self {
            config,
            found: Mutex::default(),
        }
    }

    /// Returns the login for a repository.
    pub(super) async fn login(&self, registry: &str, repository: &str) -> Result<Login, Arc<LoginError>> {
        let place = self.config.place(registry, repository);
        let found = {
            let mut all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(place.clone()).or_default())
        };
        let look = async || self.look(&place, registry).await.map_err(Arc::new);
        found.get_or_init(look).await.clone()
    }

    async fn look(&self, place: &Place, registry: &str) -> Result<Login, LoginError> {
        match place {
            Place::Nowhere => Ok(Login::Anonymous),
            Place::Auth(key) => self.auth(key, registry),
            Place::Helper(helper, name) => helper::ask(helper, name).await,
            Place::Store(helper, name, otherwise) => {
                match (helper::ask(helper, name).await?, otherwise.as_ref()) {
                    (Login::Anonymous, Place::Auth(key)) => self.auth(key, registry),
                    (login, _) => Ok(login),
                }
            }
        }
    }

    fn auth(&self, key: &str, registry: &str) -> Result<Login, LoginError> {
        let entry = self.config.auths.get(key);
        entry.map_or(Ok(Login::Anonymous), |entry| entry.login(registry))
    }
}

/// Returns the key that leads deepest to a repository, with how deep: 0 for the registry itself. Of equal ones a plain
/// name goes before a URL.
fn best<'a>(
    keys: impl Iterator<Item = &'a String>,
    registry: &str,
    repository: &str,
) -> Option<(usize, &'a String)> {
    let depths = keys.filter_map(|key| Some((depth(key, registry, repository)?, key)));
    depths.max_by_key(|(depth, key)| {
        (
            *depth,
            !key.contains("://"),
            normal_host(key) == normal_host(registry),
        )
    })
}

/// Returns how deep a key leads to a repository; none where it leads elsewhere. A URL, as Docker writes it, is about
/// the whole registry whatever its path.
fn depth(key: &str, registry: &str, repository: &str) -> Option<usize> {
    let is_url = key.contains("://");
    let rest = host_of(key);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_matches('/');
    if normal_host(host) != normal_host(registry) {
        return None;
    }
    if is_url || matches!(path, "" | "v1" | "v2") {
        return Some(0);
    }
    let after = repository.strip_prefix(path)?;
    (after.is_empty() || after.starts_with('/')).then(|| path.split('/').count())
}

/// Returns a key without the scheme of a URL.
fn host_of(key: &str) -> &str {
    key.split_once("://").map_or(key, |(_, rest)| rest)
}

impl Entry {
    /// Docker leaves an entry without a login where a store has it.
    fn is_empty(&self) -> bool {
        let secrets = [
            &self.auth,
            &self.password,
            &self.identitytoken,
            &self.registrytoken,
        ];
        self.username.is_empty() && secrets.into_iter().all(Secret::is_empty)
    }

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
        let plain = STANDARD.decode(self.auth.reveal().trim()).map(Wiped::new).ok();
        let plain = plain.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let pair = plain.and_then(|text| text.split_once(':'));
        let Some((username, password)) = pair else {
            return Err(LoginError::Auth { registry });
        };
        Ok(Login::Password {
            username: username.to_owned(),
            // Docker pads old entries with zero bytes.
            password: Secret::new(password.trim_end_matches('\0')),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(text: &str) -> Logins {
        Logins::new(serde_json::from_str(text).unwrap())
    }

    async fn found(logins: &Logins, registry: &str, repository: &str) -> String {
        match logins.login(registry, repository).await.unwrap() {
            Login::Anonymous => "nobody".to_owned(),
            Login::Token(token) => token.reveal().to_owned(),
            Login::Password { username, password } => format!("{username}:{}", password.reveal()),
        }
    }

    #[tokio::test]
    async fn logins_are_found_under_every_form_of_the_name() {
        // "me:secret"
        assert_eq!(
            found(&logins(r#"{"auths": null, "credHelpers": null}"#), "a.b", "x").await,
            "nobody"
        );
        let logins = logins(
            r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"},
                "r.example:5000": {"username": "a", "password": "b:c"}, "https://old.example/v2/": {"registrytoken": "t"}}}"#,
        );
        for (registry, expected) in [
            ("docker.io", "me:secret"),
            ("r.example:5000", "a:b:c"),
            ("R.Example:5000", "a:b:c"),
            ("old.example", "t"),
            ("r.example", "nobody"),
        ] {
            assert_eq!(
                found(&logins, registry, "library/x").await,
                expected,
                "{registry}"
            );
        }
    }

    #[tokio::test]
    async fn the_longest_path_counts_and_never_another_s() {
        let entry = |user: &str| format!(r#"{{"username": "{user}", "password": "p"}}"#);
        let auths = [
            "r.b",
            "r.b/team-a",
            "r.b/team-b",
            "r.b/team-b/sub",
            "x.b/team-a",
            "docker.io/library",
        ]
        .map(|key| format!(r#""{key}": {}"#, entry(key)))
        .join(",");
        let logins = logins(&format!(r#"{{"auths": {{{auths}}}}}"#));
        for (registry, repository, expected) in [
            ("r.b", "team-a/app", "r.b/team-a:p"),
            ("r.b", "team-b/app", "r.b/team-b:p"),
            ("r.b", "team-b/sub/app", "r.b/team-b/sub:p"),
            ("r.b", "team-b/subway", "r.b/team-b:p"),
            ("r.b", "team-c/app", "r.b:p"),
            ("r.b", "team-ab", "r.b:p"),
            ("x.b", "team-b/app", "nobody"),
            ("x.b", "team-a", "x.b/team-a:p"),
            ("docker.io", "library/nginx", "docker.io/library:p"),
            ("docker.io", "grafana/loki", "nobody"),
        ] {
            assert_eq!(
                found(&logins, registry, repository).await,
                expected,
                "{registry}/{repository}"
            );
        }
    }

    #[test]
    fn a_helper_is_asked_by_the_name_that_the_file_gives_it() {
        let config: DockerConfig = serde_json::from_str(
            r#"{"credHelpers": {"https://index.docker.io/v1/": "hub", "r.b": "r"}, "credsStore": "store",
                "auths": {"https://r.c/v1/": {}, "r.d/team": {"username": "u", "password": "p"}}}"#,
        )
        .unwrap();
        let helper = |helper: &str, name: &str| Place::Helper(helper.to_owned(), name.to_owned());
        let store = |name: &str| Place::Store("store".to_owned(), name.to_owned(), Box::new(Place::Nowhere));
        assert_eq!(
            config.place("docker.io", "library/x"),
            helper("hub", "https://index.docker.io/v1/")
        );
        assert_eq!(config.place("r.b", "x"), helper("r", "r.b"));
        assert_eq!(config.place("r.c", "x"), store("https://r.c/v1/"));
        assert_eq!(config.place("r.d", "x"), store("r.d"));
        assert_eq!(config.place("r.d", "team/x"), Place::Auth("r.d/team".to_owned()));
    }

    #[tokio::test]
    async fn bad_entries_are_errors_and_not_anonymous() {
        let logins = logins(r#"{"auths": {"a.b": {"auth": "%%"}, "c.d": {"identitytoken": "x"}}}"#);
        assert!(matches!(
            *logins.login("a.b", "x").await.unwrap_err(),
            LoginError::Auth { .. }
        ));
        assert!(matches!(
            *logins.login("c.d", "x").await.unwrap_err(),
            LoginError::IdentityToken { .. }
        ));
    }

    #[test]
    fn no_secret_is_in_debug_output_errors_or_what_a_server_gives_back() {
        let login = Login::Password {
            username: "me".to_owned(),
            password: Secret::new("hunter2"),
        };
        assert!(!format!("{login:?}").contains("hunter2"));
        let basic = login.basic().unwrap();
        let echoed = login.masked(&format!("you sent {}, that is me:hunter2", basic.as_str()));
        assert_eq!(echoed, "you sent Basic ***, that is me:***");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        // "me:hunter2" in base64, where an object, a string or a list belongs.
        for broken in [
            r#"{"auths":{"r":"bWU6aHVudGVyMg=="}}"#,
            r#"{"auths":{"r":{"password": 7,"auth":"bWU6aHVudGVyMg=="}}}"#,
            r#"{"auths":{"r":{"auth":["bWU6aHVudGVyMg=="]}}}"#,
            r#"{"auths":{"r":{"auth":"bWU6aHVudGVyMg=="#,
            r#"{"auths":"bWU6aHVudGVyMg=="}"#,
        ] {
            std::fs::write(&path, broken).unwrap();
            let error = DockerConfig::load(&path).unwrap_err();
            let said = cli::Failure::new(cli::Kind::Error, error);
            let said = format!("{said} {said:?}");
            assert!(!said.contains("bWU6") && said.contains("line: 1"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_missing_helper_is_named() {
        let logins = logins(r#"{"credHelpers": {"a.b": "surely-not-installed"}}"#);
        let error = logins.login("a.b", "x").await.unwrap_err().to_string();
        assert_eq!(
            error,
            "the credential helper that credsStore or credHelpers names for a.b is not on the PATH"
        );
    }
}
