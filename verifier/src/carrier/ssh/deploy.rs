//! Brings the agent to a host and starts it, so that nothing stays there whatever happens.
//!
//! Three sessions, at most two at once. A guard makes the directory and removes it when its stdin ends, that is when
//! we end or the connection does; the second writes the program; the third is the agent, which unlinks its file and
//! the directory before it says a word.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bundle::Platform;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::exec::{End, Running, State, exec};
use super::session::Session;
use super::shell::{self, Said};
use super::{ConnectError, Escalation, Limit, Programs, Secret, Target};
use crate::carrier::{Agent, OpenError};
use crate::host::PROGRAM;

/// What one message of an upload holds.
const CHUNK: usize = 256 * 1024;

/// How long to wait, in milliseconds, before each further try to open a session.
const PATIENCE: [u64; 5] = [10, 30, 100, 300, 600];
/// How much a login shell may say before we stop listening.
const NOISE: u64 = 64 * 1024;

/// A directory on the host, for as long as its guard's stdin is open.
struct Guard {
    running: Running,
    system: String,
    /// Directories that let no program run.
    barred: Vec<String>,
    place: Option<(usize, String)>,
}

/// How a start failed.
enum Start {
    /// This directory will not do; another may.
    Barred(String),
    /// None will.
    Failed(ConnectError),
}

impl From<ConnectError> for Start {
    fn from(error: ConnectError) -> Self {
        Self::Failed(error)
    }
}

/// Brings the agent into the first directory that lets it run, and starts it.
pub(super) async fn start(
    session: Session,
    target: &Target,
    programs: &Programs,
    limit: &Limit,
) -> Result<Agent, ConnectError> {
    let host = Host {
        session: Arc::new(session),
        target,
        limit,
    };
    let mut skip = 0;
    let mut tried = Vec::new();
    loop {
        let mut guard = host.guard(skip).await?;
        let program = program(&guard.system, target, programs)?;
        tried.append(&mut guard.barred);
        let Some((number, directory)) = guard.place else {
            let sha256 = sha256(&program).await?;
            return Err(ConnectError::NoExecDir {
                host: target.to_string(),
                tried,
                sha256,
            });
        };
        let started = match host.upload(&program, &directory).await {
            Ok(()) => host.run(&directory).await,
            Err(failure) => Err(failure),
        };
        // Its directory is gone already, or goes now. Should this not arrive, the end of the connection will.
        let _ = guard.running.input.eof().await;
        match started {
            Ok(agent) => return Ok(agent),
            Err(Start::Failed(error)) => return Err(error),
            Err(Start::Barred(why)) => tried.push(format!("{directory}: {why}")),
        }
        skip = number;
    }
}

/// A logged-in host.
struct Host<'a> {
    session: Arc<Session>,
    target: &'a Target,
    limit: &'a Limit,
}

impl Host<'_> {
    /// Starts a command. Sshd frees a session some moments after it said that it ended, so a refusal is asked again.
    async fn exec(&self, command: String) -> Result<Running, ConnectError> {
        let mut patience = PATIENCE.into_iter();
        loop {
            let started = self
                .limit
                .step("a session", exec(&self.session.handle, command.clone()))
                .await?;
            match (started, patience.next()) {
                (Ok(running), _) => return Ok(running),
                (Err(russh::Error::ChannelOpenFailure(_)), Some(millis)) => {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                }
                (Err(error @ russh::Error::ChannelOpenFailure(_)), None) => {
                    return Err(ConnectError::Sessions {
                        host: self.target.to_string(),
                        source: error.into(),
                    });
                }
                (Err(error), _) => return Err(ConnectError::broken(self.target, error)),
            }
        }
    }

    /// Makes a directory, leaving out the first `skip` of those that are tried.
    async fn guard(&self, skip: usize) -> Result<Guard, ConnectError> {
        let token = token();
        let mut running = self.exec(shell::guard(&token, skip)).await?;
        let mut lines = BufReader::new(running.reader().take(NOISE)).lines();
        let mut guard = Guard {
            running,
            system: String::new(),
            barred: Vec::new(),
            place: None,
        };
        // What else it prints is noise, unless nothing else comes: then it says why.
        let mut noise = String::new();
        while let Ok(Some(line)) = self.limit.step("the host's shell", lines.next_line()).await? {
            match shell::said(&token, &line) {
                Some(Said::System(system)) => guard.system = system,
                Some(Said::Barred(directory)) => guard
                    .barred
                    .push(format!("{directory}: no program may run there")),
                Some(Said::Place(number, directory)) => {
                    guard.place = Some((number, directory));
                    return Ok(guard);
                }
                Some(Said::End) => return Ok(guard),
                None if noise.len() < 1024 => noise = format!("{noise} {line}"),
                None => {}
            }
        }
        let (end, errors) = self.limit.step("the host's shell", guard.running.ended()).await?;
        Err(ConnectError::NotStarted {
            host: self.target.to_string(),
            end: end.to_string(),
            text: format!("{} {errors}", noise.trim()).trim().to_owned(),
        })
    }

    /// Writes the program into the directory.
    async fn upload(&self, program: &Path, directory: &str) -> Result<(), Start> {
        let mut running = self.exec(shell::upload(directory)).await?;
        let mut state = running.state.clone();
        let sending = send(program, &running);
        // A full disk ends the command before everything is sent.
        let over = state.wait_for(|state| state.end.is_some());
        let sent = async {
            tokio::select! {
                sent = sending => sent,
                _ = over => Ok(()),
            }
        };
        match self.limit.step("the upload", sent).await? {
            Ok(()) => {}
            Err(Upload::Read(source)) => {
                return Err(Start::Failed(ConnectError::Program {
                    path: program.to_owned(),
                    source,
                }));
            }
            Err(Upload::Send(error)) => return Err(Start::Failed(ConnectError::broken(self.target, error))),
        }
        match self.limit.step("the upload", running.ended()).await? {
            (End::Status(0), _) => Ok(()),
            (_, text) if !text.is_empty() => Err(Start::Barred(text)),
            (end, text) => Err(Start::Failed(ConnectError::NotStarted {
                host: self.target.to_string(),
                end: end.to_string(),
                text,
            })),
        }
    }

    /// Starts the program and greets it.
    async fn run(&self, directory: &str) -> Result<Agent, Start> {
        let (command, password) = match &self.target.escalation {
            Escalation::None => (shell::start(directory), None),
            Escalation::Sudo(password) => (
                shell::start_with_sudo(directory, password.is_some()),
                password.as_ref(),
            ),
        };
        let mut running = self.exec(command).await?;
        let reader = running.reader();
        let writer = Box::pin(running.input.make_writer());
        let opened = tokio::select! {
            opened = Agent::open(reader, writer, Arc::clone(&self.session), self.limit.rest()) => opened,
            () = answer_sudo(&running, password) => {
                return Err(Start::Failed(ConnectError::SudoPasswordWrong {
                    host: self.target.to_string(),
                    user: self.target.user.clone(),
                }));
            }
        };
        match opened {
            Ok(agent) => Ok(agent),
            Err(error) => {
                // How the command ended says more than that it did; it may also just hang.
                let _ = tokio::time::timeout(Duration::from_secs(2), running.ended()).await;
                let state = running.state.borrow().clone();
                Err(diagnose(self.target, directory, error, &state))
            }
        }
    }
}

/// Returns text for a directory's name that nobody can foresee; mkdir refuses it if somebody did.
fn token() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

fn program(uname: &str, target: &Target, programs: &Programs) -> Result<PathBuf, ConnectError> {
    let unknown = || ConnectError::PlatformUnknown {
        host: target.to_string(),
        uname: uname.to_owned(),
    };
    let platform = platform(uname).ok_or_else(unknown)?;
    let missing = || ConnectError::NoProgram {
        host: target.to_string(),
        platform: platform.to_string(),
    };
    programs(&platform).ok_or_else(missing)
}

/// Reads `uname -sm`.
fn platform(uname: &str) -> Option<Platform> {
    let platform = match uname.strip_prefix("Linux ")? {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        "armv7l" => "linux/arm/v7",
        "i686" | "i586" | "i386" => "linux/386",
        "ppc64le" => "linux/ppc64le",
        "s390x" => "linux/s390x",
        "riscv64" => "linux/riscv64",
        _ => return None,
    };
    platform.parse().ok()
}

async fn sha256(program: &Path) -> Result<String, ConnectError> {
    let fail = |source| ConnectError::Program {
        path: program.to_owned(),
        source,
    };
    let mut file = File::open(program).await.map_err(fail)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).await.map_err(fail)?;
        if read == 0 {
            let hex = hash
                .finalize()
                .iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            return Ok(hex);
        }
        hash.update(&chunk[..read]);
    }
}

/// Which side of an upload failed.
enum Upload {
    Read(io::Error),
    Send(russh::Error),
}

async fn send(program: &Path, running: &Running) -> Result<(), Upload> {
    let mut file = File::open(program).await.map_err(Upload::Read)?;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        (&mut file)
            .take(CHUNK as u64)
            .read_to_end(&mut chunk)
            .await
            .map_err(Upload::Read)?;
        if chunk.is_empty() {
            return running.input.eof().await.map_err(Upload::Send);
        }
        running.input.data_bytes(chunk).await.map_err(Upload::Send)?;
    }
}

/// Gives sudo the password when it asks, and ends when it asks again: then the password is wrong. It is not sent
/// unasked, so it cannot end up anywhere else.
async fn answer_sudo(running: &Running, password: Option<&Secret>) {
    let mut state = running.state.clone();
    for answered in 0..=1 {
        let asks = |state: &State| state.errors.matches(shell::PROMPT).count() > answered;
        if state.wait_for(asks).await.is_err() || state.borrow().end.is_some() {
            break;
        }
        match password {
            Some(password) if answered == 0 => {
                let _ = running.input.data_bytes(format!("{}\n", password.reveal())).await;
            }
            _ => return,
        }
    }
    // The command ended: its end is told by whoever reads its stdout.
    std::future::pending::<()>().await;
}

/// Says why no agent came, from how its command ended.
fn diagnose(target: &Target, directory: &str, error: OpenError, state: &State) -> Start {
    let host = target.to_string();
    let user = target.user.clone();
    let noise = match error {
        OpenError::Silent { noise } => noise,
        OpenError::Version { theirs, ours } => {
            return Start::Failed(ConnectError::VersionMismatch { host, theirs, ours });
        }
        OpenError::Late { .. } | OpenError::Broken(_) => String::new(),
        source @ OpenError::Hello(_) => return Start::Failed(ConnectError::Agent { host, source }),
    };
    let errors = state.errors.replace(shell::PROMPT, "");
    let text = [errors.trim(), noise.as_str()].join(" ").trim().to_owned();
    let end = state.end.clone();
    let has = |part: &str| text.contains(part);
    let failure = match (&target.escalation, &end) {
        (Escalation::None, Some(End::Status(126 | 127))) => return Start::Barred(text),
        (Escalation::Sudo(_), Some(End::Status(127))) if has("sudo") && !has(directory) => {
            ConnectError::SudoMissing { host }
        }
        // Sudo found the program and the kernel, or root without rights on a network file system, did not take it.
        (Escalation::Sudo(_), Some(End::Status(_))) if has(&format!("{directory}/{PROGRAM}: ")) => {
            return Start::Barred(text);
        }
        (Escalation::Sudo(_), Some(End::Status(_))) if has("a password is required") => {
            ConnectError::SudoPasswordNeeded { host, user }
        }
        (Escalation::Sudo(_), Some(End::Status(_))) if has("incorrect password") => {
            ConnectError::SudoPasswordWrong { host, user }
        }
        (Escalation::Sudo(_), Some(End::Status(_))) if has("tty") => ConnectError::SudoTerminal { host },
        (Escalation::Sudo(_), Some(End::Status(1))) => ConnectError::SudoRefused { host, user, text },
        (_, None) => ConnectError::NotStarted {
            host,
            end: "it neither answers nor ends".to_owned(),
            text,
        },
        (_, Some(end)) => ConnectError::NotStarted {
            host,
            end: end.to_string(),
            text,
        },
    };
    Start::Failed(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uname_names_the_platform() {
        assert_eq!(platform("Linux x86_64").unwrap().to_string(), "linux/amd64");
        assert_eq!(platform("Linux aarch64").unwrap().to_string(), "linux/arm64");
        assert_eq!(platform("Darwin arm64"), None);
    }
}
