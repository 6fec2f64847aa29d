//! Judges recorded facts again: no alarm on healthy clusters, the same causes on faulty ones.
//!
//! `facts/NAME.json` is one run each, recorded on the lab by `cargo xtask record`: the site, the index of the bundle and,
//! for each result, the facts and what must come of them. Of a faulty run only results that are no pass are kept, of any
//! run only those that have facts. A judge whose findings change on purpose changes them here:
//! `UPDATE_CORPUS=1 cargo test -p verifier --test corpus` writes what the judges say now, and the difference is looked at.
//!
//! `documented-KIND` are sites of kinds that the lab cannot boot (k3s, RKE2, CRI-O, Calico, Cilium): a recorded run in which
//! processes, units, sockets, CNI, interfaces and routes are as public documents show them; `tool` names these. They prove
//! what the judges make of such facts, not that such a host gives them.
//!
//! Arguments are compared to the letter: facts are data and judges are pure, so nothing in them may differ. Only the
//! order of the findings behind the first is free, which no report promises.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bundle::Index;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use verifier::checks;
use verifier::findings::{Cause, Outcome};
use verifier::site::{self, Site};
use verifier::suite::{Expect, Seen};

/// Warnings that are true of healthy clusters, by run and check.
const TRUE: [(&str, &str); 5] = [
    // Without /etc/crictl.yaml the page works, with crictl's own warnings.
    ("plain", "runtime.crictl-config"),
    // The page's bridge does not send packets back where they came from (hairpin).
    ("plain", "service.from-pod"),
    // containerd 1.6 has no pins.
    ("mixed", "images.present"),
    ("mixed", "images.inventory"),
    ("mixed", "runtime.sandbox-image"),
];

/// A recorded run. Fields stand in the order of the alphabet, as the recorder writes them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    /// The index of the bundle; null where none was given.
    index: Option<Index>,
    /// What was planted in the cluster.
    kind: Kind,
    /// What it is called, as its file is: a healthy lab, or the fault.
    name: String,
    /// Its results.
    results: Vec<Recorded>,
    /// The text of the site file.
    site: String,
    /// The program that saw the facts, with its version.
    tool: String,
    /// The version of this form: 1.
    version: u32,
}

/// What was planted in the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The fault that has the run's name.
    Fault,
    /// Nothing.
    Healthy,
}

/// A result with its facts: the first reading, and where there were such the second one and the deeper look.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again: Option<Value>,
    check: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    depth: Option<Value>,
    facts: Value,
    findings: Vec<Found>,
    host: Option<String>,
    outcome: Outcome,
}

/// A finding, or the reason of a skip: the first of a result is its cause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    args: BTreeMap<String, String>,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

impl Found {
    fn of(cause: &Cause, subject: Option<&str>) -> Self {
        let text = |(name, value): (&String, &cli::Shown)| (name.clone(), value.to_string());
        Self {
            args: cause.args().iter().map(text).collect(),
            id: cause.id().name().to_owned(),
            subject: subject.map(str::to_owned),
        }
    }
}

/// What a judge says of facts.
struct Said {
    outcome: Outcome,
    findings: Vec<Found>,
}

impl Recorded {
    /// Judges the facts again; absent: there is no such check.
    fn judge(&self, site: &Site, index: Option<&Index>) -> Option<Said> {
        let check = checks::all().find(|check| check.id == self.check)?;
        let host = self.host.as_deref().and_then(|name| site.host(name));
        let seen = Seen {
            facts: self.facts.clone().into(),
            again: self.again.clone().map(Into::into),
            depth: self.depth.clone().map(Into::into),
        };
        let verdict = check.judge(
            &seen,
            &Expect {
                site,
                index,
                nodes: &bundle::nodes::EVERYWHERE,
                host,
            },
        );
        let found = verdict
            .findings()
            .iter()
            .map(|finding| Found::of(&finding.cause, finding.subject.as_deref()));
        let mut findings: Vec<Found> = found.collect();
        if findings.is_empty() {
            findings.extend(verdict.cause().map(|reason| Found::of(reason, None)));
        }
        Some(Said {
            outcome: verdict.outcome(),
            findings,
        })
    }

    fn place(&self) -> String {
        let host = self.host.as_deref().map(|host| format!("@{host}"));
        format!("{}{}", self.check, host.unwrap_or_default())
    }
}

impl Run {
    fn site(&self) -> Site {
        site::parse("site.yaml", &self.site, Path::new(""))
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Takes what the judges say now for what they must say.
    fn update(&mut self) {
        let site = self.site();
        for recorded in &mut self.results {
            let said = recorded.judge(&site, self.index.as_ref());
            let said = said.unwrap_or_else(|| panic!("{}: there is no such check", recorded.place()));
            recorded.outcome = said.outcome;
            recorded.findings = said.findings;
        }
    }
}

/// The stored runs by name, brought up to date first where that is asked for.
static CORPUS: LazyLock<Vec<Run>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/facts");
    let entries = fs::read_dir(&folder).expect("the folder of the corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("its entry").path()).collect();
    paths.sort();
    let stored = |path: PathBuf| {
        let bytes = fs::read(&path).expect("read a run");
        let mut run: Run =
            serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(run.version, 1, "{}", path.display());
        assert_eq!(path.file_stem(), Some(run.name.as_ref()), "the name of the run");
        if std::env::var_os("UPDATE_CORPUS").is_some() {
            run.update();
            let text = serde_json::to_string_pretty(&run).expect("JSON of a run");
            fs::write(&path, text + "\n").expect("write a run");
        }
        run
    };
    paths.into_iter().map(stored).collect()
});

/// Says where the judges differ from what is recorded, one result a paragraph.
fn differences(run: &Run) -> Vec<String> {
    let site = run.site();
    let mut differences = Vec::new();
    for recorded in &run.results {
        let place = format!("{}: {}", run.name, recorded.place());
        let Some(said) = recorded.judge(&site, run.index.as_ref()) else {
            differences.push(format!("{place}: there is no such check"));
            continue;
        };
        let was = lines(recorded.outcome, &recorded.findings);
        let is = lines(said.outcome, &said.findings);
        if was != is {
            let gone = was
                .iter()
                .filter(|line| !is.contains(line))
                .map(|line| format!("  - {line}"));
            let new = is
                .iter()
                .filter(|line| !was.contains(line))
                .map(|line| format!("  + {line}"));
            let lines: Vec<String> = gone.chain(new).collect();
            differences.push(format!("{place}\n{}", lines.join("\n")));
        }
    }
    differences
}

/// Returns outcome, cause and further findings, one a line, the last in an order of their own.
fn lines(outcome: Outcome, findings: &[Found]) -> Vec<String> {
    let line = |role: &str, found: &Found| {
        let args: Vec<String> = found
            .args
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        let subject = found.subject.as_ref().map(|subject| format!(" of {subject}"));
        format!(
            "{role} {}{} {}",
            found.id,
            subject.unwrap_or_default(),
            args.join(" ")
        )
    };
    let mut lines = vec![format!("outcome {}", outcome.word())];
    let (first, rest) = findings.split_at(findings.len().min(1));
    lines.extend(first.iter().map(|found| line("cause", found)));
    let mut rest: Vec<String> = rest.iter().map(|found| line("also", found)).collect();
    rest.sort();
    lines.extend(rest);
    lines
}

#[test]
fn judges_say_of_recorded_facts_what_they_said_before() {
    let differences: Vec<String> = CORPUS.iter().flat_map(differences).collect();
    assert!(
        differences.is_empty(),
        "- as recorded, + as judged now:\n\n{}\n\nwhere that is meant, run the test with UPDATE_CORPUS=1 and look at the difference",
        differences.join("\n")
    );
}

#[test]
fn a_healthy_cluster_is_no_alarm_and_a_fault_is_one() {
    for run in &*CORPUS {
        let is_true = |recorded: &Recorded| {
            recorded.outcome == Outcome::Warn && TRUE.contains(&(&run.name, &recorded.check))
        };
        let alarms: Vec<String> = run
            .results
            .iter()
            .filter(|recorded| !matches!(recorded.outcome, Outcome::Pass | Outcome::Skip))
            .filter(|recorded| run.kind == Kind::Fault || !is_true(recorded))
            .map(Recorded::place)
            .collect();
        assert_eq!(
            alarms.is_empty(),
            run.kind == Kind::Healthy,
            "{}: {alarms:?}",
            run.name
        );
    }
}

#[test]
fn every_check_is_judged_on_a_healthy_cluster() {
    let healthy = CORPUS.iter().filter(|run| run.kind == Kind::Healthy);
    let judged: Vec<&str> = healthy
        .flat_map(|run| &run.results)
        .map(|recorded| recorded.check.as_str())
        .collect();
    for check in checks::all() {
        assert!(judged.contains(&check.id), "{} has no recorded facts", check.id);
    }
}
