//! What is made to fail: a command with what it must leave, whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::io;
use crate::step::TaskError;

/// A command, in a directory of its own.
pub(super) struct Subject {
    pub(super) name: &'static str,
    program: PathBuf,
    arguments: &'static [&'static str],
    /// The directory that it runs in.
    pub(super) place: PathBuf,
    /// What it makes there.
    makes: &'static [&'static str],
    /// Its exit code when all goes well.
    code: i32,
    /// Whether the same command makes the same bytes.
    same: bool,
}

/// What the command made: bytes by path.
pub(super) type Made = BTreeMap<PathBuf, Vec<u8>>;

const SPEC: &str = "apiVersion: bundle/v1\nname: site\nplatforms: [linux/amd64]\n\
    images:\n  - {name: docker.io/library/nginx:1, archive: images.tar}\n\
    files: [{from: note.txt, to: note.txt}]\nverifier: [busybox]\n";
/// Nothing listens there, so every check says that it could not look, soon.
const SITE: &str = "apiVersion: site/v1\nkubeconfig: kubeconfig\nssh: {user: nobody, port: 1, knownHosts: known_hosts}\n\
    hosts:\n  - {name: node-0, address: 127.0.0.1, roles: [worker]}\n";
const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\n\
    clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: a, user: {token: none}}]\n\
    contexts: [{name: a, context: {cluster: a, user: a}}]\ncurrent-context: a\n";

impl Subject {
    /// Returns all, in the order in which each finds what it works on.
    pub(super) fn all(programs: &Path, place: &Path) -> Result<[Self; 3], TaskError> {
        let subject = |name, program: &str, arguments, makes, code| Self {
            name,
            program: programs.join(program),
            arguments,
            place: place.to_owned(),
            makes,
            code,
            same: name != "report",
        };
        fs::create_dir_all(place).map_err(io(&format!("make {}", place.display())))?;
        let files: [(&str, &[u8]); 5] = [
            ("bundle.yaml", SPEC.as_bytes()),
            ("site.yaml", SITE.as_bytes()),
            ("kubeconfig", KUBECONFIG.as_bytes()),
            ("known_hosts", b""),
            ("note.txt", b"hello\n"),
        ];
        for (name, bytes) in files {
            fs::write(place.join(name), bytes).map_err(io(&format!("write {name}")))?;
        }
        for (from, to) in [
            ("fuzz/seeds/docker-save/docker.tar", "images.tar"),
            ("/bin/busybox", "busybox"),
        ] {
            fs::copy(from, place.join(to)).map_err(io(&format!("copy {from}")))?;
        }
        let build = &["build", "--quiet", "-o", "site.tar", "--cache", "cache"];
        let run = &[
            "run",
            "site.tar",
            "--site",
            "site.yaml",
            "--report",
            "report",
            "--timeout",
            "2s",
        ];
        Ok([
            subject(
                "build",
                "bundler",
                build,
                &["site.tar", "site.tar.sha256", "bundle.lock", "cache"],
                0,
            ),
            subject("unpack", "verifier", &["unpack", "site.tar", "out"], &["out"], 0),
            subject("report", "verifier", run, &["report"], 1),
        ])
    }

    /// The command, under `wrapper` where there is one.
    pub(super) fn command(&self, wrapper: &[String]) -> Command {
        let mut words = wrapper.iter().map(String::as_str);
        let mut command = match words.next() {
            Some(first) => Command::new(first),
            None => Command::new(&self.program),
        };
        command.args(words);
        if !wrapper.is_empty() {
            command.arg(&self.program);
        }
        command
            .args(self.arguments)
            .current_dir(&self.place)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.place)
            .env("RUST_BACKTRACE", "0")
            // The same bytes each time.
            .env("SOURCE_DATE_EPOCH", "1700000000");
        command
    }

    pub(super) fn output(&self, wrapper: &[String]) -> Result<Output, TaskError> {
        self.command(wrapper)
            .output()
            .map_err(io(&format!("run {}", self.name)))
    }

    /// Runs it undisturbed and returns what it made.
    pub(super) fn good(&self) -> Result<Made, TaskError> {
        let output = self.output(&[])?;
        if output.status.code() != Some(self.code) {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let what = format!("{}, undisturbed, ended with {}: {said}", self.name, output.status);
            return Err(TaskError::Missing(
                what,
                "this should work before anything is made to fail".into(),
            ));
        }
        self.made()
    }

    /// Removes what it made.
    pub(super) fn clear(&self) -> Result<(), TaskError> {
        for name in self.makes {
            let path = self.place.join(name);
            let gone = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            match gone {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(io(&format!("remove {}", path.display()))(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the names of what lies in its directory; a killed run may leave others until the next start.
    pub(super) fn names(&self) -> Result<Vec<String>, TaskError> {
        let entries = fs::read_dir(&self.place).map_err(io(&format!("read {}", self.place.display())))?;
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Removes what a run left beside its results, if it `said` so.
    pub(super) fn remove_named(&self, before: &[String], said: &str) -> Result<(), TaskError> {
        for name in self.names()? {
            let kept = before.contains(&name) || self.makes.contains(&name.as_str());
            if !kept && said.contains(&name) {
                let path = self.place.join(name);
                fs::remove_dir_all(&path).map_err(io(&format!("remove {}", path.display())))?;
            }
        }
        Ok(())
    }

    /// Reads what it made.
    pub(super) fn made(&self) -> Result<Made, TaskError> {
        let mut made = Made::new();
        let mut todo: Vec<PathBuf> = self.makes.iter().map(PathBuf::from).collect();
        while let Some(name) = todo.pop() {
            let path = self.place.join(&name);
            if path.is_dir() {
                let entries = fs::read_dir(&path).map_err(io(&format!("read {}", path.display())))?;
                todo.extend(entries.flatten().map(|entry| name.join(entry.file_name())));
            } else if path.is_file() {
                let bytes = fs::read(&path).map_err(io(&format!("read {}", path.display())))?;
                made.insert(name, bytes);
            }
        }
        Ok(made)
    }

    /// Says what is wrong with what a disturbed run left, where it `ended` well or not.
    pub(super) fn judge(&self, good: &Made, well: bool) -> Result<Option<String>, TaskError> {
        let made = self.made()?;
        if !self.same {
            return self.judge_report(&made, well);
        }
        for (path, bytes) in &made {
            // In the cache only finished blobs have names that say what they hold.
            let counts = !path.starts_with("cache") || path.starts_with("cache/blobs/sha256");
            if counts && good.get(path) != Some(bytes) {
                return Ok(Some(format!("wrong bytes in {}", path.display())));
            }
        }
        // A directory is there whole or not at all.
        let part = made.keys().any(|path| path.starts_with("out"));
        let mut wanted = good.keys().filter(|path| !path.starts_with("cache"));
        let missing = wanted.find(|path| !made.contains_key(*path));
        Ok(missing
            .filter(|_| well || part)
            .map(|path| format!("{} is missing", path.display())))
    }

    /// A report differs from run to run; it is whole where its own checksums say so.
    fn judge_report(&self, made: &Made, well: bool) -> Result<Option<String>, TaskError> {
        let Some(json) = made.get(Path::new("report/report.json")) else {
            let names: Vec<String> = made.keys().map(|path| path.display().to_string()).collect();
            let part =
                (well || !names.is_empty()).then(|| format!("report.json is missing beside {names:?}"));
            return Ok(part);
        };
        if serde_json::from_slice::<serde_json::Value>(json).is_err() {
            return Ok(Some("report.json is no JSON".to_owned()));
        }
        let mut sums = Command::new("sha256sum");
        sums.args(["--check", "--quiet", "SHA256SUMS"])
            .current_dir(self.place.join("report"));
        let output = sums.output().map_err(io("run sha256sum"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((!output.status.success()).then(|| format!("the report's checksums: {}", said.trim())))
    }

    /// Whether an exit code is that of an undisturbed run.
    pub(super) fn well(&self, code: Option<i32>) -> bool {
        code == Some(self.code)
    }

    /// Whether an exit code is one of those documented, and none that says more than is true.
    pub(super) fn may_end(&self, code: Option<i32>) -> bool {
        match code {
            Some(0 | 1) => code == Some(self.code),
            Some(2 | 3 | 64) => true,
            _ => false,
        }
    }
}
