//! The images of an audit: what each host holds, what is wrong first, and what they take.

use super::markup::{Markup, class};
use crate::findings::phrase;
use crate::report::Report;
use crate::report::images::table;

/// So many are listed; images.csv has all.
const LISTED: usize = 250;
/// So much of a cell is shown, in bytes.
const CELL: usize = 240;

/// Draws them; nothing where no audit of images was made.
pub(super) fn draw(page: &mut Markup, report: &Report) {
    if report.images.is_empty() {
        return;
    }
    page.section("images", phrase::PaperImagesThere);
    for line in table::room(report, page.lang()) {
        page.element("p class=legend", &line);
    }
    page.raw("<table class=certs><caption>");
    page.say(phrase::PaperImagesThere);
    page.raw("</caption><thead><tr>");
    for head in table::heads() {
        page.words("th scope=col", head);
    }
    page.raw("</tr></thead><tbody>");
    let all = table::sorted(report);
    for listed in all.iter().take(LISTED) {
        page.raw(&format!("<tr class={}>", class(listed.standing)));
        for cell in table::row(listed) {
            page.element("td", &cell[..cell.floor_char_boundary(CELL)]);
        }
        page.raw("</tr>\n");
    }
    page.raw("</tbody></table>\n");
    if all.len() > LISTED {
        let count = &(all.len() - LISTED);
        page.words("p class=cut", phrase::PaperImagesElsewhere { count });
    }
    page.raw("</section>\n");
}
