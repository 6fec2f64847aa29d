//! The `verifier` program.

use std::process::ExitCode;

use cli::{Kind, ResultExt as _};

fn main() -> ExitCode {
    cli::prepare();
    let served = verifier::agent::serve_stdio().map(|()| cli::exit::PASS);
    cli::finish("verifier", served.kind(Kind::Error))
}
