//! `inspect FILE`, the same in both programs: what is in a bundle, from its index alone.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use bundle::{Image, Index, Kind, Member, Reader, Trust};
use bytesize::ByteSize;
use serde::Serialize;

use crate::bundle_failure::bundle_failure;
use crate::exit;
use crate::failure::Failure;
use crate::form::{Form, write_json, write_text};
use crate::shown::shown;
use crate::trust::{Provenance, SignatureState, bundle_source, provenance};

/// The result as JSON, version 1.
#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    file: String,
    bundle: bundle::Digest,
    /// Whether there is a signature at all: alone it proves nothing.
    signed: bool,
    /// Whether it was verified with a key that was given.
    verified: bool,
    #[serde(flatten)]
    provenance: Provenance,
    bytes: u64,
    index: &'a Index,
}

/// What is to be inspected, and how the result is shown.
pub struct Inspect<'a> {
    /// The bundle; `-` is standard input.
    pub path: &'a Path,
    /// Whom it must come from.
    pub trust: &'a Trust,
    /// The form of the result.
    pub form: Form,
}

impl Inspect<'_> {
    /// Writes what the index says to `out`. Reads some kilobytes, whatever the bundle's size.
    pub fn run(&self, out: &mut dyn Write) -> Result<u8, Failure> {
        let path = self.path;
        let bundle = Reader::open(bundle_source(path), self.trust);
        let bundle = bundle.map_err(|error| bundle_failure(path, error))?;
        match self.form {
            Form::Json => {
                let provenance = Provenance::of(bundle.origin());
                let signed = matches!(
                    provenance.signature,
                    SignatureState::Unverified | SignatureState::Verified
                );
                let report = Report {
                    version: 1,
                    file: path.display().to_string(),
                    bundle: bundle.id(),
                    signed,
                    verified: provenance.signature == SignatureState::Verified,
                    provenance,
                    bytes: bundle.index().total_size(),
                    index: bundle.index(),
                };
                write_json(out, &report)?;
            }
            Form::Text => write_text(out, &text(&bundle))?,
        }
        Ok(exit::PASS)
    }
}

fn text(bundle: &Reader) -> String {
    let index = bundle.index();
    let platforms: Vec<String> = index.platforms.iter().map(ToString::to_string).collect();
    let mut rows = vec![
        ["name".to_owned(), index.name.clone()],
        ["bundle".to_owned(), bundle.id().to_string()],
        ["signature".to_owned(), provenance(bundle.origin())],
        ["made by".to_owned(), index.tool.clone()],
        ["platforms".to_owned(), platforms.join(", ")],
        ["size".to_owned(), ByteSize(index.total_size()).to_string()],
    ];
    if let Some(serial) = index.serial {
        rows.push(["serial".to_owned(), serial.to_string()]);
    }
    if let Some(created) = index.created {
        rows.push(["created".to_owned(), created.to_string()]);
    }
    if let Some(smoke) = &index.smoke {
        rows.push(["smoke runs".to_owned(), smoke.image.clone()]);
    }
    for base in &index.requires {
        let blobs = base.blobs.len();
        rows.push(["needs".to_owned(), format!("{} ({blobs} blobs)", base.bundle)]);
    }
    let mut text = table(&rows);
    let images: Vec<_> = index.images.iter().map(|image| image_row(index, image)).collect();
    if !images.is_empty() {
        let _ = write!(text, "\nimages ({})\n{}", images.len(), table(&images));
    }
    let others: Vec<_> = index
        .members
        .iter()
        .filter(|member| member.kind != Kind::Blob)
        .collect();
    let blobs: Vec<_> = index
        .members
        .iter()
        .filter(|member| member.kind == Kind::Blob)
        .collect();
    let members: Vec<_> = others.iter().map(|member| member_row(member)).collect();
    let _ = write!(text, "\nfiles ({})\n{}", members.len(), table(&members));
    let size = blobs
        .iter()
        .fold(0_u64, |sum, member| sum.saturating_add(member.size));
    let _ = write!(text, "\nblobs ({}): {}\n", blobs.len(), ByteSize(size));
    text
}

fn image_row(index: &Index, image: &Image) -> [String; 4] {
    let layers = image.platforms.iter().flat_map(|platform| &platform.layers);
    let size: u64 = layers
        .filter_map(|layer| index.blob(&layer.digest))
        .fold(0, |sum: u64, member| sum.saturating_add(member.size));
    let platforms: Vec<String> = image.platforms.iter().map(|p| p.platform.to_string()).collect();
    [
        image.name.clone(),
        platforms.join(", "),
        ByteSize(size).to_string(),
        image.digest.to_string(),
    ]
}

/// The path comes last: some are long. The hashes are in SHA256SUMS.
fn member_row(member: &Member) -> [String; 2] {
    [ByteSize(member.size).to_string(), member.path.as_str().to_owned()]
}

/// Lays rows out in columns, two spaces before and between.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| shown(cell)))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "  {cell:width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
