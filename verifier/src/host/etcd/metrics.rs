//! How long a member's disk takes, from its own metrics: histograms since it started. They lie beside gRPC on the port of its
//! clients; where they do not, nothing is said.

use std::sync::Arc;
use std::time::Instant;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Files;
use crate::http;
use crate::protocol::{EtcdLatency, HttpReply};

/// The most of the metrics that is read: a member has about 200 KiB.
const METRICS: usize = 2 << 20;
/// What a histogram's lines begin with.
const FSYNC: &str = "etcd_disk_wal_fsync_duration_seconds";
const COMMIT: &str = "etcd_disk_backend_commit_duration_seconds";

/// Returns what a member's metrics say of its disk; nothing where they cannot be had.
pub(super) async fn latency(endpoint: &str, files: Option<&Files>) -> Option<EtcdLatency> {
    let (scheme, rest) = endpoint.split_once("://")?;
    let authority = rest.split('/').next()?;
    let stream = TcpStream::connect(authority).await.ok()?;
    let request = Request::get("/metrics")
        .header("host", authority)
        .header("connection", "close");
    let request = request.body(Empty::<Bytes>::new()).ok()?;
    let start = Instant::now();
    let reply = if scheme == "https" {
        let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
        let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned()).ok()?;
        let stream = connector(files?)?.connect(name, stream).await.ok()?;
        http::converse(stream, request, METRICS, start).await
    } else {
        http::converse(stream, request, METRICS, start).await
    };
    match reply.ok()? {
        HttpReply::Answer {
            status: 200, body, ..
        } => read(&body),
        _ => None,
    }
}

fn connector(files: &Files) -> Option<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&files.ca) {
        roots.add(certificate.ok()?).ok()?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots);
    let config = match &files.identity {
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
            let key = PrivateKeyDer::from_pem_slice(key).ok()?;
            builder.with_client_auth_cert(chain.ok()?, key).ok()?
        }
        None => builder.with_no_client_auth(),
    };
    Some(TlsConnector::from(Arc::new(config)))
}

pub(super) fn read(metrics: &str) -> Option<EtcdLatency> {
    let (fsyncs, fsync_millis) = histogram(metrics, FSYNC)?;
    let (commits, commit_millis) = histogram(metrics, COMMIT)?;
    Some(EtcdLatency {
        fsyncs,
        fsync_millis,
        commits,
        commit_millis,
    })
}

/// Returns how many there were, and the milliseconds within which 99 of 100 ended: the bound of the bucket that holds them.
/// What lies beyond all bounds counts as the last of them.
fn histogram(metrics: &str, name: &str) -> Option<(u64, u64)> {
    let mut buckets = Vec::new();
    let mut count = None;
    for line in metrics.lines() {
        let Some(rest) = line.strip_prefix(name) else {
            continue;
        };
        if let Some(rest) = rest.strip_prefix("_bucket{le=\"") {
            let (bound, value) = rest.split_once("\"} ")?;
            let value = value.trim().parse::<f64>().ok()?;
            if let Ok(bound) = bound.parse::<f64>()
                && bound.is_finite()
            {
                buckets.push((bound, value));
            }
        } else if let Some(value) = rest.strip_prefix("_count ") {
            count = Some(value.trim().parse::<f64>().ok()?);
        }
    }
    let count = count?;
    let within = buckets.iter().find(|(_, value)| *value >= count * 0.99);
    let (bound, _) = within.or(buckets.last())?;
    Some((whole(count), whole(bound * 1000.0)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded up, and what is out of range is taken to its end"
)]
fn whole(value: f64) -> u64 {
    value.ceil().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "# TYPE etcd_disk_wal_fsync_duration_seconds histogram\n\
        etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.001\"} 900\n\
        etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.008\"} 989\n\
        etcd_disk_wal_fsync_duration_seconds_bucket{le=\"0.016\"} 995\n\
        etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 1000\n\
        etcd_disk_wal_fsync_duration_seconds_sum 1.5\n\
        etcd_disk_wal_fsync_duration_seconds_count 1000\n\
        etcd_disk_backend_commit_duration_seconds_bucket{le=\"0.001\"} 0\n\
        etcd_disk_backend_commit_duration_seconds_bucket{le=\"8.192\"} 1\n\
        etcd_disk_backend_commit_duration_seconds_bucket{le=\"+Inf\"} 2\n\
        etcd_disk_backend_commit_duration_seconds_count 2\n";

    #[test]
    fn the_99th_of_100_is_the_bound_of_its_bucket() {
        let expected = EtcdLatency {
            fsyncs: 1000,
            fsync_millis: 16,
            commits: 2,
            commit_millis: 8192,
        };
        assert_eq!(read(LINES), Some(expected));
        assert_eq!(read("x 1\n"), None);
        assert_eq!(read(&LINES.replace("\"} 989", "\"} x")), None);
    }
}
