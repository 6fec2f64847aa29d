//! The image of CoreDNS: the program, and nothing else.

use std::fs;
use std::io;
use std::path::Path;

use flate2::Compression;
use serde_json::json;

use super::layout::{Files, Layout, Settings};
use super::{COREDNS, Form, Image, architecture};
use crate::Error;
use crate::cache::{self, Cache};
use crate::components::{self, Set};
use crate::tool::Say;

/// Part of the cache's key: to be raised when the recipe changes.
const VERSION: u32 = 1;

/// Returns the image, made if it is not there.
pub(super) fn image(cache: &Cache, say: Say<'_>) -> Result<Image, Error> {
    let program = components::ensure(cache, &[Set::Dns], say)?.program("coredns", "coredns")?;
    // The program's directory is named by everything that went into it.
    let built = cache::key(&[&program.to_string_lossy()]);
    let entry = format!("images/coredns-{VERSION}-{built}-{}", architecture());
    let layouts = cache.entry(&entry, |staging| {
        make(staging, &program).map_err(Error::file("writing the image of CoreDNS in", staging))
    })?;
    Ok(Image {
        key: entry,
        layout: layouts.join("coredns"),
        reference: COREDNS.tag.to_owned(),
        target: format!("{}:{}", COREDNS.repository, COREDNS.tag),
        form: Form::Same,
    })
}

fn make(directory: &Path, program: &Path) -> io::Result<()> {
    let mut layout = Layout::create(directory.join("coredns"))?;
    let mut files = Files::new();
    files.file("coredns", 0o755, &fs::read(program)?)?;
    let layer = layout.layer(&mut files.finish()?.as_slice(), Compression::fast())?;
    let settings = Settings {
        architecture: architecture(),
        config: json!({"Entrypoint": ["/coredns"], "ExposedPorts": {"53/tcp": {}, "53/udp": {}}}),
    };
    let image = layout.image(&settings, &[layer])?;
    layout.tag(&image, COREDNS.tag);
    layout.finish()
}
