//! Tokens from a registry's token server (distribution, spec/auth/token.md), asked for from the challenge of the very
//! request that was refused.
//!
//! The realm is the registry's word. What it may not do to us: take the login in clear text or to another kind of
//! machine (`realm.rs`), send it on (no redirect is followed), or fill the memory (1 MiB).

use std::error::Error as _;
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Response, StatusCode, Url};
use secrets::{Secret, Wiped};
use serde::Deserialize;

use super::attempt::{Attempt, retry_of};
use super::challenge::Challenge;
use super::error::RegistryError;
use super::login::Login;
use super::message::{message, one_line};
use super::realm::{Guard, Neighbours, Refused};
use crate::json;

/// A token server answers within this time.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Its answer is at most this long.
const LIMIT: usize = 1 << 20;
/// How long a token lives whose server does not say it (distribution, spec/auth/token.md).
const LIFETIME: Duration = Duration::from_mins(1);
/// A token is renewed so long before its end, or after four fifths of its life.
const MARGIN: Duration = Duration::from_secs(30);

/// The right to pull from a repository.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// The value of the Authorization header.
    pub(super) value: HeaderValue,
    /// When it is to be renewed; never where it has no end.
    renewal: Option<Instant>,
    /// What it was the answer to.
    pub(super) challenge: Challenge,
}

impl Grant {
    /// Returns a grant for a value that a header can have.
    pub(super) fn new(value: &str, lifetime: Option<Duration>, challenge: Challenge) -> Option<Self> {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        let renewal =
            lifetime.map(|lifetime| Instant::now() + lifetime.saturating_sub(MARGIN.min(lifetime / 5)));
        Some(Self {
            value,
            renewal,
            challenge,
        })
    }

    /// Returns whether the grant will soon end.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.renewal.is_some_and(|renewal| now >= renewal)
    }
}

/// What is asked of a token server.
pub(super) struct Asking<'a> {
    /// The registry that sends us.
    pub(super) host: &'a str,
    pub(super) plain_http: bool,
    pub(super) repository: &'a str,
    pub(super) login: &'a Login,
    /// The request that was refused, in words.
    pub(super) what: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "json::or_default")]
    token: Secret,
    #[serde(default, deserialize_with = "json::or_default")]
    access_token: Secret,
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl Asking<'_> {
    /// Asks for a token. `builder` is a client as the registry itself is asked by.
    pub(super) async fn ask(&self, challenge: &Challenge, builder: ClientBuilder) -> Result<Grant, Attempt> {
        let Challenge::Bearer {
            realm,
            service,
            scope,
        } = challenge
        else {
            return Err(self.refused("it wants none".to_owned()).into());
        };
        let neighbours = Neighbours::of(self.host).await;
        let mut url = neighbours
            .judge(realm, self.plain_http)
            .map_err(|fault| RegistryError::Realm {
                host: self.host.to_owned(),
                realm: one_line(realm),
                fault,
            })?;
        let own = format!("repository:{}:pull", self.repository);
        let scopes = scope.as_deref().unwrap_or(&own);
        url.query_pairs_mut()
            .extend_pairs(service.iter().map(|service| ("service", service)))
            .extend_pairs(scopes.split_ascii_whitespace().map(|scope| ("scope", scope)));
        let guard = Guard {
            neighbours,
            host: url.host_str().unwrap_or_default().to_owned(),
        };
        let client = builder
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .dns_resolver(guard.shared())
            .build();
        let client = client.map_err(|source| RegistryError::client(self.host, source))?;
        let mut request = client.get(url.clone());
        if let Some(basic) = self.login.basic() {
            request = request.header(AUTHORIZATION, basic.as_str());
        }
        let response = request.send().await.map_err(|source| self.unsent(&url, source))?;
        let bytes = Wiped::new(self.answer(response).await?);
        Ok(self.grant(&bytes, challenge)?)
    }

    /// Sorts an error of the client: a name that leads where no login goes is the realm's fault.
    fn unsent(&self, realm: &Url, source: reqwest::Error) -> RegistryError {
        let mut next = source.source();
        while let Some(error) = next {
            if let Some(Refused { fault, .. }) = error.downcast_ref::<Refused>() {
                return RegistryError::Realm {
                    host: self.host.to_owned(),
                    realm: one_line(&format!(
                        "{}{}",
                        realm.origin().ascii_serialization(),
                        realm.path()
                    )),
                    fault: *fault,
                };
            }
            next = error.source();
        }
        let server = realm.host_str().unwrap_or_default();
        let port = realm.port().map(|port| format!(":{port}")).unwrap_or_default();
        RegistryError::http(&format!("{server}{port}"), "a token", source)
    }

    /// Reads the whole answer of success.
    async fn answer(&self, mut response: Response) -> Result<Vec<u8>, Attempt> {
        let status = response.status();
        let mut bytes = Vec::new();
        loop {
            let chunk = response.chunk().await;
            match chunk.map_err(|source| RegistryError::http(self.host, "a token", source))? {
                Some(chunk) => bytes.extend_from_slice(&chunk),
                None => break,
            }
            if bytes.len() > LIMIT {
                return Err(self
                    .refused(format!("its answer is longer than {LIMIT} bytes"))
                    .into());
            }
        }
        if status.is_success() {
            return Ok(bytes);
        }
        if status.is_redirection() {
            return Err(self
                .refused("it redirects, and no login is sent on".to_owned())
                .into());
        }
        let said = self.login.masked(&message(&bytes));
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Token {
                host: self.host.to_owned(),
                what: self.what.to_owned(),
                reason: if said.is_empty() {
                    format!("status {status}")
                } else {
                    said
                },
                login: *self.login != Login::Anonymous,
            },
            _ => self.refused(format!("status {}: {said}", status.as_u16())),
        };
        Err(Attempt {
            error,
            retry: retry_of(&response),
        })
    }

    fn grant(&self, bytes: &[u8], challenge: &Challenge) -> Result<Grant, RegistryError> {
        let answer: Answer =
            json::read(bytes).map_err(|error| self.refused(format!("its answer is no token: {error}")))?;
        let token = if answer.token.is_empty() {
            answer.access_token
        } else {
            answer.token
        };
        if token.is_empty() {
            return Err(self.refused("its answer holds none".to_owned()));
        }
        let seconds = answer.expires_in.as_f64().filter(|seconds| *seconds > 0.0);
        let lifetime = seconds.map_or(LIFETIME, |seconds| Duration::from_secs_f64(seconds.min(1e6)));
        let value = Wiped::new(format!("Bearer {}", token.reveal()));
        let grant = Grant::new(&value, Some(lifetime), challenge.clone());
        grant.ok_or_else(|| self.refused("its token is none that a header can carry".to_owned()))
    }

    fn refused(&self, reason: String) -> RegistryError {
        RegistryError::Token {
            host: self.host.to_owned(),
            what: self.what.to_owned(),
            reason,
            login: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_in_good_time() {
        let grant =
            |seconds| Grant::new("Bearer x", Some(Duration::from_secs(seconds)), Challenge::Basic).unwrap();
        let now = Instant::now();
        for (lifetime, still, soon) in [(60, 45, 50), (300, 265, 275), (10, 7, 9)] {
            assert!(
                !grant(lifetime).is_stale(now + Duration::from_secs(still)),
                "{lifetime}"
            );
            assert!(
                grant(lifetime).is_stale(now + Duration::from_secs(soon)),
                "{lifetime}"
            );
        }
        assert!(Grant::new("Bearer x\ny", None, Challenge::Basic).is_none());
    }
}
