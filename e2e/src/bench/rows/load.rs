//! Load: an archive in the page cache into containerd 2.4, images absent, until they are unpacked.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

use lab::{Guard, JUMPBOX, Lab, Options};

use crate::bench::{Contender, Row, compare};
use crate::programs;

const NODE: &str = "node-0";
/// As on the page, it is not on the PATH.
const CTR: &str = "/opt/containerd/bin/ctr";

pub(super) fn rows(small: &Path, large: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let options = Options {
        name: "bench".into(),
        nodes: 1,
        ..Options::default()
    };
    let lab = Guard::up(&options, &|line| eprintln!("{line}"))?;
    let here = lab.root(NODE)?.join("root");
    std::fs::copy(programs().verifier, here.join("verifier"))?;
    std::fs::copy(programs().verifier, lab.paths().media().join("verifier"))?;
    for (name, archive) in [("small.tar", small), ("large.tar", large)] {
        std::fs::copy(archive, here.join(name))?;
        std::fs::copy(archive, lab.paths().media().join(name))?;
    }
    let bench = Bench { lab: &lab };
    let first = compare(
        "load: first time, to unpacked",
        3,
        &[
            bench.local("/root/small.tar", Start::Empty),
            bench.import("/root/small.tar", Start::Empty),
            bench.over_ssh("small.tar"),
        ],
    );
    let second = compare(
        "load: second time, nothing is missing",
        3,
        &[
            bench.local("/root/small.tar", Start::AsItIs),
            bench.import("/root/small.tar", Start::AsItIs),
        ],
    );
    let large = compare(
        "load: the large archive, for the peak memory",
        1,
        &[
            bench.local("/root/large.tar", Start::Empty),
            bench.import("/root/large.tar", Start::Empty),
        ],
    );
    Ok(vec![first, second, large])
}

/// What a contender starts from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// No image on the node.
    Empty,
    /// What the run before left: the images are there.
    AsItIs,
}

struct Bench<'a> {
    lab: &'a Lab,
}

impl<'a> Bench<'a> {
    fn local(&'a self, archive: &'a str, start: Start) -> Contender<'a> {
        self.contender(
            "verifier load --local",
            start,
            NODE,
            vec!["/root/verifier", "load", archive, "--local"],
        )
    }

    fn import(&'a self, archive: &'a str, start: Start) -> Contender<'a> {
        self.contender(
            "ctr images import",
            start,
            NODE,
            vec![CTR, "-n", "k8s.io", "images", "import", archive],
        )
    }

    fn over_ssh(&'a self, archive: &'a str) -> Contender<'a> {
        let script = "cd /media && exec ./verifier load \"$1\" --site site.yaml --node node-0";
        self.contender(
            "verifier load over SSH",
            Start::Empty,
            JUMPBOX,
            vec!["sh", "-c", script, "load", archive],
        )
    }

    fn contender(&'a self, name: &'a str, start: Start, host: &'a str, argv: Vec<&'a str>) -> Contender<'a> {
        let before = move || {
            if start == Start::Empty {
                self.remove_images();
            }
        };
        let command = move || self.on(host, &argv);
        Contender {
            name,
            before: Box::new(before),
            command: Box::new(command),
        }
    }

    fn on(&self, host: &str, argv: &[&str]) -> Command {
        let mut command = self
            .lab
            .command(host, argv)
            .unwrap_or_else(|error| panic!("{host}: {error}"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn remove_images(&self) {
        let script = "images=$($0 -n k8s.io images ls -q); \
                      [ -z \"$images\" ] || $0 -n k8s.io images rm --sync $images; sync";
        let status = self.on(NODE, &["sh", "-c", script, CTR]).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the images of the run before could not be removed"
        );
    }
}
