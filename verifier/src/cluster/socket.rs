//! WebSockets of the API server: commands in containers and forwarded ports, with a bound on each message. kube's own take 64
//! MiB of one, and let nobody set that; so its handshake is used and the channels are read here
//! (k8s.io/apimachinery/pkg/util/remotecommand, k8s.io/apiserver/pkg/util/wsstream).

use futures::{SinkExt as _, StreamExt as _};
use hyper::Request;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Client;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// The most of one message: a kubelet and an API server send 32 KiB at most at a time.
const MESSAGE: usize = 1 << 20;
/// What waits on its way to or from a forwarded port.
const BUFFER: usize = 64 << 10;

/// The channels of a command.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// The channels of the first forwarded port.
const DATA: u8 = 0;
const WORDS: u8 = 1;

/// Shakes hands with the API server.
pub(super) async fn open(
    client: &Client,
    request: Request<Vec<u8>>,
) -> kube::Result<WebSocketStream<TokioIo<Upgraded>>> {
    let connection = client.connect(request).await?;
    // Nothing was read from it so far: what came behind the handshake is still beneath.
    Ok(bounded(connection.into_stream().into_inner(), Role::Client).await)
}

async fn bounded<S: AsyncRead + AsyncWrite + Unpin>(wire: S, role: Role) -> WebSocketStream<S> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE))
        .max_frame_size(Some(MESSAGE));
    WebSocketStream::from_raw_socket(wire, role, Some(config)).await
}

/// What came of a command.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// How it ended, as the kubelet says.
    pub(super) status: Option<Status>,
    /// Why the socket broke.
    pub(super) broken: Option<String>,
}

/// Reads what a command writes to its end, and keeps `keep` bytes of each stream.
pub(super) async fn output<S>(mut socket: WebSocketStream<S>, keep: usize) -> Output
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut output = Output::default();
    while let Some(message) = socket.next().await {
        let bytes = match message {
            Ok(Message::Binary(bytes)) => bytes,
            Ok(Message::Close(_)) => break,
            Ok(_) => continue,
            Err(error) => {
                output.broken = Some(error.to_string());
                break;
            }
        };
        let Some((channel, bytes)) = bytes.split_first() else {
            continue;
        };
        match *channel {
            STDOUT => add(&mut output.stdout, bytes, keep),
            STDERR => add(&mut output.stderr, bytes, keep),
            STATUS => output.status = serde_json::from_slice(bytes).ok(),
            _ => {}
        }
    }
    output
}

fn add(kept: &mut Vec<u8>, bytes: &[u8], keep: usize) {
    let room = keep.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// A forwarded port.
pub(super) struct Forward {
    /// Its bytes.
    pub(super) stream: DuplexStream,
    /// What the kubelet says is wrong with it, or why the socket broke.
    pub(super) words: oneshot::Receiver<String>,
    /// Ends with its owner.
    pub(super) task: Task,
}

/// A task that is aborted when nobody holds it any more.
pub(super) struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Forwards the port that the socket was asked for.
pub(super) fn forward<S>(socket: WebSocketStream<S>, port: u16) -> Forward
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (stream, far) = tokio::io::duplex(BUFFER);
    let (said, words) = oneshot::channel();
    let task = Task(tokio::spawn(pump(socket, far, port, said)));
    Forward { stream, words, task }
}

/// Carries bytes both ways until one side ends.
async fn pump<S>(socket: WebSocketStream<S>, far: DuplexStream, port: u16, said: oneshot::Sender<String>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (mut sink, mut messages) = socket.split();
    let (mut from_here, mut to_here) = tokio::io::split(far);
    let up = async {
        let mut buffer = vec![DATA; 16 << 10];
        while let Ok(count @ 1..) = from_here.read(&mut buffer[1..]).await {
            let message = Message::binary(buffer[..=count].to_vec());
            if sink.send(message).await.is_err() {
                return;
            }
        }
        // The other side may have closed it a moment ago.
        let _ = sink.send(Message::Close(None)).await;
    };
    let down = async {
        let mut said = Some(said);
        let mut opened = [false; 2];
        loop {
            let bytes = match messages.next().await {
                Some(Ok(Message::Binary(bytes))) => bytes,
                None | Some(Ok(Message::Close(_))) => break,
                Some(Ok(_)) => continue,
                Some(Err(error)) => {
                    tell(&mut said, error.to_string());
                    break;
                }
            };
            let Some((channel, bytes)) = bytes.split_first() else {
                continue;
            };
            let Some(opened) = opened.get_mut(usize::from(*channel)) else {
                break;
            };
            // The first message of each channel is its port.
            if !std::mem::replace(opened, true) {
                if bytes != port.to_le_bytes() {
                    break;
                }
            } else if *channel == WORDS {
                tell(&mut said, String::from_utf8_lossy(bytes).into_owned());
            } else if to_here.write_all(bytes).await.is_err() {
                break;
            }
        }
        // Whoever reads sees the end; that he is gone is no matter.
        let _ = to_here.shutdown().await;
    };
    futures::join!(up, down);
}

fn tell(said: &mut Option<oneshot::Sender<String>>, words: String) {
    if let Some(said) = said.take() {
        // Nobody may want to know.
        let _ = said.send(words);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns both ends of a socket.
    async fn pair() -> (WebSocketStream<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let theirs = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        (bounded(ours, Role::Client).await, theirs)
    }

    fn message(channel: u8, bytes: &[u8]) -> Message {
        let mut all = vec![channel];
        all.extend_from_slice(bytes);
        Message::binary(all)
    }

    #[tokio::test]
    async fn a_command_is_read_by_its_channels_and_kept_to_a_bound() {
        let (ours, mut theirs) = pair().await;
        let server = async {
            for (channel, bytes) in [
                (STDOUT, &b"out"[..]),
                (STDERR, b"err"),
                (STDOUT, b"put, and more"),
                (9, b"?"),
            ] {
                theirs.send(message(channel, bytes)).await.unwrap();
            }
            let status = json!({"status": "Success"}).to_string();
            theirs.send(message(STATUS, status.as_bytes())).await.unwrap();
            theirs.close(None).await.unwrap();
        };
        let (output, ()) = futures::join!(output(ours, 6), server);
        assert_eq!(
            (output.stdout.as_slice(), output.stderr.as_slice()),
            (&b"output"[..], &b"err"[..])
        );
        assert_eq!(output.status.unwrap().status.as_deref(), Some("Success"));
        assert_eq!(output.broken, None);
    }

    #[tokio::test]
    async fn a_message_beyond_its_bound_ends_the_socket_and_is_not_kept() {
        let (ours, mut theirs) = pair().await;
        let server = tokio::spawn(async move { theirs.send(message(STDOUT, &vec![0; 64 << 20])).await });
        let output = output(ours, MESSAGE).await;
        assert!(output.stdout.is_empty());
        assert!(output.broken.is_some_and(|why| why.contains("too long")));
        server.abort();
        let (ours, mut theirs) = pair().await;
        let server = tokio::spawn(async move {
            theirs.send(message(DATA, &80u16.to_le_bytes())).await?;
            theirs.send(message(DATA, &vec![0; 64 << 20])).await
        });
        let mut forward = forward(ours, 80);
        assert_eq!(forward.stream.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(forward.words.await.unwrap().contains("too long"));
        server.abort();
    }

    #[tokio::test]
    async fn a_port_carries_bytes_both_ways_and_the_kubelets_words() {
        let (ours, mut theirs) = pair().await;
        let server = async {
            for channel in [DATA, WORDS] {
                theirs
                    .send(message(channel, &8080u16.to_le_bytes()))
                    .await
                    .unwrap();
            }
            assert_eq!(theirs.next().await.unwrap().unwrap(), message(DATA, b"ping"));
            theirs.send(message(DATA, b"pong")).await.unwrap();
            theirs.send(message(WORDS, b"refused")).await.unwrap();
            theirs.close(None).await.unwrap();
        };
        let client = async {
            let mut forward = forward(ours, 8080);
            forward.stream.write_all(b"ping").await.unwrap();
            let mut answer = String::new();
            forward.stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "pong");
            assert_eq!(forward.words.await.unwrap(), "refused");
        };
        futures::join!(server, client);
    }

    #[tokio::test]
    async fn a_socket_of_another_port_carries_nothing() {
        let (ours, mut theirs) = pair().await;
        let mut forward = forward(ours, 80);
        theirs.send(message(DATA, &81u16.to_le_bytes())).await.unwrap();
        assert_eq!(forward.stream.read(&mut [0; 8]).await.unwrap(), 0);
    }
}
