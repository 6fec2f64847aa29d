//! Certificates and keys for faults, which openssl makes on this machine out of the cluster's CA: the hosts have no openssl, and
//! what is wrong with a certificate is said best in its own words.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use super::patient::Patient;
use crate::pki::{Authority, CA, Issued, Validity};
use crate::{Error, SERVER, run};

/// Where they lie on a host.
const PLACE: &str = "/run/lab-made";

/// What stands before each script. `root NAME SUBJECT` makes an authority of its own, `issue NAME ISSUER SUBJECT EXTENSION...` what
/// another has signed; `$node`, `$names` and `$both` are what the certificate of node-1's kubelet has. A key that is there is
/// taken.
const PRELUDE: &str = "umask 077; export OPENSSL_CONF=/dev/null
node=/O=system:nodes/CN=system:node:node-1
names=subjectAltName=DNS:node-1,IP:127.0.0.1
both=extendedKeyUsage=serverAuth,clientAuth
authority='basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign,cRLSign'
key() { [ -e $1.key ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1.key; }
request() { key $1; openssl req -new -config request.cnf -key $1.key -subj \"$2\" -out request.csr; }
extensions() { printf '%s\\n' \"$@\" >request.ext; }
root() { request $1 \"$2\"; extensions $authority subjectKeyIdentifier=hash
  openssl x509 -req -in request.csr -signkey $1.key -days ${days:-3650} -extfile request.ext -out $1.crt; }
issue() { name=$1 issuer=$2; request $name \"$3\"; shift 3; extensions \"$@\" authorityKeyIdentifier=keyid
  openssl x509 -req ${hash:--sha256} -in request.csr -CA $issuer.crt -CAkey $issuer.key -days ${days:-3650} -CAcreateserial \\
    -extfile request.ext -out $name.crt; }
printf '[req]\\ndistinguished_name = name\\n[name]\\n' >request.cnf
";

impl Patient<'_> {
    /// Runs a script in a directory that has `ca` and, of the same name and with another key, `twin`, each as .crt and .key, and
    /// sends what it leaves besides to a host.
    pub(super) fn made(&self, host: &str, script: &str) -> Result<(), Error> {
        let directory =
            tempfile::tempdir().map_err(Error::file("making a directory in", std::env::temp_dir()))?;
        let read = |path: &str| -> Result<String, Error> {
            let output = run::run(&mut (self.on)(SERVER, &["cat", path])?)?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let own = Issued {
            certificate: read("/var/lib/kubernetes/ca.crt")?,
            key: read("/var/lib/kubernetes/ca.key")?,
        };
        let (_, twin) = Authority::new(CA, Validity::around(SystemTime::now()))?;
        for (name, issued) in [("ca", &own), ("twin", &twin)] {
            for (ending, text) in [("crt", &issued.certificate), ("key", &issued.key)] {
                let path = directory.path().join(name).with_extension(ending);
                run::write(&path, text.as_bytes(), 0o600)?;
            }
        }
        let script = format!("{PRELUDE}{script}");
        let mut shell = Command::new("sh");
        run::run(shell.args(["-euc", &script]).current_dir(directory.path()))?;
        let mut made: Vec<_> = fs::read_dir(directory.path())
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .map_err(Error::file("listing", directory.path()))?;
        made.sort_by_key(fs::DirEntry::file_name);
        run::run(&mut (self.on)(
            host,
            &["sh", "-euc", "rm -rf \"$1\"; mkdir -m 700 \"$1\"", "sh", PLACE],
        )?)?;
        for file in made {
            let name = file.file_name().to_string_lossy().into_owned();
            if ["ca.", "twin.", "request."]
                .iter()
                .any(|own| name.starts_with(own))
            {
                continue;
            }
            let bytes = fs::read(file.path()).map_err(Error::file("reading", file.path()))?;
            self.send(host, &format!("{PLACE}/{name}"), &bytes)?;
        }
        Ok(())
    }
}
