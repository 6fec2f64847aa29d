//! The password question on a real terminal: the echo is back, however it ends.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

const SITE: &str = "apiVersion: site/v1\nkubeconfig: kubeconfig\nssh: {user: alice, become: sudo}\nhosts:\n- {name: a, address: 127.0.0.1, roles: [worker], ssh: {port: 1}}\n";
const SMOKE: [&str; 5] = ["smoke", "--site", "site.yaml", "--only", "hosts.reach"];
const SOON: Duration = Duration::from_secs(30);

/// A program on a terminal of its own.
struct Terminal {
    ours: File,
    theirs: File,
    child: Child,
}

impl Terminal {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        fs::write(directory.join("site.yaml"), SITE).unwrap();
        fs::write(directory.join("kubeconfig"), "").unwrap();
        let ours = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options()
            .read(true)
            .write(true)
            .open(std::ffi::OsStr::from_bytes(name.to_bytes()))
            .unwrap();
        // Under nohup SIGHUP is ignored, and what is started inherits that.
        let child = Command::new("env")
            .args(["--default-signal=HUP", "setsid", "--ctty"])
            .arg(env!("CARGO_BIN_EXE_verifier"))
            .args(arguments)
            .current_dir(directory)
            .env_remove("SSH_AUTH_SOCK")
            .env("LC_ALL", "C")
            .env("HOME", directory)
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs.try_clone().unwrap())
            .spawn()
            .unwrap();
        Self { ours, theirs, child }
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.theirs)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    }

    /// Waits for the question, and until its answer would not be seen.
    fn asked(&mut self) {
        let mut said = String::new();
        let end = Instant::now() + SOON;
        while !said.contains("password of alice") || self.echoes() {
            assert!(Instant::now() < end, "no question: {said}");
            let tick = Timespec {
                tv_sec: 0,
                tv_nsec: 50_000_000,
            };
            let mut polled = [PollFd::new(&self.ours, PollFlags::IN)];
            if poll(&mut polled, Some(&tick)).unwrap() > 0 {
                let mut bytes = [0; 4096];
                let read = self.ours.read(&mut bytes).unwrap();
                said += &String::from_utf8_lossy(&bytes[..read]);
            }
        }
    }

    /// Returns the exit code, none where a signal ended it.
    fn ended(&mut self) -> Option<i32> {
        let end = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_echo_is_back_when_a_signal_ends_the_question() {
    type End = fn(&mut Terminal);
    let ends: [(&str, End); 3] = [
        ("Ctrl-C", |terminal| terminal.ours.write_all(b"\x03").unwrap()),
        ("SIGTERM", |terminal| terminal.signal(Signal::TERM)),
        ("SIGHUP", |terminal| terminal.signal(Signal::HUP)),
    ];
    for (name, end) in ends {
        let directory = tempfile::tempdir().unwrap();
        let mut terminal = Terminal::start(directory.path(), &SMOKE);
        terminal.asked();
        end(&mut terminal);
        assert_eq!(terminal.ended(), Some(130), "{name}");
        assert!(terminal.echoes(), "{name} left the terminal without echo");
    }
}

#[test]
fn keys_that_would_stop_or_kill_without_the_echo_are_characters_of_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(directory.path(), &SMOKE);
    terminal.asked();
    terminal.ours.write_all(b"\x1c\x1ahunter2\n").unwrap();
    // Nobody listens at the host's address.
    assert!(matches!(terminal.ended(), Some(1 | 2)));
    assert!(terminal.echoes());
}
