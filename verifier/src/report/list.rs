//! The live list for a person: a line for each check and host as it ends; a failure with its cause, what to do, and
//! how to redo the check by hand. On a terminal what is still looked at stands below the list. What was skipped for one
//! reason stands together at the end, and so does what passed where there are many hosts; a long list ends with what is wrong.

mod again;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use cli::{Printer, Progress, shown};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use again::member;

use super::{Counts, Ended, Reporter, ReporterError, by_hand};
use crate::findings::{Accepted, CauseId, Lang, Logins, Outcome, Phrase, catalogue, phrase};
use crate::suite::{Event, Row};

/// How the list looks.
#[derive(Clone, Debug)]
pub struct Look {
    /// The language.
    pub lang: Lang,
    /// Whether stderr is a terminal: then what is looked at stands below the list.
    pub terminal: bool,
    /// Whether the end says where the time went.
    pub verbose: bool,
    /// Where the report's directory lies, so that the end can say it.
    pub directory: Option<PathBuf>,
    /// How the hosts are logged into by hand.
    pub logins: Logins,
}

/// The list.
pub struct List<W> {
    out: Printer<W>,
    look: Look,
    talk: Progress,
    bar: Option<ProgressBar>,
    looking: Vec<(&'static str, Option<String>)>,
    rows: usize,
    done: usize,
    /// What was skipped, by reason: the rows' ids and hosts.
    skipped: BTreeMap<String, Vec<String>>,
    /// How often each check passed, where there are too many rows for a line each.
    passed: BTreeMap<&'static str, usize>,
}

/// With more rows than this a check that passed has one line for all of its hosts.
const MANY: usize = 250;

impl<W: Write + Send> List<W> {
    /// Returns a list that writes to `out`, and what is no result to stderr.
    pub fn new(out: W, look: Look) -> Self {
        Self {
            out: Printer::new(out),
            look,
            talk: Progress::stderr(false),
            bar: None,
            looking: Vec::new(),
            rows: 0,
            done: 0,
            skipped: BTreeMap::new(),
            passed: BTreeMap::new(),
        }
    }

    /// Returns what it wrote to.
    #[cfg(test)]
    pub(super) fn into_inner(self) -> W {
        self.out.into_inner()
    }

    fn say(&self, phrase: impl Into<Phrase>) -> String {
        catalogue::say(phrase, self.look.lang)
    }

    fn begin(&mut self, rows: usize) {
        self.rows = rows;
        let bar = ProgressBar::no_length();
        bar.set_draw_target(if self.look.terminal {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        });
        let style = ProgressStyle::with_template("{spinner} [{elapsed}] {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(125));
        self.bar = Some(bar);
    }

    fn show_status(&self) {
        let name = |(id, host): &(&str, Option<String>)| member(id, host.as_deref());
        let names: Vec<String> = self.looking.iter().map(name).collect();
        let status = self.say(phrase::LookingAt {
            done: &self.done,
            rows: &self.rows,
            names: &names.join(", "),
        });
        if let Some(bar) = &self.bar {
            bar.set_message(shown(&status));
        }
    }

    fn row(&mut self, row: &Row) -> io::Result<()> {
        let (lang, outcome) = (self.look.lang, row.outcome());
        let cause = row.verdict.cause();
        let sentence = cause.map_or_else(
            || catalogue::summary(row.id, lang).to_owned(),
            |cause| catalogue::text(cause, lang, row.distribution),
        );
        if outcome == Outcome::Skip {
            let of = member(row.id, row.host.as_deref());
            self.skipped.entry(sentence).or_default().push(of);
            return Ok(());
        }
        if outcome == Outcome::Pass && self.rows > MANY {
            *self.passed.entry(row.id).or_default() += 1;
            return Ok(());
        }
        let style = style(outcome);
        let host = shown(row.host.as_deref().unwrap_or("-"));
        let (word, id, took) = (outcome.word(), row.id, row.took.as_secs_f64());
        let mut text = format!("{style}{word:<5}{style:#} {id:<26} {host:<12} {took:>5.1} s  {sentence}");
        // Writing to a String cannot fail.
        for (at, found) in row.verdict.findings().iter().enumerate() {
            if at > 0 {
                let words = catalogue::text(&found.cause, lang, row.distribution);
                let _ = write!(text, "\n      {}{words}", self.label(phrase::LabelAlso));
            }
            if let Some(Accepted { reason, by, until }) = &found.accepted {
                let words = self.say(phrase::AcceptedBy { reason, by, until });
                let _ = write!(text, "\n      {}{words}", self.label(phrase::LabelAccepted));
            }
        }
        if let Some(cause) = cause {
            let logins = &self.look.logins;
            let hint = catalogue::hint(cause, lang, logins.at(row.distribution));
            let _ = write!(text, "\n      {}{}", self.label(phrase::LabelCause), cause.id());
            let _ = write!(text, "\n      {}{hint}", self.label(phrase::LabelHint));
            let by_hand = by_hand(row, lang, logins);
            if !by_hand.is_empty() {
                let _ = write!(text, "\n      {}{by_hand}", self.label(phrase::LabelByHand));
            }
        }
        self.line(&text)
    }

    /// Returns a label with the blanks that put what follows into one column.
    fn label(&self, label: impl Into<Phrase>) -> String {
        let label = self.say(label);
        // Korean letters take two columns.
        let columns: usize = label
            .chars()
            .map(|letter| if letter.is_ascii() { 1 } else { 2 })
            .sum();
        label + &" ".repeat(9_usize.saturating_sub(columns).max(1))
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        let out = &mut self.out;
        let mut write = || out.print(text);
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Shows what passed and has no line of its own yet, each check once.
    fn passes(&mut self) -> io::Result<()> {
        let style = style(Outcome::Pass);
        for (id, times) in std::mem::take(&mut self.passed) {
            let word = Outcome::Pass.word();
            let sentence = catalogue::summary(id, self.look.lang);
            self.line(&format!(
                "{style}{word:<5}{style:#} {id:<26} {times:>4} x  {sentence}"
            ))?;
        }
        Ok(())
    }

    /// Shows what is wrong once more, each cause once with all that comes from it.
    fn again(&mut self, rows: &[Row]) -> io::Result<()> {
        let found = again::again(rows, self.look.lang, &self.look.logins);
        if found.is_empty() {
            return Ok(());
        }
        let mut text = format!("\n{}", self.say(phrase::WhatIsWrong));
        for wrong in found {
            let style = style(wrong.outcome);
            let word = wrong.outcome.word();
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{style}{word:<5}{style:#} {}", wrong.sentence);
            let _ = write!(
                text,
                "\n      {}{}",
                self.label(phrase::LabelRows),
                wrong.rows.join(", ")
            );
            let _ = write!(text, "\n      {}{}", self.label(phrase::LabelHint), wrong.hint);
        }
        self.line(&text)
    }

    /// Shows what was skipped, each reason once.
    fn skips(&mut self) -> io::Result<()> {
        let style = style(Outcome::Skip);
        for (reason, members) in std::mem::take(&mut self.skipped) {
            let word = Outcome::Skip.word();
            let mut text = format!("{style}{word:<5}{style:#} ");
            let _ = match members.as_slice() {
                [one] => write!(text, "{one}: {reason}"),
                many => write!(text, "{} x {reason}\n      {}", many.len(), many.join(", ")),
            };
            self.line(&text)?;
        }
        Ok(())
    }

    /// Shows what came after the last event, and the verdict. Where standard output takes it not, stderr gets the verdict.
    fn end(&mut self, ended: &Ended<'_>) -> io::Result<()> {
        let verdict = self.verdict(ended);
        let unwritten = |row: &&Row| {
            row.verdict
                .cause()
                .is_some_and(|cause| cause.id() == CauseId::ReportUnwritten)
        };
        let mut show = || {
            self.passes()?;
            self.skips()?;
            ended
                .rows
                .iter()
                .filter(unwritten)
                .try_for_each(|row| self.row(row))?;
            self.again(ended.rows)?;
            self.line(&verdict)
        };
        let shown = show();
        let lost = shown.as_ref().err().map(ToString::to_string);
        if let Some(reason) = lost.or_else(|| ended.unshown.map(str::to_owned)) {
            let lost = self.say(phrase::OutputLost { reason: &reason });
            // Nothing can be done where stderr takes it not either: the exit code has it still.
            let _ = Printer::new(anstream::stderr()).print(&lost);
        }
        if shown.is_err() {
            let _ = Printer::new(anstream::stderr()).print(&verdict);
        }
        shown
    }

    fn verdict(&self, ended: &Ended<'_>) -> String {
        let report = ended.report;
        let style = style(report.outcome);
        let (outcome, counts) = (&report.outcome.word(), &counts(report.counts));
        let seconds = &format!("{:.1}", report.seconds);
        let verdict = if report.is_partial() {
            let left = &report.not_run.len();
            self.say(phrase::VerdictPartial {
                outcome,
                counts,
                seconds,
                left,
            })
        } else {
            self.say(phrase::VerdictLine {
                outcome,
                counts,
                seconds,
            })
        };
        let mut text = format!("\n{style}{verdict}{style:#}");
        if let Some(directory) = &self.look.directory
            && ended.written.contains(directory)
        {
            let line = self.say(phrase::ReportLies {
                directory: &directory.display(),
            });
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{line}");
        }
        text
    }

    fn time(&self, ended: &Ended<'_>) {
        let lap = |(name, took): &(&str, Duration)| format!("{name} {:.1} s", took.as_secs_f64());
        let laps: Vec<String> = ended.laps.iter().map(lap).collect();
        let longest = ended.rows.iter().max_by_key(|row| row.took);
        let longest = longest.map(|row| (member(row.id, row.host.as_deref()), row.took));
        let (name, took) = longest.unwrap_or_default();
        self.talk.say(&self.say(phrase::TimeWent {
            laps: &laps.join(", "),
            longest: &format!("{name} {:.1} s", took.as_secs_f64()),
        }));
    }
}

impl<W: Write + Send> Reporter for List<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Begun { rows } => self.begin(*rows),
            Event::Looking { id, host } => self.looking.push((id, host.clone())),
            Event::Row(row) => {
                self.done += 1;
                self.looking
                    .retain(|(id, host)| *id != row.id || *host != row.host);
                self.row(row)?;
            }
            Event::Note(note) => {
                let text = self.label(phrase::LabelNote).trim_end().to_owned();
                self.line(&format!("{text:<5} {}", self.say(note.clone())))?;
            }
            Event::Talk(talk) => self.talk.say(&self.say(talk.clone())),
            Event::Work { name, bytes } => self.talk.begin(&self.say(name.clone()), *bytes),
            Event::Worked(bytes) => self.talk.add(*bytes),
            Event::WorkEnded => self.talk.end(),
            Event::Cleaning => {
                self.looking.clear();
                if let Some(bar) = &self.bar {
                    bar.set_message(self.say(phrase::Removing));
                }
                return Ok(());
            }
        }
        self.show_status();
        Ok(())
    }

    fn finish(&mut self, ended: &Ended<'_>) -> Result<(), ReporterError> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let shown = self.end(ended);
        if self.look.verbose {
            self.time(ended);
        }
        shown.map_err(ReporterError::Output)
    }
}

pub(super) fn counts(counts: Counts) -> String {
    let parts = [
        (counts.pass, Outcome::Pass),
        (counts.accepted, Outcome::Accepted),
        (counts.warn, Outcome::Warn),
        (counts.fail, Outcome::Fail),
        (counts.error, Outcome::Error),
        (counts.skip, Outcome::Skip),
    ];
    let some = parts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = some
        .map(|(count, outcome)| format!("{count} {}", outcome.word()))
        .collect();
    if words.is_empty() {
        "0".to_owned()
    } else {
        words.join(", ")
    }
}

fn style(outcome: Outcome) -> Style {
    let colour = match outcome {
        Outcome::Pass => AnsiColor::Green,
        Outcome::Warn | Outcome::Accepted => AnsiColor::Yellow,
        Outcome::Fail => AnsiColor::Red,
        Outcome::Error => AnsiColor::Magenta,
        Outcome::Skip => AnsiColor::Cyan,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Measure;
    use crate::report::tests::{report, row};

    fn listed(lang: Lang, rows: &[Row]) -> String {
        let look = Look {
            lang,
            terminal: false,
            verbose: false,
            directory: Some("report".into()),
            logins: Logins::default(),
        };
        let mut list = List::new(Vec::new(), look);
        list.event(&Event::Begun { rows: rows.len() }).unwrap();
        for row in rows {
            list.event(&Event::Row(Box::new(row.clone()))).unwrap();
        }
        let report = report(&[Outcome::Pass, Outcome::Fail]);
        let measure = Measure {
            site: "",
            index: None,
        };
        let ended = Ended {
            report: &report,
            rows,
            measure,
            laps: &[],
            written: &["report".into()],
            unshown: None,
        };
        list.finish(&ended).unwrap();
        let mut plain = anstream::StripStream::new(Vec::new());
        plain.write_all(&list.into_inner()).unwrap();
        String::from_utf8(plain.into_inner()).unwrap()
    }

    #[test]
    fn a_failure_shows_cause_hint_and_the_way_by_hand() {
        let of = |outcome| row("network.pod-reachable", Some("server"), outcome);
        insta::assert_snapshot!(listed(
            Lang::En,
            &[of(Outcome::Pass), of(Outcome::Fail), of(Outcome::Skip)]
        ));
    }

    #[test]
    fn a_report_that_was_not_written_is_shown_and_not_said_to_lie_there() {
        let mut unwritten = row("run.report", None, Outcome::Error);
        let cause = crate::findings::cause::ReportUnwritten {
            reason: &"cannot write the report to report: No space left on device",
        };
        let error = crate::findings::Finding::error(cause);
        unwritten.verdict = crate::findings::Verdict::of(Ok(vec![error]), Vec::new());
        let look = Look {
            lang: Lang::En,
            terminal: false,
            verbose: false,
            directory: Some("report".into()),
            logins: Logins::default(),
        };
        let mut list = List::new(Vec::new(), look);
        let report = report(&[Outcome::Pass]);
        let measure = Measure {
            site: "",
            index: None,
        };
        let ended = Ended {
            report: &report,
            rows: &[unwritten],
            measure,
            laps: &[],
            written: &[],
            unshown: None,
        };
        list.finish(&ended).unwrap();
        let text = String::from_utf8(list.into_inner()).unwrap();
        assert!(text.contains("No space left on device"), "{text}");
        assert!(!text.contains("report/report.json"), "{text}");
    }

    #[test]
    fn what_was_skipped_for_one_reason_stands_together_in_either_language() {
        let skip = |host| row("network.pod-reachable", Some(host), Outcome::Skip);
        let text = listed(Lang::Ko, &[skip("node-0"), skip("node-1")]);
        assert!(
            text.contains("network.pod-reachable node-0, network.pod-reachable node-1"),
            "{text}"
        );
        assert!(text.starts_with("skip  2 x "), "{text}");
    }
}
