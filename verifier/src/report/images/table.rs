//! The table for a terminal: host by host, what is wrong first; then what the images take.

use comfy_table::Table;

use crate::findings::{Lang, Phrase, catalogue, phrase};
use crate::images::{Listed, bytes};
use crate::report::Report;

/// Returns the table.
pub(super) fn text(report: &Report, lang: Lang) -> String {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_header(heads().map(|head| catalogue::say(head, lang)));
    for listed in sorted(report) {
        table.add_row(row(listed));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let room = room(report, lang);
    format!("\n{}\n\n{}\n", lines.join("\n"), room.join("\n"))
}

/// Returns what its columns are called.
pub(in crate::report) fn heads() -> [Phrase; 9] {
    [
        phrase::ColumnHost.into(),
        phrase::ColumnStanding.into(),
        phrase::ColumnImage.into(),
        phrase::ColumnId.into(),
        phrase::ColumnPinned.into(),
        phrase::ColumnBlobs.into(),
        phrase::ColumnSnapshots.into(),
        phrase::ColumnUsedBy.into(),
        phrase::ColumnSaid.into(),
    ]
}

/// Returns the images of a report, host by host, what is wrong first.
pub(in crate::report) fn sorted(report: &Report) -> Vec<&Listed> {
    let mut all: Vec<&Listed> = report.images.iter().collect();
    all.sort_by_key(|listed| (&listed.host, std::cmp::Reverse(listed.standing)));
    all
}

/// Returns what the images of each host take, a line each.
pub(in crate::report) fn room(report: &Report, lang: Lang) -> Vec<String> {
    let room = report.image_stores.iter().map(|totals| {
        let room = phrase::ImageRoomOf {
            host: &totals.host,
            blobs: &bytes(totals.blobs),
            snapshots: &bytes(totals.snapshots),
            images: &totals.removable,
            freed: &bytes(totals.freed),
        };
        catalogue::say(room, lang)
    });
    room.collect()
}

/// Returns an image as a row.
pub(in crate::report) fn row(listed: &Listed) -> [String; 9] {
    let size = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), bytes);
    let names = listed.names.iter().chain(&listed.digests);
    let name = names.map(cli::Shown::as_str).next().unwrap_or("-");
    let namespace = listed.namespace.as_deref().filter(|name| *name != "k8s.io");
    let name = match namespace {
        Some(namespace) => format!("{namespace}: {name}"),
        None => name.to_owned(),
    };
    let id = listed.id.as_deref().unwrap_or("-");
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    [
        listed.host.to_string(),
        listed.standing.word().to_owned(),
        name,
        id.get(..12).unwrap_or(id).to_owned(),
        if listed.pinned { "+" } else { "-" }.to_owned(),
        size(listed.blobs),
        size(listed.snapshots),
        match &listed.used_by[..] {
            [] => "-".to_owned(),
            [one] => one.to_string(),
            [one, rest @ ..] => format!("{one}, +{}", rest.len()),
        },
        listed.causes.join(" "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::Standing;
    use crate::images::Totals;
    use crate::report::images::testing::listed;
    use crate::report::tests::report;

    #[test]
    fn what_is_wrong_comes_first_and_what_a_clean_up_frees_stands_below() {
        let mut report = report(&[]);
        let mut missing = listed("node-0", "b:1", &[]);
        (missing.standing, missing.causes) = (Standing::Fail, vec!["image-missing".to_owned()]);
        report.images = vec![listed("node-0", "a:1", &["x/y/z", "q/r/s"]), missing];
        report.image_stores = vec![Totals {
            host: cli::Shown::new("node-0"),
            blobs: 3 << 20,
            snapshots: 9 << 20,
            removable: 2,
            freed: 1 << 20,
        }];
        let text = text(&report, Lang::En);
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
        assert!(at("image-missing") < at("x/y/z, +1") && at("x/y/z") < at("which frees 1.0 MiB"));
    }
}
