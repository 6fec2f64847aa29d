//! A program on a terminal of its own, for tests of what it asks a person.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

pub use rustix::process::Signal;

const SOON: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(20);

/// A program on a terminal of its own; it ends with this.
pub struct Terminal {
    ours: File,
    theirs: File,
    child: Child,
}

impl Terminal {
    /// Starts a program in a directory, which is its home too. It has no SSH agent.
    ///
    /// # Panics
    ///
    /// When there is no terminal to be had, or the program cannot be started.
    pub fn start(program: impl AsRef<OsStr>, arguments: &[&str], directory: &Path) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).expect("a terminal of ours");
        unlockpt(&ours).expect("a terminal that can be opened");
        let name = ptsname(&ours, Vec::new()).expect("the terminal's name");
        let theirs = File::options()
            .read(true)
            .write(true)
            .open(OsStr::from_bytes(name.to_bytes()))
            .expect("the terminal's other end");
        let end = || theirs.try_clone().expect("the terminal's other end");
        // Under nohup SIGHUP is ignored, and what is started inherits that.
        let child = Command::new("env")
            .args(["--default-signal=HUP", "setsid", "--ctty"])
            .arg(program)
            .args(arguments)
            .current_dir(directory)
            .env_remove("SSH_AUTH_SOCK")
            .env("LC_ALL", "C")
            .env("HOME", directory)
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("start the program");
        Self {
            ours: File::from(ours),
            theirs,
            child,
        }
    }

    /// Returns whether what is typed is shown.
    ///
    /// # Panics
    ///
    /// When the terminal cannot be asked.
    pub fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.theirs).expect("the terminal's modes").local_modes;
        modes.contains(LocalModes::ECHO)
    }

    /// Waits for a question, and until its answer would not be seen.
    ///
    /// # Panics
    ///
    /// When it does not come within 30 s.
    pub fn asked(&mut self, question: &str) {
        let mut said = String::new();
        let end = Instant::now() + SOON;
        while !said.contains(question) || self.echoes() {
            assert!(Instant::now() < end, "no question: {said}");
            let tick = Timespec::try_from(TICK).expect("a short time");
            let mut polled = [PollFd::new(&self.ours, PollFlags::IN)];
            if poll(&mut polled, Some(&tick)).expect("wait for the program") > 0 {
                let mut bytes = [0; 4096];
                let read = self.ours.read(&mut bytes).expect("what the program says");
                said += &String::from_utf8_lossy(&bytes[..read]);
            }
        }
    }

    /// Types.
    ///
    /// # Panics
    ///
    /// When the terminal is gone.
    pub fn types(&mut self, keys: &[u8]) {
        self.ours.write_all(keys).expect("type");
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    ///
    /// When there is no such process any more.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process"), signal).expect("send a signal");
    }

    /// Waits for the end, and returns the exit code; none where a signal ended it.
    ///
    /// # Panics
    ///
    /// When it does not end within 30 s.
    pub fn ended(&mut self) -> Option<i32> {
        let end = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().expect("look after the program") {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end");
            thread::sleep(TICK);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
