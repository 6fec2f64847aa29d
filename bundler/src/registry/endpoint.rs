//! One host that serves images: its HTTP client, its tokens, one request at a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RANGE};
use reqwest::{Response, StatusCode, Url};
use secrets::Wiped;
use tokio::sync::Mutex;

use super::attempt::{Attempt, retry_of};
use super::challenge::Challenge;
use super::error::RegistryError;
use super::login::Login;
use super::message::{LIMIT, message};
use super::tls;
use super::token::{Asking, Grant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Between two pieces of an answer.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
const USER_AGENT: &str = concat!("bundler/", env!("CARGO_PKG_VERSION"));

/// How a host is reached.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// The host, with its port where one is given.
    pub(super) host: String,
    pub(super) plain_http: bool,
    /// What comes before every repository: empty, or `prefix/`.
    pub(super) prefix: String,
    /// Private CAs, or the registry's own certificate, DER.
    pub(super) ca: Vec<Vec<u8>>,
}

/// A host with what was agreed with it.
pub(super) struct Endpoint {
    address: Address,
    /// How TLS is spoken; none where it is not, and nobody knows certificates of it.
    tls: Option<rustls::ClientConfig>,
    http: reqwest::Client,
    /// What was granted, by the host that wanted it and the repository.
    grants: Mutex<BTreeMap<(String, String), Grant>>,
}

/// What is asked for.
pub(super) struct Request<'a> {
    pub(super) repository: &'a str,
    pub(super) login: &'a Login,
    /// `manifests/TAG` or `blobs/DIGEST`.
    pub(super) path: &'a str,
    pub(super) accept: Option<&'static str>,
    /// The first byte wanted, and the last one; none: all that follow.
    pub(super) offset: u64,
    pub(super) last: Option<u64>,
    /// The request in words, for errors.
    pub(super) what: &'a str,
}

impl Endpoint {
    pub(super) fn new(address: Address) -> Result<Self, RegistryError> {
        let tls = match (tls::config(&address.ca), address.plain_http) {
            (Ok(tls), _) => Some(tls),
            // A machine without CA certificates may still use plain HTTP, if its registry sends it nowhere else.
            (Err(_), true) => None,
            (Err(source), false) => return Err(RegistryError::client(&address.host, source)),
        };
        let http = client(&address, tls.as_ref()).build();
        let http = http.map_err(|source| RegistryError::client(&address.host, source))?;
        Ok(Self {
            address,
            tls,
            http,
            grants: Mutex::new(BTreeMap::new()),
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.address.host
    }

    /// Asks once, logging in where the registry wants it. Gives only answers of success.
    pub(super) async fn get(&self, request: &Request<'_>) -> Result<Response, Attempt> {
        let repository = format!("{}{}", self.address.prefix, request.repository);
        let url = self.url(&repository, request.path)?;
        let asker = Asker {
            request,
            repository: &repository,
            login: request.login,
        };
        let held = self.held(&asker, &url).await?;
        let mut response = self.send(request, &url, held.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let refused = response.url().clone();
            let challenge = Challenge::of(response.headers());
            response = if refused.origin() == url.origin() {
                let grant = self.log_in(&asker, &url, held.as_ref(), challenge).await?;
                self.send(request, &url, Some(&grant)).await?
            } else {
                // Another registry stands behind this one's name. Our login is none of its business.
                let asker = Asker {
                    login: &Login::Anonymous,
                    ..asker
                };
                let grant = self.log_in(&asker, &refused, None, challenge).await?;
                self.send(request, &refused, Some(&grant)).await?
            };
        }
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response, request).await)
    }

    fn url(&self, repository: &str, path: &str) -> Result<Url, RegistryError> {
        let scheme = if self.address.plain_http { "http" } else { "https" };
        let text = format!("{scheme}://{}/v2/{repository}/{path}", api_host(self.host()));
        Url::parse(&text).map_err(|source| RegistryError::client(self.host(), source))
    }

    async fn send(
        &self,
        request: &Request<'_>,
        url: &Url,
        grant: Option<&Grant>,
    ) -> Result<Response, RegistryError> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = request.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(grant) = grant {
            headers.insert(AUTHORIZATION, grant.value.clone());
        }
        if request.offset > 0 || request.last.is_some() {
            let last = request.last.map_or_else(String::new, |last| last.to_string());
            let range = HeaderValue::from_str(&format!("bytes={}-{last}", request.offset));
            headers.extend(range.ok().map(|range| (RANGE, range)));
        }
        let sent = self.http.get(url.clone()).headers(headers).send().await;
        sent.map_err(|source| RegistryError::http(self.host(), request.what, source))
    }

    /// Returns what was granted for a request earlier; renewed, if it is about to end.
    async fn held(&self, asker: &Asker<'_>, url: &Url) -> Result<Option<Grant>, Attempt> {
        let mut grants = self.grants.lock().await;
        let key = asker.key(url);
        match grants.get(&key) {
            Some(grant) if grant.is_stale(Instant::now()) => {
                let renewed = self.ask(asker, &grant.challenge).await?;
                grants.insert(key, renewed.clone());
                Ok(Some(renewed))
            }
            held => Ok(held.cloned()),
        }
    }

    /// Gets the right to pull from a repository. Requests that meet the same refusal share one login.
    async fn log_in(
        &self,
        asker: &Asker<'_>,
        url: &Url,
        held: Option<&Grant>,
        challenge: Option<Challenge>,
    ) -> Result<Grant, Attempt> {
        let mut grants = self.grants.lock().await;
        let key = asker.key(url);
        let is_newer = |grant: &&Grant| Some(&grant.value) != held.map(|held| &held.value);
        if let Some(newer) = grants.get(&key).filter(is_newer) {
            return Ok(newer.clone());
        }
        // A token that the registry takes as it is needs no challenge.
        let known = || matches!(asker.login, Login::Token(_)).then_some(Challenge::Basic);
        let challenge = challenge.or_else(known);
        let challenge = challenge.ok_or_else(|| self.unauthorized(asker.request))?;
        let grant = self.ask(asker, &challenge).await?;
        grants.insert(key, grant.clone());
        Ok(grant)
    }

    async fn ask(&self, asker: &Asker<'_>, challenge: &Challenge) -> Result<Grant, Attempt> {
        let direct = match (asker.login, challenge) {
            (Login::Token(token), _) => Some(Wiped::new(format!("Bearer {}", token.reveal()))),
            (login, Challenge::Basic) => match login.basic() {
                Some(basic) => Some(basic),
                None => return Err(self.unauthorized(asker.request).into()),
            },
            (_, Challenge::Bearer { .. }) => None,
        };
        if let Some(value) = direct {
            let grant = Grant::new(&value, None, challenge.clone());
            return grant.ok_or_else(|| self.unauthorized(asker.request).into());
        }
        let asking = Asking {
            host: self.host(),
            plain_http: self.address.plain_http,
            repository: asker.repository,
            login: asker.login,
            what: asker.request.what,
        };
        asking
            .ask(challenge, client(&self.address, self.tls.as_ref()))
            .await
    }

    fn unauthorized(&self, request: &Request<'_>) -> RegistryError {
        RegistryError::Unauthorized {
            host: self.host().to_owned(),
            what: request.what.to_owned(),
            anonymous: *request.login == Login::Anonymous,
        }
    }

    /// Turns an answer other than success into its error.
    async fn refusal(&self, mut response: Response, request: &Request<'_>) -> Attempt {
        let (status, retry) = (response.status(), retry_of(&response));
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > LIMIT {
                break;
            }
        }
        let (host, what) = (self.host().to_owned(), request.what.to_owned());
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.unauthorized(request),
            StatusCode::NOT_FOUND => RegistryError::NotFound { host, what },
            _ => RegistryError::Status {
                host,
                what,
                status: status.as_u16(),
                message: request.login.masked(&message(&body)),
            },
        };
        Attempt { error, retry }
    }
}

/// Who asks for a grant, and for what.
struct Asker<'a> {
    request: &'a Request<'a>,
    /// With the mirror's prefix.
    repository: &'a str,
    login: &'a Login,
}

impl Asker<'_> {
    fn key(&self, url: &Url) -> (String, String) {
        (url.origin().ascii_serialization(), self.repository.to_owned())
    }
}

/// Returns the host that serves a registry's API: Docker Hub's is not its name.
fn api_host(registry: &str) -> &str {
    if registry == "docker.io" {
        "registry-1.docker.io"
    } else {
        registry
    }
}

/// Returns a client for a host, with all that holds for tokens too.
fn client(address: &Address, tls: Option<&rustls::ClientConfig>) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .tcp_nodelay(true)
        .https_only(!address.plain_http);
    match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls.clone()),
        None => builder.tls_certs_only([]),
    }
}
