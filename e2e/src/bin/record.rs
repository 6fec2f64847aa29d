//! Records runs for the corpus of facts: `cargo xtask record [RUN ...]`. A run is a healthy lab (standard, hardened, plain,
//! mixed, servers, dns), one that is unusual and not wrong (storage, kms, aesgcm, secretbox), or a fault of the lab; without names it records all. The faults' rows in docs/faults.md are renewed too. `TIMEOUT=20s` shortens the waits of faulty runs.
//!
//! Only what is right is recorded: a healthy run that passes, a faulty one in which every expectation of the fault is met
//! and nothing else is an alarm.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the program's own rim")]

use std::error::Error;
use std::process::ExitCode;

use e2e::bench::rows::machine;
use e2e::faults::{Tried, keep, rounds};
use e2e::record::{Kind, record};
use e2e::{Closed, REPORT};
use lab::Options;
use lab::faults::{Fault, all, unusual};

/// What is unusual and not wrong, and is recorded.
const RECORDED: [&str; 4] = ["storage", "kms", "aesgcm", "secretbox"];
/// The directory of the audit's report.
const AUDIT: &str = "audit";

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let known: Vec<&str> = healthy()
        .iter()
        .map(|(name, _)| *name)
        .chain(recorded_unusual().map(|unusual| unusual.name))
        .chain(all().map(|f| f.name))
        .collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!(
            "error: there is no run {unknown:?}; the runs are {}",
            known.join(", ")
        );
        return ExitCode::from(64);
    }
    let is_chosen = |name: &str| names.is_empty() || names.iter().any(|chosen| chosen == name);
    let mut whole = true;
    for (name, options) in healthy().into_iter().filter(|(name, _)| is_chosen(name)) {
        whole &= told(name, record_healthy(name, &options));
    }
    for unusual in recorded_unusual().filter(|unusual| is_chosen(unusual.name)) {
        whole &= told(unusual.name, record_unusual(unusual));
    }
    let faults: Vec<&'static Fault> = all().filter(|fault| is_chosen(fault.name)).collect();
    let mut round: Vec<Tried> = Vec::new();
    rounds("rec-faults", &faults, |closed, tried| {
        whole &= told(tried.name, record_fault(closed, &tried));
        round.push(tried);
    });
    if !round.is_empty()
        && let Err(error) = keep(&round, machine().trim())
    {
        eprintln!("error: cannot write docs/faults.md: {error}");
        whole = false;
    }
    if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Returns the healthy labs by the names of their runs.
fn healthy() -> [(&'static str, Options); 6] {
    let lines = ["2.1", "1.7", "1.6"];
    let options = |name: &str| Options {
        name: format!("rec-{name}"),
        ..Options::default()
    };
    let hardened = Options {
        hardened: true,
        ..options("hardened")
    };
    let plain = Options {
        plain: true,
        ..options("plain")
    };
    let mixed = Options {
        nodes: lines.len(),
        containerd: lines.map(str::to_owned).to_vec(),
        ..options("mixed")
    };
    let servers = Options {
        servers: 3,
        ..options("servers")
    };
    let dns = Options {
        dns: true,
        ..options("dns")
    };
    [
        ("standard", options("standard")),
        ("hardened", hardened),
        ("plain", plain),
        ("mixed", mixed),
        ("servers", servers),
        ("dns", dns),
    ]
}

fn record_healthy(name: &str, options: &Options) -> Result<Option<usize>, Box<dyn Error>> {
    recorded_run(&Closed::up(options), name)
}

/// Records a run that must be whole.
fn recorded_run(closed: &Closed, name: &str) -> Result<Option<usize>, Box<dyn Error>> {
    let (finished, report) = closed.run(&["--report", REPORT]);
    if finished.code != Some(0) {
        return Err(format!("not healthy: {:?} {}", report.troubles(), finished.stderr).into());
    }
    let (audited, report) = closed.audit_images("site.yaml", &["--report", AUDIT]);
    if audited.code != Some(0) {
        return Err(format!("not audited: {:?} {}", report.troubles(), audited.stderr).into());
    }
    let reports = [REPORT, AUDIT].map(|name| closed.media().join(name));
    Ok(record(&reports, Kind::Healthy, name)?)
}

/// Returns what is unusual and not wrong, and is judged where nothing else is.
fn recorded_unusual() -> impl Iterator<Item = &'static Fault> {
    unusual().filter(|unusual| RECORDED.contains(&unusual.name))
}

fn record_unusual(unusual: &Fault) -> Result<Option<usize>, Box<dyn Error>> {
    let closed = Closed::up(&Options {
        name: format!("rec-{}", unusual.name),
        ..Options::default()
    });
    closed.load();
    closed.lab().plant(unusual)?;
    recorded_run(&closed, unusual.name)
}

fn record_fault(closed: &Closed, tried: &Tried) -> Result<Option<usize>, Box<dyn Error>> {
    if !tried.is_right() {
        return Err(format!("not as expected: {tried:?}").into());
    }
    Ok(record(&[closed.media().join(REPORT)], Kind::Fault, tried.name)?)
}

/// Prints how a run was recorded; returns whether it was.
fn told(name: &str, recorded: Result<Option<usize>, Box<dyn Error>>) -> bool {
    match recorded {
        Ok(Some(bytes)) => {
            println!("{name}: {bytes} bytes");
            true
        }
        Ok(None) => {
            println!("{name}: nothing to judge, no result that is no pass has facts");
            true
        }
        Err(error) => {
            eprintln!("{name}: not recorded: {error}");
            false
        }
    }
}
