//! The two programs under test, as `cargo xtask dist` leaves them.

use std::path::{Path, PathBuf};

/// Where the programs are.
pub struct Programs {
    /// `bundler`, with `verifier` beside it.
    pub bundler: PathBuf,
    /// `verifier`.
    pub verifier: PathBuf,
}

/// Returns the programs of `target/dist`, or of the directory that `DIST` names.
///
/// # Panics
///
/// When they were not built: a test without them would prove nothing.
pub fn programs() -> Programs {
    let default = || {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        target
            .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
            .join("dist")
    };
    let dist = std::env::var_os("DIST").map_or_else(default, PathBuf::from);
    let dist = std::path::absolute(&dist).unwrap_or(dist);
    let programs = Programs {
        bundler: dist.join("bundler"),
        verifier: dist.join("verifier"),
    };
    for program in [&programs.bundler, &programs.verifier] {
        assert!(
            program.is_file(),
            "{} is not there: run `cargo xtask dist` first",
            program.display()
        );
    }
    programs
}
