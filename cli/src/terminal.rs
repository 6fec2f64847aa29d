//! A question on the terminal whose answer is not shown.

use std::fs::File;
use std::io::{self, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrets::{Secret, Wiped};

/// A line of a terminal is no longer (n_tty).
const LINE: usize = 4096;
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: [u8; 2] = [0x08, 0x7f];
const KILL: u8 = 0x15;

/// The terminal without echo, for as long as this lives. It gives each key as it is typed, Ctrl-C too: nothing that is
/// typed ends the process while the echo is off.
struct Silent<'a> {
    tty: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(tty: &'a File) -> io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
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

/// Asks for a secret on the terminal; none where the answer is Ctrl-C, an error where there is no terminal.
pub(crate) fn ask(question: &str) -> io::Result<Option<Secret>> {
    let tty = File::options().read(true).write(true).open("/dev/tty")?;
    write!(&tty, "{question}: ")?;
    let silent = Silent::new(&tty)?;
    let answer = line(&tty);
    drop(silent);
    writeln!(&tty)?;
    answer
}

/// Reads what is typed up to the end of the line.
fn line(mut tty: impl io::Read) -> io::Result<Option<Secret>> {
    let mut line = Wiped::new([0_u8; LINE]);
    let mut length = 0;
    loop {
        let mut key = [0];
        match tty.read(&mut key) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match key[0] {
            b'\n' | b'\r' | END => break,
            INTERRUPT => return Ok(None),
            KILL => length = 0,
            key if BACKSPACE.contains(&key) => length -= usize::from(length > 0),
            key if length < LINE => {
                line[length] = key;
                length += 1;
            }
            _ => {}
        }
    }
    let text = std::str::from_utf8(&line[..length]);
    let text = text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(Some(Secret::new(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_is_left_of_the_keys() {
        for (typed, answer) in [
            ("hunter2\nrest", Some("hunter2")),
            ("hunter2\r", Some("hunter2")),
            ("hunter2", Some("hunter2")),
            ("x\x7f\x7fhunter3\x082\n", Some("hunter2")),
            ("wrong\x15hunter2\x04", Some("hunter2")),
            ("hun\x03ter2\n", None),
            ("\n", Some("")),
        ] {
            let read = line(typed.as_bytes()).unwrap();
            assert_eq!(read.as_ref().map(Secret::reveal), answer, "{typed:?}");
        }
        assert!(line(&b"\xff\n"[..]).is_err());
        assert_eq!(line(&[b'x'; 9000][..]).unwrap().unwrap().reveal().len(), LINE);
    }
}
