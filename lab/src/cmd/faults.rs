//! `lab fault` and `lab heal`.

use std::io::Write as _;

use cli::{Failure, Kind, ResultExt as _};
use lab::Lab;
use lab::faults;

/// Lists the faults, and what is only unusual: name and summary.
pub(super) fn list() -> Result<u8, Failure> {
    let mut out = anstream::stdout().lock();
    for fault in faults::all().chain(faults::unusual()) {
        writeln!(out, "{:32} {}", fault.name, fault.summary).kind(Kind::Error)?;
    }
    Ok(cli::exit::PASS)
}

/// Plants one fault and says what the verifier should find.
pub(super) fn plant(lab: &str, name: &str) -> Result<u8, Failure> {
    let fault = faults::find(name).map_err(super::failure)?;
    let lab = Lab::open(lab).map_err(super::failure)?;
    lab.plant(fault).map_err(super::failure)?;
    super::say(&format!("planted {name}: {}", fault.summary));
    for expected in fault.expect {
        let host = expected
            .host
            .map(|host| format!(" on {host}"))
            .unwrap_or_default();
        super::say(&format!(
            "  expected: {} {}{host}, cause {}",
            expected.check, expected.outcome, expected.cause
        ));
    }
    Ok(cli::exit::PASS)
}

/// Heals what was planted.
pub(super) fn heal(lab: &str) -> Result<u8, Failure> {
    let lab = Lab::open(lab).map_err(super::failure)?;
    let healed = lab.heal().map_err(super::failure)?;
    if healed.is_empty() {
        super::say("no fault was planted");
    }
    for name in healed {
        super::say(&format!("healed {name}"));
    }
    Ok(cli::exit::PASS)
}
