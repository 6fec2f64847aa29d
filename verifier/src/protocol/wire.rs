//! How a connection looks on the wire: a greeting in each direction, then yamux streams, each with a request and
//! its answer as JSON behind their length.
//!
//! The agent greets first, so that whatever login shells, banners and sudo print before it is skipped; the other
//! end greets then, so that whatever was meant for sudo and not read by it is skipped too.

use std::io;
use std::task::Poll;
use std::time::Duration;

use futures::future::poll_fn;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

use super::{Request, VERSION};

/// How often the verifier lets the agent know that it lives.
pub(crate) const BEAT: Duration = Duration::from_secs(20);
/// After how long without a word the agent takes the verifier for gone.
pub(crate) const SILENCE: Duration = Duration::from_mins(2);

/// How the agent's greeting begins; its protocol version and a line feed follow.
pub(crate) const AGENT: &str = "\u{1}verifier-agent/";
/// The same of the other end.
pub(crate) const CLIENT: &str = "\u{1}verifier-client/";

/// How much may come before a greeting. A login shell's talk is some kilobytes.
const NOISE: usize = 64 * 1024;
/// The longest request: it carries a plan. Three hundred images with a hundred layers each are about 10 MiB. How long a
/// reply may be says each request ([`super::Ask::limit`]).
pub(crate) const REQUEST: u32 = 64 * 1024 * 1024;
/// In what pieces a message is read: memory is taken as bytes come, not as a length is claimed.
const PIECE: usize = 64 * 1024;
/// Read and write buffers on both sides of a pipe or an SSH channel.
const BUFFER: usize = 256 * 1024;
/// The payload of one yamux frame: several SSH packets, and little enough that a reply is not kept waiting.
const FRAME: usize = 128 * 1024;
/// Streams at once; the checks of one host ask a few.
const STREAMS: usize = 64;
/// Requests at once: fewer than streams, because one that is over takes a moment to be forgotten by both ends.
pub(crate) const AT_ONCE: usize = 40;
/// What all receive windows of an agent's connection may grow to: bounds the memory of a host whose disk is slow.
const AGENT_WINDOWS: usize = 32 * 1024 * 1024;
/// The same of the other end, which takes short replies: as little as yamux lets so many streams have.
const CLIENT_WINDOWS: usize = STREAMS * 256 * 1024;

/// A stream of the connection, as tokio's traits see it.
pub(crate) type Stream = Compat<yamux::Stream>;

/// A request with the time that its asker gives it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// Milliseconds until nobody waits for the answer any more.
    pub(crate) deadline_millis: u64,
    /// The longest reply that the asker takes, in bytes.
    pub(crate) reply_limit: u32,
    /// The request.
    pub(crate) request: Request,
}

/// What came instead of a greeting.
#[derive(Debug)]
pub(crate) enum Greeting {
    /// A greeting of this protocol version.
    Version(u32),
    /// The end of the stream, or too much: the last of what came.
    Noise(String),
}

/// Writes the greeting of this end.
pub(crate) async fn greet(writer: &mut (impl AsyncWrite + Unpin), greeting: &str) -> io::Result<()> {
    writer
        .write_all(format!("{greeting}{VERSION}\n").as_bytes())
        .await?;
    writer.flush().await
}

/// Skips what comes before the other end's greeting and reads it, and not one byte more.
pub(crate) async fn find_greeting(
    reader: &mut (impl AsyncBufRead + Unpin),
    greeting: &str,
) -> io::Result<Greeting> {
    let mut seen = Vec::new();
    while seen.len() < NOISE {
        let line = reader.take(NOISE as u64).read_until(b'\n', &mut seen).await?;
        if line == 0 {
            break;
        }
        let last = String::from_utf8_lossy(&seen[seen.len() - line..]).into_owned();
        // The noise before it may lack its line feed, so the greeting may stand anywhere in the line.
        if let Some((_, version)) = last.split_once(greeting)
            && let Ok(version) = version.trim_end().parse()
        {
            return Ok(Greeting::Version(version));
        }
    }
    let tail = &seen[seen.len().saturating_sub(2048)..];
    Ok(Greeting::Noise(String::from_utf8_lossy(tail).trim().to_owned()))
}

/// A duplex stream made of two halves, both buffered: yamux reads and writes its headers one by one.
pub(crate) fn buffered<R: AsyncRead, W: AsyncWrite>(
    reader: R,
    writer: W,
) -> tokio::io::Join<tokio::io::BufReader<R>, tokio::io::BufWriter<W>> {
    tokio::io::join(
        tokio::io::BufReader::with_capacity(BUFFER, reader),
        tokio::io::BufWriter::with_capacity(BUFFER, writer),
    )
}

/// The settings of an end.
pub(crate) fn settings(end: yamux::Mode) -> yamux::Config {
    let windows = match end {
        yamux::Mode::Server => AGENT_WINDOWS,
        yamux::Mode::Client => CLIENT_WINDOWS,
    };
    let mut config = yamux::Config::default();
    config
        .set_max_num_streams(STREAMS)
        .set_max_connection_receive_window(Some(windows))
        .set_split_send_size(FRAME);
    config
}

/// Waits for the next stream that the other end opens, driving all others meanwhile. None: the connection ended.
pub(crate) async fn accept<T>(connection: &mut yamux::Connection<T>) -> Option<Stream>
where
    T: futures::AsyncRead + futures::AsyncWrite + Unpin,
{
    poll_fn(|cx| connection.poll_next_inbound(cx))
        .await
        .and_then(Result::ok)
        .map(FuturesAsyncReadCompatExt::compat)
}

/// Opens streams on demand and drives the connection until nobody can ask for more, or until it ends.
pub(crate) async fn drive<T>(
    mut connection: yamux::Connection<T>,
    mut wanted: tokio::sync::mpsc::Receiver<tokio::sync::oneshot::Sender<Stream>>,
) where
    T: futures::AsyncRead + futures::AsyncWrite + Unpin,
{
    let mut waiting: Option<tokio::sync::oneshot::Sender<Stream>> = None;
    poll_fn(|cx| {
        loop {
            if waiting.is_none() {
                match wanted.poll_recv(cx) {
                    Poll::Ready(Some(sender)) => waiting = Some(sender),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            if waiting.is_some()
                && let Poll::Ready(opened) = connection.poll_new_outbound(cx)
            {
                // A dropped sender tells whoever waits that there is no stream to be had.
                match opened {
                    Ok(stream) => drop(waiting.take().map(|sender| sender.send(stream.compat()))),
                    Err(yamux::ConnectionError::TooManyStreams) => drop(waiting.take()),
                    Err(_) => return Poll::Ready(()),
                }
                continue;
            }
            return match connection.poll_next_inbound(cx) {
                // The agent opens no streams: one that it opens is dropped, which resets it.
                Poll::Ready(Some(Ok(_))) => continue,
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            };
        }
    })
    .await;
    // What was written last still goes out; an end that does not read any more is not waited for.
    let _ = tokio::time::timeout(Duration::from_secs(2), poll_fn(|cx| connection.poll_close(cx))).await;
}

/// Writes a value behind its length.
pub(crate) async fn write_json(
    writer: &mut (impl AsyncWrite + Unpin),
    value: &impl Serialize,
) -> io::Result<()> {
    write_message(writer, &serde_json::to_vec(value)?).await
}

/// Writes a message that is JSON already.
pub(crate) async fn write_message(writer: &mut (impl AsyncWrite + Unpin), json: &[u8]) -> io::Result<()> {
    let length = u32::try_from(json.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    writer.write_all(&length.to_be_bytes()).await?;
    writer.write_all(json).await?;
    writer.flush().await
}

/// Why a message was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    /// It announces more bytes than are taken. Nothing of it was read.
    #[error("a message of {length} bytes, where no more than {limit} are taken")]
    TooLong {
        /// What it announces.
        length: u32,
        /// What is taken.
        limit: u32,
    },
    /// The stream broke, or it is no such value.
    #[error("the stream broke")]
    Broken(#[source] io::Error),
}

/// Reads a value of at most `limit` bytes behind its length, and not one byte more.
pub(crate) async fn read_json<T: DeserializeOwned>(
    reader: &mut (impl AsyncRead + Unpin),
    limit: u32,
) -> Result<T, MessageError> {
    let length = read_length(reader, limit).await?;
    read_value(reader, length).await
}

/// Reads the length of a message.
pub(crate) async fn read_length(
    reader: &mut (impl AsyncRead + Unpin),
    limit: u32,
) -> Result<u32, MessageError> {
    match reader.read_u32().await {
        Ok(length) if length > limit => Err(MessageError::TooLong { length, limit }),
        Ok(length) => Ok(length),
        Err(error) => Err(MessageError::Broken(error)),
    }
}

/// Reads a value of a length that was read.
pub(crate) async fn read_value<T: DeserializeOwned>(
    reader: &mut (impl AsyncRead + Unpin),
    length: u32,
) -> Result<T, MessageError> {
    let json = read_bytes(reader, length).await?;
    // Without the parser's own words: they quote what the other end said.
    serde_json::from_slice(&json).map_err(|error| {
        let place = format!("no such answer: line {}, column {}", error.line(), error.column());
        MessageError::Broken(io::Error::new(io::ErrorKind::InvalidData, place))
    })
}

/// Reads the bytes of a message whose length was read.
pub(crate) async fn read_bytes(
    reader: &mut (impl AsyncRead + Unpin),
    length: u32,
) -> Result<Vec<u8>, MessageError> {
    let length = length as usize;
    let mut bytes = Vec::with_capacity(length.min(PIECE));
    let read = reader.take(length as u64).read_to_end(&mut bytes).await;
    let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
    read.and_then(|read| if read < length { Err(ended()) } else { Ok(bytes) })
        .map_err(MessageError::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn noise_before_a_greeting_is_skipped_and_what_follows_is_left() {
        let mut reader = "Welcome!\nlast login: \u{1}verifier-agent/7\nrest".as_bytes();
        let found = find_greeting(&mut reader, AGENT).await.unwrap();
        assert!(matches!(found, Greeting::Version(7)));
        assert_eq!(reader, b"rest");
    }

    #[tokio::test]
    async fn without_a_greeting_the_noise_is_told() {
        let found = find_greeting(&mut "This account is locked.\n".as_bytes(), AGENT)
            .await
            .unwrap();
        assert!(matches!(found, Greeting::Noise(text) if text == "This account is locked."));
    }

    #[tokio::test]
    async fn endless_noise_is_bounded() {
        let mut reader = tokio::io::BufReader::new(tokio::io::repeat(b'x'));
        let found = find_greeting(&mut reader, AGENT).await.unwrap();
        assert!(matches!(found, Greeting::Noise(text) if text.len() == 2048));
    }

    #[tokio::test]
    async fn a_length_beyond_the_bound_is_refused_before_memory_is_taken() {
        let error = read_json::<String>(&mut [0xff; 8].as_slice(), REQUEST)
            .await
            .unwrap_err();
        assert!(
            matches!(error, MessageError::TooLong { length: u32::MAX, .. }),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_length_that_is_only_claimed_takes_no_memory() {
        let mut wire = (60_u32 << 20).to_be_bytes().to_vec();
        wire.extend(b"\"short");
        let error = read_json::<String>(&mut wire.as_slice(), REQUEST)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, MessageError::Broken(error) if error.kind() == io::ErrorKind::UnexpectedEof),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_message_comes_back_as_it_was() {
        let mut wire = Vec::new();
        write_json(&mut wire, &"grüß").await.unwrap();
        wire.extend(b"raw");
        let mut reader = wire.as_slice();
        assert_eq!(read_json::<String>(&mut reader, 64).await.unwrap(), "grüß");
        assert_eq!(reader, b"raw");
    }
}
