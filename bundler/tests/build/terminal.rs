//! The question for a key's passphrase on a real terminal: the echo is back, however it ends.

use lab::terminal::{Signal, Terminal};

use crate::images::simple;
use crate::sandbox::Sandbox;
use crate::signed::keygen;

#[test]
fn the_echo_is_back_however_the_question_for_a_passphrase_ends() {
    type End = fn(&mut Terminal);
    let ends: [(&str, End, Option<i32>); 4] = [
        ("the answer", |terminal| terminal.types(b"hunter2\n"), Some(0)),
        ("Ctrl-C", |terminal| terminal.types(b"\x03"), Some(130)),
        ("SIGTERM", |terminal| terminal.signal(Signal::TERM), Some(130)),
        ("SIGHUP", |terminal| terminal.signal(Signal::HUP), Some(130)),
    ];
    let sandbox = Sandbox::new();
    let _ = simple(sandbox.path("image"), &[vec![7; 3000]]);
    sandbox.spec("images: [{name: 'docker.io/library/app:1', archive: image}]\n");
    keygen(&sandbox, "maker", "ed25519", "hunter2");
    let built = sandbox.run(&["build", "-o", "site.tar"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    for (name, end, code) in ends {
        let sign = ["sign", "site.tar", "--key", "maker"];
        let mut terminal = Terminal::start(env!("CARGO_BIN_EXE_bundler"), &sign, &sandbox.path(""));
        terminal.asked("passphrase of maker");
        end(&mut terminal);
        assert_eq!(terminal.ended(), code, "{name}");
        assert!(terminal.echoes(), "{name} left the terminal without echo");
        assert_eq!(sandbox.path("site.tar.sig").exists(), code == Some(0), "{name}");
        let _ = std::fs::remove_file(sandbox.path("site.tar.sig"));
    }
}
