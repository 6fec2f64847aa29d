//! The file: a line of JSON for what it is, two for each question and its answer, one with the SHA-256 of all before it. It is read
//! whole or not at all, and an answer is no tree of values until somebody asks for it. Its hash finds what happened to it on the way; it proves nothing of who wrote it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use bundle::{Digest, Hasher, UserFile};
use cli::Shown;
use jiff::Timestamp;
use secrets::mask;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{GatheredError, Reading};
use crate::protocol::{HelloReply, TOOL};

/// A file of one host: its lists of images and processes are some megabytes.
const FILE: UserFile = UserFile::new("a file of verifier gather", 256 << 20);
/// The version of its form.
const VERSION: u32 = 1;
/// What tells it from other files.
const FORM: &str = "verifier gather";
/// How often everything is read: what may pass by itself counts only if it shows twice.
const READINGS: usize = 2;

/// What a file is: of which host, by whom, when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Always `verifier gather`.
    form: String,
    /// The version of this form: 1.
    version: u32,
    /// The program with its version.
    tool: String,
    /// What the host says of itself.
    pub host: HelloReply,
    /// What whoever gathered calls it, where that was said.
    pub name: Option<String>,
    /// The addresses of its interfaces.
    pub addresses: Vec<IpAddr>,
    /// Who gathered.
    pub user: String,
    /// When, by the host's clock.
    pub began: Timestamp,
    /// Whether an API server was asked too.
    pub api: bool,
}

/// What a host and its API server answered.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// What it is.
    pub header: Header,
    /// When it was ready, by the host's clock.
    pub ended: Timestamp,
    /// The two readings, the second one with the first behind it.
    pub readings: [Arc<Reading>; READINGS],
    /// The SHA-256 of the file.
    pub digest: Digest,
}

/// A question in the file; its answer is the next line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    reading: usize,
    ask: String,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    answers: usize,
    ended: Timestamp,
    sha256: Digest,
}

impl Header {
    /// Returns what a file of this host is.
    pub fn new(host: HelloReply, addresses: Vec<IpAddr>, user: String, began: Timestamp) -> Self {
        Self {
            form: FORM.to_owned(),
            version: VERSION,
            tool: TOOL.to_owned(),
            host,
            name: None,
            addresses,
            user,
            began,
            api: false,
        }
    }

    /// Returns the program that wrote it, with its version.
    pub fn tool(&self) -> &str {
        &self.tool
    }
}

/// Returns the bytes of a file. Every text in them is masked, as in a report.
pub fn written(header: &Header, readings: &[Arc<Reading>], ended: Timestamp) -> Vec<u8> {
    let mut bytes = line(header);
    let mut answers = 0;
    for (number, reading) in readings.iter().enumerate() {
        for (ask, answer) in reading.all() {
            let Ok(mut answer) = serde_json::from_str::<Value>(&answer) else {
                continue;
            };
            mask::json(&mut answer);
            let reading = number + 1;
            bytes.extend(line(&Question { reading, ask }));
            bytes.extend(line(&answer));
            answers += 1;
        }
    }
    let sha256 = seal(&bytes, answers, ended);
    let end = line(&End {
        answers,
        ended,
        sha256,
    });
    bytes.extend(end);
    bytes
}

/// Returns the hash of all lines before the last one, and of what else that one says.
fn seal(before: &[u8], answers: usize, ended: Timestamp) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(before);
    hasher.update(format!("{answers} {ended}"));
    hasher.finish()
}

/// Returns a value as a line of JSON.
fn line(value: &impl Serialize) -> Vec<u8> {
    // Values of ours, with text for keys: they always have JSON.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

impl Gathered {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is none of ours, of another version, cut or altered.
    pub fn read(path: &Path) -> Result<Self, GatheredError> {
        Self::of(&FILE.read(path).map_err(GatheredError::Read)?)
    }

    /// Returns what the bytes of a file say.
    ///
    /// # Errors
    /// As [`Gathered::read`].
    pub fn of(bytes: &[u8]) -> Result<Self, GatheredError> {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let header = header(first)?;
        let whole = bytes.strip_suffix(b"\n").ok_or(GatheredError::Cut)?;
        let at = whole
            .iter()
            .rposition(|byte| *byte == b'\n')
            .ok_or(GatheredError::Cut)?;
        let (before, last) = bytes.split_at(at + 1);
        let end: End = serde_json::from_slice(last).map_err(|_| GatheredError::Cut)?;
        if end.sha256 != seal(before, end.answers, end.ended) || line(&end) != last {
            return Err(GatheredError::Altered);
        }
        let readings = answers(&before[first.len() + 1..], end.answers)?;
        let first = Arc::new(readings.0);
        let second = Reading::after(Arc::clone(&first));
        for (ask, answer) in readings.1 {
            second.keep(ask, answer);
        }
        Ok(Self {
            header,
            ended: end.ended,
            readings: [first, Arc::new(second)],
            digest: Digest::of(bytes),
        })
    }
}

fn header(line: &[u8]) -> Result<Header, GatheredError> {
    /// What every version of the form has.
    #[derive(Deserialize)]
    struct Beginning {
        form: String,
        version: u32,
        tool: String,
    }
    let found: Beginning = serde_json::from_slice(line).map_err(|_| GatheredError::Other)?;
    if found.form != FORM {
        return Err(GatheredError::Other);
    }
    if found.version != VERSION {
        return Err(GatheredError::Version {
            theirs: found.version,
            ours: VERSION,
        });
    }
    if found.tool != TOOL {
        return Err(GatheredError::Tool {
            theirs: Shown::line(found.tool.get(..64).unwrap_or(&found.tool)),
            ours: TOOL,
        });
    }
    serde_json::from_slice(line).map_err(|_| GatheredError::Line { line: 1 })
}

/// Returns the first reading, and the questions and answers of the second one.
fn answers(lines: &[u8], count: usize) -> Result<(Reading, BTreeMap<String, String>), GatheredError> {
    let (first, mut second) = (Reading::default(), BTreeMap::new());
    let mut found = 0;
    let mut lines = lines.split(|byte| *byte == b'\n').enumerate();
    while let Some((at, line)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let bad = || GatheredError::Line { line: at + 2 };
        let Question { reading, ask } = serde_json::from_slice(line).map_err(|_| bad())?;
        let answer = lines.next().map_or(&b""[..], |(_, answer)| answer);
        let answer = std::str::from_utf8(answer).map_err(|_| bad())?.to_owned();
        match reading {
            1 => drop(first.keep(ask, answer)),
            READINGS => drop(second.insert(ask, answer)),
            _ => return Err(bad()),
        }
        found += 1;
    }
    if found == count {
        Ok((first, second))
    } else {
        Err(GatheredError::Altered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> HelloReply {
        HelloReply {
            protocol: 1,
            tool: TOOL.to_owned(),
            platform: "linux/amd64".to_owned(),
            hostname: "node-0".to_owned(),
            uid: 0,
            boot: None,
            kernel: "6.1".to_owned(),
            system: None,
        }
    }

    fn file(answer: &str) -> Vec<u8> {
        let header = Header::new(hello(), Vec::new(), "root".to_owned(), Timestamp::UNIX_EPOCH);
        let first = Arc::new(Reading::default());
        first.keep("q".to_owned(), answer.to_owned());
        let second = Reading::after(Arc::clone(&first));
        second.keep("r".to_owned(), "{\"Ok\":2}".to_owned());
        written(&header, &[first, Arc::new(second)], Timestamp::UNIX_EPOCH)
    }

    fn refused(bytes: &[u8]) -> String {
        Gathered::of(bytes).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_file_says_what_was_written_and_the_second_reading_falls_back_to_the_first() {
        let gathered = Gathered::of(&file("{\"Ok\":1}")).unwrap();
        let [first, second] = &gathered.readings;
        assert_eq!(first.get("q").as_deref(), Some("{\"Ok\":1}"));
        assert_eq!(first.get("r"), None);
        assert_eq!(second.get("q").as_deref(), Some("{\"Ok\":1}"));
        assert_eq!(second.get("r").as_deref(), Some("{\"Ok\":2}"));
        assert_eq!(gathered.header.host.hostname, "node-0");
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_found() {
        let bytes = file("{\"Ok\":[\"some text\",1]}");
        for length in 0..bytes.len() {
            assert!(Gathered::of(&bytes[..length]).is_err(), "cut to {length}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                assert!(Gathered::of(&other).is_err(), "byte {at}, bit {bit}");
            }
        }
        let mut longer = bytes.clone();
        longer.extend(b"{}\n");
        assert!(Gathered::of(&longer).is_err());
    }

    #[test]
    fn a_file_of_something_else_or_of_another_version_says_so() {
        assert!(refused(b"{}\n").contains("not written by"));
        assert!(refused(b"\x7fELF").contains("not written by"));
        let text = String::from_utf8(file("{\"Ok\":1}")).unwrap();
        let other = text.replacen("\"version\":1", "\"version\":2", 1);
        assert!(refused(other.as_bytes()).contains("version 2"));
        let other = text.replacen(&format!("\"tool\":\"{TOOL}\""), "\"tool\":\"verifier 99\"", 1);
        assert!(
            refused(other.as_bytes()).contains("verifier 99"),
            "{}",
            refused(other.as_bytes())
        );
    }

    #[test]
    fn what_is_written_holds_no_secret() {
        let answer = r#"{"Ok":["--token=Hunter2xK9","password=Hunter2xK9",{"a":"Authorization: Bearer Hunter2xK9Hunter2xK9"}]}"#;
        let text = String::from_utf8(file(answer)).unwrap();
        assert!(!text.contains("Hunter2"), "{text}");
    }
}
