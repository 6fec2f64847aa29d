//! A running program keeps its memory for itself.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::geteuid;

/// Somebody who is not root.
fn user() -> u32 {
    let own = geteuid();
    if own.is_root() { 65534 } else { own.as_raw() }
}

/// Starts a program as that user; it runs until its stdin ends.
fn start(program: &Path, arguments: &[&str]) -> Child {
    Command::new(program)
        .args(arguments)
        .uid(user())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns whom the kernel gives a process's memory to, and the limits of its core file.
fn memory_of(child: &Child) -> (u32, String) {
    let proc = Path::new("/proc").join(child.id().to_string());
    let owner = fs::metadata(proc.join("mem")).unwrap().uid();
    let limits = fs::read_to_string(proc.join("limits")).unwrap();
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    (owner, words.join(" "))
}

#[test]
fn no_core_file_and_no_other_process_of_the_user_gets_a_program_s_memory() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("verifier");
    fs::copy(env!("CARGO_BIN_EXE_verifier"), &program).unwrap();
    let mut agent = start(&program, &["agent"]);
    // It has greeted once it has begun.
    std::io::Read::read_exact(agent.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let mut other = start(Path::new("/bin/cat"), &[]);
    let found = (memory_of(&agent), memory_of(&other).0);
    for child in [&mut agent, &mut other] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(found.1, user(), "any program's memory belongs to its user");
    assert_eq!(found.0, (0, "0 0 bytes".to_owned()));
}
