//! Runs programs of the machine and turns their failures into errors that say what was run and what it said.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use std::thread::ScopedJoinHandle;

use crate::Error;

/// Writes a file with exactly these permissions.
pub(crate) fn write(path: &Path, contents: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(Error::file("writing", path))?;
    file.write_all(contents).map_err(Error::file("writing", path))?;
    // The mode at creation is cut by the umask, and a file that was there keeps its own.
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).map_err(Error::file("setting the mode of", path))
}

/// Waits for a thread and returns what it returned; its panic goes on here.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs a command to its end with empty stdin and returns what it said. A status other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<Output, Error> {
    let output = output(command.stdin(Stdio::null()))?;
    checked(command, output)
}

/// Runs a command to its end with `input` on its stdin. A status other than 0 is an error.
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Result<Output, Error> {
    let piped = Stdio::piped;
    let name = program(command);
    let start = |source| Error::Start {
        program: name.clone(),
        source,
    };
    let mut child = command
        .stdin(piped())
        .stdout(piped())
        .stderr(piped())
        .spawn()
        .map_err(start)?;
    // A program that ends before it read everything says why on stderr; the broken pipe adds nothing.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(start)?;
    checked(command, output)
}

/// Runs a command to its end and returns status and output, whatever the status.
pub(crate) fn output(command: &mut Command) -> Result<Output, Error> {
    command.output().map_err(|source| Error::Start {
        program: program(command),
        source,
    })
}

/// Returns the command line, for messages.
pub(crate) fn line(command: &Command) -> String {
    let mut line = program(command);
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Turns a status other than 0 into an error that says what was run and what it said.
pub(crate) fn checked(command: &Command, output: Output) -> Result<Output, Error> {
    if output.status.success() {
        return Ok(output);
    }
    Err(Error::Command {
        command: line(command),
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
