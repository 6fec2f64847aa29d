//! Brings the agent to a host and starts it, so that nothing stays there whatever happens.
//!
//! Three sessions, at most two at once. A guard makes the directory and removes it when its stdin ends, that is when
//! we end or the connection does; the second writes the program; the third is the agent, which unlinks its file and
//! the directory before it says a word.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bundle::Platform;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use ring::rand::{SecureRandom as _, SystemRandom};

use super::diagnosis::{Ended, Start, diagnose, unanswered};
use super::exec::{End, Running, exec};
use super::logged_in::Session;
use super::shell::{self, Said};
use super::sudo::{self, Prompt};
use super::{ConnectError, Escalation, Limit, Programs, Target};
use crate::carrier::{Agent, Placed};

/// What one message of an upload holds.
const CHUNK: usize = 256 * 1024;

/// How long a message of an upload may take. What counts is that it goes on, not how long the whole takes: 16 hosts at
/// once behind a line of 1 Mbit/s get a message through every 34 s.
const STALLED: Duration = Duration::from_mins(1);
/// How long what is on its way may take after the last message: sshd's window of 2 MiB at that rate.
const REST: Duration = Duration::from_mins(8);

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

/// Brings the agent into the first directory that lets it run, and starts it.
pub(super) async fn start(
    session: Session,
    target: &Target,
    programs: &Programs,
    limit: Limit,
) -> Result<Agent, ConnectError> {
    let mut host = Host {
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
            Ok(()) => {
                host.limit = host.limit.renewed();
                host.run(&directory).await
            }
            Err(failure) => Err(failure),
        };
        // Its directory is gone already, or goes now. Should this not arrive, the end of the connection will.
        let _ = guard.running.input.eof().await;
        match started {
            Ok(agent) => {
                let bytes = tokio::fs::metadata(&program).await.map_or(0, |file| file.len());
                return Ok(agent.placed(Placed { directory, bytes }));
            }
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
    limit: Limit,
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
        let token = token()?;
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
        // What nobody reads is thrown away. Kept waiting, it would hold up all hosts behind the same bastion.
        drop(lines);
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
        drop(running.reader());
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
        let late = || ConnectError::Timeout {
            host: self.target.to_string(),
            what: "the upload",
        };
        match sent.await {
            Ok(()) => {}
            Err(Upload::Stalled) => return Err(Start::Failed(late())),
            Err(Upload::Read(source)) => {
                return Err(Start::Failed(ConnectError::Program {
                    path: program.to_owned(),
                    source,
                }));
            }
            Err(Upload::Send(error)) => return Err(Start::Failed(ConnectError::broken(self.target, error))),
        }
        let ended = tokio::time::timeout(REST, running.ended());
        match ended.await.map_err(|_| late())? {
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
        let prompt = Prompt::new(&token()?);
        let (command, password) = match &self.target.escalation {
            Escalation::None => (shell::start(directory), None),
            Escalation::Sudo(password) => (
                shell::start_with_sudo(directory, password.as_ref().map(|_| prompt.text())),
                password.as_ref(),
            ),
        };
        let mut running = self.exec(command).await?;
        let reader = running.reader();
        let writer = Box::pin(running.input.make_writer());
        let opened = tokio::select! {
            opened = Agent::open(reader, writer, Arc::clone(&self.session), self.limit.rest()) => opened,
            asked = sudo::answer(&running, &prompt, password) => {
                let state = running.state.borrow().clone();
                return Err(Start::Failed(unanswered(self.target, asked, &state)));
            }
        };
        match opened {
            Ok(agent) => Ok(agent),
            Err(error) => {
                // How the command ended says more than that it did; it may also just hang.
                let _ = tokio::time::timeout(Duration::from_secs(2), running.ended()).await;
                let state = running.state.borrow().clone();
                let ended = Ended {
                    sudo: prompt.verdict(&state.errors),
                    text: prompt.without(&state.errors),
                    end: state.end,
                };
                Err(diagnose(self.target, directory, error, ended))
            }
        }
    }
}

/// Returns text that nobody can foresee, for a directory's name and for a prompt.
fn token() -> Result<String, ConnectError> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ConnectError::NoChance)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
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
    Stalled,
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
        let sent = tokio::time::timeout(STALLED, running.input.data_bytes(chunk)).await;
        sent.map_err(|_| Upload::Stalled)?.map_err(Upload::Send)?;
    }
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
