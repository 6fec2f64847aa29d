//! The end of a unit's journal, by journalctl where it is. Evidence for people, never a verdict.

use std::process::Stdio;

use secrets::MaskedLines;
use tokio::process::Command;

use super::FactError;

/// The most lines that are ever given.
const LINES: u32 = 500;

/// Returns the last lines of a unit's journal, secrets masked; none where no journalctl can be run.
pub(crate) async fn journal(unit: &str, lines: u32) -> Result<MaskedLines, FactError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._-:\\".contains(c);
    if unit.starts_with('-') || !unit.chars().all(plain) {
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
