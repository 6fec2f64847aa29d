//! A directory of its own for each test, and the program run in it with a bare environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bundle::Digest;
use serde_json::Value;

/// A directory with a home, a cache and a verifier.
pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
}

/// A finished command.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Finished {
    /// Returns the result as JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let sandbox = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        sandbox.write("verifier", &static_program());
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Writes bundle.yaml: its head, then `rest`.
    pub(crate) fn spec(&self, rest: &str) {
        let head = "apiVersion: bundle/v1\nname: test\nplatforms: [linux/amd64]\nverifier: [verifier]\n";
        self.write("bundle.yaml", format!("{head}{rest}").as_bytes());
    }

    /// Returns the program, to be run here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bundler"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).output().unwrap().into()
    }

    /// Builds `site.tar` and returns the report.
    pub(crate) fn build(&self, more: &[&str]) -> Value {
        let mut arguments = vec!["build", "--output", "site.tar", "--quiet", "--json"];
        arguments.extend(more);
        self.run(&arguments).json()
    }

    /// Returns the archive's hash.
    pub(crate) fn archive(&self) -> Digest {
        Digest::of(fs::read(self.path("site.tar")).unwrap())
    }

    /// Returns the index of the archive, as `inspect --json` shows it.
    pub(crate) fn index(&self) -> Value {
        self.run(&["inspect", "site.tar", "--json"]).json()["index"].clone()
    }

    /// Returns the bytes of a member, by tar.
    pub(crate) fn member(&self, path: &str) -> Vec<u8> {
        let output = Command::new("tar")
            .arg("-xOf")
            .arg(self.path("site.tar"))
            .arg(path)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{path}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Asserts that a failed build left nothing: neither an archive nor a part of one.
    pub(crate) fn assert_no_archive(&self) {
        let names: Vec<String> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("site.tar"))
            .collect();
        assert!(names.is_empty(), "{names:?} left behind");
    }

    /// Returns where an archive is made, if one is.
    pub(crate) fn workshop(&self) -> Option<PathBuf> {
        let names = fs::read_dir(self.directory.path()).unwrap().flatten();
        let mut paths = names.map(|entry| entry.path());
        paths.find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(".bundler-")
        })
    }

    /// Returns how many bytes of the archive's members are there, as its journal says.
    pub(crate) fn begun(&self) -> u64 {
        let journal = self.workshop().map(|workshop| fs::read(workshop.join("journal")));
        let Some(Ok(journal)) = journal else {
            return 0;
        };
        let lengths = journal.get(64..).unwrap_or_default().chunks_exact(8);
        lengths
            .map(|length| u64::from_le_bytes(length.try_into().unwrap()))
            .sum()
    }

    /// Empties the cache.
    pub(crate) fn forget(&self) {
        fs::remove_dir_all(self.path(".cache")).unwrap();
    }
}

/// Runs a tool and gives its output; it must succeed.
pub(crate) fn tool(program: &str, arguments: &[&str], directory: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let finished = Finished::from(output);
    assert_eq!(
        finished.code,
        Some(0),
        "{program} {arguments:?}: {}",
        finished.stderr
    );
    finished.stdout
}

/// Returns the smallest file that passes for a static program of linux/amd64.
fn static_program() -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(120, 0);
    bytes[18] = 62;
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = 1;
    bytes[64] = 1;
    bytes
}
