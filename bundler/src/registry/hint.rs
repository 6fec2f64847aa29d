//! What a user can do next, for everything that a registry can answer other than the bytes.

use cli::Hint;

use super::error::{CertificateFault, RegistryError};
use super::realm::Fault;
use super::retry::PATIENCE;

impl RegistryError {
    /// Returns what the user can do next.
    pub(crate) fn hint(&self) -> Hint {
        match self {
            Self::Client { host, .. } => named(
                host,
                "install the system's CA certificates (ca-certificates), or name a CA: registries: {\"{host}\": {ca: FILE}}",
            ),
            Self::Unreachable { host, .. } | Self::Timeout { host, .. } | Self::Broken { host, .. } => named(
                host,
                "check the name and the network to {host}, then run the same command again: what was pulled is kept",
            ),
            Self::Short { .. } => "run the same command again: what was pulled is kept".into(),
            Self::Certificate { host, fault, .. } => fault.hint(host),
            Self::UnknownCa { host, .. } => named(
                host,
                "if it is the right registry, name the CA that signed it in the spec: registries: {\"{host}\": {ca: ca.pem}}",
            ),
            Self::NoTls { host, .. } => named(
                host,
                "if it really has no TLS, say so in the spec: registries: {\"{host}\": {plainHttp: true}}",
            ),
            Self::Unauthorized { .. } | Self::Token { .. } | Self::Realm { .. } | Self::Login { .. } => {
                self.login_hint()
            }
            Self::Page { host, .. } => named(
                host,
                "look at it with `curl -v https://{host}/v2/`: a proxy may want a login, or the registry may be under maintenance",
            ),
            Self::TooSlow { host, .. } => named(
                host,
                "look at the line to {host}, or name a mirror in the spec; then run the same command again: what was pulled is kept",
            ),
            Self::OtherLength { .. } => {
                "push the image anew: its registry does not hold what its manifest names".into()
            }
            Self::NotFound { .. } => {
                "check the image's name and tag in the spec; a digest may have been deleted from the registry"
                    .into()
            }
            Self::Status { status: 429, .. } => Hint::new(
                "the registry limits requests: log in, or wait (it asked for more than {seconds} s) and run the same command again: what was pulled is kept",
                &[("seconds", &PATIENCE.as_secs())],
            ),
            Self::Status { host, .. } => named(
                host,
                "ask whoever runs {host}; running the same command again is safe",
            ),
            Self::Mismatch { host, .. } | Self::TooLong { host, .. } => named(
                host,
                "something between here and {host}, or its storage, alters data: do not use this image before that is found",
            ),
        }
    }

    /// Returns what can be done about logins and tokens.
    fn login_hint(&self) -> Hint {
        match self {
            Self::Unauthorized { host, .. } => named(
                host,
                "log in with `docker login {host}`, or give username and passwordFile in the spec under registries; some registries answer so for an image that does not exist",
            ),
            Self::Token {
                host, login: true, ..
            } => named(
                host,
                "check the login for {host} and that it may pull this repository; if the image is public, an old login may be in the way: `docker logout {host}`",
            ),
            Self::Token { host, .. } => named(
                host,
                "check the login for {host} and that it may pull this repository",
            ),
            Self::Realm {
                host,
                fault: Fault::Plain,
                ..
            } => named(
                host,
                "ask whoever runs {host}: behind a proxy that ends TLS the registry must know its own address (Harbor: external_url; else the header X-Forwarded-Proto); plainHttp: true in the spec is for registries without TLS",
            ),
            Self::Realm { host, .. } => named(
                host,
                "ask whoever runs {host} what its token server is; if nobody knows this address, tell them",
            ),
            _ => "check docker's config.json, or give username and passwordFile in the spec".into(),
        }
    }
}

impl CertificateFault {
    /// Returns what can be done about a certificate.
    fn hint(self, host: &str) -> Hint {
        match self {
            Self::Expired | Self::NotYet => named(
                host,
                "look at the clock of this machine (`date`), else have the certificate of {host} renewed",
            ),
            Self::OtherName => named(
                host,
                "use a name that it has (`openssl s_client -connect {host} </dev/null | openssl x509 -noout -ext subjectAltName`), or have it made for this one",
            ),
            Self::CaItself => named(
                host,
                "name that very certificate as `ca` of {host} in the spec, or have one made with CA:FALSE, or by a CA of its own",
            ),
            Self::Other => named(
                host,
                "have the certificate of {host} made anew: `openssl verify` says what is wrong with it",
            ),
        }
    }
}

/// Returns a sentence that names a registry.
fn named(host: &str, sentence: &'static str) -> Hint {
    Hint::new(sentence, &[("host", &host)])
}
