//! What a defect says: its words may quote text from outside.

use std::panic::{self, PanicHookInfo};

use crate::printer::Printer;
use crate::shown::shown;

/// Makes what a panic prints fit to be shown.
pub(crate) fn guard() {
    panic::set_hook(Box::new(|info| {
        // Nothing can be done about a closed stderr.
        let _ = Printer::new(std::io::stderr()).print(&words(info));
    }));
}

fn words(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    format!(
        "this is a defect of the program, at {place}: {}",
        shown(info.payload_as_str().unwrap_or_default())
    )
}
