//! The certificates and keys of this host: what the programs of Kubernetes are given, then what lies in the places of the
//! known layouts. Private keys are read to prove that they match, and nothing of them leaves this module but a digest of
//! their public half.

mod arguments;
mod file;
mod kubeconfig;
mod places;
mod programs;
mod store;
mod units;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::protocol::{Certificates, CertificatesReply};
use programs::Program;
use store::Store;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use file::fuzz as fuzz_file;

/// Returns what is asked for.
pub(super) fn collect(ask: &Certificates) -> CertificatesReply {
    let mut store = Store::default();
    if let Some(below) = &ask.below {
        places::below(Path::new(below), &mut store);
        store.asked(Path::new(below));
    } else {
        let running = programs::running();
        let is_running = |other: &Program| running.iter().any(|program| program.name == other.name);
        let to_run = units::all();
        let to_run = to_run.iter().filter(|program| !is_running(program));
        running
            .iter()
            .chain(to_run)
            .for_each(|program| store.program(program));
        places::known(&mut store);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix_seconds = since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    store.reply(unix_seconds)
}

#[cfg(test)]
pub(crate) mod testing {
    //! What a host would say that is to run some programs.

    use super::*;

    /// Returns what somebody finds who names a directory or a file.
    pub(crate) fn below(path: &Path) -> CertificatesReply {
        let below = Some(path.display().to_string());
        super::collect(&Certificates { below })
    }

    /// Returns what a host has that starts programs with these lines, and that has these directories.
    pub(crate) fn collect(lines: &[String], below: &[&Path]) -> CertificatesReply {
        let mut store = Store::default();
        for line in lines {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let program = Program::to_run(&words, "unit", "/").expect("a program of Kubernetes");
            store.program(&program);
        }
        for directory in below {
            places::below(directory, &mut store);
        }
        store.reply(0)
    }
}
