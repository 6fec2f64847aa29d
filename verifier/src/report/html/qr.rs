//! A QR code as a picture of one path.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// The empty frame that readers want, in modules.
const FRAME: i32 = 4;

/// Returns a text as a picture; nothing where it is too long.
pub(super) fn picture(text: &str, label: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let side = code.size() + 2 * FRAME;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            if run > 0 {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + FRAME, y + FRAME);
            }
            x += i32::try_from(run).unwrap_or_default() + 1;
        }
    }
    Some(format!(
        "<svg class=qr role=img aria-label=\"{label}\" viewBox=\"0 0 {side} {side}\" shape-rendering=crispEdges>\
         <path class=paper d=\"M0 0h{side}v{side}h-{side}z\"/><path class=ink d=\"{path}\"/></svg>"
    ))
}
