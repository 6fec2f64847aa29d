//! Reads keys of etcd from the host that etcd is on, and asks members how they are. A value stays here: what
//! leaves is its prefix, and of a single one its length, which needles stand in it and a masked hexdump. The only home of etcd's gRPC
//! types.

mod dump;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod metrics;
mod objects;
mod snapshot;
mod status;

use std::path::Path;
use std::time::Duration;

use bundle::UserFile;
use secrets::Wiped;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::grpc;
use crate::protocol::{EtcdGet, EtcdGetReply, EtcdTls, EtcdValue, Refusal};
use crate::stored::encryption_prefix;

pub(crate) use objects::objects;
pub(crate) use snapshot::{open, proof};
pub(crate) use status::status;

/// The generated client.
mod proto {
    #![expect(unreachable_pub, clippy::pedantic, reason = "generated from proto/etcd")]
    tonic::include_proto!("etcdserverpb");
}

const PEM: UserFile = UserFile::new("a file in PEM", 4 << 20);

/// How long one endpoint may take before the next is tried.
const EACH: Duration = Duration::from_secs(5);

/// Why a key could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EtcdError {
    /// A file for TLS could not be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Something that is no URL.
    #[error("{endpoint} is not an endpoint of etcd")]
    Endpoint {
        /// The text.
        endpoint: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// No connection.
    #[error("cannot connect to etcd at {endpoint}")]
    Connect {
        /// The endpoint.
        endpoint: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// Etcd refused.
    #[error("etcd at {endpoint} did not answer the read: {}", source.message())]
    Range {
        /// The endpoint.
        endpoint: String,
        /// Why.
        source: Box<tonic::Status>,
    },
    /// No endpoint was named.
    #[error("no endpoint of etcd is named")]
    Nowhere,
}

impl From<EtcdError> for Refusal {
    fn from(error: EtcdError) -> Self {
        match &error {
            // The status stands in the sentence already.
            EtcdError::Range { source, .. } => Self {
                kind: grpc::kind(source),
                text: error.to_string().into(),
            },
            _ => Self::of(&error),
        }
    }
}

/// Reads the key from the first endpoint that answers.
///
/// # Errors
/// When none does: the last one's reason.
pub(crate) async fn get(ask: &EtcdGet) -> Result<EtcdGetReply, EtcdError> {
    let tls = ask.tls.as_ref().map(tls).transpose()?;
    let mut last = EtcdError::Nowhere;
    for endpoint in &ask.endpoints {
        match range(endpoint, tls.clone(), ask.key.as_bytes()).await {
            Ok(found) => {
                let value = found.map(|found| describe(&found, &ask.needles));
                return Ok(EtcdGetReply {
                    endpoint: endpoint.clone(),
                    value,
                });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The files that open etcd, as they are. The key is wiped when they are given up.
struct Files {
    ca: Vec<u8>,
    /// The client's certificate and its key.
    identity: Option<(Vec<u8>, Wiped<Vec<u8>>)>,
}

fn files(paths: &EtcdTls) -> Result<Files, EtcdError> {
    let read = |path: &String| {
        PEM.read(Path::new(path)).map_err(|source| EtcdError::File {
            path: path.clone(),
            source,
        })
    };
    let identity = match (&paths.cert, &paths.key) {
        (Some(cert), Some(key)) => Some((read(cert)?, Wiped::new(read(key)?))),
        _ => None,
    };
    Ok(Files {
        ca: read(&paths.ca)?,
        identity,
    })
}

fn tls(paths: &EtcdTls) -> Result<ClientTlsConfig, EtcdError> {
    Ok(files(paths)?.config())
}

impl Files {
    fn config(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca));
        match &self.identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, &**key)),
            None => config,
        }
    }
}

async fn range(
    endpoint: &str,
    tls: Option<ClientTlsConfig>,
    key: &[u8],
) -> Result<Option<proto::KeyValue>, EtcdError> {
    let channel = connect(endpoint, tls).await?;
    let request = proto::RangeRequest {
        key: key.to_vec(),
        range_end: Vec::new(),
        limit: 1,
        count_only: false,
    };
    let answer = proto::kv_client::KvClient::new(channel).range(request).await;
    let answer = answer.map_err(|source| EtcdError::Range {
        endpoint: endpoint.to_owned(),
        source: Box::new(source),
    })?;
    Ok(answer.into_inner().kvs.into_iter().next())
}

async fn connect(endpoint: &str, tls: Option<ClientTlsConfig>) -> Result<Channel, EtcdError> {
    let wrong = |source| EtcdError::Endpoint {
        endpoint: endpoint.to_owned(),
        source,
    };
    let mut target = Endpoint::from_shared(endpoint.to_owned())
        .map_err(wrong)?
        .connect_timeout(EACH)
        .timeout(EACH);
    if let Some(tls) = tls.filter(|_| endpoint.starts_with("https:")) {
        target = target.tls_config(tls).map_err(wrong)?;
    }
    let connected = target.connect().await;
    connected.map_err(|source| EtcdError::Connect {
        endpoint: endpoint.to_owned(),
        source,
    })
}

/// Says of a value what may leave the host.
fn describe(found: &proto::KeyValue, needles: &[String]) -> EtcdValue {
    let prefix = encryption_prefix(&found.value);
    let stands = |needle: &String| {
        let needle = needle.as_bytes();
        !needle.is_empty() && found.value.windows(needle.len()).any(|window| window == needle)
    };
    EtcdValue {
        prefix: String::from_utf8_lossy(prefix).into_owned(),
        length: found.value.len() as u64,
        found: (0..needles.len())
            .filter(|place| stands(&needles[*place]))
            .collect(),
        hexdump: dump::hexdump(&found.key, &found.value, prefix.len()),
        revision: found.mod_revision,
    }
}
