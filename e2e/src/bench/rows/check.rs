//! Check: every byte of an archive in the page cache.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::bench::{Contender, Row, compare};
use crate::programs;

pub(super) fn row(archive: &Path) -> Row {
    let read = || {
        // Into the page cache, so that both read the same memory.
        let _ =
            std::fs::File::open(archive).and_then(|mut file| std::io::copy(&mut file, &mut std::io::sink()));
    };
    // The same file under a name that has no `.sha256` beside it: then its bytes are hashed once, against the index.
    let alone = archive.with_extension("alone.tar");
    if !alone.exists() {
        std::fs::hard_link(archive, &alone).expect("a second name for the archive");
    }
    let quiet = |program: &Path, arguments: &[&str], file: &Path| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let verifier = programs().verifier;
    let check = || quiet(&verifier, &["check"], &alone);
    let check_both = || quiet(&verifier, &["check"], archive);
    let sha256sum = || quiet(Path::new("sha256sum"), &[], archive);
    let contenders = [
        Contender {
            name: "verifier check",
            before: Box::new(read),
            command: Box::new(check),
        },
        Contender {
            name: "verifier check, and the .sha256 beside it",
            before: Box::new(read),
            command: Box::new(check_both),
        },
        Contender {
            name: "sha256sum",
            before: Box::new(read),
            command: Box::new(sha256sum),
        },
    ];
    let size = std::fs::metadata(archive).map_or(0, |data| data.len() >> 20);
    compare(&format!("check: {size} MiB in the page cache"), 3, &contenders)
}
