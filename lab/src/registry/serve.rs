//! A registry's process: its configuration, its start, and the wait until it listens.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Options, Registry, Storage, Transport, Version};
use crate::cache::Cache;
use crate::components::{self, Set};
use crate::tool::{self, Say};
use crate::{Error, pki, run};

/// A registry on loopback listens within milliseconds; this is for a machine that compiles meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a registry over `shared` (read-only), or over what the options name.
pub(super) fn start(
    cache: &Cache,
    options: &Options,
    shared: Option<&Path>,
    say: Say<'_>,
) -> Result<Registry, Error> {
    let program = program(cache, options.version, say)?;
    let parent = options.parent.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::Builder::new()
        .prefix("lab-registry-")
        .tempdir_in(&parent)
        .map_err(Error::file("making a directory in", parent))?;
    let ca = match options.transport {
        Transport::Http => None,
        Transport::Https => Some(certificates(directory.path())?),
    };
    if let Some((user, password)) = &options.login {
        write(
            &directory.path().join("htpasswd"),
            &format!("{user}:{}\n", bcrypt(password)?),
        )?;
    }
    let storage = match (&options.storage, shared) {
        (_, Some(shared)) => shared.to_owned(),
        (Storage::Directory(path), None) => path.clone(),
        _ => directory.path().join("storage"),
    };
    let configuration = directory.path().join("config.yml");
    write(
        &configuration,
        &configure(options, directory.path(), &storage, shared.is_some()),
    )?;
    let log = directory.path().join("log");
    let child = spawn(&program, options, &configuration, &log)?;
    // From here on dropping the handle ends the process.
    let mut registry = Registry {
        child,
        address: ([127, 0, 0, 1], options.port).into(),
        directory: Some(directory),
        ca,
    };
    registry.address = listening(&mut registry.child, &program, &log)?;
    Ok(registry)
}

fn program(cache: &Cache, version: Version, say: Say<'_>) -> Result<PathBuf, Error> {
    let (set, component) = match version {
        Version::Distribution3 => (Set::Registry, "registry"),
        Version::Debian28 => (Set::OldRegistry, "registry-2.8"),
    };
    components::ensure(cache, &[set], say)?.program(component, "registry")
}

fn spawn(program: &Path, options: &Options, configuration: &Path, log: &Path) -> Result<Child, Error> {
    let failed = |source| Error::Start {
        program: program.display().to_string(),
        source,
    };
    let mut command = match &options.namespace {
        None => Command::new(program),
        Some(namespace) => {
            // nsenter replaces itself by the program, so the process id is the registry's own.
            let mut command = Command::new("nsenter");
            command.arg(format!("--net=/run/netns/{namespace}")).arg(program);
            command
        }
    };
    command
        .arg("serve")
        .arg(configuration)
        // distribution 3 would send traces to a collector that nobody runs.
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log).map_err(Error::file("making", log))?)
        .spawn()
        .map_err(failed)
}

/// Returns the configuration file's text; both registries read the same.
fn configure(options: &Options, directory: &Path, storage: &Path, shared: bool) -> String {
    let mut lines = vec![
        "version: 0.1".to_owned(),
        "log: {level: info, accesslog: {disabled: true}}".to_owned(),
        "storage:".to_owned(),
        format!("  filesystem: {{rootdirectory: {}}}", quoted(storage)),
        "http:".to_owned(),
        format!("  addr: 127.0.0.1:{}", options.port),
    ];
    if options.transport == Transport::Https {
        let (certificate, key) = (directory.join("registry.crt"), directory.join("registry.key"));
        lines.push(format!(
            "  tls: {{certificate: {}, key: {}}}",
            quoted(&certificate),
            quoted(&key)
        ));
    }
    if options.login.is_some() {
        let path = quoted(&directory.join("htpasswd"));
        lines.push(format!("auth: {{htpasswd: {{realm: lab, path: {path}}}}}"));
    }
    if shared {
        lines.insert(4, "  maintenance: {readonly: {enabled: true}}".to_owned());
    }
    lines.join("\n") + "\n"
}

/// Returns a path as a string of JSON, which YAML reads too.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.display().to_string()).to_string()
}

/// Writes a private CA and a certificate for loopback, and returns the CA's file.
fn certificates(directory: &Path) -> Result<PathBuf, Error> {
    let validity = pki::Validity::around(std::time::SystemTime::now());
    let (ca, own) = pki::Authority::new("lab registry CA", validity)?;
    let issued = ca.issue(
        &pki::Subject::server("registry", &["localhost", "127.0.0.1"]),
        validity,
    )?;
    let path = directory.join("ca.pem");
    write(&path, &own.certificate)?;
    write(&directory.join("registry.crt"), &issued.certificate)?;
    write(&directory.join("registry.key"), &issued.key)?;
    Ok(path)
}

/// Returns the bcrypt hash that htpasswd files of registries need. glibc's crypt knows it, and perl is on every Debian.
fn bcrypt(password: &str) -> Result<String, Error> {
    // The salt hides nothing here: the password is one of a test.
    let script = "print crypt($ARGV[0], '$2y$05$labregistrylabregistryu')";
    let output = run::run(Command::new("perl").args(["-e", script, password]))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Waits until the log names the address, which is the only way to learn a port that the kernel chose.
fn listening(child: &mut Child, program: &Path, log: &Path) -> Result<SocketAddr, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(log).map_err(Error::file("reading", log))?;
        if let Some(address) = address(&text) {
            return Ok(address);
        }
        let ended = child.try_wait().ok().flatten().is_some();
        if ended || Instant::now() > deadline {
            return Err(Error::Timeout {
                what: format!("an answer of {}", program.display()),
                seconds: PATIENCE.as_secs(),
                last: tool::tail(&text, 5),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Returns the address of `listening on 127.0.0.1:41234` in a log.
fn address(log: &str) -> Option<SocketAddr> {
    let rest = log.split("listening on ").nth(1)?;
    let end = rest.find(|c: char| c == '"' || c == ',' || c.is_whitespace())?;
    rest[..end].parse().ok()
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::file("writing", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_both_forms_of_log() {
        let three = r#"time="2026-11-23T09:00:00Z" level=info msg="listening on 127.0.0.1:41234, tls" go.version=go1.26"#;
        assert_eq!(address(three), Some(([127, 0, 0, 1], 41234).into()));
        assert_eq!(
            address("msg=\"listening on 127.0.0.1:5000\"\n"),
            Some(([127, 0, 0, 1], 5000).into())
        );
        assert_eq!(address("msg=\"listening on 127."), None);
    }

    #[test]
    fn a_password_becomes_a_bcrypt_hash() {
        let hash = bcrypt("secret").unwrap();
        assert!(hash.starts_with("$2y$05$") && hash.len() == 60, "{hash}");
    }
}
