//! Faults that were planted one at a time in one cluster: each is found under its check, on its host, with its cause, and
//! nothing else is an alarm. `cargo xtask faults` plants them all.

#![expect(
    clippy::print_stdout,
    reason = "a test's own rows; clippy knows tests from their helpers only inside a crate"
)]

use std::collections::BTreeSet;
use std::thread;

use e2e::faults::{round, row, today};
use e2e::{Closed, REPORT};
use lab::faults::find;
use lab::{JUMPBOX, Options};

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
    let mut faults = names.iter().map(|name| find(name).expect("a fault of the lab"));
    let labs = round(
        &options,
        || faults.next(),
        |closed, tried| {
            wrong.extend(unpasted(closed));
            println!("{}", row(&tried, &today()));
            if !tried.is_right() || tried.code == Some(0) {
                wrong.push(format!("{tried:?}"));
            }
        },
    );
    assert_eq!(labs, 1, "healing was enough");
    wrong
}

/// Pastes the logins of the last report's hints into a shell on the jumpbox, in another directory than that of the site file,
/// and returns those that lead nowhere.
fn unpasted(closed: &Closed) -> Vec<String> {
    let report = std::fs::read_to_string(closed.media().join(REPORT).join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let results = report["results"].as_array().expect("results");
    let hints = results.iter().filter_map(|result| result["hint"].as_str());
    let logins: BTreeSet<&str> = hints
        .filter_map(|hint| Some(hint.split_once("(ssh ")?.1.split_once(')')?.0))
        .collect();
    let fails = |login: &&str| {
        let script = format!("cd / && ssh -n -o BatchMode=yes {login} true");
        closed.on(JUMPBOX, &["sh", "-c", &script]).code != Some(0)
    };
    logins.into_iter().filter(fails).map(str::to_owned).collect()
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
