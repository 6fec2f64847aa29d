//! `check FILE`, the same in both programs: every byte of a bundle against its index.

use std::io::Write;
use std::path::Path;

use bundle::{Event, ReadError};
use bytesize::ByteSize;
use serde::Serialize;

use crate::bundle_failure::bundle_failure;
use crate::exit;
use crate::failure::Failure;
use crate::form::{Form, write_json};
use crate::progress::Progress;

/// The result as JSON, version 1.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    file: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<bundle::Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    problems: Vec<Problem>,
}

/// What is wrong.
#[derive(Serialize)]
struct Problem {
    member: Option<String>,
    text: String,
}

/// Reads every byte of the bundle at `path` and writes the result to `out`. The failure names what is wrong: exit
/// code 3 for bad contents, 2 for a file that cannot be read.
pub fn check_bundle(
    path: &Path,
    form: Form,
    progress: &Progress,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let result = bundle::check(path, &mut |event| match event {
        Event::Start { bytes, .. } => progress.begin("check", bytes),
        Event::Bytes(bytes) => progress.add(bytes),
        _ => {}
    });
    progress.end();
    if form == Form::Json {
        write_json(out, &report(path, result.as_ref()))?;
    }
    let checked = result.map_err(|error| bundle_failure(path, error))?;
    if form == Form::Text {
        let beside = if checked.beside {
            format!(
                ", and the file is what {} says",
                bundle::checksum_file(path).display()
            )
        } else {
            String::new()
        };
        let text = format!(
            "{}: good. {} members, {}, all as the index says{beside}\nbundle {} ({})\n",
            path.display(),
            checked.members,
            ByteSize(checked.bytes),
            checked.id,
            checked.index.name,
        );
        crate::form::write_text(out, &text)?;
    }
    Ok(exit::PASS)
}

fn report<'a>(path: &Path, result: Result<&'a bundle::Checked, &ReadError>) -> Report<'a> {
    let problem = |error: &ReadError| Problem {
        member: error.member().map(str::to_owned),
        text: with_causes(error),
    };
    let checked = result.ok();
    Report {
        version: 1,
        file: path.display().to_string(),
        ok: checked.is_some(),
        bundle: checked.map(|checked| checked.id),
        name: checked.map(|checked| checked.index.name.as_str()),
        members: checked.map(|checked| checked.members),
        bytes: checked.map(|checked| checked.bytes),
        problems: result
            .err()
            .map_or_else(Vec::new, |error| error.problems().iter().map(problem).collect()),
    }
}

/// Returns the message with those of its causes, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
