//! Plants the faults one at a time: `cargo xtask faults [NAME ...]`, all of them without names, and renews their rows in
//! docs/faults.md.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the program's own rim")]

use std::process::ExitCode;

use e2e::bench::rows::machine;
use e2e::faults::{Tried, head, keep, rounds, row, today};
use lab::faults::{Fault, all, find};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some(error) = names.iter().find_map(|name| find(name).err()) {
        eprintln!("error: {error}");
        return ExitCode::from(64);
    }
    let chosen: Vec<&'static Fault> = all()
        .filter(|fault| names.is_empty() || names.iter().any(|name| name == fault.name))
        .collect();
    println!("{}", head());
    let mut tried: Vec<Tried> = Vec::new();
    rounds("faults", &chosen, |_, one| {
        println!("{}", row(&one, &today()));
        tried.push(one);
    });
    if let Err(error) = keep(&tried, machine().trim()) {
        eprintln!("error: cannot write docs/faults.md: {error}");
        return ExitCode::from(2);
    }
    if tried.iter().all(Tried::is_right) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
