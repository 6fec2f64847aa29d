//! A snapshot from a member's maintenance API: read here, or passed on as it comes.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::proto::maintenance_client::MaintenanceClient;
use super::{EtcdError, connect, proto, tls};
use crate::protocol::wire::Stream;
use crate::protocol::{EtcdProof, EtcdProofReply, EtcdSnapshot, SnapshotBegun};
use crate::stored::{Form, Reader, Wanted};

/// A member that gives nothing for so long gives nothing more.
const SILENCE: Duration = Duration::from_secs(30);
/// How long the hash behind the database is.
const HASH: u64 = 32;
/// etcd sends pieces of 32 KiB; some release may send larger ones.
const PIECE: usize = 16 << 20;

/// A snapshot that is on its way.
pub(crate) struct Snapshot {
    pub(crate) begun: SnapshotBegun,
    stream: Streaming<proto::SnapshotResponse>,
    first: Option<Vec<u8>>,
}

/// Asks the endpoints in turn.
///
/// # Errors
/// When none gives a snapshot: the last one's reason.
pub(crate) async fn open(ask: &EtcdSnapshot) -> Result<Snapshot, EtcdError> {
    let files = ask.tls.as_ref().map(tls).transpose()?;
    let mut last = EtcdError::Nowhere;
    for endpoint in &ask.endpoints {
        let refused = |source| EtcdError::Range {
            endpoint: endpoint.clone(),
            source,
        };
        let opened = match connect(endpoint, files.clone()).await {
            Ok(channel) => begin(channel, endpoint).await.map_err(refused),
            Err(error) => Err(error),
        };
        match opened {
            Ok(snapshot) => return Ok(snapshot),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn begin(channel: Channel, endpoint: &str) -> Result<Snapshot, Box<Status>> {
    let mut maintenance = MaintenanceClient::new(channel).max_decoding_message_size(PIECE);
    let status = maintenance
        .status(proto::StatusRequest {})
        .await
        .map_err(Box::new)?;
    let member = status.into_inner().header.unwrap_or_default().member_id;
    let asked = maintenance.snapshot(proto::SnapshotRequest {}).await;
    let mut stream = asked.map_err(Box::new)?.into_inner();
    let first = next(&mut stream).await?;
    let (left, first) = first.map_or((0, Vec::new()), |piece| (piece.remaining_bytes, piece.blob));
    Ok(Snapshot {
        begun: SnapshotBegun {
            endpoint: endpoint.to_owned(),
            member: format!("{member:x}"),
            bytes: left + first.len() as u64 + HASH,
        },
        stream,
        first: Some(first),
    })
}

async fn next(
    stream: &mut Streaming<proto::SnapshotResponse>,
) -> Result<Option<proto::SnapshotResponse>, Box<Status>> {
    let late = |_| Box::new(Status::deadline_exceeded("no more came"));
    timeout(SILENCE, stream.message())
        .await
        .map_err(late)?
        .map_err(Box::new)
}

impl Snapshot {
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, EtcdError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let broken = |source| EtcdError::Range {
            endpoint: self.begun.endpoint.clone(),
            source,
        };
        let piece = next(&mut self.stream).await.map_err(broken)?;
        Ok(piece.map(|piece| piece.blob))
    }

    /// Writes all of it to a stream. Where it breaks, the stream ends early, and what came has no right hash.
    pub(crate) async fn pass(mut self, stream: &mut Stream) {
        while let Ok(Some(piece)) = self.piece().await {
            if stream.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = stream.flush().await;
    }
}

/// Reads a snapshot where it is.
///
/// # Errors
/// When none comes, or not to its end.
pub(crate) async fn proof(ask: &EtcdProof) -> Result<EtcdProofReply, EtcdError> {
    let mut snapshot = open(&ask.source).await?;
    let begun = snapshot.begun.clone();
    if begun.bytes > ask.most {
        return Ok(EtcdProofReply { begun, facts: None });
    }
    let mut reader = Reader::new(Wanted {
        form: Form::Snapshot,
        prefix: ask.prefix.clone(),
        keys: ask.keys.clone(),
    });
    while let Some(piece) = snapshot.piece().await? {
        reader.feed(&piece);
    }
    Ok(EtcdProofReply {
        begun,
        facts: Some(reader.finish()),
    })
}
