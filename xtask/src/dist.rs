//! `dist`: both programs as one static file each, in target/dist/.

use std::path::PathBuf;

use crate::step::{Talk, TaskError, cargo, target_dir};

/// Builds and returns the directory that holds `bundler` and `verifier`.
pub(crate) fn run(talk: &Talk) -> Result<PathBuf, TaskError> {
    let arguments = [
        "build",
        "--profile",
        "dist",
        "--package",
        "bundler",
        "--package",
        "verifier",
    ];
    talk.step("build the static programs (dist)", &mut cargo(&arguments))?;
    let dist = target_dir().join("dist");
    for program in ["bundler", "verifier"] {
        let built = target_dir().join("x86_64-unknown-linux-gnu/dist").join(program);
        let place = dist.join(program);
        let io = |source| TaskError::Io {
            what: format!("put {program} into {}", dist.display()),
            source,
        };
        std::fs::create_dir_all(&dist).map_err(io)?;
        // A program that runs cannot be written over, but it can be replaced.
        let fresh = dist.join(format!(".{program}.new"));
        std::fs::copy(&built, &fresh)
            .and_then(|_| std::fs::rename(&fresh, &place))
            .map_err(io)?;
    }
    talk.say(&format!("{0}/bundler and {0}/verifier", dist.display()));
    Ok(dist)
}
