//! `dist`: both programs as one static file each, in target/dist/, each with its bill of materials; and `reproducible`:
//! that another checkout gives the same bytes.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Talk, TaskError, cargo, target_dir};
use crate::supply::sbom::{self, Toolchain};
use crate::supply::{PROGRAMS, TARGET};

/// Builds and returns the directory that holds `bundler` and `verifier`.
pub(crate) fn run(talk: &Talk) -> Result<PathBuf, TaskError> {
    let toolchain = Toolchain::here()?;
    let here = env::current_dir().map_err(io("find the workspace"))?;
    let place = Place {
        target: here.join(target_dir()),
        checkout: here,
    };
    place.build(talk, "build the static programs (dist)", &toolchain)?;
    let dist = target_dir().join("dist");
    fs::create_dir_all(&dist).map_err(io(&format!("make {}", dist.display())))?;
    for program in PROGRAMS {
        let failed = io(&format!("put {program} into {}", dist.display()));
        // A program that runs cannot be written over, but it can be replaced.
        let fresh = dist.join(format!(".{program}.new"));
        fs::copy(place.built(program), &fresh)
            .and_then(|_| fs::rename(&fresh, dist.join(program)))
            .map_err(failed)?;
        sbom::write(program, &dist, &toolchain)?;
    }
    talk.say(&format!(
        "{0}/bundler and {0}/verifier, each with its .cdx.json",
        dist.display()
    ));
    Ok(dist)
}

/// Returns the command that does the same beside other work, which goes first on the processors.
pub(crate) fn beside() -> Result<Command, TaskError> {
    let mut command = Command::new("nice");
    command
        .args(["-n", "10"])
        .arg(env::current_exe().map_err(io("find this program"))?)
        .arg("dist");
    Ok(command)
}

/// Takes both programs as the tests against real servers were built with them, without what a debugger reads of them, and
/// returns their directory.
pub(crate) fn early(talk: &Talk) -> Result<PathBuf, TaskError> {
    let dir = target_dir().join("early");
    fs::create_dir_all(&dir).map_err(io(&format!("make {}", dir.display())))?;
    for program in PROGRAMS {
        let mut strip = Command::new("strip");
        strip
            .arg("-o")
            .arg(dir.join(program))
            .arg(target_dir().join(TARGET).join("debug").join(program));
        talk.step(&format!("strip {program}"), &mut strip)?;
    }
    std::path::absolute(&dir).map_err(io("find the directory of the programs"))
}

/// Builds what is committed in a checkout of its own, in another directory with another target directory, and compares
/// with target/dist/.
pub(crate) fn reproducible(talk: &Talk) -> Result<(), TaskError> {
    let first = run(talk)?;
    let changed = crate::supply::output(Command::new("git").args(["status", "--porcelain"]))?;
    if !changed.is_empty() {
        let hint = "commit first: the other checkout has only what is committed";
        return Err(TaskError::Missing(
            "the work tree has changes".into(),
            hint.into(),
        ));
    }
    let aside = env::temp_dir().join(format!("another-checkout-{}", std::process::id()));
    let result = second(talk, &first, &aside);
    let _ = fs::remove_dir_all(&aside);
    result
}

fn second(talk: &Talk, first: &Path, aside: &Path) -> Result<(), TaskError> {
    let checkout = aside.join("a-longer-name-than-the-first");
    let mut clone = Command::new("git");
    talk.step(
        "clone into another directory",
        clone.args(["clone", "--quiet", "."]).arg(&checkout),
    )?;
    let place = Place {
        checkout,
        target: aside.join("target"),
    };
    place.build(talk, "build the same there", &Toolchain::here()?)?;
    for program in PROGRAMS {
        let (one, other) = (first.join(program), place.built(program));
        talk.step(
            &format!("{program} is the same"),
            Command::new("cmp").arg(one).arg(other),
        )?;
    }
    talk.say("both programs are byte for byte the same from two checkouts");
    Ok(())
}

/// A checkout, and where cargo builds for it.
struct Place {
    checkout: PathBuf,
    target: PathBuf,
}

impl Place {
    fn built(&self, program: &str) -> PathBuf {
        self.target.join(TARGET).join("dist").join(program)
    }

    /// Builds so that nothing of the place is in the programs.
    fn build(&self, talk: &Talk, step: &str, toolchain: &Toolchain) -> Result<(), TaskError> {
        let names: Vec<String> = self
            .names()
            .iter()
            .map(|(path, name)| format!("\"--remap-path-prefix={path}={name}\""))
            .collect();
        // A static program that may lie anywhere relocates itself; the packed form spares 1.7 MB of the verifier (glibc 2.36).
        let packed = "\"-Clink-arg=-Wl,-z,pack-relative-relocs\"".to_owned();
        // The profile strips too, but not a program whose package has settings of its own.
        let stripped = "\"-Cstrip=symbols\"".to_owned();
        // Functions that came out the same are one (LLD, which Rust links with).
        let folded = "\"-Clink-arg=-Wl,--icf=all\"".to_owned();
        let all: Vec<String> = names.into_iter().chain([packed, stripped, folded]).collect();
        let flags = format!("target.{TARGET}.rustflags=[{}]", all.join(","));
        let mut build = cargo(&["build", "--locked", "--profile", "dist", "--config", &flags]);
        build.args(PROGRAMS.iter().flat_map(|program| ["--package", program]));
        build
            .current_dir(&self.checkout)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("LONG_VERSION", toolchain.version());
        talk.step(step, &mut build)?;
        PROGRAMS.iter().try_for_each(|program| self.nowhere(program))
    }

    /// Returns the paths of this machine that a compiler could write down, and what it writes instead. The last that
    /// fits counts.
    fn names(&self) -> Vec<(String, &'static str)> {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        let mut names = Vec::new();
        if let Some(home) = home {
            names.push((home.display().to_string(), "/cargo"));
            let sources = fs::read_dir(home.join("registry/src"))
                .into_iter()
                .flatten()
                .flatten();
            names.extend(sources.map(|source| (source.path().display().to_string(), "/crates")));
        }
        names.push((self.checkout.display().to_string(), "/source"));
        names.push((self.target.display().to_string(), "/target"));
        names
    }

    /// Makes sure that none of those paths is in a program.
    fn nowhere(&self, program: &str) -> Result<(), TaskError> {
        let file = self.built(program);
        let bytes = fs::read(&file).map_err(io(&format!("read {}", file.display())))?;
        for (path, _) in self.names() {
            if bytes.windows(path.len()).any(|window| window == path.as_bytes()) {
                return Err(TaskError::Missing(
                    format!("{program} holds the path {path} of this machine"),
                    "what wrote it there must be told another name in xtask/src/dist.rs".into(),
                ));
            }
        }
        Ok(())
    }
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> TaskError + use<> {
    let what = what.to_owned();
    move |source| TaskError::Io { what, source }
}
