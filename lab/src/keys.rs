//! The lab's SSH keys: one that opens every host, and a host key each. Made anew for every lab, by ssh-keygen.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::run::run;
use crate::{Error, Layout, Paths};

/// A key pair as OpenSSH writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyPair {
    /// The private key file's contents.
    pub(crate) private: Vec<u8>,
    /// Type and key, without comment.
    pub(crate) public: String,
}

/// The keys of a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    /// The administrator's.
    pub(crate) admin: KeyPair,
    /// Each host's that runs sshd, by name.
    pub(crate) hosts: BTreeMap<String, KeyPair>,
}

impl Keys {
    /// Makes all keys and writes the administrator's and known_hosts into the lab's directory.
    pub(crate) fn create(layout: &Layout, paths: &Paths) -> Result<Self, Error> {
        let dir = paths.admin();
        let (admin, hosts) = thread::scope(|scope| {
            let admin = scope.spawn(|| generate(&dir, "id_ed25519", "admin@jumpbox"));
            let hosts: Vec<_> = layout
                .booted()
                .map(|host| {
                    let made = scope.spawn(|| {
                        let staging = paths.host(&host.name);
                        generate(&staging, "ssh_host_ed25519_key", &host.name)
                    });
                    (host.name.clone(), made)
                })
                .collect();
            let hosts = hosts
                .into_iter()
                .map(|(name, made)| Ok((name, crate::run::join(made)?)))
                .collect::<Result<_, Error>>()?;
            Ok((crate::run::join(admin)?, hosts))
        })?;
        let keys = Self { admin, hosts };
        let known = paths.known_hosts();
        fs::write(&known, keys.known_hosts(layout)).map_err(Error::file("writing", &known))?;
        Ok(keys)
    }

    /// Returns known_hosts: a line a host, for its name, its full name and its address.
    pub(crate) fn known_hosts(&self, layout: &Layout) -> String {
        layout
            .booted()
            .filter_map(|host| {
                let key = self.hosts.get(&host.name)?;
                Some(format!(
                    "{},{},{} {}\n",
                    host.name,
                    host.fqdn(),
                    host.address,
                    key.public
                ))
            })
            .collect()
    }
}

fn generate(dir: &Path, name: &str, comment: &str) -> Result<KeyPair, Error> {
    let path = dir.join(name);
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(&path))?;
    let private = fs::read(&path).map_err(Error::file("reading", &path))?;
    let beside = path.with_extension("pub");
    let text = fs::read_to_string(&beside).map_err(Error::file("reading", &beside))?;
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Ok(KeyPair {
        private,
        public: words.join(" "),
    })
}
