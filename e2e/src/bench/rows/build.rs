//! Build: from a registry on loopback (plain HTTP) to one file: everything, one image of twelve, every layer proven.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lab::cache::Cache;
use lab::components::{self, Components, Set};

use super::containerd::Containerd;
use super::media::{ALL, Media, bundler};
use crate::bench::{Contender, Disk, Row, compare, compare_on};

const ROUNDS: usize = 5;
/// The image that is new when the bundle is built again: 260 MB of 3.4 GB.
const NEW: &str = "queue";

pub(super) fn rows(media: &Media) -> Result<Vec<Row>, Box<dyn Error>> {
    let peers = components::ensure(&Cache::user()?, &[Set::Core, Set::Peers], &|line| {
        eprintln!("{line}");
    })?;
    let build = Build::new(media, &peers)?;
    let rows = vec![build.whole(), build.again()?, build.deep(&peers)?];
    build.clean();
    Ok(rows)
}

/// Returns a table of where the time of each build goes, by its own report.
pub(super) fn stages(media: &Media) -> Result<String, Box<dyn Error>> {
    let (out, spec) = (media.dir().join("out.tar"), media.spec("stages", ALL)?);
    let names = [
        "total", "network", "read", "hash", "prove", "write", "front", "wait", "sync",
    ];
    let mut text = format!(
        "### build: seconds by stage, summed over all threads\n\n| | {} |\n|---|",
        names.join(" | ")
    );
    text.push_str(&"---|".repeat(names.len()));
    text.push('\n');
    for (name, more) in [
        ("build", None),
        ("build again, nothing new", None),
        ("build --deep", Some("--deep")),
    ] {
        if more.is_some() {
            std::fs::remove_file(&out)?;
        }
        let output = bundler(&spec, &out)
            .args(["--quiet", "--json"])
            .args(more)
            .output()?;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let seconds =
            names.map(|name| format!("{:.2}", report["seconds"][name].as_f64().unwrap_or(f64::NAN)));
        writeln!(text, "| {name} | {} |", seconds.join(" | "))?;
    }
    std::fs::remove_file(&out)?;
    Ok(text)
}

struct Build<'a> {
    media: &'a Media,
    dir: &'a Path,
    spec: PathBuf,
    references: String,
    crane: PathBuf,
    regctl: PathBuf,
}

impl<'a> Build<'a> {
    fn new(media: &'a Media, peers: &Components) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            media,
            dir: media.dir(),
            spec: media.spec("build", ALL)?,
            references: media.references().join(" "),
            crane: peers.program("peers", "crane")?,
            regctl: peers.program("peers", "regctl")?,
        })
    }

    fn clean(&self) {
        for what in ["cache", "out.tar", "out.tar.sha256", "build.lock", "oci"] {
            let path = self.dir.join(what);
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", script])
            .current_dir(self.dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn bundler(&self, more: &[&str]) -> Command {
        let mut command = bundler(&self.spec, &self.dir.join("out.tar"));
        command
            .args(more)
            .arg("--quiet")
            .current_dir(self.dir)
            .stdout(Stdio::null());
        command
    }

    fn contender(&'a self, name: &'a str, command: impl Fn() -> Command + 'a) -> Contender<'a> {
        Contender {
            name,
            before: Box::new(|| self.clean()),
            command: Box::new(command),
        }
    }

    fn crane(&'a self) -> Contender<'a> {
        self.contender("crane pull", || {
            self.shell(&format!(
                "{} pull --insecure {} out.tar",
                self.crane.display(),
                self.references
            ))
        })
    }

    /// Copies each image by a program, and puts all into one tar.
    fn copied(&'a self, name: &'a str, copy: String) -> Contender<'a> {
        self.contender(name, move || {
            let each = format!("n=0; for r in {}; do n=$((n+1)); {copy}; done", self.references);
            self.shell(&format!("{each}; tar -cf out.tar oci"))
        })
    }

    fn whole(&'a self) -> Row {
        let skopeo = "skopeo --insecure-policy copy --quiet --src-tls-verify=false docker://$r oci:oci:$n";
        let regctl = format!(
            "{} image copy --host reg=${{r%%/*}},tls=disabled $r ocidir://oci:$n",
            self.regctl.display()
        );
        let contenders = [
            self.contender("bundler build --cache none", || self.bundler(&[])),
            self.crane(),
            self.copied("skopeo copy, tar", skopeo.to_owned()),
            self.copied("regctl image copy, tar", regctl),
            self.contender("bundler build, an empty cache filled beside", || {
                let mut command = Command::new(crate::programs().bundler);
                command
                    .args(["build", "--quiet", "--cache", "cache", "-o", "out.tar", "-f"])
                    .arg(&self.spec);
                command.current_dir(self.dir).stdout(Stdio::null());
                command
            }),
        ];
        let disk = Disk {
            directory: self.dir.to_owned(),
            result: self.dir.join("out.tar"),
        };
        compare_on(
            "build: registry on loopback, nothing is there, to one file",
            ROUNDS,
            &contenders,
            Some(&disk),
        )
    }

    fn again(&'a self) -> Result<Row, Box<dyn Error>> {
        let (old, spec) = (
            self.dir.join("old.tar"),
            self.media.spec_of("old", &self.media.all_but(NEW))?,
        );
        let status = bundler(&spec, &old).arg("--quiet").status()?;
        assert!(
            status.success(),
            "the earlier bundle could not be built: {status}"
        );
        let contenders = [
            self.contender("bundler build --from old.tar", || {
                self.bundler(&["--from", "old.tar"])
            }),
            self.crane(),
        ];
        let row = compare("build again: one image of twelve is new", ROUNDS, &contenders);
        std::fs::remove_file(old)?;
        Ok(row)
    }

    fn deep(&'a self, core: &Components) -> Result<Row, Box<dyn Error>> {
        let containerd = Containerd::start(core.directory("containerd")?, self.dir)?;
        let pull = |reference: &str| containerd.ctr(&format!("images pull --plain-http {reference}"));
        let references = self.media.references();
        let pulls: Vec<String> = references.iter().map(|reference| pull(reference)).collect();
        let pulls = pulls.join(" && ");
        let contenders = [
            self.contender("bundler build --deep", || self.bundler(&["--deep"])),
            Contender {
                name: "ctr images pull, each",
                before: Box::new(|| {
                    self.clean();
                    containerd.empty();
                }),
                command: Box::new(|| self.shell(&pulls)),
            },
        ];
        Ok(compare("build --deep: every layer is unpacked", 3, &contenders))
    }
}
