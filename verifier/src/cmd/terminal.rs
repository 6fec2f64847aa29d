//! A question on the terminal whose answer is not shown.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use secrets::{Secret, Wiped};
use tokio_util::sync::CancellationToken;

/// A line of a terminal is no longer (n_tty).
const LINE: usize = 4096;
/// How often is looked whether it is there.
const TICK: Duration = Duration::from_millis(20);

/// The terminal with its echo off, for as long as this lives.
struct Silent<'a> {
    tty: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(tty: &'a File) -> io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        // Ctrl-\ would end the process, and Ctrl-Z stop it, without the echo: they are characters here.
        for key in [SpecialCodeIndex::VQUIT, SpecialCodeIndex::VSUSP] {
            quiet.special_codes[key] = 0;
        }
        tcsetattr(tty, OptionalActions::Flush, &quiet)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that is gone.
        let _ = tcsetattr(self.tty, OptionalActions::Flush, &self.before);
    }
}

/// Asks for a secret on the terminal; none where `stop` came before the answer, an error where there is no terminal. The
/// echo is back in any case.
pub(super) async fn ask(question: &str, stop: &CancellationToken) -> io::Result<Option<Secret>> {
    let not_blocking = OFlags::NONBLOCK | OFlags::NOCTTY;
    let tty = File::options()
        .read(true)
        .write(true)
        .custom_flags(not_blocking.bits().cast_signed())
        .open("/dev/tty")?;
    write!(&tty, "{question}: ")?;
    let silent = Silent::new(&tty)?;
    let answer = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        answer = line(&tty) => Some(answer?),
    };
    drop(silent);
    writeln!(&tty)?;
    Ok(answer)
}

/// Reads a line from a terminal that does not block.
async fn line(mut tty: &File) -> io::Result<Secret> {
    let mut line = Wiped::new([0; LINE]);
    let mut length = 0;
    loop {
        let read = match tty.read(&mut line[length..]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(TICK).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        length += read;
        let ended = read == 0 || length == LINE || line[..length].ends_with(b"\n");
        if ended {
            let text = std::str::from_utf8(&line[..length]);
            let text = text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
            return Ok(Secret::new(text.trim_end_matches(['\r', '\n'])));
        }
    }
}
