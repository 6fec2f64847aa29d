//! The content store: blobs in, labels on, small documents out.

use std::collections::HashMap;
use std::time::Duration;

use bundle::Digest;
use prost::bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::client::{Containerd, answer, or_none};
use super::error::Error;
use super::proto::content::content_client::ContentClient;
use super::proto::content::{
    DeleteContentRequest, Info, InfoRequest, ListContentRequest, ReadContentRequest, ReadContentResponse,
    UpdateRequest, WriteAction, WriteContentRequest,
};
use crate::host::runtime_socket::MESSAGE_LIMIT;
use crate::protocol::Blob;

/// How much of a blob goes into one message. containerd accepts 16 MiB; more than 1 MiB was no faster.
const CHUNK: u64 = 1 << 20;
/// Messages that wait for containerd; with the one that is read and the one that is sent, the memory of a load.
const QUEUE: usize = 2;
/// How long containerd may take for one message, or to sync a blob to the disk.
const STALL: Duration = Duration::from_mins(5);
/// How long the sender may be silent: a tape that winds, another host that is slow.
const SILENCE: Duration = Duration::from_mins(10);
/// The largest manifest, index or configuration that is read back.
const DOCUMENT_LIMIT: u64 = 16 << 20;

fn client(containerd: &Containerd) -> ContentClient<Channel> {
    ContentClient::new(containerd.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
}

/// Returns whether a blob is there.
pub(super) async fn has(containerd: &Containerd, digest: Digest) -> Result<bool, Error> {
    let request = InfoRequest {
        digest: digest.to_string(),
    };
    let mut client = client(containerd);
    let call = client.info(containerd.request(request));
    let info = or_none(answer(|| format!("look for blob {digest}"), call).await)?;
    Ok(info.is_some())
}

/// Sets labels of a blob and leaves its others alone.
pub(super) async fn label(
    containerd: &Containerd,
    digest: Digest,
    labels: HashMap<String, String>,
) -> Result<(), Error> {
    let paths = labels.keys().map(|key| format!("labels.{key}")).collect();
    let request = UpdateRequest {
        info: Some(Info {
            digest: digest.to_string(),
            labels,
            ..Info::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths }),
    };
    let mut client = client(containerd);
    let call = client.update(containerd.request(request));
    answer(|| format!("label blob {digest}"), call).await.map(drop)
}

/// Removes a blob, whatever holds it: what is there under its name is something else.
pub(super) async fn delete(containerd: &Containerd, digest: Digest) -> Result<(), Error> {
    let request = DeleteContentRequest {
        digest: digest.to_string(),
    };
    let mut client = client(containerd);
    let call = client.delete(containerd.request(request));
    or_none(answer(|| format!("remove blob {digest}"), call).await).map(drop)
}

/// Reads a manifest, an index or a configuration.
pub(super) async fn document(containerd: &Containerd, blob: Blob) -> Result<Vec<u8>, Error> {
    let Blob { digest, .. } = blob;
    let mut bytes = Vec::new();
    let mut parts = read(containerd, digest, Part::WHOLE).await?;
    while bytes.len() as u64 <= DOCUMENT_LIMIT
        && let Some(part) = parts.next().await?
    {
        bytes.extend_from_slice(&part);
    }
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        let too_long = Status::out_of_range(format!("longer than {} MiB", DOCUMENT_LIMIT >> 20));
        return Err(Error::Call {
            operation: reading(digest),
            source: Box::new(too_long.into()),
        });
    }
    Ok(bytes)
}

/// Which bytes of a blob are read.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) offset: u64,
    /// 0: to the end.
    pub(super) size: u64,
}

impl Part {
    pub(super) const WHOLE: Self = Self { offset: 0, size: 0 };
}

fn reading(digest: Digest) -> String {
    format!("read blob {digest}")
}

/// Bytes of a blob, as containerd gives them.
pub(super) struct Parts {
    digest: Digest,
    stream: tonic::Streaming<ReadContentResponse>,
}

impl Parts {
    /// Returns the next bytes; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let digest = self.digest;
        let next = async { self.stream.message().await.map(tonic::Response::new) };
        let part = answer(|| reading(digest), next).await?;
        Ok(part.map(|part| part.data))
    }
}

/// Begins to read bytes of a blob.
pub(super) async fn read(containerd: &Containerd, digest: Digest, part: Part) -> Result<Parts, Error> {
    let request = ReadContentRequest {
        digest: digest.to_string(),
        offset: length(part.offset),
        size: length(part.size),
    };
    let mut client = client(containerd);
    let call = client.read(containerd.request(request));
    let stream = answer(|| reading(digest), call).await?;
    Ok(Parts { digest, stream })
}

/// Returns how many bytes all blobs of a namespace take.
pub(super) async fn bytes(containerd: &Containerd) -> Result<u64, Error> {
    let operation = || "list the blobs".to_owned();
    let request = ListContentRequest { filters: Vec::new() };
    let mut client = client(containerd);
    let mut stream = answer(operation, client.list(containerd.request(request))).await?;
    let mut sum = 0_u64;
    loop {
        let next = async { stream.message().await.map(tonic::Response::new) };
        let Some(part) = answer(operation, next).await? else {
            return Ok(sum);
        };
        let sizes = part
            .info
            .iter()
            .map(|info| u64::try_from(info.size).unwrap_or_default());
        sum = sizes.fold(sum, u64::saturating_add);
    }
}

/// A blob whose bytes were all handed to containerd, and which containerd now hashes to the end and syncs.
pub(super) struct Written {
    digest: Digest,
    call: Option<JoinHandle<Result<(), Error>>>,
}

impl Written {
    /// Waits until the blob is in the store under its digest.
    pub(super) async fn committed(self) -> Result<(), Error> {
        let Some(call) = self.call else { return Ok(()) };
        match tokio::time::timeout(STALL, call).await {
            Ok(answer) => answer.unwrap_or(Err(Error::Stopped)),
            Err(_) => Err(Error::Silent {
                operation: format!("commit blob {}", self.digest),
                limit: STALL,
            }),
        }
    }
}

/// Takes a blob's bytes from `input` and hands them to containerd, which checks their digest.
///
/// Returns when the last byte was handed over. A blob that is there already is read from `input` all the same.
pub(super) async fn write<R: AsyncRead + Unpin>(
    containerd: &Containerd,
    reference: &str,
    blob: Blob,
    input: &mut R,
) -> Result<Written, Error> {
    let (messages, queue) = mpsc::channel(QUEUE);
    let mut call = Some(tokio::spawn(upload(containerd.clone(), blob.digest, queue)));
    let mut offset = 0;
    loop {
        let data = chunk(input, blob, offset).await?;
        let start = offset;
        offset += data.len() as u64;
        let last = offset == blob.size;
        if call.is_some() {
            let message = message(reference, blob, start, data);
            match tokio::time::timeout(STALL, messages.send(message)).await {
                Ok(Ok(())) => {}
                // containerd ended the call early: it has the blob, or it refuses.
                Ok(Err(_)) => {
                    let call = call.take();
                    let digest = blob.digest;
                    Written { digest, call }.committed().await?;
                }
                Err(_) => {
                    return Err(Error::Silent {
                        operation: format!("write blob {}", blob.digest),
                        limit: STALL,
                    });
                }
            }
        }
        if last {
            let digest = blob.digest;
            return Ok(Written { digest, call });
        }
    }
}

async fn chunk<R: AsyncRead + Unpin>(input: &mut R, blob: Blob, offset: u64) -> Result<Bytes, Error> {
    let length = (blob.size - offset).min(CHUNK);
    let mut data = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
    let mut limited = input.take(length);
    let fill = async {
        while (data.len() as u64) < length {
            if limited.read_buf(&mut data).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    };
    let filled = tokio::time::timeout(SILENCE, fill).await;
    match filled.unwrap_or_else(|late| Err(late.into())) {
        Ok(()) => Ok(data.freeze()),
        Err(source) => Err(Error::Interrupted {
            at: format!("blob {}, byte {offset} of {}", blob.digest, blob.size),
            source,
        }),
    }
}

fn message(reference: &str, blob: Blob, offset: u64, data: Bytes) -> WriteContentRequest {
    let first = offset == 0;
    let last = offset + data.len() as u64 == blob.size;
    let action = if last {
        WriteAction::Commit
    } else {
        WriteAction::Write
    };
    // containerd looks the digest up whenever a message names it.
    let names = first || last;
    WriteContentRequest {
        action: action.into(),
        r#ref: reference.to_owned(),
        total: if names { length(blob.size) } else { 0 },
        expected: if names {
            blob.digest.to_string()
        } else {
            String::new()
        },
        offset: length(offset),
        data,
        labels: HashMap::new(),
    }
}

fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Sends what comes out of the queue and waits for the last answer.
async fn upload(
    containerd: Containerd,
    digest: Digest,
    queue: mpsc::Receiver<WriteContentRequest>,
) -> Result<(), Error> {
    let stream = futures::stream::unfold(queue, |mut queue| async move {
        let message = queue.recv().await?;
        Some((message, queue))
    });
    let mut client = client(&containerd);
    let run = async {
        let mut answers = client.write(containerd.request(stream)).await?.into_inner();
        let mut last = None;
        while let Some(answer) = answers.message().await? {
            last = Some(answer.action());
        }
        match last {
            Some(WriteAction::Commit) => Ok(()),
            _ => Err(Status::aborted("the blob was not committed")),
        }
    };
    match run.await {
        Ok(()) => Ok(()),
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        Err(status) if is_wrong_bytes(&status) => Err(Error::WrongBytes {
            digest,
            source: Box::new(status.into()),
        }),
        Err(status) => Err(Error::Call {
            operation: format!("write blob {digest}"),
            source: Box::new(status.into()),
        }),
    }
}

/// Recognises containerd's refusal of a blob (core/content/local/writer.go): another digest or another length.
fn is_wrong_bytes(status: &Status) -> bool {
    status.code() == Code::FailedPrecondition && status.message().contains("unexpected commit")
}
