//! `verifier site hostkeys`: the keys of all hosts and of the bastions before them, and pinning them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle::UserFile;
use clap::Args;
use cli::{Failure, Form, Kind, Progress, ResultExt as _, Shown};
use comfy_table::Table;
use futures::StreamExt as _;
use serde::Serialize;

use super::{connect, lang};
use crate::carrier::ssh::{
    self, Bastions, ConnectError, Expected, ExpectedError, HostKey, KeyState, Match, Route, Target,
};
use crate::findings::{Phrase, catalogue, phrase};

/// How long a host may take to show its key.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many hosts are asked at once: fewer than what an sshd lets start at once by default (MaxStartups 10:30:100).
const AT_ONCE: usize = 8;

/// What --expect names; `<(ssh-keyscan node-0)` is one too.
const EXPECTED: UserFile = UserFile::new("a list of keys", 4 << 20).or_pipe();

#[derive(Debug, Args)]
pub(super) struct HostkeysArgs {
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// Pin the keys that are new: those that you agree to on the terminal, or those of --expect
    #[arg(long)]
    accept: bool,
    /// The keys that the hosts have: lines of known_hosts or ssh-keyscan, or what `ssh-keygen -lf` prints on each host
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Print the keys as JSON
    #[arg(long)]
    json: bool,
}

/// Why no keys are pinned.
#[derive(Debug, thiserror::Error)]
enum HostkeysError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot use {}", path.display())]
    Expect { path: PathBuf, source: ExpectedError },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("there is no terminal to ask at whether the keys are the right ones")]
    NoTerminal { source: io::Error },
}

/// Who says that a key is the right one.
enum Judge {
    /// Nobody: the keys are shown.
    Nobody,
    /// The person at the terminal.
    Person(File),
    /// A file.
    File { expected: Box<Expected>, accept: bool },
}

/// A host's key, or why there is none.
#[derive(Serialize)]
struct KeyLine {
    host: Shown,
    algorithm: Option<Shown>,
    fingerprint: Option<Shown>,
    state: State,
    /// The line of known_hosts that has another key, or revokes this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Shown>,
}

/// What known_hosts, and who was asked, say of a key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Known,
    New,
    Pinned,
    /// Not agreed to.
    Declined,
    /// Not the one of the file.
    Unexpected,
    /// Of the file, but of two hosts.
    Shared,
    Changed,
    Revoked,
    Unreached,
}

pub(super) async fn hostkeys(args: HostkeysArgs) -> Result<u8, Failure> {
    let site = connect::read_site(&args.site)?;
    let targets = connect::targets_without_secrets(&site);
    let mut judge = Judge::new(&args)?;
    let bastions = Bastions::default();
    let mut shown = Vec::new();
    // The way to a host must be trusted before the host can be asked: the outermost bastions come first.
    for round in rounds(&targets) {
        let asks = round
            .iter()
            .map(|target| ssh::host_key(target, PATIENCE, &bastions));
        let keys: Vec<Result<HostKey, ConnectError>> =
            futures::stream::iter(asks).buffered(AT_ONCE).collect().await;
        let states = judge.states(&keys)?;
        for ((target, key), state) in round.iter().zip(&keys).zip(states) {
            if let (State::Pinned, Ok(key)) = (state, key) {
                pin(&target.known_hosts, key)?;
            }
            shown.push(show(target, key, state));
        }
    }
    write(&shown, Form::from_flag(args.json));
    let count = |state: State| shown.iter().filter(|key| key.state == state).count();
    let pinned = count(State::Pinned);
    if pinned > 0 {
        let pinned = phrase::KeysPinned { keys: &pinned };
        Progress::stderr(false).say(&catalogue::say(pinned, lang::ambient()));
    }
    let good = |key: &KeyLine| matches!(key.state, State::Known | State::New | State::Pinned);
    Ok(if shown.iter().all(good) {
        cli::exit::PASS
    } else {
        cli::exit::ERROR
    })
}

/// Returns who is asked in which order: bastions before what lies behind them, each once, then the hosts.
fn rounds(targets: &[Target]) -> Vec<Vec<&Target>> {
    let mut rounds: Vec<Vec<&Target>> = Vec::new();
    let mut seen = BTreeSet::new();
    for target in targets {
        let mut chain = Vec::new();
        let mut at = target;
        while let Route::Bastion(outer) = &at.route {
            chain.push(&**outer);
            at = outer;
        }
        for (depth, bastion) in chain.into_iter().rev().enumerate() {
            if rounds.len() == depth {
                rounds.push(Vec::new());
            }
            if seen.insert((depth, bastion.address.clone(), bastion.port)) {
                rounds[depth].push(bastion);
            }
        }
    }
    rounds.push(targets.iter().collect());
    rounds
}

impl Judge {
    fn new(args: &HostkeysArgs) -> Result<Self, Failure> {
        if let Some(path) = &args.expect {
            let text = EXPECTED
                .read_text(path)
                .map_err(|source| HostkeysError::Read {
                    path: path.clone(),
                    source,
                })
                .kind(Kind::Error)
                .map_err(|failure| failure.hint("what `ssh-keyscan HOST` prints, or `ssh-keygen -lf FILE` on each host, is such a list"))?;
            let expected = Expected::parse(&text)
                .map_err(|source| HostkeysError::Expect {
                    path: path.clone(),
                    source,
                })
                .kind(Kind::Usage)?;
            let expected = Box::new(expected);
            let accept = args.accept;
            return Ok(Self::File { expected, accept });
        }
        if !args.accept {
            return Ok(Self::Nobody);
        }
        let terminal = File::options().read(true).write(true).open("/dev/tty");
        terminal
            .map(Self::Person)
            .map_err(|source| HostkeysError::NoTerminal { source })
            .kind(Kind::Usage)
            .map_err(|failure| {
                failure.hint("give the right keys: --accept --expect FILE, with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on each host")
            })
    }

    /// Returns what is to become of each key.
    fn states(&mut self, keys: &[Result<HostKey, ConnectError>]) -> Result<Vec<State>, Failure> {
        let new: Vec<&HostKey> = keys
            .iter()
            .flatten()
            .filter(|key| key.state == KeyState::New)
            .collect();
        let mut of_new = match self {
            _ if new.is_empty() => Vec::new(),
            Self::Nobody => vec![State::New; new.len()],
            Self::Person(terminal) => {
                let yes = agrees(terminal, &new)
                    .map_err(|source| HostkeysError::NoTerminal { source })
                    .kind(Kind::Error)?;
                vec![if yes { State::Pinned } else { State::Declined }; new.len()]
            }
            Self::File { expected, accept } => {
                let of_match = |found| match found {
                    Match::Yes if *accept => State::Pinned,
                    Match::Yes => State::New,
                    Match::No => State::Unexpected,
                    Match::Shared => State::Shared,
                };
                expected.judge(&new).into_iter().map(of_match).collect()
            }
        }
        .into_iter();
        let state = |key: &Result<HostKey, ConnectError>| match key {
            Err(_) => State::Unreached,
            Ok(key) => match key.state {
                KeyState::Known => State::Known,
                KeyState::Changed(_) => State::Changed,
                KeyState::Revoked(_) => State::Revoked,
                KeyState::New => of_new.next().unwrap_or(State::New),
            },
        };
        Ok(keys.iter().map(state).collect())
    }
}

/// Shows the keys at the terminal and asks whether they are the right ones.
fn agrees(terminal: &File, keys: &[&HostKey]) -> io::Result<bool> {
    let mut table = table(&["HOST", "ALGORITHM", "FINGERPRINT"]);
    for key in keys {
        let cells = [&key.host, &key.algorithm, &key.fingerprint];
        table.add_row(cells.map(|cell| Shown::new(cell).to_string()));
    }
    let question = phrase::KeysQuestion { keys: &keys.len() };
    let mut terminal = terminal;
    write!(
        terminal,
        "{}\n\n{} ",
        table.trim_fmt(),
        catalogue::say(question, lang::ambient())
    )?;
    terminal.flush()?;
    let mut answer = String::new();
    BufReader::new(io::Read::take(terminal, 1024)).read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}

fn pin(known_hosts: &Path, key: &HostKey) -> Result<(), Failure> {
    ssh::accept(known_hosts, std::slice::from_ref(key))
        .map_err(|source| HostkeysError::Write {
            path: known_hosts.to_owned(),
            source,
        })
        .kind(Kind::Error)?;
    Ok(())
}

fn show(target: &Target, key: &Result<HostKey, ConnectError>, state: State) -> KeyLine {
    let known = key.as_ref().ok();
    let line = known.and_then(|key| match key.state {
        KeyState::Changed(line) | KeyState::Revoked(line) => Some(line),
        KeyState::Known | KeyState::New => None,
    });
    KeyLine {
        host: Shown::new(&target.name),
        algorithm: known.map(|key| Shown::new(&key.algorithm)),
        fingerprint: known.map(|key| Shown::new(&key.fingerprint)),
        state,
        line,
        error: key.as_ref().err().map(|error| Shown::new(&cli::chain(error))),
    }
}

impl KeyLine {
    /// Returns the state in words.
    fn words(&self) -> String {
        let line = self.line.unwrap_or_default();
        let phrase: Phrase = match self.state {
            State::Known => phrase::KeyKnown.into(),
            State::New => phrase::KeyNew.into(),
            State::Pinned => phrase::KeyPinned.into(),
            State::Declined => phrase::KeyDeclined.into(),
            State::Unexpected => phrase::KeyUnexpected.into(),
            State::Shared => phrase::KeyShared.into(),
            State::Changed => phrase::KeyChanged { line: &line }.into(),
            State::Revoked => phrase::KeyRevoked { line: &line }.into(),
            State::Unreached => return self.error.clone().unwrap_or_default().into(),
        };
        catalogue::say(phrase, lang::ambient())
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    table
}

fn write(shown: &[KeyLine], form: Form) {
    if form == Form::Json {
        return cli::tell_json(
            &mut io::stdout(),
            &serde_json::json!({"version": 1, "hosts": shown}),
        );
    }
    let mut table = table(&["HOST", "ALGORITHM", "FINGERPRINT", "STATE"]);
    for key in shown {
        let text = |text: &Option<Shown>| text.clone().map(String::from).unwrap_or_default();
        table.add_row([
            key.host.to_string(),
            text(&key.algorithm),
            text(&key.fingerprint),
            key.words(),
        ]);
    }
    cli::tell_text(&mut io::stdout(), &format!("{}\n", table.trim_fmt()));
}
