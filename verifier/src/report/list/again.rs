//! What is wrong, once more at the end of a long list: each cause once, with all rows that come from it.

use cli::shown;

use crate::findings::{Lang, Logins, Outcome, catalogue};
use crate::suite::Row;

/// With fewer rows than this everything is still in sight.
const LONG: usize = 30;

/// A cause, and the rows whose worst finding it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The worst outcome of these rows.
    pub(super) outcome: Outcome,
    /// The cause in words.
    pub(super) sentence: String,
    /// What to do.
    pub(super) hint: String,
    /// The rows, each with its host.
    pub(super) rows: Vec<String>,
}

/// Returns what is wrong, failures before errors, in the order in which it was found; nothing where the list is short. Warnings
/// are no part of it.
pub(super) fn again(rows: &[Row], lang: Lang, logins: &Logins) -> Vec<Wrong> {
    if rows.len() < LONG {
        return Vec::new();
    }
    let mut found: Vec<Wrong> = Vec::new();
    for outcome in [Outcome::Fail, Outcome::Error] {
        for row in rows.iter().filter(|row| row.outcome() == outcome) {
            let Some(cause) = row.verdict.cause() else {
                continue;
            };
            let sentence = catalogue::text(cause, lang, row.distribution);
            let name = member(row.id, row.host.as_deref());
            match found.iter_mut().find(|wrong| wrong.sentence == sentence) {
                Some(wrong) => wrong.rows.push(name),
                None => found.push(Wrong {
                    outcome,
                    sentence,
                    hint: catalogue::hint(cause, lang, logins.at(row.distribution)),
                    rows: vec![name],
                }),
            }
        }
    }
    found
}

/// Returns a check with the host that it judged.
pub(super) fn member(id: &str, host: Option<&str>) -> String {
    host.map_or_else(|| id.to_owned(), |host| format!("{id} {}", shown(host)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::row;

    #[test]
    fn each_cause_stands_once_with_its_rows_and_a_short_list_is_not_told_again() {
        let of = |id, host, outcome| row(id, Some(host), outcome);
        let mut rows: Vec<Row> = (0..LONG)
            .map(|_| of("network.veth", "node-0", Outcome::Pass))
            .collect();
        rows.extend([
            of("network.pod-reachable", "server", Outcome::Error),
            of("network.routes", "server", Outcome::Fail),
            of("network.pod-reachable", "server", Outcome::Fail),
        ]);
        let found = again(&rows, Lang::En, &Logins::default());
        assert_eq!(found[0].outcome, Outcome::Fail);
        assert_eq!(
            found[0].rows[..2],
            ["network.routes server", "network.pod-reachable server"]
        );
        assert_eq!(again(&rows[LONG..], Lang::En, &Logins::default()), []);
    }
}
