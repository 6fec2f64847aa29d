//! The end of a unit's journal, by journalctl where it is. Evidence for people, never a verdict.

use std::process::Stdio;

use secrets::MaskedLines;
use tokio::process::Command;

use super::FactError;

/// The most lines that are ever given.
const LINES: u32 = 500;

/// Returns whether a text may name a unit, and is no option of whoever is asked about it.
pub(super) fn is_unit(unit: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._-:\\".contains(c);
    !unit.starts_with('-') && unit.chars().all(plain)
}

/// Returns the last lines of a unit's journal, secrets masked; none where no journalctl can be run.
pub(crate) async fn journal(unit: &str, lines: u32) -> Result<MaskedLines, FactError> {
    if !is_unit(unit) {
        return Err(FactError::Unit {
            unit: unit.to_owned(),
        });
    }
    let output = Command::new("journalctl")
        .args(["--no-pager", "--quiet", "--output=short-iso", "--unit", unit])
        .arg(format!("--lines={}", lines.min(LINES)))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Ok(MaskedLines::new(&text.lines().collect::<Vec<_>>()))
}
