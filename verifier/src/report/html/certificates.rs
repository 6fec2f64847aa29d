//! The certificates on a time line, the first to end first, and as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markup::{Markup, class};
use crate::certs::Listed;
use crate::findings::{Phrase, catalogue, phrase};
use crate::report::{Report, xml};

/// So many are drawn and listed; certificates.csv has all.
const DRAWN: usize = 40;
const LISTED: usize = 250;
/// The picture, in its own units: the names' column, what has ended, what is to come.
const NAMES: i32 = 250;
const PAST: i32 = 40;
const FUTURE: i32 = 410;
const ROW: i32 = 17;
const TOP: i32 = 20;
/// The end of the line, in days.
const FAR: f64 = 3650.0;
/// Marks on the line, in days.
const MARKS: [(i64, &str); 6] = [
    (0, "0"),
    (30, "30"),
    (90, "90"),
    (365, "365"),
    (1095, "1095"),
    (3650, "3650"),
];

/// Draws them.
pub(super) fn draw(page: &mut Markup, report: &Report) {
    if report.certificates.is_empty() {
        return;
    }
    page.section("certificates", phrase::PaperCertificates);
    let all = by_certificate(&report.certificates);
    line(page, &all);
    table(page, report);
    page.raw("</section>\n");
}

/// Returns each certificate once, with all the places where it stands, the first to end first.
fn by_certificate(listed: &[Listed]) -> Vec<Vec<&Listed>> {
    let mut all: BTreeMap<(i64, &str), Vec<&Listed>> = BTreeMap::new();
    for one in listed {
        all.entry((one.days_left, &one.sha256)).or_default().push(one);
    }
    all.into_values().collect()
}

/// Returns where a day stands on the line: near days have more room than far ones.
fn place(days: i64) -> i32 {
    #[expect(clippy::cast_precision_loss, reason = "a picture")]
    let log = |days: i64| (1.0 + days as f64 / 15.0).ln() / (1.0 + FAR / 15.0).ln();
    let zero = NAMES + PAST;
    #[expect(clippy::cast_possible_truncation, reason = "a picture: between -40 and 410")]
    if days < 0 {
        zero - (f64::from(PAST) * log(-days).clamp(0.1, 0.9)) as i32
    } else {
        zero + (f64::from(FUTURE) * log(days).clamp(0.0, 1.0)) as i32
    }
}

fn line(page: &mut Markup, all: &[Vec<&Listed>]) {
    let rows = i32::try_from(all.len().min(DRAWN)).unwrap_or_default();
    let height = TOP + rows * ROW + 6;
    let width = NAMES + PAST + FUTURE + 50;
    let near = &all.iter().filter(|places| places[0].days_left < 90).count();
    let label = catalogue::say(
        phrase::PaperTimeLine {
            count: &all.len(),
            near,
        },
        page.lang(),
    );
    page.element("p class=legend", &label);
    page.raw(&format!(
        "<svg class=time role=img aria-label=\"{}\" viewBox=\"0 0 {width} {height}\">",
        xml::escaped(&label)
    ));
    let mut out = String::new();
    for (days, name) in MARKS {
        let x = place(days);
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "<path class={} d=\"M{x} {TOP}V{height}\"/><text x={x} y=12 text-anchor=middle>{name}</text>",
            if days == 0 { "now" } else { "mark" }
        );
    }
    page.raw(&out);
    for (places, row) in all.iter().zip(0..rows) {
        bar(page, places, TOP + row * ROW);
    }
    page.raw("</svg>\n");
    if all.len() > DRAWN {
        page.words(
            "p class=cut",
            phrase::PaperMore {
                count: &(all.len() - DRAWN),
            },
        );
    }
}

fn bar(page: &mut Markup, places: &[&Listed], y: i32) {
    let one = places[0];
    let worst = places
        .iter()
        .map(|place| place.standing)
        .max()
        .unwrap_or(one.standing);
    let (zero, end) = (place(0), place(one.days_left));
    let (from, to) = (zero.min(end), zero.max(end).max(zero + 1));
    page.raw(&format!("<text x=0 y={}>", y + 12));
    // What tells it from others of the same authority.
    let subject = one
        .subject
        .rfind("CN=")
        .map_or(one.subject.as_str(), |at| &one.subject[at..]);
    let mut name: String = subject.chars().take(36).collect();
    if name.len() < subject.len() {
        name.push('…');
    }
    if places.len() > 1 {
        let _ = write!(name, " ×{}", places.len());
    }
    page.text(&name);
    page.raw(&format!(
        "</text><path class=\"s {}\" d=\"M{from} {y}h{}\" transform=\"translate(0 8)\"/><circle class=\"{0}\" cx={end} cy={} r=4 /><text x={} y={}>{}</text>",
        class(worst),
        to - from,
        y + 8,
        end.max(zero) + 8,
        y + 12,
        one.days_left
    ));
}

fn table(page: &mut Markup, report: &Report) {
    let all = super::super::certificates::by_end(report);
    page.raw("<table class=certs><caption>");
    page.say(phrase::CertificatesThere);
    page.raw("</caption><thead><tr>");
    let heads: [Phrase; 6] = [
        phrase::ColumnUntil.into(),
        phrase::ColumnDays.into(),
        phrase::ColumnStanding.into(),
        phrase::ColumnWhere.into(),
        phrase::ColumnSubject.into(),
        phrase::ColumnUsedBy.into(),
    ];
    for head in heads {
        page.words("th scope=col", head);
    }
    page.raw("</tr></thead><tbody>");
    for listed in all.iter().take(LISTED) {
        let used: Vec<&str> = listed.used_by.iter().map(cli::Shown::as_str).collect();
        let host = listed
            .host
            .as_deref()
            .map_or(String::new(), |host| format!("{host} "));
        let cells = [
            listed.not_after.get(..10).unwrap_or(&listed.not_after).to_owned(),
            listed.days_left.to_string(),
            listed.standing.word().to_owned(),
            host + &listed.place,
            listed.subject.to_string(),
            used.join("; "),
        ];
        page.raw(&format!("<tr class={}>", class(listed.standing)));
        for cell in cells {
            page.element("td", &cell[..cell.floor_char_boundary(240)]);
        }
        page.raw("</tr>\n");
    }
    page.raw("</tbody></table>\n");
    if all.len() > LISTED {
        page.words(
            "p class=cut",
            phrase::PaperCertificatesElsewhere {
                count: &(all.len() - LISTED),
            },
        );
    }
}
