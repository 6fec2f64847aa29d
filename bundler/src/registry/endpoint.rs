//! One host that serves images: its HTTP client, its tokens, one request at a time.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use oci_distribution::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_distribution::errors::OciDistributionError;
use oci_distribution::secrets::RegistryAuth;
use oci_distribution::{Client, RegistryOperation};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};
use tokio::sync::Mutex;

use super::error::RegistryError;
use super::login::Login;
use super::retry::{Retry, retry_after};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Between two pieces of an answer.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
const USER_AGENT: &str = concat!("bundler/", env!("CARGO_PKG_VERSION"));
/// Of an error's body only so much is read.
const MESSAGE_LIMIT: usize = 4096;

/// How a host is reached.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// The host, with its port where one is given.
    pub(super) host: String,
    pub(super) plain_http: bool,
    /// What comes before every repository: empty, or `prefix/`.
    pub(super) prefix: String,
    /// Private CAs, DER.
    pub(super) ca: Vec<Vec<u8>>,
    pub(super) login: Login,
}

/// A host with what was agreed with it.
pub(super) struct Endpoint {
    address: Address,
    http: reqwest::Client,
    /// The value of the Authorization header, by repository.
    tokens: Mutex<BTreeMap<String, HeaderValue>>,
}

/// A failed request and whether it may be repeated.
pub(super) struct Attempt {
    pub(super) error: RegistryError,
    pub(super) retry: Retry,
}

impl From<RegistryError> for Attempt {
    fn from(error: RegistryError) -> Self {
        let retry = if error.is_passing() {
            Retry::Soon
        } else {
            Retry::Never
        };
        Self { error, retry }
    }
}

/// What is asked for.
pub(super) struct Request<'a> {
    pub(super) repository: &'a str,
    /// `manifests/TAG` or `blobs/DIGEST`.
    pub(super) path: &'a str,
    pub(super) accept: Option<&'static str>,
    /// The first byte wanted.
    pub(super) offset: u64,
    /// The request in words, for errors.
    pub(super) what: &'a str,
}

impl Endpoint {
    pub(super) fn new(address: Address) -> Result<Self, RegistryError> {
        let http = http_client(&address).map_err(|source| RegistryError::Client {
            host: address.host.clone(),
            source,
        })?;
        Ok(Self {
            address,
            http,
            tokens: Mutex::new(BTreeMap::new()),
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.address.host
    }

    /// Asks once, logging in where the registry wants it. Gives only answers of success.
    pub(super) async fn get(&self, request: &Request<'_>) -> Result<Response, Attempt> {
        let repository = format!("{}{}", self.address.prefix, request.repository);
        let held = self.tokens.lock().await.get(&repository).cloned();
        let mut response = self.send(request, &repository, held.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let token = self
                .log_in(&repository, held.as_ref(), response.headers(), request.what)
                .await?;
            response = self.send(request, &repository, Some(&token)).await?;
        }
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response, request.what).await)
    }

    async fn send(
        &self,
        request: &Request<'_>,
        repository: &str,
        token: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let scheme = if self.address.plain_http { "http" } else { "https" };
        let url = format!(
            "{scheme}://{}/v2/{repository}/{}",
            api_host(self.host()),
            request.path
        );
        let mut headers = HeaderMap::new();
        if let Some(accept) = request.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        if request.offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", request.offset));
            headers.extend(range.ok().map(|range| (RANGE, range)));
        }
        let sent = self.http.get(url).headers(headers).send().await;
        sent.map_err(|source| RegistryError::http(self.host(), request.what, source))
    }

    /// Gets the right to pull from a repository. Requests that meet the same refusal share one login.
    async fn log_in(
        &self,
        repository: &str,
        held: Option<&HeaderValue>,
        headers: &HeaderMap,
        what: &str,
    ) -> Result<HeaderValue, Attempt> {
        let mut tokens = self.tokens.lock().await;
        if let Some(newer) = tokens.get(repository).filter(|token| Some(*token) != held) {
            return Ok(newer.clone());
        }
        let unauthorized = || RegistryError::Unauthorized {
            host: self.host().to_owned(),
            what: what.to_owned(),
            anonymous: self.address.login == Login::Anonymous,
        };
        let bearer = headers.get_all(WWW_AUTHENTICATE).iter().any(|challenge| {
            challenge
                .to_str()
                .is_ok_and(|text| text.to_ascii_lowercase().contains("bearer "))
        });
        let value = match &self.address.login {
            Login::Token(token) => format!("Bearer {token}"),
            _ if bearer => format!("Bearer {}", self.token(repository, what).await?),
            Login::Password { username, password } => {
                let pair = format!("{username}:{password}");
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            Login::Anonymous => return Err(unauthorized().into()),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| unauthorized())?;
        value.set_sensitive(true);
        tokens.insert(repository.to_owned(), value.clone());
        Ok(value)
    }

    /// Gets a token from the registry's token server (distribution, spec/auth/token.md).
    async fn token(&self, repository: &str, what: &str) -> Result<String, Attempt> {
        let refused = |reason: String| RegistryError::Token {
            host: self.host().to_owned(),
            what: what.to_owned(),
            reason,
        };
        let client =
            Client::try_from(oci_config(&self.address)).map_err(|error| refused(error.to_string()))?;
        let host = self.address.host.clone();
        let image = oci_distribution::Reference::with_tag(host, repository.to_owned(), "latest".to_owned());
        let auth = match &self.address.login {
            Login::Anonymous => RegistryAuth::Anonymous,
            Login::Password { username, password } => RegistryAuth::Basic(username.clone(), password.clone()),
            Login::Token(token) => RegistryAuth::Bearer(token.clone()),
        };
        match client.auth(&image, &auth, RegistryOperation::Pull).await {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(refused("it asks for none a moment later".to_owned()).into()),
            Err(OciDistributionError::RequestError(source)) => {
                Err(RegistryError::http(self.host(), what, source).into())
            }
            Err(OciDistributionError::AuthenticationFailure(reason)) => {
                Err(refused(one_line(&reason)).into())
            }
            Err(error) => Err(refused(error.to_string()).into()),
        }
    }

    /// Turns an answer other than success into its error.
    async fn refusal(&self, mut response: Response, what: &str) -> Attempt {
        let status = response.status();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let asked = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|value| retry_after(value, i64::try_from(now).unwrap_or(i64::MAX)));
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > MESSAGE_LIMIT {
                break;
            }
        }
        let (host, what) = (self.host().to_owned(), what.to_owned());
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Unauthorized {
                host,
                what,
                anonymous: self.address.login == Login::Anonymous,
            },
            StatusCode::NOT_FOUND => RegistryError::NotFound { host, what },
            _ => RegistryError::Status {
                host,
                what,
                status: status.as_u16(),
                message: message(&body),
            },
        };
        Attempt {
            error,
            retry: Retry::of_status(status.as_u16(), asked),
        }
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

fn http_client(address: &Address) -> Result<reqwest::Client, reqwest::Error> {
    let builder = || {
        reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tcp_nodelay(true)
            .https_only(!address.plain_http)
    };
    let ca: Vec<_> = address
        .ca
        .iter()
        .map(|der| reqwest::Certificate::from_der(der))
        .collect::<Result<_, _>>()?;
    if address.plain_http {
        // A machine without CA certificates may still use plain HTTP, if its registry sends it nowhere else.
        return builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build());
    }
    builder().tls_certs_merge(ca).build()
}

fn oci_config(address: &Address) -> ClientConfig {
    let certificate = |der: &Vec<u8>| Certificate {
        encoding: CertificateEncoding::Der,
        data: der.clone(),
    };
    ClientConfig {
        protocol: if address.plain_http {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        },
        extra_root_certificates: address.ca.iter().map(certificate).collect(),
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(READ_TIMEOUT),
        user_agent: USER_AGENT,
        ..ClientConfig::default()
    }
}

/// Returns the words of an error's body (OCI distribution spec, error codes), or the beginning of what else it is.
fn message(body: &[u8]) -> String {
    let envelope: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let first = envelope
        .as_ref()
        .and_then(|envelope| envelope.pointer("/errors/0"));
    let field = |name: &str| {
        first
            .and_then(|error| error.get(name))
            .and_then(serde_json::Value::as_str)
    };
    match (field("code"), field("message")) {
        (Some(code), Some(message)) => format!("{code}: {}", one_line(message)),
        (Some(code), None) => code.to_owned(),
        _ => one_line(&String::from_utf8_lossy(body)),
    }
}

/// Returns the first words of a text as one line without control characters.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect()
}
