//! Suite: all checks on a healthy cluster, beside the page's steps as a shell script.

use std::process::{Command, Stdio};

use lab::{JUMPBOX, Options};

use crate::bench::{Contender, Row, compare};
use crate::{Closed, MEDIA};

const PAGE: &str = include_str!("page.sh");
/// Ours and the page's on one pair of nodes, and ours on many: `ROUNDS` takes another number.
const ROUNDS: usize = 5;

pub(super) fn rows() -> Vec<Row> {
    let rounds = std::env::var("ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(ROUNDS);
    let two = up(2);
    let beside = compare(
        "suite: 2 nodes, all checks, beside the page's steps as a script",
        rounds,
        &[smoke(&two), page(&two)],
    );
    drop(two);
    let ten = up(10);
    let alone = compare("suite: 10 nodes, all checks", rounds, &[smoke(&ten)]);
    vec![beside, alone]
}

/// Boots a lab with the images on every node, warm: one run of each has been made.
fn up(nodes: usize) -> Closed {
    let closed = Closed::up(&Options {
        name: "bench-suite".into(),
        nodes,
        ..Options::default()
    });
    std::fs::write(closed.media().join("page.sh"), PAGE).expect("carry the script");
    closed.assert_healthy();
    closed
}

fn smoke(closed: &Closed) -> Contender<'_> {
    let arguments = ["smoke", "--bundle", "site.tar", "--site", "site.yaml"];
    contender("verifier smoke", move || closed.verifier_command(&arguments))
}

fn page(closed: &Closed) -> Contender<'_> {
    let script = format!("{MEDIA}/page.sh");
    contender("the page's steps as a script", move || {
        let lab = closed.lab();
        lab.command(JUMPBOX, &["bash", &script]).expect("the lab is up")
    })
}

fn contender<'a>(name: &'a str, command: impl Fn() -> Command + 'a) -> Contender<'a> {
    Contender {
        name,
        before: Box::new(|| ()),
        command: Box::new(move || {
            let mut command = command();
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        }),
    }
}
