//! What a registry can answer other than the bytes, with the next step.

use std::error::Error;
use std::io;

use bundle::Digest;

use super::login::LoginError;
use super::retry::PATIENCE;

/// A registry did not give what was asked of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("registry {host}: no client can be made")]
    Client { host: String, source: reqwest::Error },
    #[error("registry {host} cannot be reached")]
    Unreachable { host: String, source: reqwest::Error },
    #[error("registry {host}: its certificate is from a CA that is not known here")]
    UnknownCa { host: String, source: reqwest::Error },
    #[error("registry {host}: its certificate is not accepted")]
    Certificate { host: String, source: reqwest::Error },
    #[error("registry {host} does not speak TLS")]
    NoTls { host: String, source: reqwest::Error },
    #[error("registry {host}: the connection broke while getting {what}")]
    Broken {
        host: String,
        what: String,
        source: reqwest::Error,
    },
    #[error("registry {host} did not answer in time while getting {what}")]
    Timeout {
        host: String,
        what: String,
        source: reqwest::Error,
    },
    #[error("registry {host} ended {what} after {found} of {expected} bytes")]
    Short {
        host: String,
        what: String,
        expected: u64,
        found: u64,
    },
    #[error("registry {host} refuses {what}: {}", if *.anonymous { "it wants a login" } else { "the login is not accepted for it" })]
    Unauthorized {
        host: String,
        what: String,
        anonymous: bool,
    },
    #[error("registry {host}: its token server gives no token for {what}: {reason}")]
    Token {
        host: String,
        what: String,
        reason: String,
    },
    #[error("registry {host} has no {what}")]
    NotFound { host: String, what: String },
    #[error("registry {host} answers {what} with status {status}: {message}")]
    Status {
        host: String,
        what: String,
        status: u16,
        message: String,
    },
    #[error("registry {host} sent something else than {what}: it has {found}, not {expected}")]
    Mismatch {
        host: String,
        what: String,
        expected: Digest,
        found: Digest,
    },
    #[error("registry {host} sent more than {limit} bytes for {what}")]
    TooLong { host: String, what: String, limit: u64 },
    #[error("registry {host}: no login can be found")]
    Login { host: String, source: LoginError },
}

impl RegistryError {
    /// Sorts an error of the HTTP client. The first two are about the registry as a whole.
    pub(super) fn http(host: &str, what: &str, source: reqwest::Error) -> Self {
        let host = host.to_owned();
        let what = what.to_owned();
        match tls_error(&source) {
            Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
                Self::UnknownCa { host, source }
            }
            Some(rustls::Error::InvalidMessage(_)) => Self::NoTls { host, source },
            Some(rustls::Error::InvalidCertificate(_)) => Self::Certificate { host, source },
            _ if source.is_timeout() && !source.is_connect() => Self::Timeout { host, what, source },
            _ if source.is_connect() => Self::Unreachable { host, source },
            _ if source.is_builder() => Self::Client { host, source },
            _ => Self::Broken { host, what, source },
        }
    }

    /// Returns whether the same request may succeed a moment later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Timeout { .. } | Self::Short { .. }
        )
    }

    /// Returns what the user can do next.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Client { host, .. } => format!(
                "install the system's CA certificates (ca-certificates), or name a CA: registries: {{\"{host}\": {{ca: FILE}}}}"
            ),
            Self::Unreachable { host, .. } | Self::Timeout { host, .. } | Self::Broken { host, .. } => {
                format!(
                    "check the name and the network to {host}, then run the same command again: what was pulled is kept"
                )
            }
            Self::Short { .. } => "run the same command again: what was pulled is kept".to_owned(),
            Self::UnknownCa { host, .. } | Self::Certificate { host, .. } => format!(
                "if it is the right registry, name the CA that signed it in the spec: registries: {{\"{host}\": {{ca: ca.pem}}}}"
            ),
            Self::NoTls { host, .. } => {
                format!(
                    "if it really has no TLS, say so in the spec: registries: {{\"{host}\": {{plainHttp: true}}}}"
                )
            }
            Self::Unauthorized { host, .. } => format!(
                "log in with `docker login {host}`, or give username and passwordFile in the spec under registries; some registries answer so for an image that does not exist"
            ),
            Self::Token { host, .. } => {
                format!("check the login for {host} and that it may pull this repository")
            }
            Self::NotFound { .. } => {
                "check the image's name and tag in the spec; a digest may have been deleted from the registry"
                    .to_owned()
            }
            Self::Status { status: 429, .. } => format!(
                "the registry limits requests: log in, or wait (it asked for more than {} s) and run the same command again: what was pulled is kept",
                PATIENCE.as_secs()
            ),
            Self::Status { host, .. } => {
                format!("ask whoever runs {host}; running the same command again is safe")
            }
            Self::Mismatch { host, .. } | Self::TooLong { host, .. } => {
                format!(
                    "something between here and {host}, or its storage, alters data: do not use this image before that is found"
                )
            }
            Self::Login { .. } => {
                "check docker's config.json, or give username and passwordFile in the spec".to_owned()
            }
        }
    }
}

/// Finds the TLS error inside an error of the HTTP client. `io::Error` hides what it wraps from `source()`.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        if let Some(found) = error.downcast_ref::<io::Error>().and_then(wrapped) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn wrapped(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner
        .downcast_ref::<rustls::Error>()
        .or_else(|| inner.downcast_ref::<io::Error>().and_then(wrapped))
}
