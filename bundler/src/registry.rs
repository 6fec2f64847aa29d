//! Registries: manifests and blobs by reference, with logins, mirrors, retries and resumption.
//!
//! The one home of `oci_distribution` (tokens) and of the HTTP client. Requests are made here rather than by
//! `oci_distribution`, because its answers lose `Retry-After` and `Content-Range`, which retries and resumption need.

mod endpoint;
mod error;
mod login;
mod retry;
mod transfer;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use bundle::Digest;
use reqwest::header::CONTENT_TYPE;

pub(crate) use error::RegistryError;
pub(crate) use login::{DockerConfig, Login, LoginError};

use crate::cache::CacheError;
use crate::image::DOCUMENT_LIMIT;
use crate::reference::Reference;
use crate::sink::Sink;
use crate::spec::Mirror;
use endpoint::{Address, Attempt, Endpoint, Request};
use retry::{ATTEMPTS, Retry};
use transfer::{Stopped, transfer};

const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// How a registry is reached, with the contents of the files that the spec names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Private CAs, DER.
    pub(crate) ca: Vec<Vec<u8>>,
    pub(crate) plain_http: bool,
    pub(crate) mirror: Option<Mirror>,
    /// The login of the spec, which goes before Docker's.
    pub(crate) login: Option<Login>,
}

/// All registries of a build.
pub(crate) struct Registries {
    settings: BTreeMap<String, Settings>,
    docker: DockerConfig,
    endpoints: Mutex<BTreeMap<(String, String), Arc<Endpoint>>>,
    notes: Box<dyn Fn(&str) + Send + Sync>,
}

/// A manifest as it was served.
pub(crate) struct Served {
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: Option<String>,
}

/// Why a blob did not reach the cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Registries {
    /// `notes` is told what a user wants to know while waiting: a pause, a mirror that was passed over.
    pub(crate) fn new(
        settings: BTreeMap<String, Settings>,
        docker: DockerConfig,
        notes: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Self {
        Self {
            settings,
            docker,
            endpoints: Mutex::default(),
            notes,
        }
    }

    /// Gets a manifest or an index, by digest where the reference has one; its hash is checked then.
    pub(crate) async fn manifest(&self, image: &Reference) -> Result<Served, RegistryError> {
        let tail = match (image.digest(), image.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let path = format!("manifests/{tail}");
        let (mirror, itself) = self.hosts(image.registry())?;
        if let Some(mirror) = mirror {
            match self.document(&mirror, image, &path).await {
                Ok(served) => return Ok(served),
                Err(error) => self.pass_over(&error),
            }
        }
        self.document(&itself, image, &path).await
    }

    async fn document(
        &self,
        endpoint: &Endpoint,
        image: &Reference,
        path: &str,
    ) -> Result<Served, RegistryError> {
        let what = image.to_string();
        let request = Request {
            repository: image.repository(),
            path,
            accept: Some(ACCEPT_MANIFESTS),
            offset: 0,
            what: &what,
        };
        let served = self
            .retrying(async || read_document(endpoint, &request).await)
            .await?;
        let found = Digest::of(&served.bytes);
        match image.digest() {
            Some(expected) if expected != found => Err(RegistryError::Mismatch {
                host: endpoint.host().to_owned(),
                what,
                expected,
                found,
            }),
            _ => Ok(served),
        }
    }

    /// Gets a blob into the cache, continuing where the sink is; the hash of the whole is checked in any case.
    pub(crate) async fn blob(
        &self,
        image: &Reference,
        blob: (Digest, u64),
        sink: &mut Sink<'_>,
    ) -> Result<(), BlobError> {
        let (mirror, itself) = self.hosts(image.registry())?;
        if let Some(mirror) = mirror {
            match self.pull(&mirror, image, blob, sink).await {
                Err(BlobError::Registry(error)) => self.pass_over(&error),
                done => return done,
            }
        }
        self.pull(&itself, image, blob, sink).await
    }

    /// Pulls a blob from one host. Ends with the first error that no repetition would cure.
    async fn pull(
        &self,
        endpoint: &Endpoint,
        image: &Reference,
        (digest, size): (Digest, u64),
        sink: &mut Sink<'_>,
    ) -> Result<(), BlobError> {
        let what = format!("blob {digest} of {}/{}", image.registry(), image.repository());
        let path = format!("blobs/{digest}");
        let mut failures = 0;
        // Bytes of two answers were joined: a wrong hash may then be the joint's fault, and is worth one whole try.
        let mut joined = sink.offset() > 0;
        loop {
            let before = sink.offset();
            if before < size {
                let request = Request {
                    repository: image.repository(),
                    path: &path,
                    accept: None,
                    offset: before,
                    what: &what,
                };
                match transfer(endpoint, &request, size, sink).await {
                    Ok(()) => {}
                    Err(Stopped::Disk(error)) => return Err(error.into()),
                    Err(Stopped::Attempt(attempt)) => {
                        failures = if sink.offset() > before { 1 } else { failures + 1 };
                        joined |= sink.offset() > 0;
                        self.rest(attempt, failures).await?;
                        continue;
                    }
                }
            }
            match sink.keep().await {
                Ok(()) => return Ok(()),
                Err(CacheError::Mismatch { .. }) if joined => joined = false,
                Err(CacheError::Mismatch { expected, found }) => {
                    let host = endpoint.host().to_owned();
                    return Err(RegistryError::Mismatch {
                        host,
                        what,
                        expected,
                        found,
                    }
                    .into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Repeats a request as long as that may help.
    async fn retrying<T>(&self, request: impl AsyncFn() -> Result<T, Attempt>) -> Result<T, RegistryError> {
        let mut failures = 0;
        loop {
            match request().await {
                Ok(value) => return Ok(value),
                Err(attempt) => {
                    failures += 1;
                    self.rest(attempt, failures).await?;
                }
            }
        }
    }

    /// Waits before the next attempt, or gives the error back where there is to be none.
    async fn rest(&self, attempt: Attempt, failures: u32) -> Result<(), RegistryError> {
        if attempt.retry == Retry::Never || failures >= ATTEMPTS {
            return Err(attempt.error);
        }
        let pause = attempt.retry.pause(failures, chance());
        if pause.as_secs() >= 2 {
            (self.notes)(&format!("{}; next try in {} s", attempt.error, pause.as_secs()));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Says that a mirror failed, before its registry is asked.
    fn pass_over(&self, error: &RegistryError) {
        (self.notes)(&format!("the mirror did not give it: {error}"));
    }

    /// Returns the hosts to ask for images of a registry: its mirror, if it has one, and itself.
    fn hosts(&self, registry: &str) -> Result<(Option<Arc<Endpoint>>, Arc<Endpoint>), RegistryError> {
        let settings = self.settings.get(registry).cloned().unwrap_or_default();
        let itself = self.endpoint(Address {
            host: registry.to_owned(),
            plain_http: settings.plain_http,
            prefix: String::new(),
            ca: settings.ca,
            login: self.login(registry, settings.login)?,
        })?;
        let Some(mirror) = settings.mirror else {
            return Ok((None, itself));
        };
        let own = self.settings.get(&mirror.host).cloned().unwrap_or_default();
        let login = self.login(&mirror.host, own.login)?;
        let mirror = self.endpoint(Address {
            host: mirror.host,
            plain_http: mirror.plain_http,
            prefix: mirror.prefix,
            ca: own.ca,
            login,
        })?;
        Ok((Some(mirror), itself))
    }

    fn endpoint(&self, address: Address) -> Result<Arc<Endpoint>, RegistryError> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (address.host.clone(), address.prefix.clone());
        if let Some(endpoint) = endpoints.get(&key) {
            return Ok(Arc::clone(endpoint));
        }
        let endpoint = Arc::new(Endpoint::new(address)?);
        endpoints.insert(key, Arc::clone(&endpoint));
        Ok(endpoint)
    }

    fn login(&self, host: &str, of_spec: Option<Login>) -> Result<Login, RegistryError> {
        match of_spec {
            Some(login) => Ok(login),
            None => self.docker.login(host).map_err(|source| RegistryError::Login {
                host: host.to_owned(),
                source,
            }),
        }
    }
}

/// Reads a whole document, bounded.
async fn read_document(endpoint: &Endpoint, request: &Request<'_>) -> Result<Served, Attempt> {
    let mut response = endpoint.get(request).await?;
    let media_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut bytes = Vec::new();
    loop {
        let chunk = response.chunk().await;
        match chunk.map_err(|source| RegistryError::http(endpoint.host(), request.what, source))? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => return Ok(Served { bytes, media_type }),
        }
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            let (host, what) = (endpoint.host().to_owned(), request.what.to_owned());
            let limit = DOCUMENT_LIMIT;
            return Err(RegistryError::TooLong { host, what, limit }.into());
        }
    }
}

/// Returns a number between 0 and 1 that differs between processes and calls, to spread retries.
fn chance() -> f64 {
    let [first, ..] = RandomState::new().hash_one(0_u8).to_ne_bytes();
    f64::from(first) / f64::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

    #[test]
    fn every_kind_of_manifest_is_asked_for() {
        let is_accepted = |media_type| {
            ACCEPT_MANIFESTS
                .split(", ")
                .any(|accepted| accepted == media_type)
        };
        assert!(
            [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST]
                .into_iter()
                .all(is_accepted)
        );
    }
}
