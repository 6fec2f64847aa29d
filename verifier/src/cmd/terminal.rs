//! A question on the terminal whose answer is not shown.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

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

/// Asks for a secret on the terminal; an error where there is none.
pub(super) fn ask(question: &str) -> io::Result<String> {
    let tty = File::options().read(true).write(true).open("/dev/tty")?;
    write!(&tty, "{question}: ")?;
    let silent = Silent::new(&tty)?;
    let mut answer = String::new();
    BufReader::new(&tty).read_line(&mut answer)?;
    drop(silent);
    writeln!(&tty)?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}
