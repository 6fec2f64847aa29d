//! What a registry can answer other than the bytes, with the next step.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use bundle::Digest;
use rustls::CertificateError;

use super::login::LoginError;
use super::realm::Fault;

/// A registry did not give what was asked of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("registry {host}: no client can be made")]
    Client {
        host: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("registry {host} cannot be reached")]
    Unreachable { host: String, source: reqwest::Error },
    #[error("registry {host}: its certificate is from a CA that is not known here")]
    UnknownCa { host: String, source: reqwest::Error },
    #[error("registry {host}: its certificate {fault}")]
    Certificate {
        host: String,
        fault: CertificateFault,
        source: reqwest::Error,
    },
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
        /// Whether it was refused in spite of a login.
        login: bool,
    },
    #[error("registry {host} sends logins to {realm:?}, {fault}: nothing was sent there")]
    Realm {
        host: String,
        realm: String,
        fault: Fault,
    },
    #[error("registry {host} answers {what} with a web page: a login, a proxy or a notice stands in between")]
    Page { host: String, what: String },
    #[error("registry {host} gave {gained} bytes of {what} in {seconds} s, and is given up")]
    TooSlow {
        host: String,
        what: String,
        gained: u64,
        seconds: u64,
    },
    #[error("registry {host} has {found} bytes for {what}, its manifest says {expected}")]
    OtherLength {
        host: String,
        what: String,
        expected: u64,
        found: u64,
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
    Login { host: String, source: Arc<LoginError> },
}

/// What is wrong with a certificate that is not just unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateFault {
    Expired,
    NotYet,
    OtherName,
    CaItself,
    Other,
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "has expired",
            Self::NotYet => "is not valid yet",
            Self::OtherName => "is not for this name",
            Self::CaItself => "is a CA's own, and not one that the spec names",
            Self::Other => "is not accepted",
        })
    }
}

impl CertificateFault {
    fn of(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYet,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::OtherName
            }
            // webpki's error comes as text only.
            CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                Self::CaItself
            }
            _ => Self::Other,
        }
    }
}

impl RegistryError {
    pub(super) fn client(host: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Client {
            host: host.to_owned(),
            source: source.into(),
        }
    }

    /// Sorts an error of the HTTP client. The first two are about the registry as a whole.
    pub(super) fn http(host: &str, what: &str, mut source: reqwest::Error) -> Self {
        // Storage behind a registry is reached by URLs whose query is a credential.
        if let Some(url) = source.url_mut() {
            url.set_query(None);
        }
        let host = host.to_owned();
        let what = what.to_owned();
        match tls_error(&source) {
            Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
                Self::UnknownCa { host, source }
            }
            Some(rustls::Error::InvalidMessage(_)) => Self::NoTls { host, source },
            Some(rustls::Error::InvalidCertificate(error)) => {
                let fault = CertificateFault::of(error);
                Self::Certificate { host, fault, source }
            }
            _ if source.is_timeout() && !source.is_connect() => Self::Timeout { host, what, source },
            _ if source.is_connect() => Self::Unreachable { host, source },
            _ if source.is_builder() => Self::client(&host, source),
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
