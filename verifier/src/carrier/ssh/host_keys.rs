//! The client's side of the handshake: the host key, or the certificate on it, is judged before anything else is said.

use std::sync::{Arc, OnceLock};

use russh::client;
use russh::keys::{PublicKey, PublicKeyOrCertificate};

use super::certificate::{self, Flaw};
use super::known_hosts::{KnownHosts, Names, Verdict};

/// Judges the host key; the handshake fails when it may not be trusted.
pub(super) struct HostKeys {
    pub(super) known: KnownHosts,
    pub(super) names: Names,
    /// What the host showed.
    pub(super) shown: Arc<OnceLock<PublicKey>>,
    /// Whether the key is only looked at: then the connection ends with it.
    pub(super) only_look: bool,
    /// The time by which certificates are judged, in seconds since 1970.
    pub(super) now: u64,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error(transparent)]
    Ssh(#[from] russh::Error),
    #[error("the host key is not trusted")]
    Key(Verdict),
    #[error("the host certificate is not trusted: {0}")]
    Certificate(Flaw),
}

impl HostKeys {
    /// As OpenSSH: a certificate that proves nothing leaves the key in it, which may be pinned.
    fn judge(&self, shown: &PublicKeyOrCertificate, key: &PublicKey) -> Result<(), HandshakeError> {
        let verdict = self.known.judge(&self.names, key);
        let Some(certificate) = shown.certificate() else {
            return match verdict {
                Verdict::Known => Ok(()),
                verdict => Err(HandshakeError::Key(verdict)),
            };
        };
        match certificate::judge(&self.known, &self.names, certificate, self.now) {
            Ok(()) => Ok(()),
            Err(Flaw::Revoked(line)) => Err(HandshakeError::Key(Verdict::Revoked(line))),
            Err(_) if verdict == Verdict::Known => Ok(()),
            // Who looks wants to know what may be pinned.
            Err(_) if self.only_look => Err(HandshakeError::Key(verdict)),
            Err(flaw) => Err(HandshakeError::Certificate(flaw)),
        }
    }
}

impl client::Handler for HostKeys {
    type Error = HandshakeError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, HandshakeError> {
        let key = shown.public_key();
        let _ = self.shown.set(key.clone());
        self.judge(shown, &key)?;
        if self.only_look {
            return Err(HandshakeError::Key(Verdict::Known));
        }
        Ok(true)
    }
}
