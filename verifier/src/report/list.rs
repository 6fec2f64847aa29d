//! The live list for a person: a line for each check and host as it ends; a failure with its cause, what to do, and
//! how to redo the check by hand. On a terminal what is still looked at stands below the list.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Report, by_hand};
use crate::findings::{Outcome, catalogue};
use crate::suite::{CheckText, Event, Row};

/// The list.
pub struct List<W> {
    out: W,
    bar: ProgressBar,
    texts: BTreeMap<&'static str, CheckText>,
    looking: Vec<(&'static str, Option<String>)>,
    rows: usize,
    done: usize,
}

impl<W: Write> List<W> {
    /// Returns a list that writes to `out`; `terminal` says whether stderr is one.
    pub fn new(out: W, terminal: bool, texts: BTreeMap<&'static str, CheckText>) -> Self {
        let bar = ProgressBar::no_length();
        bar.set_draw_target(if terminal {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        });
        let style = ProgressStyle::with_template("{spinner} [{elapsed}] {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(125));
        Self {
            out,
            bar,
            texts,
            looking: Vec::new(),
            rows: 0,
            done: 0,
        }
    }

    /// Shows an event.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Begun { rows } => self.rows = *rows,
            Event::Looking { id, host } => self.looking.push((id, host.clone())),
            Event::Row(row) => {
                self.done += 1;
                self.looking
                    .retain(|(id, host)| *id != row.id || *host != row.host);
                self.row(row)?;
            }
            Event::Note(note) => self.line(&format!("note  {note}"))?,
            Event::Cleaning => {
                self.looking.clear();
                self.bar.set_message("removing what the run made");
                return Ok(());
            }
        }
        self.bar.set_message(self.status());
        Ok(())
    }

    /// Ends the list.
    pub fn end(mut self) -> io::Result<()> {
        self.bar.finish_and_clear();
        self.out.flush()
    }

    fn status(&self) -> String {
        let names: Vec<String> = self
            .looking
            .iter()
            .map(|(id, host)| {
                host.as_ref()
                    .map_or_else(|| (*id).to_owned(), |host| format!("{id} {host}"))
            })
            .collect();
        format!("{} of {}: {}", self.done, self.rows, names.join(", "))
    }

    fn row(&mut self, row: &Row) -> io::Result<()> {
        let style = style(row.outcome);
        let host = row.host.as_deref().unwrap_or("-");
        let (word, id, took) = (row.outcome.word(), row.id, row.took.as_secs_f64());
        let mut text = format!("{style}{word:<5}{style:#} {id:<26} {host:<12} {took:>5.1} s  ");
        match &row.cause {
            None => text.push_str(row.summary),
            Some(cause) => text.push_str(&catalogue::text(cause)),
        }
        if let Some(cause) = row.cause.as_ref().filter(|_| row.outcome != Outcome::Skip) {
            for also in &row.also {
                let _ = write!(text, "\n      also     {}", catalogue::text(also));
            }
            let _ = write!(text, "\n      cause    {}", cause.id);
            let _ = write!(text, "\n      hint     {}", catalogue::hint(cause));
            if let Some(by_hand) = by_hand(&self.texts, row) {
                let _ = write!(text, "\n      by hand  {by_hand}");
            }
        }
        self.line(&text)
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        let out = &mut self.out;
        self.bar
            .suspend(|| writeln!(out, "{text}").and_then(|()| out.flush()))
    }
}

/// Writes the last lines: the verdict, and where the report lies.
pub fn write_verdict(out: &mut impl Write, report: &Report, directory: Option<&Path>) -> io::Result<()> {
    let style = style(report.outcome);
    writeln!(out, "\n{style}{}{style:#}", report.verdict())?;
    if let Some(directory) = directory {
        writeln!(
            out,
            "report: {0}/report.json, evidence in {0}/evidence",
            directory.display()
        )?;
    }
    out.flush()
}

fn style(outcome: Outcome) -> Style {
    let colour = match outcome {
        Outcome::Pass => AnsiColor::Green,
        Outcome::Warn => AnsiColor::Yellow,
        Outcome::Fail => AnsiColor::Red,
        Outcome::Error => AnsiColor::Magenta,
        Outcome::Skip => AnsiColor::Cyan,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{report, row};

    #[test]
    fn a_failure_shows_cause_hint_and_the_way_by_hand() {
        let texts = [(
            "network.pod-reachable",
            CheckText {
                by_hand: "ssh {host} curl -s http://POD_IP",
                explain: "",
            },
        )];
        let mut out = Vec::new();
        let mut list = List::new(&mut out, false, texts.into());
        list.event(&Event::Begun { rows: 2 }).unwrap();
        for outcome in [Outcome::Pass, Outcome::Fail, Outcome::Skip] {
            let row = row("network.pod-reachable", Some("server"), outcome);
            list.event(&Event::Row(Box::new(row))).unwrap();
        }
        list.end().unwrap();
        write_verdict(
            &mut out,
            &report(&[Outcome::Pass, Outcome::Fail]),
            Some(Path::new("report")),
        )
        .unwrap();
        let mut plain = anstream::StripStream::new(Vec::new());
        plain.write_all(&out).unwrap();
        insta::assert_snapshot!(String::from_utf8(plain.into_inner()).unwrap());
    }
}
