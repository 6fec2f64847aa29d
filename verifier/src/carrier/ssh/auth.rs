//! The login: a key from a file, then the keys of an SSH agent.

use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, load_secret_key};
use tokio::net::UnixStream;

use super::host_keys::HostKeys;
use super::{ConnectError, Target};

/// What was tried, and what the server would take.
#[derive(Default)]
struct Attempts {
    tried: Vec<String>,
    methods: String,
}

impl Attempts {
    fn failed(&mut self, what: String, result: &AuthResult) {
        self.tried.push(what);
        if let AuthResult::Failure {
            remaining_methods, ..
        } = result
        {
            let names: Vec<String> = remaining_methods
                .iter()
                .map(|method| <&str>::from(method).to_owned())
                .collect();
            self.methods = names.join(", ");
        }
    }
}

/// Logs in as the target says.
pub(super) async fn login(handle: &mut Handle<HostKeys>, target: &Target) -> Result<(), ConnectError> {
    let mut attempts = Attempts::default();
    if with_file(handle, target, &mut attempts).await? || with_agent(handle, target, &mut attempts).await? {
        return Ok(());
    }
    let methods = if attempts.methods.is_empty() {
        "nothing else".to_owned()
    } else {
        attempts.methods
    };
    Err(ConnectError::AuthFailed {
        host: target.to_string(),
        user: target.user.clone(),
        tried: attempts.tried,
        methods,
    })
}

async fn with_file(
    handle: &mut Handle<HostKeys>,
    target: &Target,
    attempts: &mut Attempts,
) -> Result<bool, ConnectError> {
    let Some(path) = &target.identity else {
        return Ok(false);
    };
    let key = match load(path, target).await {
        // The agent may hold it decrypted.
        Err(ConnectError::PassphraseNeeded { .. }) if target.key_agent.is_some() => return Ok(false),
        loaded => loaded?,
    };
    let hash = rsa_hash(handle, &key.algorithm()).await;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    let result = handle
        .authenticate_publickey(&target.user, key)
        .await
        .map_err(|error| ConnectError::broken(target, error))?;
    if !result.success() {
        attempts.failed(path.display().to_string(), &result);
    }
    Ok(result.success())
}

async fn load(path: &Path, target: &Target) -> Result<PrivateKey, ConnectError> {
    let passphrase = target
        .passphrase
        .as_ref()
        .map(|secret| secret.reveal().to_owned());
    let file = path.to_owned();
    // Opening an encrypted key takes a good part of a second of computing.
    let loaded = tokio::task::spawn_blocking(move || load_secret_key(file, passphrase.as_deref())).await;
    let path = path.to_owned();
    match loaded {
        Ok(Ok(key)) => Ok(key),
        Ok(Err(russh::keys::Error::KeyIsEncrypted)) => Err(ConnectError::PassphraseNeeded { path }),
        Ok(Err(error)) => Err(ConnectError::Identity {
            path,
            source: error.into(),
        }),
        Err(error) => Err(ConnectError::Identity {
            path,
            source: error.into(),
        }),
    }
}

async fn with_agent(
    handle: &mut Handle<HostKeys>,
    target: &Target,
    attempts: &mut Attempts,
) -> Result<bool, ConnectError> {
    let Some(path) = &target.key_agent else {
        return Ok(false);
    };
    let fail = |source| ConnectError::KeyAgent {
        path: path.clone(),
        source,
    };
    let (mut agent, identities) = match identities(path).await {
        Ok(found) => found,
        // A socket that is left over in the environment is not why the key of the file was refused.
        Err(_) if !attempts.tried.is_empty() => return Ok(false),
        Err(error) => return Err(fail(error.into())),
    };
    if identities.is_empty() {
        attempts.tried.push("an SSH agent without keys".to_owned());
    }
    for identity in identities {
        let AgentIdentity::PublicKey { key, comment } = identity else {
            continue;
        };
        let hash = rsa_hash(handle, &key.algorithm()).await;
        let result = handle
            .authenticate_publickey_with(&target.user, key, hash, &mut agent)
            .await;
        let result = result.map_err(|error| fail(error.into()))?;
        if result.success() {
            return Ok(true);
        }
        attempts.failed(format!("{comment} of the SSH agent"), &result);
    }
    Ok(false)
}

/// The agent and the keys that it holds.
async fn identities(
    path: &Path,
) -> Result<(AgentClient<UnixStream>, Vec<AgentIdentity>), russh::keys::Error> {
    let mut agent = AgentClient::connect_uds(path).await?;
    let identities = agent.request_identities().await?;
    Ok((agent, identities))
}

/// SHA-1 signatures are refused by today's servers: take the best that this one says it can.
async fn rsa_hash(handle: &Handle<HostKeys>, algorithm: &Algorithm) -> Option<HashAlg> {
    if !matches!(algorithm, Algorithm::Rsa { .. }) {
        return None;
    }
    // A server that does not say is one that knows only SHA-1 (before OpenSSH 7.2), or one that will refuse it.
    handle.best_supported_rsa_hash().await.ok().flatten().flatten()
}
