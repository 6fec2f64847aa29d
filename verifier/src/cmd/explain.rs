//! `verifier explain`: the runbook, offline, in English and in Korean.

use std::fmt::Write as _;
use std::io;

use clap::{Args, ValueEnum};
use cli::{Failure, Kind};

use super::lang::LangArg;
use crate::checks;
use crate::distribution::Distribution;
use crate::findings::{CauseId, Lang, catalogue, phrase};
use crate::report::commands;
use crate::suite::Check;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A check or a cause, as reports name it; absent: the list of checks
    id: Option<String>,
    /// What one sees, instead of an id
    #[arg(long, conflicts_with = "id")]
    symptom: Option<Symptom>,
    #[command(flatten)]
    lang: LangArg,
}

/// What one sees.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Symptom {
    /// Pods stay Pending
    Pending,
    /// A Node is NotReady
    Notready,
    /// A Service does not answer
    Service,
    /// A pod does not answer from elsewhere
    PodNetwork,
}

impl Symptom {
    /// Returns its key in the words, and the checks to look at in order.
    const fn walk(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Pending => (
                "pending",
                &[
                    "nodes.ready",
                    "components.control-plane",
                    "workload.deployment",
                    "images.present",
                    "runtime.sandbox-image",
                    "addons.ready",
                    "api.webhooks",
                ],
            ),
            Self::Notready => (
                "notready",
                &[
                    "nodes.ready",
                    "components.workers",
                    "kubectl.logs",
                    "hosts.reach",
                    "api.ready",
                    "runtime.sandbox-image",
                ],
            ),
            Self::Service => (
                "service",
                &[
                    "workload.scale",
                    "service.endpoints",
                    "components.workers",
                    "service.clusterip",
                    "service.nodeport",
                    "network.pod-reachable",
                ],
            ),
            Self::PodNetwork => (
                "pod-network",
                &[
                    "workload.scale",
                    "network.pod-reachable",
                    "network.routes",
                    "network.bridge",
                    "network.veth",
                    "network.pod-to-pod",
                    "workload.pod-cidr",
                    "network.interfaces",
                    "nodes.ready",
                ],
            ),
        }
    }
}

/// An id that is neither a check's nor a cause's.
#[derive(Debug, thiserror::Error)]
#[error("{id:?} is neither a check nor a cause")]
struct Unknown {
    id: String,
}

pub(super) fn run(args: &ExplainArgs) -> Result<u8, Failure> {
    let lang = args.lang.get();
    let text = match (&args.id, args.symptom) {
        (_, Some(symptom)) => walk(symptom, lang),
        (None, None) => list(lang),
        (Some(id), None) if catalogue::checks(lang).any(|known| known == id) => explain(id, lang),
        (Some(id), None) => cause(id, lang)?,
    };
    cli::write_text(&mut io::stdout(), &text)?;
    Ok(cli::exit::PASS)
}

fn list(lang: Lang) -> String {
    let line = |check: &Check| format!("{:<26} {}\n", check.id, catalogue::summary(check.id, lang));
    let lines: Vec<String> = checks::all().map(line).collect();
    format!(
        "{}\n{}\n",
        lines.concat(),
        catalogue::say(phrase::FrameMore, lang)
    )
}

/// Explains a check, or a step of a run.
fn explain(id: &str, lang: Lang) -> String {
    let mut text = format!(
        "{id}: {}\n\n{}\n\n{}\n",
        catalogue::summary(id, lang),
        wrapped(&catalogue::explain(id, lang)),
        catalogue::say(phrase::FrameByHand, lang)
    );
    let by_hand = catalogue::by_hand(id, lang, "HOST", Distribution::default());
    for command in commands(&by_hand) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {command}");
    }
    let needs = checks::all()
        .find(|check| check.id == id)
        .map_or(&[][..], |check| check.needs);
    let needs: Vec<&str> = needs
        .iter()
        .map(|fixture| fixture.owner())
        .filter(|owner| *owner != id)
        .collect();
    if !needs.is_empty() {
        let checks = &needs.join(", ");
        let _ = writeln!(
            text,
            "\n{}",
            catalogue::say(phrase::FrameSkipped { checks }, lang)
        );
    }
    text
}

/// Returns how wide a text is on a terminal: Korean letters take two columns.
fn columns(text: &str) -> usize {
    text.chars()
        .map(|letter| if letter.is_ascii() { 1 } else { 2 })
        .sum()
}

/// Breaks lines at words so that none is wider than 90 columns.
fn wrapped(text: &str) -> String {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && columns(&line) + 1 + columns(word) > 90 {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

fn cause(id: &str, lang: Lang) -> Result<String, Failure> {
    let found = CauseId::ALL.iter().find(|cause| cause.name() == id);
    let found = found.ok_or_else(|| {
        Failure::new(Kind::Usage, Unknown { id: id.to_owned() }).hint("verifier explain lists the checks")
    })?;
    let (sentence, hint) = catalogue::template(*found, lang);
    let hint = &catalogue::plain(hint);
    let next = catalogue::say(phrase::FrameNext { hint }, lang);
    Ok(format!("{id}: {}\n\n{next}\n", catalogue::plain(sentence)))
}

fn walk(symptom: Symptom, lang: Lang) -> String {
    let (key, ids) = symptom.walk();
    let mut text = String::new();
    for (at, id) in ids.iter().enumerate() {
        let why = catalogue::walk(key, id, lang).unwrap_or_default();
        let _ = writeln!(text, "{}. {id}\n   {why}", at + 1);
    }
    format!("{text}\n{}\n", catalogue::say(phrase::FrameAgain, lang))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symptoms_lead_to_checks_that_exist() {
        for symptom in Symptom::value_variants() {
            let (key, ids) = symptom.walk();
            for id in ids {
                assert!(checks::all().any(|check| check.id == *id), "{id}");
                for lang in [Lang::En, Lang::Ko] {
                    assert!(catalogue::walk(key, id, lang).is_some(), "{key} {id}");
                }
            }
        }
    }

    #[test]
    fn checks_and_causes_are_explained_in_both_languages_and_others_refused() {
        for lang in [Lang::En, Lang::Ko] {
            for check in checks::all() {
                let text = explain(check.id, lang);
                let long = wrapped(&catalogue::explain(check.id, lang));
                let longest = long.lines().map(columns).max();
                assert!(text.contains(&long) && longest <= Some(90));
            }
            for id in CauseId::ALL {
                assert!(cause(id.name(), lang).is_ok());
            }
            assert!(cause("nonsense", lang).is_err());
        }
    }
}
