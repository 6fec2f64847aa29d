//! Runs programs of the machine and turns their failures into errors that say what was run and what it said.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::Error;

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

fn checked(command: &Command, output: Output) -> Result<Output, Error> {
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
