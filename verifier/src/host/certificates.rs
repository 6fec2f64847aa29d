//! The certificates and keys of this host: what the programs of Kubernetes are given, then what lies in the places of the
//! known layouts. Private keys are read to prove that they match, and nothing of them leaves this module but a digest of
//! their public half.

mod arguments;
mod contents;
mod der;
mod file;
mod key;
mod kubeconfig;
mod pem;
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
