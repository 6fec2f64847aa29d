//! The matrix of things taken away: whatever is refused, late or was never asked, no check turns to a pass.
//!
//! `gathered/faults/HOST.facts.gz` are files of `verifier gather --local`, made on a lab with several faults at once; `site.yaml` is
//! its site. Each kind of question is taken away in turn on all hosts, in each way in which a site takes it: a right, time, a
//! console on which nobody asked. Questions that others may answer are taken away one by one too, then whole hosts and the API.
//! All is judged again each time: what was no pass must be none then.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use verifier::certs::Days;
use verifier::checks;
use verifier::findings::Outcome;
use verifier::gathered::{Gathered, Reading};
use verifier::protocol::StoreDepth;
use verifier::report::{Report, Selection};
use verifier::run::{self, FactsFile, Order, Work};
use verifier::site::{self, Site};
use verifier::suite::Limits;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gathered/faults");
/// What an agent says where something is taken away; absent: nobody asked.
const OF_AGENTS: [Option<&str>; 3] = [
    Some(r#"{"Err":{"kind":"denied","text":"Permission denied (os error 13)"}}"#),
    Some(r#"{"Late":5000}"#),
    None,
];
/// What the API says then.
const OF_API: [Option<&str>; 2] = [
    Some(
        r#"{"Err":{"Refused":{"operation":"list things","code":403,"reason":"Forbidden","message":"things is forbidden"}}}"#,
    ),
    None,
];
/// Questions that are answered by the answers to others.
const COMPOSED: [&str; 6] = [
    "names",
    "route-lookups",
    "sysctls",
    "tls-peek",
    "persistence",
    "cri-image-status",
];

/// So many are judged beside one another.
const AT_ONCE: usize = 16;

type Files = BTreeMap<String, Gathered>;
type Outcomes = BTreeMap<(String, String), Outcome>;

fn site() -> Site {
    let text = fs::read_to_string(Path::new(FOLDER).join("site.yaml")).expect("the site file");
    site::parse("site.yaml", &text, Path::new("/nowhere")).expect("a site file")
}

/// Returns the files, by host.
fn files() -> Files {
    let hosts = site().hosts.into_iter().map(|host| {
        let path = Path::new(FOLDER).join(format!("{}.facts.gz", host.name));
        let packed = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&*packed)
            .read_to_end(&mut bytes)
            .expect("unpack");
        (host.name, Gathered::of(&bytes).expect("a file of facts"))
    });
    hosts.collect()
}

/// Judges files as the command does.
async fn judged(files: &Files) -> Report {
    let files = files.iter().map(|(host, gathered)| FactsFile {
        path: PathBuf::from(format!("{host}.facts")),
        read: Ok(gathered.clone()),
    });
    let order = Order {
        site: site(),
        targets: Vec::new(),
        programs: Arc::new(|_| None),
        work: Work::Nothing,
        checks: checks::of_runs().copied().collect(),
        selection: Selection::default(),
        not_run: Vec::new(),
        after_reboot: None,
        keep: false,
        snapshot: None,
        reads: true,
        days: Days::default(),
        depth: StoreDepth::Ends,
        limits: Limits::default(),
    };
    Box::pin(run::judge(
        order,
        files.collect(),
        Vec::new(),
        &CancellationToken::new(),
    ))
    .await
}

async fn outcomes(files: &Files) -> Outcomes {
    let report = judged(files).await;
    let of = |result: &verifier::report::ResultEntry| {
        let host = result.host.as_ref().map(ToString::to_string).unwrap_or_default();
        ((result.id.clone(), host), result.outcome)
    };
    report.results.iter().map(of).collect()
}

/// Returns the kind of a question: the API's call without what it is asked about, or the name of the request.
fn kind(key: &str) -> String {
    if let Ok(question) = serde_json::from_str::<Value>(key) {
        return question["ask"].as_str().unwrap_or_default().to_owned();
    }
    let call = key.split(": ").nth(1).unwrap_or_default();
    let words = if call.starts_with("may ") { 1 } else { 2 };
    let words: Vec<&str> = call.split(' ').take(words).collect();
    format!("api {}", words.join(" "))
}

/// Returns a file with other words for some questions, in both readings.
fn without(gathered: &Gathered, is_taken: impl Fn(&str) -> bool, said: Option<&str>) -> Gathered {
    let reading = |of: &Reading, into: Reading| {
        for (question, answer) in of.all() {
            match said {
                _ if !is_taken(&question) => drop(into.keep(question, answer.to_string())),
                Some(said) => drop(into.keep(question, said.to_owned())),
                None => {}
            }
        }
        Arc::new(into)
    };
    let first = reading(&gathered.readings[0], Reading::default());
    let second = reading(&gathered.readings[1], Reading::after(Arc::clone(&first)));
    Gathered {
        readings: [first, second],
        ..gathered.clone()
    }
}

/// Returns what was taken away, and the files without it.
fn matrix(files: &Files) -> Vec<(String, Files)> {
    let keys = |gathered: &Gathered| {
        let all = gathered.readings.iter().flat_map(|reading| reading.all());
        all.map(|(key, _)| key).collect::<BTreeSet<_>>()
    };
    let mut matrix = Vec::new();
    let kinds: BTreeSet<String> = files.values().flat_map(keys).map(|key| kind(&key)).collect();
    for taken in kinds {
        let ways: &[Option<&str>] = if taken.starts_with("api ") {
            &OF_API
        } else {
            &OF_AGENTS
        };
        for said in ways {
            let of_host = |(host, gathered): (&String, &Gathered)| {
                let left = without(gathered, |key| kind(key) == taken, *said);
                (host.clone(), left)
            };
            let what = format!("{taken}: {}", said.unwrap_or("never asked"));
            matrix.push((what, files.iter().map(of_host).collect()));
        }
    }
    for (host, gathered) in files {
        let replaced = |left: Gathered| {
            let mut files = files.clone();
            files.insert(host.clone(), left);
            files
        };
        for key in keys(gathered)
            .into_iter()
            .filter(|key| COMPOSED.contains(&&*kind(key)))
        {
            let left = without(gathered, |other| other == key, None);
            matrix.push((format!("{key} on {host}"), replaced(left)));
        }
        let api = without(gathered, |key| key.starts_with("api "), None);
        matrix.push((format!("the API on {host}"), replaced(api)));
        let mut others = files.clone();
        others.remove(host);
        matrix.push((format!("the host {host}"), others));
    }
    matrix
}

/// Returns what passes and did not.
fn turned(before: &Outcomes, after: &Outcomes, what: &str) -> Vec<String> {
    let turned = after.iter().filter_map(|(key, outcome)| {
        let was = before.get(key)?;
        let is_better = *outcome == Outcome::Pass && *was != Outcome::Pass;
        is_better.then(|| format!("{} {} was {} and passes without {what}", key.0, key.1, was.word()))
    });
    turned.collect()
}

#[tokio::test]
async fn nothing_that_is_taken_away_turns_a_check_to_a_pass() {
    let files = files();
    let before = outcomes(&files).await;
    let failed: Vec<_> = before
        .iter()
        .filter(|(_, outcome)| **outcome == Outcome::Fail)
        .collect();
    assert!(failed.len() >= 5, "the faults are found: {before:?}");
    let matrix = matrix(&files);
    assert!(matrix.len() > 100, "{} are tried", matrix.len());
    let mut wrong = Vec::new();
    // Who waits for an answer that does not come waits beside the others.
    let judged = matrix
        .iter()
        .map(|(what, left)| async move { (what, left, outcomes(left).await) });
    let mut judged = futures::stream::iter(judged).buffer_unordered(AT_ONCE);
    while let Some((what, left, after)) = judged.next().await {
        wrong.extend(turned(&before, &after, what));
        for host in files.keys().filter(|host| !left.contains_key(*host)) {
            let passes = after
                .iter()
                .filter(|((_, of), outcome)| of == host && **outcome == Outcome::Pass);
            wrong.extend(passes.map(|((id, _), _)| format!("{id} {host} passes without a file")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
