//! `fuzz`: libFuzzer over every parser of what others wrote, on the stable toolchain: `fuzz/` is one program for all
//! targets, built with the coverage that libFuzzer reads and with overflow checks, without sanitizers (which would need a
//! nightly one; our own code is without `unsafe`).
//!
//! What a run finds lies in target/fuzz/found/TARGET/; mended, it goes into fuzz/seeds/TARGET/, where unit tests hold it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Talk, TaskError, cargo, target_dir};
use crate::supply::TARGET;

/// What libFuzzer's macro and cargo-fuzz ask of rustc.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Where the seeds lie, a folder for each target.
const SEEDS: &str = "fuzz/seeds";
/// The longest input in bytes; more is a matter of limits, which have tests of their own.
const LONGEST: u32 = 64 << 10;
/// An input that takes longer is a find, in seconds.
const SLOW: u32 = 20;
/// More memory for one input is a find, in MiB.
const MEMORY: u32 = 1024;

/// Runs the targets named, or all, each for some seconds.
pub(crate) fn run(talk: &Talk, names: &[String], seconds: u32) -> Result<(), TaskError> {
    let all = targets()?;
    if let Some(name) = names.iter().find(|name| !all.contains(name)) {
        return Err(TaskError::Usage(format!(
            "no target {name}; there are {}",
            all.join(", ")
        )));
    }
    let program = build(talk)?;
    let chosen = all.iter().filter(|name| names.is_empty() || names.contains(name));
    let mut found = Vec::new();
    for name in chosen {
        let step = format!("fuzz {name} for {seconds} s");
        match talk.step(&step, &mut fuzzer(&program, name, seconds)?) {
            Ok(()) => {}
            Err(TaskError::Failed { .. }) => found.push(format!("{name} (target/fuzz/found/{name}/)")),
            Err(error) => return Err(error),
        }
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(TaskError::Tests(found))
    }
}

fn targets() -> Result<Vec<String>, TaskError> {
    let entries = fs::read_dir(SEEDS)
        .map_err(io(&format!("read {SEEDS}")))?
        .flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Builds with the very versions that the product has.
fn build(talk: &Talk) -> Result<PathBuf, TaskError> {
    fs::copy("Cargo.lock", "fuzz/Cargo.lock").map_err(io("copy Cargo.lock into fuzz/"))?;
    let target = target_dir().join("fuzz");
    let mut build = cargo(&[
        "build",
        "--quiet",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target-dir",
    ]);
    talk.step("build the fuzzer", build.arg(&target).env("RUSTFLAGS", FLAGS))?;
    Ok(target.join(TARGET).join("release/fuzz"))
}

fn fuzzer(program: &Path, name: &str, seconds: u32) -> Result<Command, TaskError> {
    let folder = |kind: &str| {
        let folder = target_dir().join("fuzz").join(kind).join(name);
        fs::create_dir_all(&folder).map_err(io(&format!("make {}", folder.display())))?;
        Ok(folder)
    };
    let (corpus, found) = (folder("corpus")?, folder("found")?);
    let mut command = Command::new(program);
    command.env("FUZZ_TARGET", name);
    // Parsers of files get theirs where writing costs no disk.
    if Path::new("/dev/shm").is_dir() {
        command.env("TMPDIR", "/dev/shm");
    }
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={LONGEST}"),
        format!("-timeout={SLOW}"),
        format!("-rss_limit_mb={MEMORY}"),
        format!("-artifact_prefix={}/", found.display()),
        "-print_final_stats=1".to_owned(),
        "-verbosity=0".to_owned(),
    ]);
    command.arg(corpus).arg(Path::new(SEEDS).join(name));
    Ok(command)
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> TaskError + use<> {
    let what = what.to_owned();
    move |source| TaskError::Io { what, source }
}
