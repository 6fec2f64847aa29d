//! Audits: a directory of 500 certificates with their keys, beside openssl in a loop.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use lab::pki::{Authority, CA, Issued, Subject, Validity};

use crate::bench::{Contender, Row, compare};
use crate::programs::programs;

const CERTIFICATES: usize = 500;
const ROUNDS: usize = 3;

/// Dates and names of each certificate.
const DATES: &str = r#"for f in "$1"/*.crt; do openssl x509 -noout -subject -issuer -enddate -in "$f"; done"#;
/// The same, and what an audit judges beside them: whether the key is its own, and who signed it.
const RELATIONS: &str = r#"for f in "$1"/*.crt; do
  openssl x509 -noout -subject -issuer -enddate -in "$f"
  [ "$(openssl x509 -noout -pubkey -in "$f")" = "$(openssl pkey -pubout -in "${f%.crt}.key")" ]
  openssl verify -CAfile "$1/ca.crt" "$f"
done"#;

pub(super) fn row() -> Row {
    let directory = tempfile::tempdir().expect("room for a directory");
    make(directory.path());
    compare(
        "audits: a directory of 500 certificates with their keys",
        ROUNDS,
        &[
            contender("verifier audit certs --path", || {
                let mut verifier = Command::new(programs().verifier);
                verifier
                    .args(["audit", "certs", "--json", "--path"])
                    .arg(directory.path());
                verifier
            }),
            contender("openssl x509 in a loop: names and dates", || {
                shell(DATES, directory.path())
            }),
            contender("openssl in a loop: keys and signatures too", || {
                shell(RELATIONS, directory.path())
            }),
        ],
    )
}

/// Makes an authority and what it signed.
fn make(directory: &Path) {
    let validity = Validity::around(SystemTime::now());
    let (authority, own) = Authority::new(CA, validity).expect("an authority");
    write(directory, "ca", &own);
    for number in 1..CERTIFICATES {
        let subject = Subject::kubelet(&format!("node-{number}"));
        let issued = authority.issue(&subject, validity).expect("a certificate");
        write(directory, &format!("node-{number}"), &issued);
    }
}

fn write(directory: &Path, name: &str, issued: &Issued) {
    for (ending, text) in [("crt", &issued.certificate), ("key", &issued.key)] {
        let path = directory.join(format!("{name}.{ending}"));
        fs::write(&path, text).expect("room for a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
    }
}

fn shell(script: &str, directory: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-euc", script, "sh"]).arg(directory);
    shell
}

fn contender<'a>(name: &'a str, command: impl Fn() -> Command + 'a) -> Contender<'a> {
    Contender {
        name,
        before: Box::new(|| ()),
        command: Box::new(move || {
            let mut command = command();
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        }),
    }
}
