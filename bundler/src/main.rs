//! The `bundler` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::prepare();
    cli::finish("bundler", bundler::cmd::main())
}
