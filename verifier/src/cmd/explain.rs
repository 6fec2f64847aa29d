//! `verifier explain`: the runbook, offline, in English and in Korean.

mod walks;

use std::fmt::Write as _;
use std::io;

use clap::{Args, ValueEnum};
use cli::{Failure, Kind};

use crate::checks;
use crate::findings::{CauseId, Lang, catalogue};
use crate::suite::Check;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A check or a cause, as reports name it; absent: the list of checks
    id: Option<String>,
    /// What one sees, instead of an id
    #[arg(long, conflicts_with = "id")]
    symptom: Option<Symptom>,
    /// The language
    #[arg(long, value_name = "LANG", default_value = "en")]
    lang: Lang,
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
    /// Returns the checks to look at, in order, each with why.
    const fn walk(self) -> walks::Walk {
        match self {
            Self::Pending => walks::PENDING,
            Self::Notready => walks::NOTREADY,
            Self::Service => walks::SERVICE,
            Self::PodNetwork => walks::POD_NETWORK,
        }
    }
}

/// An id that is neither a check's nor a cause's.
#[derive(Debug, thiserror::Error)]
#[error("{id:?} is neither a check nor a cause")]
struct Unknown {
    id: String,
}

/// The words around the texts.
struct Frame {
    by_hand: &'static str,
    skipped: &'static str,
    next: &'static str,
    more: &'static str,
    again: &'static str,
}

impl Frame {
    const fn of(lang: Lang) -> Self {
        match lang {
            Lang::En => Self {
                by_hand: "By hand",
                skipped: "It is skipped where these did not work: ",
                next: "Next: ",
                more: "verifier explain ID says more about one of them",
                again: "verifier smoke --site site.yaml --bundle FILE --only ID runs one of them; verifier explain ID says more",
            },
            Lang::Ko => Self {
                by_hand: "손으로 확인",
                skipped: "다음이 실패하면 건너뛴다: ",
                next: "다음 단계: ",
                more: "verifier explain ID --lang ko 는 하나를 자세히 설명한다",
                again: "verifier smoke --site site.yaml --bundle FILE --only ID 는 하나만 다시 실행한다. verifier explain ID --lang ko 는 자세히 설명한다",
            },
        }
    }
}

pub(super) fn run(args: &ExplainArgs) -> Result<u8, Failure> {
    let text = match (&args.id, args.symptom) {
        (_, Some(symptom)) => walk(symptom, args.lang),
        (None, None) => list(args.lang),
        (Some(id), None) => match checks::all().find(|check| check.id == id) {
            Some(check) => explain(check, args.lang),
            None => cause(id, args.lang)?,
        },
    };
    cli::write_text(&mut io::stdout(), &text)?;
    Ok(cli::exit::PASS)
}

fn list(lang: Lang) -> String {
    let line = |check: &Check| format!("{:<26} {}\n", check.id, checks::words(check, lang).0);
    let lines: Vec<String> = checks::all().map(line).collect();
    format!("{}\n{}\n", lines.concat(), Frame::of(lang).more)
}

fn explain(check: &Check, lang: Lang) -> String {
    let frame = Frame::of(lang);
    let (summary, long) = checks::words(check, lang);
    let mut text = format!(
        "{}: {summary}\n\n{}\n\n{}\n",
        check.id,
        wrapped(long),
        frame.by_hand
    );
    for command in commands(check.by_hand) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}", command.replace("{host}", "HOST"));
    }
    let needs: Vec<&str> = check
        .needs
        .iter()
        .map(|fixture| fixture.owner())
        .filter(|owner| *owner != check.id)
        .collect();
    if !needs.is_empty() {
        let _ = writeln!(text, "\n{}{}", frame.skipped, needs.join(", "));
    }
    text
}

/// Returns the commands of a line of shell, one each: parted by semicolons outside of quotes.
fn commands(line: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, letter) in line.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            ';' if !quoted => {
                commands.push(line[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    commands.push(line[start..].trim());
    commands
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
    let (sentence, next) = catalogue::words(*found, lang);
    Ok(format!("{id}: {sentence}\n\n{}{next}\n", Frame::of(lang).next))
}

fn walk(symptom: Symptom, lang: Lang) -> String {
    let mut text = String::new();
    for (at, (id, english, korean)) in symptom.walk().iter().enumerate() {
        let why = match lang {
            Lang::En => english,
            Lang::Ko => korean,
        };
        let _ = writeln!(text, "{}. {id}\n   {why}", at + 1);
    }
    format!("{text}\n{}\n", Frame::of(lang).again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symptoms_lead_to_checks_that_exist() {
        for symptom in Symptom::value_variants() {
            for (id, _, _) in symptom.walk() {
                assert!(checks::all().any(|check| check.id == *id), "{id}");
            }
        }
    }

    #[test]
    fn checks_and_causes_are_explained_in_both_languages_and_others_refused() {
        for lang in [Lang::En, Lang::Ko] {
            for check in checks::all() {
                let text = explain(check, lang);
                let (_, long) = checks::words(check, lang);
                let longest = wrapped(long).lines().map(columns).max();
                assert!(text.contains(Frame::of(lang).by_hand) && longest <= Some(90));
            }
            for id in CauseId::ALL {
                assert!(cause(id.name(), lang).is_ok());
            }
            assert!(cause("nonsense", lang).is_err());
        }
    }

    #[test]
    fn commands_are_parted_outside_of_quotes() {
        assert_eq!(
            commands("kubectl a; ssh b 'c; d'; e"),
            ["kubectl a", "ssh b 'c; d'", "e"]
        );
    }
}
