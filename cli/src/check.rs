//! `check FILE`, the same in both programs: every byte of a bundle against its index.

use std::io::Write;
use std::path::Path;

use bundle::{Depth, Event, ReadError};
use bytesize::ByteSize;
use serde::Serialize;

use crate::bundle_failure::bundle_failure;
use crate::exit;
use crate::failure::Failure;
use crate::form::{Form, write_json};
use crate::progress::Progress;
use crate::shown::shown;

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

/// What is to be checked, and how the result is shown.
#[derive(Debug)]
pub struct Check<'a> {
    /// The bundle.
    pub path: &'a Path,
    /// How much of it is judged.
    pub depth: Depth,
    /// The form of the result.
    pub form: Form,
}

/// Reads every byte of the bundle at `path` and writes the result to `out`. The failure names what is wrong: exit
/// code 3 for bad contents, 2 for a file that cannot be read.
pub fn check_bundle(
    path: &Path,
    form: Form,
    progress: &Progress,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let depth = Depth::Bytes;
    Check { path, depth, form }.run(progress, out)
}

impl Check<'_> {
    /// Checks, and writes the result to `out`; fails as [`check_bundle`] does.
    pub fn run(&self, progress: &Progress, out: &mut dyn Write) -> Result<u8, Failure> {
        let Self { path, depth, form } = *self;
        let result = bundle::check_to(path, depth, &mut |event| match event {
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
            crate::form::write_text(out, &self.text(&checked))?;
        }
        Ok(exit::PASS)
    }

    fn text(&self, checked: &bundle::Checked) -> String {
        let beside = if checked.beside {
            let file = bundle::checksum_file(self.path);
            format!(", and the file is what {} says", file.display())
        } else {
            String::new()
        };
        let layers = match self.depth {
            Depth::Bytes => "",
            Depth::Layers => ", every layer unpacks to its diffID",
        };
        format!(
            "{}: good. {} members, {}, all as the index says{layers}{beside}\nbundle {} ({})\n",
            self.path.display(),
            checked.members,
            ByteSize(checked.bytes),
            checked.id,
            shown(&checked.index.name),
        )
    }
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
