//! A closed network with a bundle carried into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lab::{CONNECTED, Guard, JUMPBOX, Lab, Options};

use crate::{Report, programs};

/// Where the media lie on the jumpbox.
pub const MEDIA: &str = "/media";

/// The directory of a report, in the directory of the media.
pub const REPORT: &str = "report";

/// The spec that the demo uses too.
const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/demo/bundle.yaml");

/// A lab that ends with this value, with `site.tar` and the verifier on the jumpbox.
pub struct Closed {
    lab: Guard,
}

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; absent after a signal.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Closed {
    /// Boots a lab, makes the demo's bundle on the connected side and carries it across, as a file.
    ///
    /// # Panics
    ///
    /// When any of it fails.
    pub fn up(options: &Options) -> Self {
        // Several people's labs stand side by side on one machine.
        let prefix = std::env::var("LAB_PREFIX").unwrap_or_default();
        let options = &Options {
            name: format!("{prefix}{}", options.name),
            ..options.clone()
        };
        let lab = Guard::up(options, &|line| eprintln!("{line}"))
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
        let closed = Self { lab };
        let archive = closed.build("site.tar", SPEC);
        fs::copy(&archive, closed.media().join("site.tar")).expect("carry the archive");
        fs::copy(programs().verifier, closed.media().join("verifier")).expect("carry the verifier");
        closed
    }

    /// Returns the lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Returns the directory of this machine that is [`MEDIA`] on the jumpbox.
    pub fn media(&self) -> PathBuf {
        self.lab.paths().media()
    }

    /// Builds a bundle on the connected side and returns where it lies on this machine.
    ///
    /// # Panics
    ///
    /// When the build fails.
    pub fn build(&self, name: &str, spec: &str) -> PathBuf {
        let archive = self.lab.paths().connected().join(name);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let (bundler, lock) = (text(&programs().bundler), text(&archive.with_extension("lock")));
        let output = text(&archive);
        // A lock of its own: the spec lies in the checkout, which tests leave as it is.
        let built = self.on(
            CONNECTED,
            &[
                &bundler, "build", "--file", spec, "--lock", &lock, "--output", &output,
            ],
        );
        assert_eq!(built.code, Some(0), "bundler build: {}", built.stderr);
        archive
    }

    /// Runs a command on a host to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn on(&self, host: &str, argv: &[&str]) -> Finished {
        self.lab
            .exec(host, argv)
            .unwrap_or_else(|error| panic!("{host}: {argv:?}: {}", chain(&error)))
            .into()
    }

    /// Returns the command that runs the verifier on the jumpbox, in the directory of the media.
    ///
    /// # Panics
    ///
    /// When the lab is not up.
    pub fn verifier_command(&self, arguments: &[&str]) -> Command {
        let mut argv = vec!["sh", "-c", "cd /media && exec ./verifier \"$@\"", "verifier"];
        argv.extend(arguments);
        let mut command = self.lab.command(JUMPBOX, &argv).expect("the lab is up");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the verifier on the jumpbox to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn verifier(&self, arguments: &[&str]) -> Finished {
        let output = self
            .verifier_command(arguments)
            .output()
            .expect("start the verifier");
        output.into()
    }

    /// Runs `verifier run` with these further arguments and returns its end and its report.
    ///
    /// # Panics
    ///
    /// When it prints no report.
    pub fn run(&self, arguments: &[&str]) -> (Finished, Report) {
        self.run_at("site.yaml", arguments)
    }

    /// Runs `verifier run` with another site file, as [`Closed::run`] does.
    ///
    /// # Panics
    ///
    /// When it prints no report.
    pub fn run_at(&self, site: &str, arguments: &[&str]) -> (Finished, Report) {
        self.report(&["run", "site.tar", "--site", site, "--json"], arguments)
    }

    /// Makes a site file by looking, with these further arguments, and returns its name.
    ///
    /// # Panics
    ///
    /// When not all was found out.
    pub fn find_site(&self, arguments: &[&str]) -> &'static str {
        let site = "found.yaml";
        let init = [
            "site",
            "init",
            "--kubeconfig",
            "/root/admin.kubeconfig",
            "--ssh",
            "-o",
            site,
        ];
        let finished = self.verifier(&[&init, arguments].concat());
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_eq!(finished.stderr, "", "all was found out");
        site
    }

    /// Loads the bundle on every node.
    ///
    /// # Panics
    ///
    /// When it ends with another exit code than 0.
    #[track_caller]
    pub fn load(&self) {
        let finished = self.verifier(&["load", "site.tar", "--site", "site.yaml"]);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    }

    /// Runs `verifier run` on a cluster that must be healthy.
    ///
    /// # Panics
    ///
    /// When it ends with another exit code than 0; the message has the results that are no pass.
    #[track_caller]
    pub fn assert_healthy(&self) {
        let (finished, report) = self.run(&[]);
        assert_eq!(
            finished.code,
            Some(0),
            "{:?} {}",
            report.troubles(),
            finished.stderr
        );
    }

    /// Runs `verifier smoke`, the checks without a load before them, and returns its end and its report.
    ///
    /// # Panics
    ///
    /// When it prints no report.
    pub fn smoke(&self, arguments: &[&str]) -> (Finished, Report) {
        self.report(
            &["smoke", "--bundle", "site.tar", "--site", "site.yaml", "--json"],
            arguments,
        )
    }

    /// Writes a site file whose images are to be exactly the bundle's, and returns its name.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn exact_site(&self) -> &'static str {
        let exact = "exact.yaml";
        let site = fs::read_to_string(self.media().join("site.yaml")).expect("the site file");
        fs::write(self.media().join(exact), site + "  images: exact\n").expect("a site file");
        exact
    }

    /// Runs `verifier audit images` against the bundle and returns its end and its report.
    ///
    /// # Panics
    ///
    /// When it prints no report.
    pub fn audit_images(&self, site: &str, arguments: &[&str]) -> (Finished, Report) {
        let command = [
            "audit", "images", "--bundle", "site.tar", "--site", site, "--json",
        ];
        self.report(&command, arguments)
    }

    /// Runs `verifier audit certs` and returns its end and its report.
    ///
    /// # Panics
    ///
    /// When it prints no report.
    pub fn audit_certs(&self, arguments: &[&str]) -> (Finished, Report) {
        self.report(&["audit", "certs", "--site", "site.yaml", "--json"], arguments)
    }

    pub(crate) fn report(&self, command: &[&str], arguments: &[&str]) -> (Finished, Report) {
        let all = [command, arguments].concat();
        let finished = self.verifier(&all);
        assert!(
            !finished.stdout.is_empty(),
            "verifier run printed no report: {}",
            finished.stderr
        );
        let report = Report::parse(&finished.stdout);
        (finished, report)
    }
}

/// Returns an error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
