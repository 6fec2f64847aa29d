//! `check FILE`, the same in both programs: every byte of a bundle against its index.

use std::io::Write;
use std::path::Path;

use bundle::{Depth, Event, ReadError, Trust};
use bytesize::ByteSize;
use serde::Serialize;

use crate::bundle_failure::bundle_failure;
use crate::exit;
use crate::failure::{Failure, chain};
use crate::form::{Form, tell_json, tell_text};
use crate::progress::Progress;
use crate::shown::{Shown, shown};
use crate::trust::{Provenance, bundle_source, provenance};

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
    /// Who made it.
    #[serde(flatten)]
    provenance: Option<Provenance>,
    problems: Vec<Problem>,
}

/// What is wrong.
#[derive(Serialize)]
struct Problem {
    member: Option<Shown>,
    /// Where in the file its bytes could not be read, from the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    text: Shown,
}

/// What is to be checked, and how the result is shown.
pub struct Check<'a> {
    /// The bundle; `-` is standard input.
    pub path: &'a Path,
    /// Whom it must come from.
    pub trust: &'a Trust,
    /// How much of it is judged.
    pub depth: Depth,
    /// The form of the result.
    pub form: Form,
    /// What is said of a good bundle; absent: in English.
    pub words: Option<&'a dyn Fn(&bundle::Checked) -> String>,
}

impl Check<'_> {
    /// Reads every byte of the bundle and writes the result to `out`. The failure names what is wrong: exit code 3 for bad
    /// contents, 2 for a file that cannot be read.
    pub fn run(&self, progress: &Progress, out: &mut dyn Write) -> Result<u8, Failure> {
        let (path, depth, form) = (self.path, self.depth, self.form);
        let result = bundle::check(bundle_source(path), self.trust, depth, &mut |event| match event {
            Event::Start { bytes, .. } => progress.begin("check", bytes),
            Event::Bytes(bytes) => progress.add(bytes),
            _ => {}
        });
        progress.end();
        if form == Form::Json {
            tell_json(out, &report(path, result.as_ref()));
        }
        let checked = result.map_err(|error| bundle_failure(path, error))?;
        if form == Form::Text {
            let text = self
                .words
                .map_or_else(|| self.english(&checked), |words| words(&checked));
            tell_text(out, &text);
        }
        Ok(exit::PASS)
    }

    fn english(&self, checked: &bundle::Checked) -> String {
        let beside = if checked.beside {
            ", and the file is what the .sha256 beside it says"
        } else {
            ""
        };
        let layers = match self.depth {
            Depth::Bytes => "",
            Depth::Layers => ", every layer unpacks to its diffID",
        };
        format!(
            "{}: good. {} members, {}, all as the index says{layers}{beside}\nbundle {} ({})\n{}\n",
            Shown::new(&self.path.display()),
            checked.members,
            ByteSize(checked.bytes),
            checked.id,
            shown(&checked.index.name),
            provenance(&checked.origin),
        )
    }
}

fn report<'a>(path: &Path, result: Result<&'a bundle::Checked, &ReadError>) -> Report<'a> {
    let problem = |error: &ReadError| Problem {
        member: error.member().map(Shown::new),
        offset: error.offset(),
        text: Shown::new(&chain(error)),
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
        provenance: checked.map(|checked| Provenance::of(&checked.origin)),
        problems: result
            .err()
            .map_or_else(Vec::new, |error| error.problems().iter().map(problem).collect()),
    }
}
