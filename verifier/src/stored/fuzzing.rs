//! The door of `fuzz/` into snapshots.

use super::{Form, Reader, Wanted};

/// A snapshot of anybody: whatever it is, it is read to its end, and one that is whole by its pages has what they say.
pub(crate) fn snapshot(bytes: &[u8]) {
    for form in [Form::Snapshot, Form::Database] {
        let mut reader = Reader::new(Wanted {
            form,
            prefix: "/registry".to_owned(),
            keys: vec!["/registry/secrets/a/x".to_owned()],
        });
        for piece in bytes.chunks(4000) {
            reader.feed(piece);
        }
        assert_eq!(reader.bytes(), bytes.len() as u64);
        let facts = reader.finish();
        assert!(facts.found.len() <= 1);
        let counted: u64 = facts.groups.iter().map(|group| group.count).sum();
        assert!(
            counted + facts.others <= facts.keys && facts.keys <= facts.revisions,
            "{facts:?}"
        );
        assert!(facts.problems.len() as u64 <= facts.problem_count);
    }
}
