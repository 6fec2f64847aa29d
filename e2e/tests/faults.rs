//! Faults that were planted one at a time in one cluster: each is found under its check, on its host, with its cause, and
//! nothing else is an alarm. `cargo xtask faults` plants them all.

#![expect(
    clippy::print_stdout,
    reason = "a test's own rows; clippy knows tests from their helpers only inside a crate"
)]

use std::thread;

use e2e::faults::{round, row};
use lab::Options;
use lab::faults::find;

/// Each row is planted in a cluster of its own, both at once: a run on a broken cluster is mostly waiting.
const FAULTS: [[&str; 4]; 2] = [
    [
        "kubelet-stopped",
        "no-deployments",
        "image-missing",
        "image-wrong",
    ],
    [
        "sshd-down",
        "proxy-answers",
        "sandbox-image-missing",
        "three-at-once",
    ],
];

/// Plants these one at a time and returns those that were not found as they must be.
fn wrong(lab: &str, names: &[&str]) -> Vec<String> {
    let options = Options {
        name: lab.into(),
        ..Options::default()
    };
    let mut wrong = Vec::new();
    let faults: Vec<_> = names
        .iter()
        .map(|name| find(name).expect("a fault of the lab"))
        .collect();
    let labs = round(&options, &faults, |_, tried| {
        println!("{}", row(&tried));
        if !tried.is_right() || tried.code == Some(0) {
            wrong.push(format!("{tried:?}"));
        }
    });
    assert_eq!(labs, 1, "healing was enough");
    wrong
}

#[test]
fn each_planted_fault_is_found_with_its_cause_and_healing_is_enough() {
    let [first, second] = FAULTS;
    let (first, second) = thread::scope(|scope| {
        let second = scope.spawn(|| wrong("e2e-faults-b", &second));
        (wrong("e2e-faults-a", &first), second.join())
    });
    assert_eq!(first, Vec::<String>::new());
    assert_eq!(second.expect("the second cluster's round"), Vec::<String>::new());
}
