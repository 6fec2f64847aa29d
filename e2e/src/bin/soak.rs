//! The suite many times over, too long for CI: `cargo xtask soak [PART...]`.
//!
//! 20 runs in a row on each kind of healthy lab (standard, hardened, plain, three servers, pods over VXLAN, a dense node, pods
//! that come and go, a volume to try), and 50 runs killed at random moments. `ROUNDS=N` takes another number.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the program's own rim")]

use std::process::ExitCode;
use std::time::Duration;

use e2e::soak::{in_a_row, kill_after, moments, two_at_once, until_nothing_is_left};
use e2e::{Closed, assert_lookalikes_stay, make_lookalikes};
use lab::{Options, faults};

const PARTS: [&str; 9] = [
    "standard", "hardened", "plain", "servers", "overlay", "dense", "churn", "storage", "kills",
];

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = names.iter().find(|name| !PARTS.contains(&name.as_str())) {
        eprintln!(
            "error: there is no part {unknown:?}; the parts are {}",
            PARTS.join(", ")
        );
        return ExitCode::from(64);
    }
    let rounds = std::env::var("ROUNDS")
        .ok()
        .and_then(|text| text.parse::<usize>().ok());
    let mut steady = true;
    for part in PARTS {
        if !names.is_empty() && !names.iter().any(|name| name == part) {
            continue;
        }
        let closed = Closed::up(&Options {
            name: "soak".into(),
            hardened: part == "hardened",
            plain: part == "plain",
            servers: if part == "servers" { 3 } else { 1 },
            ..Options::default()
        });
        closed.load();
        if let Some(unusual) = faults::unusual().find(|unusual| unusual.name == part) {
            closed.lab().plant(unusual).expect("make the lab unusual");
        }
        if part == "kills" {
            kills(&closed, rounds.unwrap_or(50));
        } else {
            // Without a crictl.yaml the page works, with crictl's own warnings; and without hairpin, but for what it cannot do.
            let accepted: &[&str] = if part == "plain" {
                &["runtime.crictl-config", "service.from-pod"]
            } else {
                &[]
            };
            let row = in_a_row(&closed, rounds.unwrap_or(20), accepted);
            let longest = row.seconds.iter().copied().fold(0.0, f32::max);
            println!(
                "{part}: {} runs, the longest {longest:.1} s, {} flakes",
                row.seconds.len(),
                row.flakes.len()
            );
            row.flakes.iter().for_each(|flake| println!("  {flake}"));
            steady &= row.flakes.is_empty();
        }
    }
    if steady {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Kills runs at random moments; after the next starts nothing may be left, and what only looks like ours must be there.
fn kills(closed: &Closed, count: usize) {
    make_lookalikes(closed);
    let whole = in_a_row(closed, 1, &[]);
    let span = Duration::from_secs_f32(whole.seconds.first().copied().unwrap_or(8.0));
    let seed = jiff::Timestamp::now().as_millisecond().unsigned_abs();
    let alive = kill_after(closed, &moments(seed, count, span));
    println!("kills: {count} runs, {alive} of them killed while they ran, within {span:.1?}, seed {seed}");
    let time = until_nothing_is_left(closed);
    println!(
        "kills: nothing is left {:.0} s after the last",
        time.as_secs_f32()
    );
    two_at_once(closed);
    assert_lookalikes_stay(closed);
    println!("kills: two runs at once passed, and look-alikes stay");
}
