//! What a snapshot is, in lines for people and as JSON for programs.

use bytesize::ByteSize;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::findings::{Lang, catalogue, phrase};
use crate::protocol::{SnapshotFacts, SnapshotHash, StoredGroup, writer_label};

/// A snapshot as it was found.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotSeen<'a> {
    /// The file.
    pub file: &'a str,
    /// What it is.
    pub facts: &'a SnapshotFacts,
    /// When the file was written, in seconds since 1970.
    pub written: i64,
    /// Now.
    pub now: i64,
}

/// A snapshot, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    version: u32,
    file: &'a str,
    whole: bool,
    written: String,
    /// When it was taken, by the newest Lease in it.
    taken: Option<String>,
    age_seconds: i64,
    snapshot: &'a SnapshotFacts,
}

impl SnapshotSeen<'_> {
    /// Returns how old it is in seconds: since it was taken, and where nothing in it says when, since it was written.
    pub fn age(&self) -> i64 {
        self.now - self.facts.renewed.unwrap_or(self.written)
    }

    /// Returns it for programs.
    pub fn to_json(&self) -> serde_json::Value {
        let entry = Entry {
            version: 1,
            file: self.file,
            whole: self.facts.is_whole(),
            written: time(self.written),
            taken: self.facts.renewed.map(time),
            age_seconds: self.age(),
            snapshot: self.facts,
        };
        serde_json::to_value(entry).unwrap_or_default()
    }

    /// Returns it for people.
    pub fn lines(&self, lang: Lang) -> Vec<String> {
        let facts = self.facts;
        let (file, bytes) = (&self.file, &ByteSize(facts.bytes));
        let mut lines = Vec::new();
        let mut say = |phrase: crate::findings::Phrase| lines.push(catalogue::say(phrase, lang));
        if facts.is_whole() {
            say(phrase::SnapshotWhole { file, bytes }.into());
        } else {
            say(phrase::SnapshotNotWhole { file, bytes }.into());
        }
        match facts.hash {
            SnapshotHash::Right => say(phrase::SnapshotHashRight.into()),
            SnapshotHash::Wrong | SnapshotHash::Missing => say(phrase::SnapshotHashWrong.into()),
            SnapshotHash::None => {}
        }
        if facts.page_size == 0 {
            say(phrase::SnapshotForeign.into());
        } else {
            for problem in &facts.problems {
                let (page, problem) = (&problem.page, &problem.problem.word());
                say(phrase::SnapshotPageWrong { page, problem }.into());
            }
        }
        if facts.unread {
            say(phrase::SnapshotBeyond.into());
        }
        if facts.keys > 0 {
            say(phrase::SnapshotHolds {
                keys: &facts.keys,
                revision: &facts.revision,
                revisions: &facts.revisions,
                pages: &facts.pages,
            }
            .into());
        }
        let age = |since: i64| format!("{:#}", SignedDuration::from_secs((self.now - since).max(0)));
        if let Some(taken) = facts.renewed {
            say(phrase::SnapshotTaken {
                time: &time(taken),
                age: &age(taken),
            }
            .into());
        }
        say(phrase::SnapshotWritten {
            time: &time(self.written),
            age: &age(self.written),
        }
        .into());
        if !facts.groups.is_empty() {
            say(phrase::StoredObjects.into());
        }
        lines.extend(facts.groups.iter().map(line));
        lines.extend(odd(&facts.groups, lang));
        lines
    }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

fn line(group: &StoredGroup) -> String {
    let (path, writer) = (cli::Shown::new(&group.path), writer_label(&group.writer));
    format!(
        "  {:<42} {:<28} {:>8}",
        &*path,
        &*cli::Shown::new(&writer),
        group.count
    )
}

/// Names objects of resources that are stored in several ways: all but those that were written as the newest one.
fn odd(groups: &[StoredGroup], lang: Lang) -> Vec<String> {
    let mixed = |group: &&StoredGroup| {
        let mut twins = groups.iter().filter(|other| other.path == group.path);
        let several = twins.clone().count() > 1;
        let encrypted = twins.any(|twin| !twin.writer.is_empty());
        several && encrypted && !group.usual
    };
    let named = groups.iter().filter(mixed).flat_map(|group| {
        let found = writer_label(&group.writer);
        let names = group.named.iter().map(move |object| {
            let odd = phrase::SnapshotOdd {
                object,
                found: &found,
            };
            catalogue::say(odd, lang)
        });
        let left = group.count.saturating_sub(group.named.len() as u64);
        let more = (left > 0).then(|| catalogue::say(phrase::MoreFindingsLine { count: &left }, lang));
        names.chain(more).collect::<Vec<_>>()
    });
    named.collect()
}
