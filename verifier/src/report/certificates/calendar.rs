//! A calendar of the days on which certificates end (RFC 5545): one entry a certificate, however many places it stands at,
//! with alarms before. Entries keep their identity from one calendar to the next.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::by_end;
use crate::certs::{Listed, seconds};
use crate::report::Report;

/// How many days before the end an alarm comes.
const ALARMS: [i64; 2] = [90, 30];
/// Lines are folded at so many bytes.
const LINE: usize = 75;

/// Returns the calendar of what is in use.
pub(super) fn text(report: &Report) -> String {
    let stamp = stamp(report.started);
    let mut lines = vec![
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//verifier//certificates//EN".to_owned(),
    ];
    let mut seen: BTreeMap<&str, Vec<&Listed>> = BTreeMap::new();
    let used = by_end(report)
        .into_iter()
        .filter(|listed| !listed.used_by.is_empty());
    let mut order = Vec::new();
    for listed in used {
        let places = seen.entry(&listed.sha256).or_default();
        if places.is_empty() {
            order.push(listed.sha256.as_str());
        }
        places.push(listed);
    }
    for places in order.iter().filter_map(|sha256| seen.get(sha256)) {
        lines.extend(event(places, &stamp).into_iter().flatten());
    }
    lines.push("END:VCALENDAR".to_owned());
    lines.iter().map(|line| folded(line)).collect()
}

/// Returns the entry of a certificate; none where no calendar has the day.
fn event(places: &[&Listed], stamp: &str) -> Option<Vec<String>> {
    let first = places.first()?;
    let day = first.not_after.get(..10)?.replace('-', "");
    seconds(&first.not_after)?;
    let wheres: Vec<String> = places
        .iter()
        .map(|listed| {
            let host = listed.host.as_deref().unwrap_or_default();
            let users: Vec<&str> = listed.used_by.iter().map(cli::Shown::as_str).collect();
            format!("{host}:{} [{}]", listed.place, users.join(", "))
        })
        .collect();
    let text = format!(
        "{}\n{}\nsha256 {}",
        first.not_after,
        wheres.join("\n"),
        first.sha256
    );
    let mut lines = vec![
        "BEGIN:VEVENT".to_owned(),
        format!("UID:{}@verifier", first.sha256),
        format!("DTSTAMP:{stamp}"),
        format!("DTSTART;VALUE=DATE:{day}"),
        format!(
            "SUMMARY:{}",
            escaped(&format!("{} ({})", first.subject, places.len()))
        ),
        format!("DESCRIPTION:{}", escaped(&text)),
        "TRANSP:TRANSPARENT".to_owned(),
    ];
    for days in ALARMS {
        lines.extend([
            "BEGIN:VALARM".to_owned(),
            "ACTION:DISPLAY".to_owned(),
            format!("TRIGGER:-P{days}D"),
            format!("DESCRIPTION:{}", escaped(&first.subject)),
            "END:VALARM".to_owned(),
        ]);
    }
    lines.push("END:VEVENT".to_owned());
    Some(lines)
}

fn stamp(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace(';', "\\;")
        .replace(',', "\\,")
        .replace('\n', "\\n")
}

/// Returns a line with its end, folded: what follows a fold begins with a space.
fn folded(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    let mut room = LINE;
    while rest.len() > room {
        let (begin, after) = rest.split_at(rest.floor_char_boundary(room));
        text += begin;
        text += "\r\n ";
        (rest, room) = (after, LINE - 1);
    }
    text + rest + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::certificates::testing::listed;
    use crate::report::tests::report;

    #[test]
    fn a_certificate_at_two_places_is_one_entry_and_what_nobody_uses_is_none() {
        let mut report = report(&[]);
        let mut unused = listed("node-1", "/old.crt", "CN=old", "2026-01-01T00:00:00Z", -100);
        unused.used_by.clear();
        unused.sha256 = "cd".repeat(32);
        report.certificates = vec![
            listed("node-0", "/a.crt", "O=x, CN=y;z", "2027-03-01T12:00:00Z", 90),
            listed("node-1", "/a.crt", "O=x, CN=y;z", "2027-03-01T12:00:00Z", 90),
            unused,
        ];
        let text = text(&report);
        assert_eq!(text.matches("BEGIN:VEVENT").count(), 1);
        assert!(text.contains("DTSTART;VALUE=DATE:20270301\r\n"), "{text}");
        assert!(text.contains("SUMMARY:O=x\\, CN=y\\;z (2)\r\n"), "{text}");
        assert!(text.split("\r\n").all(|line| line.len() <= LINE), "{text}");
        assert!(
            text.replace("\r\n ", "")
                .contains("node-1:/a.crt [kubelet tlsCertFile]"),
            "{text}"
        );
    }
}
