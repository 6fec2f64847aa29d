//! A bad line between the real client and the real registry: connections end at seeded places, or answer "too many".

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// What is wrong with the line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Each connection ends after a number of bytes between one and `most`, which follows from `seed`.
    Cut { seed: u64, most: u64 },
    /// The first connections are answered by the proxy itself, with this status line and these headers.
    Answer { first: u64, head: &'static str },
    /// After so many bytes in all nothing comes any more; connections stay open.
    Stall { after: u64 },
    /// After each piece of at most 64 KiB the line rests.
    Slow { pause: std::time::Duration },
    /// Requests need a token, which `/token` on the same port gives to whoever has this login (distribution,
    /// spec/auth/token.md): as Docker Hub and most public registries do it.
    Token { basic: &'static str },
    /// The last byte of the bodies that pass is turned over in every piece longer than this.
    Flip { longer: usize },
}

/// A proxy on a port of its own.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    upstream: SocketAddr,
    fault: Fault,
    connections: AtomicU64,
    bytes: AtomicU64,
    over: AtomicBool,
    first: std::sync::Mutex<Option<Instant>>,
}

impl Proxy {
    pub(crate) fn new(upstream: SocketAddr, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            upstream,
            fault,
            connections: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            over: AtomicBool::new(false),
            first: std::sync::Mutex::new(None),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                if shared.over.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(client.unwrap(), &shared));
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many connections came.
    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Returns how many bytes went to the client.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::Relaxed)
    }

    /// Returns when the first connection came.
    pub(crate) fn first(&self) -> Option<Instant> {
        *self.state.first.lock().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut client: TcpStream, state: &State) {
    let number = state.connections.fetch_add(1, Ordering::Relaxed);
    state.first.lock().unwrap().get_or_insert_with(Instant::now);
    if let Fault::Answer { first, head } = state.fault
        && number < first
    {
        // The request must have come before it is answered.
        let _ = client.read(&mut [0; 4096]);
        let _ = client.write_all(
            format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        return;
    }
    let mut head = Vec::new();
    if let Fault::Token { basic } = state.fault {
        head = read_head(&mut client);
        if let Some(answer) = token_answer(&String::from_utf8_lossy(&head), basic) {
            let _ = client.write_all(
                answer
                    .replace("SELF", &client.local_addr().unwrap().to_string())
                    .as_bytes(),
            );
            return;
        }
    }
    let mut server = TcpStream::connect(state.upstream).unwrap();
    server.write_all(&head).unwrap();
    let (mut up_in, mut up_out) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut up_in, &mut up_out);
        let _ = up_out.shutdown(Shutdown::Write);
    });
    let budget = match state.fault {
        Fault::Cut { seed, most } => 1 + scatter(seed.wrapping_add(number)) % most,
        _ => u64::MAX,
    };
    downstream(server, &mut client, budget, state);
    let _ = client.shutdown(Shutdown::Both);
}

fn read_head(client: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    head
}

/// Returns what the proxy itself answers to a request; none where the registry is to answer.
fn token_answer(head: &str, basic: &str) -> Option<String> {
    let body = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let has = |header: &str| head.to_lowercase().contains(&header.to_lowercase());
    if head.starts_with("GET /token?") {
        let scope = head.contains("scope=repository%3Aapp%3Apull") && head.contains("service=test");
        let may = scope && has(&format!("authorization: basic {basic}"));
        let given = body("200 OK", r#"{"token": "good"}"#);
        return Some(if may {
            given
        } else {
            body("403 Forbidden", "you may not pull this")
        });
    }
    if has("authorization: bearer good") {
        return None;
    }
    let challenge = "WWW-Authenticate: Bearer realm=\"http://SELF/token\",service=\"test\"";
    Some(format!(
        "HTTP/1.1 401 Unauthorized\r\n{challenge}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ))
}

fn downstream(mut server: TcpStream, client: &mut TcpStream, mut budget: u64, state: &State) {
    let mut buffer = vec![0; 64 << 10];
    let mut stalled = false;
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        if let Fault::Stall { after } = state.fault {
            stalled |= state.bytes.load(Ordering::Relaxed) + count as u64 > after;
        }
        if stalled {
            // Reads on and passes nothing: the client waits.
            continue;
        }
        if let Fault::Flip { longer } = state.fault
            && count > longer
        {
            buffer[count - 1] ^= 1;
        }
        if let Fault::Slow { pause } = state.fault {
            thread::sleep(pause);
        }
        let pass = usize::try_from(budget).map_or(count, |budget| count.min(budget));
        if client.write_all(&buffer[..pass]).is_err() {
            break;
        }
        state.bytes.fetch_add(pass as u64, Ordering::Relaxed);
        budget -= pass as u64;
        if budget == 0 {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

/// Returns a number that looks like chance and follows from `seed` (splitmix64).
fn scatter(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
