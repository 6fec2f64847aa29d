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
    let quiet = |mut command: Command| {
        command.arg(archive).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let check = || {
        let mut command = Command::new(programs().verifier);
        command.arg("check");
        quiet(command)
    };
    let sha256sum = || quiet(Command::new("sha256sum"));
    let contenders = [
        Contender {
            name: "verifier check",
            before: Box::new(read),
            command: Box::new(check),
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
