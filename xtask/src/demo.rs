//! `demo`: the main job, on a real cluster, as a user would do it.

use std::path::Path;

use crate::step::{self, Talk, TaskError};
use crate::{dist, step::lab};

/// What the user asked for.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// End the demo's lab instead.
    pub(crate) down: bool,
    /// Hosts as a careful site has them: no root login, no forwarding, sudo with a password.
    pub(crate) hardened: bool,
}

/// Where the media lie on the jumpbox.
const MEDIA: &str = "/media";

/// Boots the lab, makes the bundle, carries it across, and verifies there with what the archive holds.
pub(crate) fn run(talk: &Talk, options: Options) -> Result<(), TaskError> {
    let name = if options.hardened { "demo-hardened" } else { "demo" };
    step::require_root()?;
    if options.down {
        step::build_lab(talk)?;
        return talk.step("end the lab", &mut lab(&["down", "--name", name]));
    }
    step::require_go()?;
    let dist = dist::run(talk)?;
    step::build_lab(talk)?;
    let mut up = lab(&["up", "--name", name]);
    if options.hardened {
        up.arg("--hardened");
    }
    talk.step("boot the closed network and its cluster", &mut up)?;
    build(talk, name, &dist)?;
    carry(talk, name)?;
    let verdict = verify(talk, name);
    hints(talk, name, options.hardened);
    verdict
}

/// Makes the bundle on the connected side, from its registry.
fn build(talk: &Talk, name: &str, dist: &Path) -> Result<(), TaskError> {
    let bundler = absolute(&dist.join("bundler"))?;
    let spec = absolute(Path::new("xtask/demo/bundle.yaml"))?;
    let lock = absolute(&archive(name).with_file_name("bundle.lock"))?;
    let archive = absolute(&archive(name))?;
    let mut build = lab(&["exec", "--name", name, "connected", "--"]);
    build.args([
        &*bundler, "build", "--file", &spec, "--lock", &lock, "--update", "--output", &archive,
    ]);
    talk.step("make the bundle on the connected side", &mut build)
}

/// Carries the archive across the gap: as a file, through no network.
fn carry(talk: &Talk, name: &str) -> Result<(), TaskError> {
    for file in ["site.tar", "site.tar.sha256"] {
        let from = archive(name).with_file_name(file);
        let open = std::fs::File::open(&from);
        let input = open.map_err(|source| TaskError::Io {
            what: format!("open {}", from.display()),
            source,
        })?;
        let script = format!("mkdir -p {MEDIA} && cat > {MEDIA}/{file}");
        let mut put = lab(&["exec", "--name", name, "jumpbox", "--", "sh", "-c", &script]);
        talk.step_with_input(&format!("carry {file} to the jumpbox"), &mut put, input)?;
    }
    Ok(())
}

/// Verifies on the jumpbox with only what is in the archive.
fn verify(talk: &Talk, name: &str) -> Result<(), TaskError> {
    let unpack =
        format!("cd {MEDIA} && sha256sum -c site.tar.sha256 && tar -xf site.tar verifier-linux-amd64");
    let mut take = lab(&["exec", "--name", name, "jumpbox", "--", "sh", "-c", &unpack]);
    talk.step(
        "take the verifier out of the archive, with coreutils and tar alone",
        &mut take,
    )?;
    let run = format!(
        "cd {MEDIA} && rm -rf report && exec ./verifier-linux-amd64 run site.tar --site site.yaml --report report"
    );
    let mut run = lab(&["exec", "--name", name, "jumpbox", "--", "sh", "-c", &run]);
    talk.step("verifier run, inside the closed network", &mut run)
}

/// Says where the report lies, how to look around and how to end it.
fn hints(talk: &Talk, name: &str, hardened: bool) {
    let option = if hardened { " --hardened" } else { "" };
    talk.say(&format!(
        "the report: cargo lab exec --name {name} jumpbox -- cat {MEDIA}/report/report.json"
    ));
    talk.say(&format!(
        "look around: cargo lab shell --name {name} jumpbox (or server, node-0, node-1)"
    ));
    talk.say(&format!("end it:      cargo xtask demo --down{option}"));
}

/// Returns where the demo's archive is made.
fn archive(name: &str) -> std::path::PathBuf {
    step::target_dir().join("demo").join(name).join("site.tar")
}

/// Returns an absolute path, as the namespaces' commands need it, and makes its directory.
fn absolute(path: &Path) -> Result<String, TaskError> {
    let io = |source| TaskError::Io {
        what: format!("find {}", path.display()),
        source,
    };
    path.parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .map_err(io)?;
    std::path::absolute(path)
        .map(|path| path.to_string_lossy().into_owned())
        .map_err(io)
}
