//! A server of the test's own for what no honest registry does: it answers each request as a function says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request, as far as a test looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// With its query.
    pub(crate) path: String,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// After each of these pieces of the body the server waits so long.
    pub(crate) trickle: Option<(usize, Duration)>,
    /// Whether the body's end is the connection's.
    pub(crate) until_closed: bool,
    /// Whether the body goes on for ever: it is sent again and again, without a length.
    pub(crate) endless: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            trickle: None,
            until_closed: false,
            endless: false,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;
type Wrap = dyn Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync;

pub(crate) trait Stream: std::io::Read + Write {}
impl<T: std::io::Read + Write> Stream for T {}

/// A running server, on loopback; it ends with its handle.
pub(crate) struct Server {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::bind(
            TcpListener::bind("127.0.0.1:0").unwrap(),
            Arc::new(answer),
            Arc::new(|tcp| Some(Box::new(tcp))),
        )
    }

    /// Starts it behind TLS, or whatever else `wrap` makes of a connection.
    pub(crate) fn wrapped(
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync + 'static,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::bind(
            TcpListener::bind("127.0.0.1:0").unwrap(),
            Arc::new(answer),
            Arc::new(wrap),
        )
    }

    fn bind(listener: TcpListener, answer: Arc<Handler>, wrap: Arc<Wrap>) -> Self {
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (ended, log) = (Arc::clone(&over), Arc::clone(&asked));
        thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let (answer, wrap) = (Arc::clone(&answer), Arc::clone(&wrap));
                let (ended, log) = (Arc::clone(&ended), Arc::clone(&log));
                let client = client.unwrap();
                thread::spawn(move || {
                    if let Some(mut stream) = wrap(client) {
                        serve(stream.as_mut(), answer.as_ref(), &log, &ended);
                    }
                });
            }
        });
        Self { address, over, asked }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns all requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(client: &mut dyn Stream, answer: &Handler, log: &Mutex<Vec<Asked>>, ended: &AtomicBool) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&head);
    let mut lines = text.lines();
    let path = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_default();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let asked = Asked {
        path: path.to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
    };
    log.lock().unwrap().push(asked.clone());
    let answer = answer(&asked);
    // A client that has enough goes away in the middle.
    let _ = send(client, &answer, ended);
}

fn send(client: &mut dyn Stream, answer: &Answer, ended: &AtomicBool) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if !answer.endless
        && !answer.until_closed
        && !answer.headers.iter().any(|(name, _)| *name == "Content-Length")
    {
        let _ = write!(head, "Content-Length: {}\r\n", answer.body.len());
    }
    client.write_all(format!("{head}\r\n").as_bytes())?;
    let (piece, pause) = answer
        .trickle
        .unwrap_or((answer.body.len().max(1), Duration::ZERO));
    loop {
        for piece in answer.body.chunks(piece) {
            client.write_all(piece)?;
            client.flush()?;
            thread::sleep(pause);
            if ended.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        if !answer.endless {
            return client.flush();
        }
    }
}
