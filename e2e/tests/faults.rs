//! Faults that were planted one at a time in one cluster: each is found under its check, on its host, with its cause.

use e2e::Closed;
use e2e::faults::{row, try_fault};
use lab::Options;
use lab::faults::find;

const FAULTS: [&str; 8] = [
    "kubelet-stopped",
    "sshd-down",
    "route-missing-server",
    "identity-first",
    "image-missing",
    "image-wrong",
    "sandbox-image-missing",
    "no-deployments",
];

#[test]
fn each_planted_fault_is_found_with_its_cause_and_healing_is_enough() {
    let closed = Closed::up(&Options {
        name: "e2e-faults".into(),
        ..Options::default()
    });
    closed.assert_healthy();
    let mut wrong = Vec::new();
    for name in FAULTS {
        let tried = try_fault(&closed, find(name).expect("a fault of the lab"));
        println!("{}", row(&tried));
        if !tried.is_right() || tried.code == Some(0) {
            wrong.push(format!("{tried:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    closed.assert_healthy();
}
