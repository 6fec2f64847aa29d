//! The benchmarks: `cargo xtask bench [audits] [build] [check] [load] [suite]`.

#![expect(clippy::print_stderr, reason = "the program's own rim")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    match e2e::bench::rows::run(&names) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
