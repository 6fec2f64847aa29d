//! Nasty texts, sent through everything that draws or keeps a run.

use cli::{Shown, nasty};

use super::tests::{report, row};
use super::{By, ClusterEntry, Ended, HostEntry, List, Look, Measure, Report, Reporter as _, directory};
use crate::findings::{
    Cause, CauseId, Evidence, Finding, Lang, Line, Outcome, Phrase, PhraseId, Unjudged, Verdict, phrase,
};
use crate::suite::{Event, Kept, Row, Seen};

/// Returns rows in which every text is that one: one for each cause, as a finding and as the reason of a skip.
fn rows(text: &str) -> Vec<Row> {
    let whole = |judged| {
        let mut row = row("nodes.ready", Some(text), Outcome::Pass);
        let evidence = Evidence::lines(phrase::Routes, [Line::from(text)]);
        row.verdict = Verdict::of(judged, evidence.into_iter().collect());
        row.seen = None;
        row
    };
    let of = |id: &CauseId| {
        let cause = || Cause::holding(*id, text);
        let found = vec![Finding::fail(cause()).of(text), Finding::warn(cause()).of(text)];
        [whole(Ok(found)), whole(Err(Unjudged::skip(cause())))]
    };
    CauseId::ALL.iter().flat_map(of).collect()
}

/// Returns what the list writes of rows, notes and talk.
fn listed(lang: Lang, rows: &[Row], text: &str) -> String {
    let look = Look {
        lang,
        terminal: false,
        verbose: false,
        directory: Some(text.into()),
        logins: super::Logins::default(),
    };
    let mut list = List::new(Vec::new(), look);
    list.event(&Event::Begun { rows: rows.len() }).unwrap();
    for row in rows {
        let host = row.host.clone();
        list.event(&Event::Looking { id: row.id, host }).unwrap();
        list.event(&Event::Row(Box::new(row.clone()))).unwrap();
    }
    for id in PhraseId::ALL {
        list.event(&Event::Note(Phrase::holding(*id, text))).unwrap();
    }
    let report = report(&[Outcome::Pass]);
    let measure = Measure {
        site: "",
        index: None,
    };
    let ended = Ended {
        report: &report,
        rows,
        measure,
        laps: &[],
        written: &[text.into()],
        unshown: Some(text),
    };
    list.finish(&ended).unwrap();
    String::from_utf8(list.into_inner()).unwrap()
}

/// Returns a line that is not ours.
fn forged(text: &str) -> Option<&str> {
    // What the nasty texts would have looked like at the beginning of a line.
    let lies = ["error: forged", "pass hosts.reach", "  hint: curl", "\u{301}"];
    text.lines()
        .find(|line| lies.iter().any(|lie| line.starts_with(lie)))
}

#[test]
fn whatever_a_run_is_told_its_list_is_visible_and_its_lines_are_ours() {
    let plain = [Lang::En, Lang::Ko].map(|lang| listed(lang, &rows("SAFE"), "SAFE").lines().count());
    for text in nasty::texts() {
        let rows = rows(&text);
        for (lang, plain) in [Lang::En, Lang::Ko].into_iter().zip(plain) {
            let list = listed(lang, &rows, &text);
            assert_eq!(nasty::fault_of_output(&list), None, "{lang:?}");
            assert_eq!(list.lines().count(), plain, "{lang:?} {text:.80?}");
            assert_eq!(forged(&list), None, "{lang:?}");
        }
    }
}

#[test]
fn whatever_a_run_is_told_its_files_are_visible_and_each_row_has_its_own() {
    for text in nasty::texts() {
        let mut rows = rows(&text);
        // The causes are the list's matter; these few have facts.
        rows.truncate(6);
        for row in &mut rows {
            let facts = serde_json::json!({ "said": text, (&*text): [text] });
            row.seen = Some(Kept::Whole(Seen {
                facts: facts.into(),
                again: None,
                depth: None,
            }));
        }
        let name = || Shown::new(&text);
        let about = super::About {
            by: By {
                user: name(),
                machine: name(),
            },
            cluster: Some(ClusterEntry {
                server: name(),
                version: Some(name()),
                uid: Some(name()),
                ca: None,
            }),
            hosts: vec![HostEntry {
                name: name(),
                address: name(),
                roles: Vec::new(),
                kubelet: Some(name()),
                runtime: Some(name()),
                kernel: Some(name()),
                system: Some(name()),
                boot: Some(name()),
                node: Some(name()),
                login: Some(super::LoginEntry {
                    command: name(),
                    sudo: true,
                }),
            }],
            ..super::tests::about()
        };
        let report = Report::new(about, &rows);
        let measure = Measure {
            site: "",
            index: None,
        };
        let files = directory::files(&report, &rows, measure, Lang::En);
        // A text of evidence and facts for each row; report.json, .html and .xml, and the site file.
        assert_eq!(files.len(), rows.len() * 2 + 4);
        for (name, bytes) in &files {
            let file = String::from_utf8(bytes.clone()).unwrap();
            let lines = || file.lines();
            // Facts are as long as they are: their limit is that of what was read.
            let fault = if name.ends_with(".facts.json") || name == "report.html" {
                lines()
                    .find(|line| line.contains(bundle::is_unseen))
                    .map(str::to_owned)
            } else {
                lines().find_map(nasty::fault)
            };
            assert_eq!(fault, None, "{name}");
            let safe = |c: char| c.is_ascii_alphanumeric() || "-._@/".contains(c);
            assert!(
                name.chars().all(safe) && name.len() < 150 && !name.contains(".."),
                "{name}"
            );
        }
        let read: Report = serde_json::from_slice(&files["report.json"]).unwrap();
        assert_eq!(read, report);
        let facts = files
            .iter()
            .find(|(name, _)| name.ends_with(".facts.json"))
            .unwrap();
        let facts: serde_json::Value = serde_json::from_slice(facts.1).unwrap();
        assert_eq!(facts["facts"]["said"], *text, "facts mean what they meant");
        assert_eq!(facts["host"], *text);
    }
}
