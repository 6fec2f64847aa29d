//! The password question on a real terminal: the echo is back, however it ends.

use std::fs;
use std::path::Path;

use lab::terminal::{Signal, Terminal};

const SITE: &str = "apiVersion: site/v1\nkubeconfig: kubeconfig\nssh: {user: alice, become: sudo}\nhosts:\n- {name: a, address: 127.0.0.1, roles: [worker], ssh: {port: 1}}\n";
const SMOKE: [&str; 5] = ["smoke", "--site", "site.yaml", "--only", "hosts.reach"];

/// Starts a run that has asked for alice's password.
fn asked(directory: &Path) -> Terminal {
    fs::write(directory.join("site.yaml"), SITE).unwrap();
    fs::write(directory.join("kubeconfig"), "").unwrap();
    let mut terminal = Terminal::start(env!("CARGO_BIN_EXE_verifier"), &SMOKE, directory);
    terminal.asked("password of alice");
    terminal
}

#[test]
fn the_echo_is_back_when_a_signal_ends_the_question() {
    type End = fn(&mut Terminal);
    let ends: [(&str, End); 3] = [
        ("Ctrl-C", |terminal| terminal.types(b"\x03")),
        ("SIGTERM", |terminal| terminal.signal(Signal::TERM)),
        ("SIGHUP", |terminal| terminal.signal(Signal::HUP)),
    ];
    for (name, end) in ends {
        let directory = tempfile::tempdir().unwrap();
        let mut terminal = asked(directory.path());
        end(&mut terminal);
        assert_eq!(terminal.ended(), Some(130), "{name}");
        assert!(terminal.echoes(), "{name} left the terminal without echo");
    }
}

#[test]
fn keys_that_would_stop_or_kill_without_the_echo_are_characters_of_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let mut terminal = asked(directory.path());
    terminal.types(b"\x1c\x1ahunter2\n");
    // Nobody listens at the host's address.
    assert!(matches!(terminal.ended(), Some(1 | 2)));
    assert!(terminal.echoes());
}
