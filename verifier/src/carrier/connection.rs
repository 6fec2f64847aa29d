//! The verifier's end of a connection: requests with deadlines, uploads, byte streams.

mod error;
mod exchange;

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cli::Shown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::compat::TokioAsyncReadCompatExt as _;

use super::record::{Placed, Record};
use crate::gathered::{Answer, Reading};
use crate::protocol::wire::{self, Greeting, Stream};
use crate::protocol::{Ask, Dial, Hello, HelloReply, Place, TOOL, VERSION};
pub use error::{AskError, OpenError};
use exchange::{Wanted, ask, beat, kept, reply, send, start};

/// A connection to an agent. Clones share it; when the last one is dropped, the agent ends.
#[derive(Clone)]
pub struct Agent {
    way: Way,
    hello: Arc<HelloReply>,
    /// What must live as long as the connection, for example the SSH session below it.
    _carrier: Arc<dyn Any + Send + Sync>,
}

/// How a request is answered.
#[derive(Clone)]
enum Way {
    /// By the agent.
    Live(Wanted),
    /// By the agent, once; what it said is kept.
    Keeps(Wanted, Arc<Reading>),
    /// By what was kept of an agent elsewhere.
    Told(Arc<Reading>),
}

impl Way {
    fn wanted(&self) -> Option<&Wanted> {
        match self {
            Self::Live(wanted) | Self::Keeps(wanted, _) => Some(wanted),
            Self::Told(_) => None,
        }
    }
}

impl Agent {
    /// Greets the agent at the other end of a byte stream. `carrier` is dropped when the last clone is.
    ///
    /// # Errors
    /// When no agent of our version answers within `deadline`.
    pub async fn open<R, W>(
        reader: R,
        writer: W,
        carrier: impl Any + Send + Sync,
        deadline: Duration,
    ) -> Result<Self, OpenError>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let late = |_| OpenError::Late {
            seconds: deadline.as_secs(),
        };
        timeout(deadline, Self::greet(reader, writer, Arc::new(carrier), deadline))
            .await
            .map_err(late)?
    }

    async fn greet<R, W>(
        reader: R,
        writer: W,
        carrier: Arc<dyn Any + Send + Sync>,
        deadline: Duration,
    ) -> Result<Self, OpenError>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let mut stream = wire::buffered(reader, writer);
        match wire::find_greeting(stream.reader_mut(), wire::AGENT).await {
            Ok(Greeting::Version(VERSION)) => {}
            Ok(Greeting::Version(other)) => return Err(version(&format!("of protocol {other}"))),
            Ok(Greeting::Noise(noise)) => return Err(OpenError::Silent { noise }),
            Err(error) => return Err(OpenError::Broken(error)),
        }
        wire::greet(&mut stream, wire::CLIENT)
            .await
            .map_err(OpenError::Broken)?;
        let connection = yamux::Connection::new(
            stream.compat(),
            wire::settings(yamux::Mode::Client),
            yamux::Mode::Client,
        );
        let (streams, requests) = mpsc::channel(8);
        tokio::spawn(wire::drive(connection, requests));
        let wanted = Wanted {
            streams,
            slots: Arc::new(Semaphore::new(wire::AT_ONCE)),
            budget: Arc::default(),
            record: Some(Arc::default()),
        };
        let hello = ask(&wanted, Hello {}, deadline).await.map_err(OpenError::Hello)?;
        if hello.tool != TOOL {
            return Err(version(&hello.tool));
        }
        tokio::spawn(beat(
            wanted.streams.downgrade(),
            Arc::clone(&wanted.budget),
            wire::BEAT,
        ));
        Ok(Self {
            way: Way::Live(wanted),
            hello: Arc::new(hello),
            _carrier: carrier,
        })
    }

    /// Returns an agent that says what was kept of another one, and knows nothing else.
    pub fn told(hello: HelloReply, reading: Arc<Reading>) -> Self {
        Self {
            way: Way::Told(reading),
            hello: Arc::new(hello),
            _carrier: Arc::new(()),
        }
    }

    /// Returns the agent with a reading that keeps what it says, and answers what was asked before.
    #[must_use]
    pub fn keeping(&self, reading: Arc<Reading>) -> Self {
        let way = match &self.way {
            Way::Live(wanted) | Way::Keeps(wanted, _) => Way::Keeps(wanted.clone(), reading),
            Way::Told(_) => Way::Told(reading),
        };
        Self { way, ..self.clone() }
    }

    /// Returns what leads to the agent, for what cannot be kept.
    fn wanted<A: Ask>(&self) -> Result<&Wanted, AskError> {
        self.way.wanted().ok_or(AskError::Unkept { ask: A::NAME })
    }

    /// Returns what the agent said of itself when it was opened.
    pub fn hello(&self) -> &HelloReply {
        &self.hello
    }

    /// Returns what was touched over this connection.
    pub fn record(&self) -> Arc<Record> {
        let wanted = self.way.wanted();
        wanted
            .and_then(|wanted| wanted.record.clone())
            .unwrap_or_default()
    }

    /// Takes note of where the agent's program was.
    pub(super) fn placed(self, placed: Placed) -> Self {
        if let Some(record) = self.way.wanted().and_then(|wanted| wanted.record.as_ref()) {
            record.placed(placed);
        }
        self
    }

    /// Asks and waits for the reply. Dropping the future tells the agent to stop.
    ///
    /// # Errors
    /// When the agent refuses, when there is no reply within `deadline`, when the connection is lost.
    pub async fn ask<A: Ask>(&self, request: A, deadline: Duration) -> Result<A::Reply, AskError> {
        let (wanted, reading) = match &self.way {
            Way::Live(wanted) => return ask(wanted, request, deadline).await,
            Way::Keeps(wanted, reading) => (Some(wanted), reading),
            Way::Told(reading) => (None, reading),
        };
        let (name, limit) = (A::NAME, request.limit());
        // Few keep what they hear: other requests are not to be as large as theirs.
        let asked = kept(wanted, reading, (name, limit, request.into()), deadline);
        let answer = Box::pin(asked).await?;
        match serde_json::from_str(&answer) {
            Ok(Answer::Ok(reply)) => Ok(reply),
            Ok(Answer::Err(refusal)) => Err(refusal.into()),
            Ok(Answer::Late(millis)) => Err(AskError::Deadline(Duration::from_millis(millis))),
            Ok(Answer::Lost(text)) => Err(AskError::Lost(Shown::line(&text))),
            Err(_) => Err(AskError::Unkept { ask: name }),
        }
    }

    /// Asks, sends all of `body` behind the request, and waits for the reply. A refusal ends the sending at once.
    ///
    /// # Errors
    /// As [`Agent::ask`]; also when `body` cannot be read: then the agent sees the stream end early.
    pub async fn upload<A: Ask>(
        &self,
        request: A,
        body: impl AsyncRead + Send + Unpin,
        deadline: Duration,
    ) -> Result<A::Reply, AskError> {
        let work = async {
            let limit = request.limit();
            let wanted = self.wanted::<A>()?;
            let (stream, _permit) = start(wanted, (A::NAME, limit, request.into()), deadline).await?;
            let (mut reader, mut writer) = tokio::io::split(stream);
            let reply = reply::<A>(wanted, &mut reader, limit);
            let sending = send(body, &mut writer, wanted.record.as_deref());
            tokio::pin!(reply, sending);
            tokio::select! {
                biased;
                reply = &mut reply => return reply,
                // A broken write is told better by the agent's reply, if it still comes.
                sent = &mut sending => if let Err(AskError::Source(error)) = sent {
                    return Err(AskError::Source(error));
                },
            }
            reply.await
        };
        timeout(deadline, work)
            .await
            .map_err(|_| AskError::Deadline(deadline))?
    }

    /// Opens a byte stream to `to` (`host:port`) as the agent's host, or one of its sandboxes, reaches it. The agent
    /// gives up connecting after `deadline`; the stream itself then has none.
    ///
    /// # Errors
    /// As [`Agent::ask`].
    pub async fn dial(&self, from: Place, to: &str, deadline: Duration) -> Result<ByteStream, AskError> {
        let to = to.to_owned();
        let ask = Dial { to, from };
        self.download(ask, deadline).await.map(|((), stream)| stream)
    }

    /// Asks, and returns the reply with the stream of bytes that follows it, which has no deadline.
    ///
    /// # Errors
    /// As [`Agent::ask`].
    pub async fn download<A: Ask>(
        &self,
        request: A,
        deadline: Duration,
    ) -> Result<(A::Reply, ByteStream), AskError> {
        let work = async {
            let limit = request.limit();
            let wanted = self.wanted::<A>()?;
            let (mut stream, permit) = start(wanted, (A::NAME, limit, request.into()), deadline).await?;
            let reply = reply::<A>(wanted, &mut stream, limit).await?;
            let stream = ByteStream {
                stream,
                _agent: self.clone(),
                _permit: permit,
            };
            Ok((reply, stream))
        };
        timeout(deadline, work)
            .await
            .map_err(|_| AskError::Deadline(deadline))?
    }
}

fn version(theirs: &str) -> OpenError {
    let ours = format!("{TOOL} of protocol {VERSION}");
    OpenError::Version {
        theirs: theirs.to_owned(),
        ours,
    }
}

/// A byte stream through an agent to an address. It keeps the agent alive.
pub struct ByteStream {
    stream: Stream,
    _agent: Agent,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    //! Hosts whose agent is none of ours.

    use tokio::io::{AsyncWriteExt as _, DuplexStream};

    use super::*;
    use crate::carrier::budget::Budget;
    use crate::protocol::wire::Envelope;
    use crate::protocol::{Interfaces, Refusal, Request};

    const SOON: Duration = Duration::from_secs(10);

    /// Opens a connection to an agent that says who it is and answers anything else with the bytes of `answer`.
    async fn agent(answer: impl Fn() -> Vec<u8> + Send + 'static) -> Agent {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(answer_all(theirs, answer));
        let (reader, writer) = tokio::io::split(ours);
        Agent::open(reader, writer, (), SOON).await.unwrap()
    }

    async fn answer_all(stream: DuplexStream, answer: impl Fn() -> Vec<u8>) {
        let (reader, writer) = tokio::io::split(stream);
        let mut stream = wire::buffered(reader, writer);
        wire::greet(&mut stream, wire::AGENT).await.unwrap();
        wire::find_greeting(stream.reader_mut(), wire::CLIENT)
            .await
            .unwrap();
        let settings = wire::settings(yamux::Mode::Server);
        let mut connection = yamux::Connection::new(stream.compat(), settings, yamux::Mode::Server);
        while let Some(mut stream) = wire::accept(&mut connection).await {
            let bytes = answer();
            tokio::spawn(async move {
                let asked: Envelope = wire::read_json(&mut stream, wire::REQUEST).await.unwrap();
                if matches!(asked.request, Request::Hello(_)) {
                    let hello = HelloReply {
                        protocol: VERSION,
                        tool: TOOL.to_owned(),
                        platform: String::new(),
                        hostname: String::new(),
                        uid: 0,
                        boot: None,
                        kernel: String::new(),
                        system: None,
                    };
                    wire::write_json(&mut stream, &Ok::<_, Refusal>(hello))
                        .await
                        .unwrap();
                } else {
                    // Whoever asked may have had enough.
                    let _ = stream.write_all(&bytes).await;
                }
                let _ = stream.shutdown().await;
            });
        }
    }

    fn message(json: &str) -> Vec<u8> {
        let length = u32::try_from(json.len()).unwrap();
        [&length.to_be_bytes(), json.as_bytes()].concat()
    }

    #[tokio::test]
    async fn an_answer_that_is_longer_than_its_kind_may_be_is_refused_unread_and_named() {
        let agent = agent(|| message(&format!("{{\"Ok\":[{}]}}", " ".repeat(2 << 20)))).await;
        let error = agent.ask(Interfaces {}, SOON).await.unwrap_err();
        assert!(
            matches!(
                error,
                AskError::TooLong {
                    ask: "Interfaces",
                    limit: 1_048_576,
                    ..
                }
            ),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_host_that_answers_without_end_is_read_no_more() {
        let agent = agent(|| message(&format!("{{\"Ok\":[{}]}}", " ".repeat(1_000_000)))).await;
        let mut taken = 0;
        let error = loop {
            match agent.ask(Interfaces {}, SOON).await {
                Ok(interfaces) => taken += usize::from(interfaces.is_empty()),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(
                error,
                AskError::Spent {
                    limit: Budget::OF_A_RUN,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(taken, 67);
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_not_quoted() {
        let agent = agent(|| message("{\"Ok\": hunter2}")).await;
        let error = agent.ask(Interfaces {}, SOON).await.unwrap_err();
        let said = cli::chain(&error);
        assert!(said.contains("line 1") && !said.contains("hunter2"), "{said}");
    }

    #[tokio::test]
    async fn the_agent_is_told_that_we_live_until_nobody_holds_the_connection() {
        let (streams, mut requests) = mpsc::channel(1);
        let every = Duration::from_millis(1);
        let beating = tokio::spawn(beat(streams.downgrade(), Arc::default(), every));
        for _ in 0..3 {
            assert!(requests.recv().await.is_some());
        }
        drop(streams);
        while requests.recv().await.is_some() {}
        beating.await.unwrap();
    }
}
