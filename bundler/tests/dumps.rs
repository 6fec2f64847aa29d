//! A running `bundler` keeps its memory for itself.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn no_core_file_and_no_other_process_of_the_user_gets_its_memory() {
    let own = rustix::process::geteuid();
    let user = if own.is_root() { 65534 } else { own.as_raw() };
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("bundler");
    fs::copy(env!("CARGO_BIN_EXE_bundler"), &program).unwrap();
    // It waits for a reader of what it writes: the licences are longer than a pipe.
    let mut child = Command::new(&program)
        .arg("--licenses")
        .uid(user)
        .current_dir("/")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let proc = Path::new("/proc").join(child.id().to_string());
    let owner = fs::metadata(proc.join("mem")).map(|mem| mem.uid());
    let limits = fs::read_to_string(proc.join("limits"));
    child.kill().unwrap();
    child.wait().unwrap();
    // Else it would be the user's: `user` is not root.
    assert_eq!((owner.unwrap(), user > 0), (0, true));
    let limits = limits.unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().skip(4).collect::<Vec<_>>(),
        ["0", "0", "bytes"]
    );
}
