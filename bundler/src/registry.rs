//! Registries: manifests and blobs by reference, with logins, mirrors, retries and resumption.
//!
//! The one home of the HTTP client and of TLS. Of oci-distribution the names of the formats are taken (`image.rs`), not
//! its client: its answers lose `Retry-After` and `Content-Range`, and it sends a login wherever a registry says.

mod attempt;
mod challenge;
mod endpoint;
mod ends;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hint;
mod login;
mod message;
mod pace;
mod realm;
mod retry;
mod tls;
mod token;
mod transfer;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bundle::Digest;
use reqwest::header::CONTENT_TYPE;
use tokio::time::timeout;

pub(crate) use error::RegistryError;
pub(crate) use login::{DockerConfig, Login, LoginError};

use crate::image::DOCUMENT_LIMIT;
use crate::reference::{Reference, normal_host};
use crate::sink::{Sink, SinkError};
use crate::spec::Mirror;
use attempt::Attempt;
use endpoint::{Address, Endpoint, Request};
use login::Logins;
use message::{error_of, is_page};
use pace::Pace;
use retry::{ATTEMPTS, PATIENCE, Retry};
use transfer::{Stopped, too_slow, transfer};

const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// How a registry is reached, with the contents of the files that the spec names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Private CAs, or the registry's own certificate, DER.
    pub(crate) ca: Vec<Vec<u8>>,
    pub(crate) plain_http: bool,
    pub(crate) mirror: Option<Mirror>,
    /// The login of the spec, which goes before Docker's.
    pub(crate) login: Option<Login>,
}

/// All registries of a build.
pub(crate) struct Registries {
    settings: BTreeMap<String, Settings>,
    logins: Logins,
    endpoints: Mutex<BTreeMap<(String, String), Arc<Endpoint>>>,
    notes: Box<dyn Fn(&str) + Send + Sync>,
}

/// A manifest as it was served.
pub(crate) struct Served {
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: Option<String>,
}

/// Why a blob did not reach its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl Registries {
    /// `notes` is told what a user wants to know while waiting: a pause, a mirror that was passed over.
    pub(crate) fn new(
        settings: BTreeMap<String, Settings>,
        docker: DockerConfig,
        notes: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Self {
        Self {
            settings: settings
                .into_iter()
                .map(|(host, settings)| (normal_host(&host), settings))
                .collect(),
            logins: Logins::new(docker),
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
        let (mirror, itself) = self.hosts(image).await?;
        if let Some(mirror) = mirror {
            match self.document(&mirror, image, &path).await {
                Ok(served) => return Ok(served),
                Err(error) => self.pass_over(&error),
            }
        }
        self.document(&itself, image, &path).await
    }

    async fn document(&self, host: &Host, image: &Reference, path: &str) -> Result<Served, RegistryError> {
        let what = image.to_string();
        let request = Request {
            repository: image.repository(),
            login: &host.login,
            path,
            accept: Some(ACCEPT_MANIFESTS),
            offset: 0,
            last: None,
            what: &what,
        };
        let mut course = Course::new(0);
        let served = loop {
            let left = course.pace.left(Instant::now());
            let read = timeout(left, read_document(&host.endpoint, &request)).await;
            let slow = || too_slow(host.endpoint.host(), &what, 0);
            match read.map_err(|_| slow())? {
                Ok(served) => break served,
                Err(attempt) => self.rest(attempt, &mut course).await?,
            }
        };
        let found = Digest::of(&served.bytes);
        match image.digest() {
            Some(expected) if expected != found => Err(mismatch(&host.endpoint, what, (expected, found))),
            _ => Ok(served),
        }
    }

    /// Gets a blob into a sink, continuing where the sink is; the hash of the whole is checked in any case.
    pub(crate) async fn blob(
        &self,
        image: &Reference,
        blob: (Digest, u64),
        sink: &mut Sink<'_>,
    ) -> Result<(), BlobError> {
        let (mirror, itself) = self.hosts(image).await?;
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
        host: &Host,
        image: &Reference,
        (digest, size): (Digest, u64),
        sink: &mut Sink<'_>,
    ) -> Result<(), BlobError> {
        let endpoint = &host.endpoint;
        let what = format!("blob {digest} of {}/{}", image.registry(), image.repository());
        let path = format!("blobs/{digest}");
        let mut course = Course::new(sink.offset());
        // Bytes of two answers were joined: a wrong hash may then be the joint's fault, and is worth one whole try.
        let mut joined = sink.offset() > 0;
        loop {
            let before = sink.offset();
            if before < size {
                let request = Request {
                    repository: image.repository(),
                    login: &host.login,
                    path: &path,
                    accept: None,
                    offset: before,
                    last: None,
                    what: &what,
                };
                match transfer(endpoint, &request, size, (sink, &mut course.pace)).await {
                    Ok(()) => {}
                    Err(Stopped::Disk(error)) => return Err(error.into()),
                    Err(Stopped::Attempt(attempt)) => {
                        course.gained(sink.offset());
                        joined |= sink.offset() > 0;
                        self.rest(attempt, &mut course).await?;
                        continue;
                    }
                }
            }
            match sink.keep().await {
                Ok(()) => return Ok(()),
                Err(SinkError::Mismatch { .. }) if joined => joined = false,
                Err(SinkError::Mismatch { expected, found }) => {
                    return Err(mismatch(endpoint, what, (expected, found)).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits before the next attempt, or gives the error back where there is to be none.
    async fn rest(&self, attempt: Attempt, course: &mut Course) -> Result<(), RegistryError> {
        course.failures += 1;
        if attempt.retry == Retry::Never || course.failures >= ATTEMPTS {
            return Err(attempt.error);
        }
        let pause = attempt.retry.pause(course.failures, chance());
        if matches!(attempt.retry, Retry::After(_)) {
            course.asked += pause;
            course.pace.pause(pause);
        }
        if course.asked > PATIENCE || pause >= course.pace.left(Instant::now()) + pause_asked(attempt.retry) {
            return Err(attempt.error);
        }
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

    /// Returns the hosts to ask for an image: its registry's mirror, if there is one, and the registry itself.
    async fn hosts(&self, image: &Reference) -> Result<(Option<Host>, Host), RegistryError> {
        let (registry, repository) = (image.registry(), image.repository());
        let settings = self.settings(registry);
        let address = Address {
            host: registry.to_owned(),
            plain_http: settings.plain_http,
            prefix: String::new(),
            ca: settings.ca,
        };
        let itself = Host {
            endpoint: self.endpoint(address)?,
            login: self.login((registry, repository), settings.login).await?,
        };
        let Some(mirror) = settings.mirror else {
            return Ok((None, itself));
        };
        let own = self.settings(&mirror.host);
        let repository = format!("{}{repository}", mirror.prefix);
        let login = self.login((&mirror.host, &repository), own.login).await?;
        let endpoint = self.endpoint(Address {
            host: mirror.host,
            plain_http: mirror.plain_http,
            prefix: mirror.prefix,
            ca: own.ca,
        })?;
        Ok((Some(Host { endpoint, login }), itself))
    }

    fn settings(&self, host: &str) -> Settings {
        self.settings.get(&normal_host(host)).cloned().unwrap_or_default()
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

    async fn login(
        &self,
        (host, repository): (&str, &str),
        of_spec: Option<Login>,
    ) -> Result<Login, RegistryError> {
        if let Some(login) = of_spec {
            return Ok(login);
        }
        let found = self.logins.login(host, repository).await;
        found.map_err(|source| RegistryError::Login {
            host: host.to_owned(),
            source,
        })
    }
}

fn mismatch(endpoint: &Endpoint, what: String, (expected, found): (Digest, Digest)) -> RegistryError {
    RegistryError::Mismatch {
        host: endpoint.host().to_owned(),
        what,
        expected,
        found,
    }
}

/// A host and who we are to it.
struct Host {
    endpoint: Arc<Endpoint>,
    login: Login,
}

/// So many bytes more than ever before are a gain.
const GAIN: u64 = 64 << 10;

/// How a download has gone so far.
struct Course {
    pace: Pace,
    /// Failures in a row, without a real gain between them.
    failures: u32,
    gained: u64,
    /// The pauses that the registry asked for.
    asked: Duration,
}

impl Course {
    fn new(offset: u64) -> Self {
        Self {
            pace: Pace::new(offset, Instant::now()),
            failures: 0,
            gained: offset,
            asked: Duration::ZERO,
        }
    }

    /// Notes how far the download is. A byte is no gain: some registries give one, and cut.
    fn gained(&mut self, offset: u64) {
        if offset >= self.gained + GAIN {
            self.gained = offset;
            self.failures = 0;
        }
    }
}

/// Returns the pause that a registry asked for, which is not counted against it.
fn pause_asked(retry: Retry) -> Duration {
    match retry {
        Retry::After(pause) => pause + Duration::from_secs(1),
        Retry::Never | Retry::Soon => Duration::ZERO,
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
            None => break,
        }
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            let (host, what) = (endpoint.host().to_owned(), request.what.to_owned());
            let limit = DOCUMENT_LIMIT;
            return Err(RegistryError::TooLong { host, what, limit }.into());
        }
    }
    let (host, what) = (endpoint.host().to_owned(), request.what.to_owned());
    if is_page(&bytes) {
        return Err(RegistryError::Page { host, what }.into());
    }
    match error_of(&bytes) {
        Some(message) => Err(RegistryError::Status {
            host,
            what,
            status: 200,
            message: request.login.masked(&message),
        }
        .into()),
        None => Ok(Served { bytes, media_type }),
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
