//! How faults are planted in a running lab, step by step, and remembered until they are healed.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{Age, Fault, Named, Step, find};
use crate::cache::Cache;
use crate::components::{self, Set};
use crate::images::Served;
use crate::kubernetes::On;
use crate::pki::{Authority, CA, Subject, Validity};
use crate::{Error, Paths, SERVER, run};

/// A running lab that faults are planted in.
#[derive(Clone, Copy)]
pub(super) struct Patient<'a> {
    /// Makes the command that runs a program on a host.
    pub(super) on: On<'a>,
    /// Where the lab lies.
    pub(super) paths: &'a Paths,
}

impl Patient<'_> {
    pub(super) fn plant(&self, fault: &Fault) -> Result<(), Error> {
        let mut planted = self.planted()?;
        if planted.iter().any(|name| name == fault.name) {
            return Ok(());
        }
        planted.push(fault.name.to_owned());
        self.remember(&planted)?;
        fault.plant.iter().try_for_each(|step| self.step(step))
    }

    pub(super) fn heal(&self) -> Result<Vec<String>, Error> {
        let mut planted = self.planted()?;
        let mut healed = Vec::new();
        while let Some(name) = planted.pop() {
            find(&name)?.heal.iter().try_for_each(|step| self.step(step))?;
            self.remember(&planted)?;
            healed.push(name);
        }
        Ok(healed)
    }

    /// Returns the names of the faults that are planted, the oldest first.
    fn planted(&self) -> Result<Vec<String>, Error> {
        let path = record(self.paths);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| Error::Record { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::file("reading", path)(error)),
        }
    }

    fn remember(&self, planted: &[String]) -> Result<(), Error> {
        let path = record(self.paths);
        fs::write(&path, serde_json::Value::from(planted).to_string()).map_err(Error::file("writing", path))
    }

    fn step(&self, step: &Step) -> Result<(), Error> {
        match *step {
            Step::Plant(name) => find(name)?.plant.iter().try_for_each(|step| self.step(step)),
            Step::Heal(name) => find(name)?.heal.iter().try_for_each(|step| self.step(step)),
            Step::Run { host, script } => {
                let done = run::run(&mut (self.on)(host, &["sh", "-euc", script])?);
                done.map(|_| ()).map_err(|error| named(host, script, error))
            }
            Step::Image { host, image, path } => self.image(host, image, path),
            Step::Certificate {
                host,
                subject,
                age,
                path,
            } => self.certificate((host, path), subject, age),
            Step::Made { host, script } => self.made(host, script),
            Step::Plugin { host, path } => self.plugin(host, path),
        }
    }

    fn image(&self, host: &str, image: Served, path: &str) -> Result<(), Error> {
        let directory =
            tempfile::tempdir().map_err(Error::file("making a directory in", std::env::temp_dir()))?;
        let archive = directory.path().join("image.tar");
        crate::images::archive(&Cache::user()?, image, &archive, &|_| {})?;
        let bytes = fs::read(&archive).map_err(Error::file("reading", &archive))?;
        self.send(host, path, &bytes)
    }

    fn plugin(&self, host: &str, path: &str) -> Result<(), Error> {
        let built = components::ensure(&Cache::user()?, &[Set::Kms], &|_| {})?;
        let program = built.program("kms", "kms")?;
        let bytes = fs::read(&program).map_err(Error::file("reading", &program))?;
        self.send(host, path, &bytes)
    }

    fn certificate(&self, place: (&str, &str), subject: Named, age: Age) -> Result<(), Error> {
        let output = run::run(&mut (self.on)(SERVER, &["cat", "/var/lib/kubernetes/ca.key"])?)?;
        let authority = Authority::reopen(CA, &String::from_utf8_lossy(&output.stdout))?;
        let subject = match subject {
            Named::Kubelet(node) => Subject::kubelet(node),
            Named::Admin => Subject::client("admin", Some("system:masters")),
        };
        let now = SystemTime::now();
        let validity = match age {
            Age::Good => Validity::around(now),
            Age::Expired => Validity::expired(now),
            Age::Ending => Validity::ending(now),
            Age::Early => Validity::early(now),
        };
        let issued = authority.issue(&subject, validity)?;
        let (host, path) = place;
        self.send(host, &format!("{path}.crt"), issued.certificate.as_bytes())?;
        self.send(host, &format!("{path}.key"), issued.key.as_bytes())
    }

    /// Writes a file that only root may read on a host.
    pub(super) fn send(&self, host: &str, path: &str, bytes: &[u8]) -> Result<(), Error> {
        let script = "umask 077; cat >\"$1\"";
        run::feed(&mut (self.on)(host, &["sh", "-euc", script, "sh", path])?, bytes).map(|_| ())
    }
}

fn record(paths: &Paths) -> PathBuf {
    paths.dir().join("faults.json")
}

/// Names a failed script by its host: the way into a host is of no interest.
fn named(host: &str, script: &str, error: Error) -> Error {
    match error {
        Error::Command { status, stderr, .. } => Error::Command {
            command: format!("{host}: {script}"),
            status,
            stderr,
        },
        other => other,
    }
}
