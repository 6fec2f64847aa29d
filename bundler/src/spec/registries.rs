//! The `registries` section: what differs from TLS with public CAs.

use std::str::FromStr;

use yaml::{Node, Placed, Problems};

/// How one registry is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct RegistrySpec {
    /// The path of a PEM file with private CAs.
    pub(crate) ca: Option<Placed<String>>,
    pub(crate) plain_http: bool,
    /// Asked before the registry itself.
    pub(crate) mirror: Option<Mirror>,
    pub(crate) username: Option<String>,
    pub(crate) password_file: Option<Placed<String>>,
}

/// A mirror's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) plain_http: bool,
    /// The host, with its port where one is given.
    pub(crate) host: String,
    /// What comes before the repository: empty, or `prefix/`.
    pub(crate) prefix: String,
}

/// A text that is no mirror's URL.
#[derive(Debug, thiserror::Error)]
#[error("not a URL such as https://mirror.example:5000 or http://mirror.example/prefix")]
pub(crate) struct MirrorError;

impl FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(text: &str) -> Result<Self, MirrorError> {
        let error = || MirrorError;
        let (plain_http, rest) = match text.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            _ => return Err(error()),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        // A path that is not one of a repository would make every URL wrong; `x` stands for the repository.
        let probe = format!("{host}/{path}{}x", if path.is_empty() { "" } else { "/" });
        if host.is_empty() || !is_host(host) || probe.parse::<crate::Reference>().is_err() {
            return Err(error());
        }
        Ok(Self {
            plain_http,
            host: host.to_owned(),
            prefix: if path.is_empty() {
                String::new()
            } else {
                format!("{path}/")
            },
        })
    }
}

/// Returns whether a registry's name is one: `registry.example:5000`, `localhost`, `10.0.0.1`.
pub(super) fn is_host(host: &str) -> bool {
    !host.contains('/')
        && format!("{host}/a/x")
            .parse::<crate::Reference>()
            .is_ok_and(|found| {
                found.registry() == host || (host == "index.docker.io" && found.registry() == "docker.io")
            })
}

/// Decodes one registry.
pub(super) fn registry(
    node: &Node,
    problems: &mut Problems,
    paths: &mut Vec<Placed<String>>,
) -> Option<RegistrySpec> {
    let mut map = node.map(problems)?;
    let ca = map.optional("ca", yaml::placed(yaml::text));
    let plain_http = map.optional("plainHttp", yaml::boolean).unwrap_or(false);
    let mirror = map.optional("mirror", yaml::parsed::<Mirror>);
    let username = map.optional("username", yaml::text);
    let password_file = map.optional("passwordFile", yaml::placed(yaml::text));
    let (has_name, has_password) = (map.has("username"), map.has("passwordFile"));
    if has_name != has_password {
        let (there, missing) = if has_name {
            ("username", "passwordFile")
        } else {
            ("passwordFile", "username")
        };
        let place = map.place_of(there);
        map.problem(place, format!("{there:?} needs {missing:?} beside it"));
    }
    if plain_http && map.has("ca") {
        let place = map.place_of("ca");
        map.problem(place, "a CA has no use with plainHttp: true");
    }
    map.finish();
    paths.extend(ca.iter().chain(&password_file).cloned());
    Some(RegistrySpec {
        ca,
        plain_http,
        mirror,
        username,
        password_file,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_a_url_with_an_optional_prefix() {
        let mirror: Mirror = "http://10.0.0.1:5000/hub/".parse().unwrap();
        assert!(mirror.plain_http);
        assert_eq!(
            (mirror.host.as_str(), mirror.prefix.as_str()),
            ("10.0.0.1:5000", "hub/")
        );
        assert_eq!("https://mirror.example".parse::<Mirror>().unwrap().prefix, "");
        for text in [
            "mirror.example",
            "ftp://a.b",
            "https://",
            "https://a.b/UPPER",
            "https://u:p@a.b/",
        ] {
            let error = text.parse::<Mirror>().unwrap_err().to_string();
            assert!(!error.contains("u:p"), "{error}");
        }
    }
}
