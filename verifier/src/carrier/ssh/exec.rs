//! A command on the host: its stdin, its stdout as a reader, its stderr and its end to look at.

use std::io;

use russh::client::{Handle, Msg};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, watch};
use tokio_util::bytes::Bytes;
use tokio_util::io::StreamReader;

use super::host_keys::HostKeys;

/// How much of stderr is kept.
const ERRORS: usize = 16 * 1024;
/// Messages of stdout that wait for their reader; each is at most 32 KiB.
const WAITING: usize = 32;

/// A command that runs.
pub(super) struct Running {
    /// Its stdin.
    pub(super) input: ChannelWriteHalf<Msg>,
    /// What it said on stderr and how it ended.
    pub(super) state: watch::Receiver<State>,
    output: mpsc::Receiver<io::Result<Bytes>>,
}

/// What is known of a command beside its stdout.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Stderr, from its beginning.
    pub(super) errors: String,
    /// How it ended, once it has.
    pub(super) end: Option<End>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With an exit status.
    Status(u32),
    /// By a signal.
    Signal(String),
    /// The channel closed without a word: the connection is gone, or sshd refused the command.
    Unknown,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("no exit status"),
        }
    }
}

/// Starts a command in a session of its own.
pub(super) async fn exec(handle: &Handle<HostKeys>, command: String) -> Result<Running, russh::Error> {
    let channel = handle.channel_open_session().await?;
    channel.exec(true, command).await?;
    let (reader, input) = channel.split();
    let (sender, output) = mpsc::channel(WAITING);
    let (changed, state) = watch::channel(State::default());
    tokio::spawn(pump(reader, sender, changed));
    Ok(Running { input, state, output })
}

/// Takes the channel's messages apart until it closes: data may come behind the exit status.
async fn pump(
    mut reader: ChannelReadHalf,
    out: mpsc::Sender<io::Result<Bytes>>,
    state: watch::Sender<State>,
) {
    let mut end = End::Unknown;
    while let Some(message) = reader.wait().await {
        match message {
            // Stdout that nobody reads any more is thrown away.
            ChannelMsg::Data { data } => drop(out.send(Ok(data)).await),
            ChannelMsg::ExtendedData { data, .. } => state.send_modify(|state| {
                let room = ERRORS.saturating_sub(state.errors.len()).min(data.len());
                state.errors.push_str(&String::from_utf8_lossy(&data[..room]));
            }),
            ChannelMsg::ExitStatus { exit_status } => end = End::Status(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => end = End::Signal(format!("{signal_name:?}")),
            ChannelMsg::Failure => break,
            _ => {}
        }
    }
    drop(out);
    state.send_modify(|state| state.end = Some(end));
}

impl Running {
    /// Takes stdout as a reader.
    pub(super) fn reader(&mut self) -> impl AsyncRead + Unpin + Send + 'static {
        let (_, nothing) = mpsc::channel(1);
        let mut output = std::mem::replace(&mut self.output, nothing);
        StreamReader::new(futures::stream::poll_fn(move |cx| output.poll_recv(cx)))
    }

    /// Waits for the end.
    pub(super) async fn ended(&mut self) -> (End, String) {
        let state = match self.state.wait_for(|state| state.end.is_some()).await {
            Ok(state) => state.clone(),
            Err(_) => State::default(),
        };
        (state.end.unwrap_or(End::Unknown), state.errors.trim().to_owned())
    }
}
