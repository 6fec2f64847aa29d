//! Chromium without a window, driven over its own protocol (Chrome DevTools Protocol) by a socket of this machine.

use std::collections::VecDeque;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// The version of axe-core that looks for what keeps people from reading.
const AXE: &str = "axe-core@4.10.3";

/// What a page did while it was opened.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The addresses that were asked for.
    pub(crate) requests: Vec<String>,
    /// What the console was told, and what was not allowed.
    pub(crate) errors: Vec<String>,
}

pub(crate) struct Browser {
    child: Child,
    socket: WebSocketStream<TcpStream>,
    session: Option<String>,
    next: u64,
    events: VecDeque<Value>,
    axe: String,
}

impl Browser {
    /// Starts it with a profile of its own.
    pub(crate) async fn start(home: &Path) -> Self {
        let mut child = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", home.join("profile").display()))
            .arg("about:blank")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("chromium is there: cargo xtask test installs it");
        let lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let address = lines
            .find_map(|line| {
                line.strip_prefix("DevTools listening on ws://")
                    .map(str::to_owned)
            })
            .expect("it says where it listens");
        // It must not wait for somebody to read.
        std::thread::spawn(move || lines.for_each(drop));
        let socket = connect(&address).await;
        let mut browser = Self {
            child,
            socket,
            session: None,
            next: 0,
            events: VecDeque::new(),
            axe: axe(),
        };
        let target = browser
            .call("Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach).await;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Log", "Runtime", "Audits"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser
    }

    /// Opens a page and waits until it is shown.
    pub(crate) async fn open(&mut self, page: &Path, dark: bool) -> Seen {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await;
        self.events.clear();
        let url = format!("file://{}", page.display());
        self.call("Page.navigate", json!({"url": url})).await;
        let shown = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events.iter().any(shown) {
            self.receive().await;
        }
        // A frame after that has been drawn.
        let drawn = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(document.title))))";
        let title = self.evaluate(drawn).await;
        assert!(title.as_str().is_some_and(|title| !title.is_empty()));
        let mut seen = Seen::default();
        for event in self.events.drain(..) {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Network.requestWillBeSent" => {
                    seen.requests
                        .push(params["request"]["url"].as_str().unwrap_or_default().to_owned());
                }
                "Log.entryAdded"
                | "Runtime.exceptionThrown"
                | "Runtime.consoleAPICalled"
                | "Audits.issueAdded" => {
                    seen.errors.push(params.to_string());
                }
                _ => {}
            }
        }
        seen
    }

    /// Returns what axe-core finds.
    pub(crate) async fn axe(&mut self) -> Value {
        let script = self.axe.clone() + "; 0";
        self.evaluate(&script).await;
        let run = "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(one => \
                   ({id: one.id, nodes: one.nodes.slice(0, 3).map(node => node.html.slice(0, 200) + ' ' + node.failureSummary.slice(0, 300))})))";
        self.evaluate(run).await
    }

    /// Prints the page.
    pub(crate) async fn pdf(&mut self) -> Vec<u8> {
        let how = json!({"preferCSSPageSize": true, "printBackground": false});
        let printed = self.call("Page.printToPDF", how).await;
        STANDARD.decode(printed["data"].as_str().unwrap()).unwrap()
    }

    /// Returns a picture of what is in the window.
    pub(crate) async fn picture(&mut self) -> Vec<u8> {
        let size = json!({"width": 1180, "height": 1500, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let taken = self
            .call("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// Ends it.
    pub(crate) async fn end(mut self) {
        self.session = None;
        let close = json!({"id": 0, "method": "Browser.close"}).to_string();
        let _ = self.socket.send(Message::text(close)).await;
        let _ = self.child.wait();
    }

    async fn evaluate(&mut self, script: &str) -> Value {
        let how = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", how).await;
        assert_eq!(answer["exceptionDetails"], Value::Null, "{answer}");
        answer["result"]["value"].clone()
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut call = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(call.to_string())).await.unwrap();
        loop {
            let message = self.receive().await;
            if message["id"] == json!(id) {
                assert_eq!(message["error"], Value::Null, "{method}");
                return message["result"].clone();
            }
        }
    }

    /// Waits for a message; events are kept.
    async fn receive(&mut self) -> Value {
        let next = tokio::time::timeout(Duration::from_mins(2), self.socket.next());
        let message = next
            .await
            .expect("the browser answers")
            .expect("it is there")
            .unwrap();
        let message: Value = serde_json::from_str(message.to_text().unwrap_or("{}")).unwrap_or_default();
        if message["method"].is_string() {
            self.events.push_back(message.clone());
        }
        message
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It is gone already where it was ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a WebSocket (RFC 6455) to `HOST:PORT/PATH`.
async fn connect(address: &str) -> WebSocketStream<TcpStream> {
    let (host, path) = address.trim().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&head)
    );
    let config = WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None);
    WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await
}

/// Returns axe-core's script; npm fetches it once.
fn axe() -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("axe");
    let script = folder.join("package/axe.min.js");
    if !script.is_file() {
        std::fs::create_dir_all(&folder).unwrap();
        let pack = Command::new("npm")
            .args(["pack", "--silent", AXE])
            .current_dir(&folder)
            .output()
            .expect("npm is there");
        assert!(pack.status.success(), "{}", String::from_utf8_lossy(&pack.stderr));
        let name = String::from_utf8(pack.stdout).unwrap();
        let unpacked = Command::new("tar")
            .args(["-xzf", name.trim()])
            .current_dir(&folder)
            .status();
        assert!(unpacked.unwrap().success());
    }
    std::fs::read_to_string(script).unwrap()
}
