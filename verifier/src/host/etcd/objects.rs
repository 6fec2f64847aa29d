//! Reads what etcd stores below some paths, page by page, and says of it what may leave the host. A page holds some
//! megabytes at most, however large the objects are; nothing is kept of them.

use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::proto::kv_client::KvClient;
use super::{EtcdError, connect, proto, tls};
use crate::host::grpc;
use crate::protocol::{EtcdObjects, EtcdObjectsReply, kms_key};
use crate::stored::{Tally, writer};

/// What a page should hold, in bytes.
const PAGE: usize = 4 << 20;
/// What one may hold: a single object of Kubernetes has 1.5 MiB, unless etcd was told otherwise.
const MOST: usize = 64 << 20;
/// How many objects the first page asks for, and any.
const FIRST: i64 = 64;
const OBJECTS: i64 = 2000;

/// Reads from the first endpoint that answers.
///
/// # Errors
/// When none does: the last one's reason.
pub(crate) async fn objects(ask: &EtcdObjects) -> Result<EtcdObjectsReply, EtcdError> {
    let files = ask.tls.as_ref().map(tls).transpose()?;
    let end = Instant::now() + Duration::from_millis(ask.millis);
    let mut last = EtcdError::Nowhere;
    for endpoint in &ask.endpoints {
        let refused = |source| EtcdError::Range {
            endpoint: endpoint.clone(),
            source,
        };
        let read = match connect(endpoint, files.clone()).await {
            Ok(channel) => Pages::of(channel, end).all(ask).await.map_err(refused),
            Err(error) => Err(error),
        };
        match read {
            Ok(mut reply) => {
                reply.endpoint.clone_from(endpoint);
                return Ok(reply);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Pages of one member.
struct Pages {
    keys: KvClient<Channel>,
    /// How many objects the next page asks for.
    objects: i64,
    end: Instant,
}

impl Pages {
    fn of(channel: Channel, end: Instant) -> Self {
        Self {
            keys: KvClient::new(channel).max_decoding_message_size(MOST),
            objects: FIRST,
            end,
        }
    }

    async fn all(mut self, ask: &EtcdObjects) -> Result<EtcdObjectsReply, Box<Status>> {
        let below = |path: &str| {
            let path = if path.is_empty() {
                format!("{}/", ask.prefix)
            } else {
                format!("{}/{path}/", ask.prefix)
            };
            let mut end = path.clone().into_bytes();
            // `/` and the byte behind it.
            end.pop();
            end.push(b'0');
            (path.into_bytes(), end)
        };
        let (from, end) = below("");
        let total = self.count(from, end).await?;
        let mut tally = Tally::default();
        let mut whole = true;
        for path in &ask.paths {
            let (from, end) = below(path);
            whole &= self.scan(from, end, ask, &mut tally).await?;
        }
        Ok(EtcdObjectsReply {
            endpoint: String::new(),
            total,
            looked_at: tally.looked_at(),
            whole: whole && !tally.is_over(),
            groups: tally.groups(),
        })
    }

    async fn count(&mut self, key: Vec<u8>, range_end: Vec<u8>) -> Result<u64, Box<Status>> {
        let request = proto::RangeRequest {
            key,
            range_end,
            limit: 0,
            count_only: true,
        };
        let answer = self.keys.range(request).await.map_err(Box::new)?;
        Ok(u64::try_from(answer.into_inner().count).unwrap_or_default())
    }

    /// Reads a range; returns whether it came to its end.
    async fn scan(
        &mut self,
        mut from: Vec<u8>,
        end: Vec<u8>,
        ask: &EtcdObjects,
        tally: &mut Tally,
    ) -> Result<bool, Box<Status>> {
        while Instant::now() < self.end {
            let request = proto::RangeRequest {
                key: from.clone(),
                range_end: end.clone(),
                limit: self.objects,
                count_only: false,
            };
            let page = match self.keys.range(request).await {
                Ok(page) => page.into_inner(),
                // Objects grew: fewer of them make a page.
                Err(status) if self.objects > 1 && is_too_much(&status) => {
                    self.objects = (self.objects / 8).max(1);
                    continue;
                }
                Err(status) => return Err(Box::new(status)),
            };
            self.adapt(&page.kvs);
            for object in &page.kvs {
                let key = String::from_utf8_lossy(&object.key);
                let key = key.strip_prefix(&ask.prefix).unwrap_or(&key);
                let writer = writer(&object.value, &ask.usual);
                let (told, _) = kms_key(&writer);
                let is_usual = ask.usual.iter().any(|usual| usual == told);
                let revision = u64::try_from(object.mod_revision).unwrap_or_default();
                tally.add(key.trim_start_matches('/'), &writer, revision, is_usual);
            }
            match page.kvs.into_iter().last() {
                Some(last) if page.more => {
                    from = last.key;
                    from.push(0);
                }
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    fn adapt(&mut self, page: &[proto::KeyValue]) {
        let bytes: usize = page
            .iter()
            .map(|object| object.key.len() + object.value.len() + 32)
            .sum();
        let each = bytes / page.len().max(1);
        let fits = i64::try_from(PAGE / each.max(1)).unwrap_or(OBJECTS);
        self.objects = fits.clamp(1, OBJECTS).min(self.objects.saturating_mul(8));
    }
}

/// Returns whether a page was larger than is taken, or took too long to come.
fn is_too_much(status: &Status) -> bool {
    status.code() == Code::OutOfRange || grpc::is_late(status)
}
