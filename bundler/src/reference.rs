//! The name of an image in full: registry, repository, tag, digest. Pure.
//!
//! Short names mean what Docker and containerd mean by them (distribution/reference, `ParseNormalizedNamed`):
//! `nginx` is `docker.io/library/nginx:latest`.

use std::fmt;
use std::str::FromStr;

use bundle::Digest;

/// A reference to an image, complete and valid by construction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that names no image. The text is not shown: it may hold a login.
#[derive(Debug, thiserror::Error)]
#[error("not an image reference: {reason}")]
pub struct ReferenceError {
    reason: &'static str,
}

const DOCKER_HUB: &str = "docker.io";

/// Returns the one form of a registry's name in which two names of it are equal: host names are the same in upper
/// and lower case, and Docker Hub has three (distribution/reference, docker's config.json).
pub(crate) fn normal_host(host: &str) -> String {
    let lower = host.to_ascii_lowercase();
    match lower.as_str() {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.to_owned(),
        _ => lower,
    }
}

impl Reference {
    /// Returns the registry's name: `docker.io`, `registry.example:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository: `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if there is one.
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns the name under which the image is loaded: with its tag, or with its digest where there is no tag.
    ///
    /// A tag together with a digest is pulled by the digest and named by the tag, as a kubelet looks it up.
    pub fn name(&self) -> String {
        match (&self.tag, self.digest) {
            (Some(tag), _) => format!("{}/{}:{tag}", self.registry, self.repository),
            (None, Some(digest)) => format!("{}/{}@{digest}", self.registry, self.repository),
            (None, None) => format!("{}/{}", self.registry, self.repository),
        }
    }

    /// Returns whether both name the same repository.
    pub fn same_repository(&self, other: &Self) -> bool {
        self.registry == other.registry && self.repository == other.repository
    }

    /// Returns whether both are names of one image, however their registry is written.
    pub fn is_same_name(&self, other: &Self) -> bool {
        let alike = |one: &Self, other: &Self| one.repository == other.repository && one.tag == other.tag;
        let digest = self.tag.is_some() || self.digest == other.digest;
        alike(self, other) && digest && normal_host(&self.registry) == normal_host(&other.registry)
    }

    /// Returns the same repository with only this digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let error = |reason| ReferenceError { reason };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|_| error("after @ a sha256 digest is expected"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (registry, repository) = split_registry(name);
        if !is_registry(registry) {
            return Err(error("the registry must be a host name with or without a port"));
        }
        if let Some(reason) = bad_repository(&repository) {
            return Err(error(reason));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(error("a tag has letters, digits, '_', '.' and '-', at most 128"));
        }
        let latest = digest.is_none().then(|| "latest".to_owned());
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned).or(latest),
            digest,
        })
    }
}

/// Splits a name where Docker does: the first component is a registry if it looks like a host.
fn split_registry(name: &str) -> (&str, String) {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DOCKER_HUB, name),
    };
    let registry = if registry == "index.docker.io" {
        DOCKER_HUB
    } else {
        registry
    };
    if registry == DOCKER_HUB && !repository.contains('/') {
        return (registry, format!("library/{repository}"));
    }
    (registry, repository.to_owned())
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => return address.parse::<std::net::Ipv6Addr>().is_ok(),
        Some((address, port)) => {
            return address.parse::<std::net::Ipv6Addr>().is_ok()
                && port
                    .strip_prefix(':')
                    .is_some_and(|port| port.parse::<u16>().is_ok());
        }
        None => registry
            .split_once(':')
            .map_or((registry, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Returns what is wrong with a repository's name (distribution/reference: path components).
fn bad_repository(repository: &str) -> Option<&'static str> {
    let component = |part: &str| {
        let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(alphanumeric)
            && part.ends_with(alphanumeric)
            && part
                .chars()
                .all(|c| alphanumeric(c) || matches!(c, '.' | '_' | '-'))
            && !part.contains("..")
            && !part.contains("___")
    };
    match repository {
        _ if repository.is_empty() || repository == "library/" => Some("the name is empty"),
        _ if repository.len() > 255 => Some("the name is longer than 255 characters"),
        _ if repository.chars().any(char::is_uppercase) => Some("a repository's name is in lower case"),
        _ if !repository.split('/').all(component) => {
            Some("a repository's name has lower-case letters, digits, and '.', '_', '-' or '/' between them")
        }
        _ => None,
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&tag.len())
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        text.parse::<Reference>().unwrap().to_string()
    }

    #[test]
    fn short_names_mean_docker_hub() {
        assert_eq!(full("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(full("nginx:1.29"), "docker.io/library/nginx:1.29");
        assert_eq!(full("grafana/loki:3"), "docker.io/grafana/loki:3");
        assert_eq!(full("docker.io/nginx:1"), "docker.io/library/nginx:1");
        assert_eq!(full("index.docker.io/nginx:1"), "docker.io/library/nginx:1");
    }

    #[test]
    fn a_registry_has_a_dot_a_port_or_is_localhost() {
        assert_eq!(
            full("registry.example:5000/pause:3.10"),
            "registry.example:5000/pause:3.10"
        );
        assert_eq!(full("localhost/a:1"), "localhost/a:1");
        assert_eq!(full("localhost:5000/a"), "localhost:5000/a:latest");
        assert_eq!(full("[::1]:5000/a:1"), "[::1]:5000/a:1");
        assert_eq!(full("127.0.0.1:5000/a/b/c:1"), "127.0.0.1:5000/a/b/c:1");
    }

    #[test]
    fn a_digest_is_pulled_and_the_tag_is_the_name() {
        let digest = Digest::of("x");
        let both: Reference = format!("nginx:1.29@{digest}").parse().unwrap();
        assert_eq!(both.name(), "docker.io/library/nginx:1.29");
        assert_eq!(both.to_string(), format!("docker.io/library/nginx:1.29@{digest}"));
        let only: Reference = format!("nginx@{digest}").parse().unwrap();
        assert_eq!(only.tag(), None);
        assert_eq!(only.name(), format!("docker.io/library/nginx@{digest}"));
    }

    #[test]
    fn a_login_in_a_name_is_not_shown() {
        for text in [
            "me:hunter2@r.example/app:1",
            "https://me:hunter2@r.example/app",
            "https://hunter2@r.example/app",
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for text in [
            "",
            ":1",
            "Nginx",
            "a//b",
            "a:b:c",
            "a@sha256:12",
            "-a",
            "a..b",
            "bad_host.x/a",
            "x.y:99999/a",
            "a b",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?} was accepted");
        }
        let error = "docker.io/library/NGINX:1".parse::<Reference>().unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("a repository's name is in lower case")
        );
    }
}
