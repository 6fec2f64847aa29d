//! Faults that were planted one at a time in one cluster: each is found under its check, on its host, with its cause, and
//! nothing else is an alarm. `cargo xtask faults` plants them all.

use e2e::faults::{round, row};
use lab::Options;
use lab::faults::find;

const FAULTS: [&str; 8] = [
    "kubelet-stopped",
    "sshd-down",
    "no-deployments",
    "proxy-answers",
    "image-missing",
    "image-wrong",
    "sandbox-image-missing",
    "three-at-once",
];

#[test]
fn each_planted_fault_is_found_with_its_cause_and_healing_is_enough() {
    let options = Options {
        name: "e2e-faults".into(),
        ..Options::default()
    };
    let mut wrong = Vec::new();
    let faults = FAULTS.map(|name| find(name).expect("a fault of the lab"));
    let labs = round(&options, &faults, |_, tried| {
        println!("{}", row(&tried));
        if !tried.is_right() || tried.code == Some(0) {
            wrong.push(format!("{tried:?}"));
        }
    });
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(labs, 1, "healing was enough");
}
