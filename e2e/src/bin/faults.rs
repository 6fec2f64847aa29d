//! Plants the faults one at a time and prints the table of docs/faults.md: `cargo xtask faults [NAME ...]`.

#![expect(clippy::print_stdout, reason = "the program's own rim")]

use std::process::ExitCode;

use e2e::Closed;
use e2e::faults::{TABLE_HEAD, try_fault};
use lab::Options;
use lab::faults::{Needs, all};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let chosen = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    println!("{TABLE_HEAD}");
    let mut all_found = true;
    for hardened in [false, true] {
        let faults: Vec<_> = all()
            .filter(|f| chosen(f.name) && (f.needs == Needs::Hardened) == hardened)
            .collect();
        if faults.is_empty() {
            continue;
        }
        let closed = Closed::up(&Options {
            name: "faults".into(),
            hardened,
            ..Options::default()
        });
        closed.assert_healthy();
        for fault in faults {
            let tried = try_fault(&closed, fault);
            println!("{}", tried.row());
            all_found &= tried.is_found();
        }
    }
    if all_found {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
