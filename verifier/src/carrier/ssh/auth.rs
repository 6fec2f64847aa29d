//! The login: the key of a file and the keys of an SSH agent, each with its certificate first where it has one.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use bundle::UserFile;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey, PublicKey, decode_secret_key};
use russh::{AgentAuthError, Signer};
use secrets::{Secret, Wiped};
use tokio::net::UnixStream;

use super::file_key::FileKey;
use super::host_keys::HostKeys;
use super::{ConnectError, Target, certificate};

/// As long as OpenSSH reads one (sshkey's MAX_KEY_FILE_SIZE).
const KEY: UserFile = UserFile::new("a private key", 1 << 20);
const CERTIFICATE: UserFile = UserFile::new("an SSH certificate", 1 << 20);

/// A login that is being tried.
struct Login<'a> {
    handle: &'a mut Handle<HostKeys>,
    target: &'a Target,
    /// The certificate of a file, with how it is called.
    certificate: Option<(Certificate, String)>,
    tried: Vec<String>,
    /// What the server would take.
    methods: String,
}

/// Logs in as the target says.
pub(super) async fn login(handle: &mut Handle<HostKeys>, target: &Target) -> Result<(), ConnectError> {
    let mut login = Login {
        handle,
        target,
        certificate: None,
        tried: Vec::new(),
        methods: String::new(),
    };
    login.certificate = login.certificate_of_file()?;
    if login.with_file().await? || login.with_agent().await? {
        return Ok(());
    }
    Err(login.refused())
}

impl Login<'_> {
    /// The certificate that the site file names, else the one that lies beside the key, as OpenSSH finds it.
    fn certificate_of_file(&mut self) -> Result<Option<(Certificate, String)>, ConnectError> {
        let named = self.target.certificate.clone();
        let beside = self.target.identity.as_ref().map(|identity| {
            let mut path = identity.clone().into_os_string();
            path.push("-cert.pub");
            path.into()
        });
        let Some(path) = named.clone().or(beside) else {
            return Ok(None);
        };
        match read_certificate(&path) {
            Ok(certificate) => {
                let name = self.named(&path.display().to_string(), &certificate);
                Ok(Some((certificate, name)))
            }
            Err(_) if named.is_none() && !path.exists() => Ok(None),
            Err(error) if named.is_none() => {
                self.tried
                    .push(format!("not {}, which cannot be read: {error}", path.display()));
                Ok(None)
            }
            Err(source) => Err(ConnectError::Certificate { path, source }),
        }
    }

    /// Returns how a certificate is called, with what speaks against it as far as it is seen from here.
    fn named(&self, name: &str, certificate: &Certificate) -> String {
        match certificate::doubt(certificate, &self.target.user, now()) {
            Some(doubt) => format!("the certificate {name} ({doubt})"),
            None => format!("the certificate {name}"),
        }
    }

    async fn with_file(&mut self) -> Result<bool, ConnectError> {
        let Some(path) = &self.target.identity else {
            return Ok(false);
        };
        let key = match load(path, self.target).await {
            // The agent may hold it decrypted.
            Err(ConnectError::PassphraseNeeded { .. }) if self.target.key_agent.is_some() => {
                return Ok(false);
            }
            loaded => loaded?,
        };
        let mut key = FileKey::new(key).map_err(|source| ConnectError::Identity {
            path: path.clone(),
            source: source.into(),
        })?;
        let public = key.public().clone();
        let name = path.display().to_string();
        let hash = match self.rsa_hash(&public.algorithm()).await {
            Hash::None => None,
            Hash::Takes(Some(hash)) => Some(hash),
            // A server that does not say: the one that all can do that are not too old.
            Hash::Unsaid => Some(HashAlg::Sha256),
            Hash::Takes(None) => {
                self.tried
                    .push(format!("not {name}: of RSA the server takes only SHA-1"));
                return Ok(false);
            }
        };
        let broken = |error| ConnectError::broken(self.target, error);
        if let Some((certificate, name)) = self.certificate.clone()
            && certificate.public_key() == public.key_data()
        {
            let user = self.target.user.clone();
            let result = self
                .handle
                .authenticate_certificate_with(user, certificate, hash, &mut key)
                .await;
            if self.took(name, &result.map_err(broken)?) {
                return Ok(true);
            }
        }
        let user = self.target.user.clone();
        let result = self
            .handle
            .authenticate_publickey_with(user, public, hash, &mut key)
            .await;
        let result = result.map_err(broken)?;
        Ok(self.took(name, &result))
    }

    async fn with_agent(&mut self) -> Result<bool, ConnectError> {
        let Some(path) = &self.target.key_agent else {
            return Ok(false);
        };
        let fail = |source| ConnectError::KeyAgent {
            path: path.clone(),
            source,
        };
        let (mut agent, mut identities) = match identities(path).await {
            Ok(found) => found,
            // A socket that is left over in the environment is not why the key of the file was refused.
            Err(_) if !self.tried.is_empty() => return Ok(false),
            Err(error) => return Err(fail(error.into())),
        };
        if identities.is_empty() {
            self.tried.push("an SSH agent without keys".to_owned());
        }
        // A certificate says more than a key, and sshd counts the tries.
        identities.sort_by_key(|identity| matches!(identity, AgentIdentity::PublicKey { .. }));
        for identity in identities {
            let took = match identity {
                AgentIdentity::Certificate { certificate, comment } => {
                    let name = self.named(&format!("{comment} of the SSH agent"), &certificate);
                    self.certified(certificate, name, &mut Plain::No(&mut agent))
                        .await
                }
                AgentIdentity::PublicKey { key, comment } => self.agents_key(key, &comment, &mut agent).await,
            };
            if took.map_err(|error| fail(error.into()))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Offers a key that the agent holds, behind the certificate of a file where that is for it.
    async fn agents_key(
        &mut self,
        key: PublicKey,
        comment: &str,
        agent: &mut AgentClient<UnixStream>,
    ) -> Result<bool, AgentAuthError> {
        if let Some((certificate, name)) = self.certificate.clone()
            && certificate.public_key() == key.key_data()
            && self
                .certified(certificate, name, &mut Plain::Yes(&mut *agent))
                .await?
        {
            return Ok(true);
        }
        let hash = self.agents_hash(&key.algorithm()).await;
        let user = self.target.user.clone();
        let result = self
            .handle
            .authenticate_publickey_with(user, key, hash, agent)
            .await?;
        Ok(self.took(format!("{comment} of the SSH agent"), &result))
    }

    async fn certified(
        &mut self,
        certificate: Certificate,
        name: String,
        agent: &mut Plain<'_>,
    ) -> Result<bool, AgentAuthError> {
        let hash = self.agents_hash(&certificate.algorithm()).await;
        let user = self.target.user.clone();
        let result = self
            .handle
            .authenticate_certificate_with(user, certificate, hash, agent)
            .await?;
        Ok(self.took(name, &result))
    }

    /// Notes what a try came to, and returns whether we are in.
    fn took(&mut self, what: String, result: &AuthResult) -> bool {
        if let AuthResult::Failure {
            remaining_methods, ..
        } = result
        {
            self.tried.push(what);
            let names: Vec<String> = remaining_methods
                .iter()
                .map(|method| <&str>::from(method).to_owned())
                .collect();
            self.methods = names.join(", ");
        }
        result.success()
    }

    fn refused(self) -> ConnectError {
        ConnectError::AuthFailed {
            host: self.target.to_string(),
            user: self.target.user.clone(),
            tried: self.tried,
            methods: if self.methods.is_empty() {
                "nothing else".to_owned()
            } else {
                self.methods
            },
        }
    }

    /// SHA-1 signatures are refused by today's servers: take the best that this one says it can.
    async fn rsa_hash(&self, algorithm: &Algorithm) -> Hash {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Hash::None;
        }
        match self.handle.best_supported_rsa_hash().await {
            Ok(Some(hash)) => Hash::Takes(hash),
            Ok(None) | Err(_) => Hash::Unsaid,
        }
    }

    /// The agent may sign with SHA-1 where nothing else is taken.
    async fn agents_hash(&self, algorithm: &Algorithm) -> Option<HashAlg> {
        match self.rsa_hash(algorithm).await {
            Hash::Takes(hash) => hash,
            Hash::None | Hash::Unsaid => None,
        }
    }
}

/// Which hash an RSA key signs with.
enum Hash {
    /// It is no RSA key.
    None,
    /// The best that the server says it takes; none: SHA-1.
    Takes(Option<HashAlg>),
    /// The server does not say.
    Unsaid,
}

/// An agent that is asked to sign for a certificate: it holds the certificate itself, or only the plain key in it.
enum Plain<'a> {
    Yes(&'a mut AgentClient<UnixStream>),
    No(&'a mut AgentClient<UnixStream>),
}

impl Signer for Plain<'_> {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        match self {
            Self::No(agent) => agent.auth_sign(key, hash, data).await,
            Self::Yes(agent) => {
                let key = AgentIdentity::from(key.public_key().into_owned());
                agent.auth_sign(&key, hash, data).await
            }
        }
    }
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_secs())
}

fn read_certificate(path: &Path) -> Result<Certificate, Box<dyn std::error::Error + Send + Sync>> {
    let text = CERTIFICATE.read_text(path)?;
    Ok(Certificate::from_openssh(&text)?)
}

async fn load(path: &Path, target: &Target) -> Result<PrivateKey, ConnectError> {
    let passphrase = target.passphrase.clone();
    let text = KEY
        .read_text(path)
        .map_err(|source: io::Error| ConnectError::Identity {
            path: path.to_owned(),
            source: source.into(),
        })?;
    let text = Wiped::new(text);
    // Opening an encrypted key takes a good part of a second of computing.
    let loaded = tokio::task::spawn_blocking(move || {
        match decode_secret_key(&text, passphrase.as_ref().map(Secret::reveal)) {
            Err(russh::keys::Error::SshKey(error)) => {
                signatures::short_key(&text, passphrase.as_ref()).ok_or_else(|| error.into())
            }
            decoded => decoded,
        }
    })
    .await;
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

/// The agent and the keys that it holds.
async fn identities(
    path: &Path,
) -> Result<(AgentClient<UnixStream>, Vec<AgentIdentity>), russh::keys::Error> {
    let mut agent = AgentClient::connect_uds(path).await?;
    let identities = agent.request_identities().await?;
    Ok((agent, identities))
}
