//! The table for a terminal: the first to end first, what nobody uses last.

use comfy_table::Table;

use super::by_end;
use crate::certs::Listed;
use crate::findings::{Lang, Phrase, catalogue, phrase};
use crate::report::Report;

/// Returns the table.
pub(super) fn text(report: &Report, lang: Lang) -> String {
    let heads: [Phrase; 6] = [
        phrase::ColumnUntil.into(),
        phrase::ColumnDays.into(),
        phrase::ColumnStanding.into(),
        phrase::ColumnWhere.into(),
        phrase::ColumnSubject.into(),
        phrase::ColumnUsedBy.into(),
    ];
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_header(heads.map(|head| catalogue::say(head, lang)));
    let (used, unused): (Vec<_>, Vec<_>) = by_end(report)
        .into_iter()
        .partition(|listed| !listed.used_by.is_empty());
    for listed in used.into_iter().chain(unused) {
        table.add_row(row(listed));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("\n{}\n", lines.join("\n"))
}

fn row(listed: &Listed) -> [String; 6] {
    let host = listed
        .host
        .as_deref()
        .map(|host| format!("{host}:"))
        .unwrap_or_default();
    let links = listed
        .names
        .first()
        .map(|name| format!(" -> {name}"))
        .unwrap_or_default();
    let users: Vec<&str> = listed.used_by.iter().map(cli::Shown::as_str).collect();
    let day = listed.not_after.get(..10).unwrap_or(&listed.not_after);
    [
        day.to_owned(),
        listed.days_left.to_string(),
        listed.standing.word().to_owned(),
        format!("{host}{}{links}", listed.place),
        common_name(&listed.subject).to_owned(),
        match &users[..] {
            [] => "-".to_owned(),
            [one] => (*one).to_owned(),
            [one, rest @ ..] => format!("{one}, +{}", rest.len()),
        },
    ]
}

/// Returns the CN of a subject; all of it where it has none.
fn common_name(subject: &str) -> &str {
    subject.rsplit_once("CN=").map_or(subject, |(_, name)| name)
}
