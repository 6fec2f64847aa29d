//! Snapshots: one layer unpacked on top of another.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bundle::Digest;
use tonic::Code;
use tonic::transport::Channel;

use super::client::{Containerd, answer, or_none, within};
use super::error::Error;
use super::proto::diff::ApplyRequest;
use super::proto::diff::diff_client::DiffClient;
use super::proto::snapshots::snapshots_client::SnapshotsClient;
use super::proto::snapshots::{
    CommitSnapshotRequest, Kind, ListSnapshotsRequest, PrepareSnapshotRequest, RemoveSnapshotRequest,
    StatSnapshotRequest, UsageRequest, UsageResponse,
};
use super::proto::types::{Descriptor, Mount};
use crate::host::runtime_socket::MESSAGE_LIMIT;
use crate::protocol::Blob;

/// A media type for which containerd finds out by itself how the layer is compressed (core/images/mediatypes.go,
/// DiffCompression: "unknown"). The index of a bundle does not carry the media types of layers.
const ANY_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// How long a layer may take, whatever its size; and how much of it must be unpacked in a second.
const APPLY: Duration = Duration::from_mins(5);
const SLOWEST: u64 = 256 << 10;

/// The snapshots of one snapshotter.
#[derive(Clone)]
pub(super) struct Snapshots {
    pub(super) containerd: Containerd,
    pub(super) snapshotter: String,
}

impl Snapshots {
    fn client(&self) -> SnapshotsClient<Channel> {
        SnapshotsClient::new(self.containerd.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// Returns whether the layers up to this chain id are unpacked.
    pub(super) async fn has(&self, chain: Digest) -> Result<bool, Error> {
        let request = StatSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: chain.to_string(),
        };
        let mut client = self.client();
        let call = client.stat(self.containerd.request(request));
        let reply = or_none(answer(|| format!("look for snapshot {chain}"), call).await)?;
        let info = reply.and_then(|reply| reply.info);
        Ok(info.is_some_and(|info| info.kind() == Kind::Committed))
    }

    /// Returns the names of all layers that are unpacked.
    pub(super) async fn committed(&self) -> Result<BTreeSet<String>, Error> {
        let operation = || format!("list the snapshots of {}", self.snapshotter);
        let request = ListSnapshotsRequest {
            snapshotter: self.snapshotter.clone(),
            filters: Vec::new(),
        };
        let mut client = self.client();
        let mut stream = answer(operation, client.list(self.containerd.request(request))).await?;
        let mut names = BTreeSet::new();
        loop {
            let next = async { stream.message().await.map(tonic::Response::new) };
            let Some(part) = answer(operation, next).await? else {
                return Ok(names);
            };
            let committed = part
                .info
                .into_iter()
                .filter(|info| info.kind() == Kind::Committed);
            names.extend(committed.map(|info| info.name));
        }
    }

    /// Returns what a layer took when it was unpacked, as the snapshotter wrote it down.
    pub(super) async fn usage(&self, key: &str) -> Result<UsageResponse, Error> {
        let request = UsageRequest {
            snapshotter: self.snapshotter.clone(),
            key: key.to_owned(),
        };
        let mut client = self.client();
        let call = client.usage(self.containerd.request(request));
        answer(|| format!("ask what snapshot {key} takes"), call).await
    }

    /// Makes an empty snapshot on top of `parent` to unpack into; `None`: the chain id is there already.
    pub(super) async fn prepare(
        &self,
        key: &str,
        chain: Digest,
        parent: Option<Digest>,
    ) -> Result<Option<Vec<Mount>>, Error> {
        let request = PrepareSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: key.to_owned(),
            parent: parent.map(|parent| parent.to_string()).unwrap_or_default(),
            labels: labels(chain),
        };
        let mut client = self.client();
        let call = client.prepare(self.containerd.request(request));
        match answer(|| format!("prepare snapshot {chain}"), call).await {
            Ok(reply) => Ok(Some(reply.mounts)),
            Err(error) if error.has_code(Code::AlreadyExists) && self.has(chain).await? => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an empty snapshot on top of a chain, to see where the layers below it lie. It is removed by whoever asked.
    pub(super) async fn above(&self, key: &str, chain: Digest) -> Result<Vec<Mount>, Error> {
        let request = PrepareSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: key.to_owned(),
            parent: chain.to_string(),
            labels: HashMap::new(),
        };
        let mut client = self.client();
        let call = client.prepare(self.containerd.request(request));
        let reply = answer(|| format!("look below snapshot {chain}"), call).await?;
        Ok(reply.mounts)
    }

    /// Unpacks a layer into what was prepared and returns the digest of the uncompressed tar.
    pub(super) async fn apply(&self, layer: Blob, mounts: Vec<Mount>) -> Result<String, Error> {
        let request = ApplyRequest {
            diff: Some(Descriptor {
                media_type: ANY_LAYER.to_owned(),
                digest: layer.digest.to_string(),
                size: i64::try_from(layer.size).unwrap_or(i64::MAX),
                annotations: HashMap::new(),
            }),
            mounts,
            sync_fs: false,
        };
        let limit = APPLY + Duration::from_secs(layer.size / SLOWEST);
        let mut client = DiffClient::new(self.containerd.channel.clone());
        let call = client.apply(self.containerd.request(request));
        let reply = within(limit, || format!("unpack layer {}", layer.digest), call).await?;
        Ok(reply.applied.map(|applied| applied.digest).unwrap_or_default())
    }

    /// Gives a prepared snapshot its final name, on top of `rebase` where it was prepared without a parent.
    pub(super) async fn commit(&self, key: &str, chain: Digest, rebase: Option<Digest>) -> Result<(), Error> {
        let request = CommitSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            name: chain.to_string(),
            key: key.to_owned(),
            labels: labels(chain),
            parent: rebase.map(|parent| parent.to_string()).unwrap_or_default(),
        };
        let mut client = self.client();
        let call = client.commit(self.containerd.request(request));
        match answer(|| format!("commit snapshot {chain}"), call).await {
            Err(error) if error.has_code(Code::AlreadyExists) => self.remove(key).await,
            other => other,
        }
    }

    /// Drops what was prepared.
    pub(super) async fn remove(&self, key: &str) -> Result<(), Error> {
        let request = RemoveSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: key.to_owned(),
        };
        let mut client = self.client();
        let call = client.remove(self.containerd.request(request));
        or_none(answer(|| format!("remove snapshot {key}"), call).await).map(drop)
    }
}

/// As containerd's own unpacker labels its snapshots (core/unpack/unpacker.go).
fn labels(chain: Digest) -> HashMap<String, String> {
    HashMap::from([("containerd.io/snapshot.ref".to_owned(), chain.to_string())])
}
