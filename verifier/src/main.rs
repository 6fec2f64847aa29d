//! The `verifier` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::prepare();
    cli::finish("verifier", verifier::cmd::main(std::env::args_os()))
}
