//! A question on the terminal whose answer is not shown. It does not block, so that whoever asks can look at signals too.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::fs::OFlags;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrets::{Secret, Wiped};

/// A line of a terminal is no longer (n_tty).
const LINE: usize = 4096;
/// How often is looked whether something was typed.
const TICK: Duration = Duration::from_millis(20);
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: [u8; 2] = [0x08, 0x7f];
const KILL: u8 = 0x15;

/// A question that stands on the terminal, without echo for as long as this lives. It gets each key as it is typed, Ctrl-C,
/// Ctrl-\ and Ctrl-Z too: nothing that is typed ends or stops the process while the echo is off.
pub struct Question {
    tty: File,
    before: Termios,
    line: Line,
}

/// What was typed until now.
#[derive(Debug)]
pub enum Typed {
    /// Not all of it.
    Part,
    /// The answer.
    Answer(Secret),
    /// Ctrl-C.
    Interrupt,
}

impl Question {
    /// Puts a question.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn put(question: &str) -> io::Result<Self> {
        let not_blocking = OFlags::NONBLOCK | OFlags::NOCTTY;
        let tty = File::options()
            .read(true)
            .write(true)
            .custom_flags(not_blocking.bits().cast_signed())
            .open("/dev/tty")?;
        write!(&tty, "{question}: ")?;
        let before = tcgetattr(&tty)?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(&tty, OptionalActions::Flush, &quiet)?;
        let line = Line::default();
        Ok(Self { tty, before, line })
    }

    /// Takes what was typed since the last time; does not wait.
    ///
    /// # Errors
    /// When the terminal is gone, or the answer is no text.
    pub fn typed(&mut self) -> io::Result<Typed> {
        self.line.take(&self.tty)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that is gone.
        let _ = tcsetattr(&self.tty, OptionalActions::Flush, &self.before);
        let _ = writeln!(&self.tty);
    }
}

/// Asks for a secret on the terminal, and waits; none where the answer is Ctrl-C or a signal that ends the process, an error
/// where there is no terminal.
pub(crate) fn ask(question: &str) -> io::Result<Option<Secret>> {
    let signals = Signals::hold()?;
    let mut question = Question::put(question)?;
    loop {
        match question.typed()? {
            Typed::Part if signals.came() => return Ok(None),
            Typed::Part => thread::sleep(TICK),
            Typed::Answer(answer) => return Ok(Some(answer)),
            Typed::Interrupt => return Ok(None),
        }
    }
}

/// The signals that would end the process, held back from this thread for as long as this lives: the echo must come back first.
struct Signals {
    held: SignalFd,
    before: SigSet,
}

impl Signals {
    fn hold() -> io::Result<Self> {
        let all: SigSet = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT]
            .into_iter()
            .collect();
        let held = SignalFd::with_flags(&all, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let before = all.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { held, before })
    }

    /// Returns whether one came; it is dealt with then.
    fn came(&self) -> bool {
        matches!(self.held.read_signal(), Ok(Some(_)))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // It was this thread's mask; it cannot be refused.
        let _ = self.before.thread_set_mask();
    }
}

/// What is left of the keys.
struct Line {
    bytes: Wiped<[u8; LINE]>,
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: Wiped::new([0; LINE]),
            length: 0,
        }
    }
}

impl Line {
    /// Takes keys up to the end of the line, as far as they are there.
    fn take(&mut self, mut tty: impl Read) -> io::Result<Typed> {
        loop {
            let mut key = [0];
            match tty.read(&mut key) {
                Ok(0) => return self.answer(),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Typed::Part),
                Err(error) => return Err(error),
            }
            match key[0] {
                b'\n' | b'\r' | END => return self.answer(),
                INTERRUPT => return Ok(Typed::Interrupt),
                KILL => self.length = 0,
                key if BACKSPACE.contains(&key) => self.length -= usize::from(self.length > 0),
                key if self.length < LINE => {
                    self.bytes[self.length] = key;
                    self.length += 1;
                }
                _ => {}
            }
        }
    }

    fn answer(&self) -> io::Result<Typed> {
        let text = std::str::from_utf8(&self.bytes[..self.length]);
        let text = text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
        Ok(Typed::Answer(Secret::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the answer; none for Ctrl-C.
    fn line(typed: &[u8]) -> io::Result<Option<Secret>> {
        match Line::default().take(typed)? {
            Typed::Answer(answer) => Ok(Some(answer)),
            Typed::Interrupt => Ok(None),
            Typed::Part => panic!("bytes do not block"),
        }
    }

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
        assert!(line(b"\xff\n").is_err());
        assert_eq!(line(&[b'x'; 9000]).unwrap().unwrap().reveal().len(), LINE);
    }

    /// Keys that come one by one.
    struct Slow(Vec<Option<u8>>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.remove(0) {
                Some(key) => {
                    buffer[0] = key;
                    Ok(1)
                }
                None => Err(io::ErrorKind::WouldBlock.into()),
            }
        }
    }

    #[test]
    fn what_was_typed_is_kept_until_the_rest_comes() {
        let mut keys = Slow(vec![Some(b'a'), None, None, Some(b'b'), Some(b'\n')]);
        let mut line = Line::default();
        for _ in 0..2 {
            assert!(matches!(line.take(&mut keys).unwrap(), Typed::Part));
        }
        assert!(matches!(line.take(&mut keys).unwrap(), Typed::Answer(answer) if answer.reveal() == "ab"));
    }
}
