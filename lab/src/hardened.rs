//! How one logs in: as root with a key, or on hardened hosts as `op`, whose sudo asks a password.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use crate::cache::hex;
use crate::run::{feed, write};
use crate::stage::Stage;
use crate::{Error, LabFile, Options, Paths};

/// User and group of `op`.
const ID: u32 = 1000;
/// As Debian has it but for the two lines that hardening guides ask for.
const SSHD: &str = "PermitRootLogin no\nDisableForwarding yes\nPasswordAuthentication no\n";
/// Asks each time: a remembered password would hide that one was needed.
const SUDOERS: &str = "Defaults:op timestamp_timeout=0\nop ALL=(ALL:ALL) ALL\n";

/// Makes the password of a hardened lab, and its hash as /etc/shadow wants it.
pub(crate) fn create_password(paths: &Paths) -> Result<(), Error> {
    let mut random = [0_u8; 16];
    let source = "/dev/urandom";
    fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut random))
        .map_err(Error::file("reading", source))?;
    let (password, salt) = random.split_at(8);
    let (password, salt) = (hex(password), hex(salt));
    let script = "chomp(my $p = <STDIN>); print crypt($p, '$6$' . $ARGV[0] . '$')";
    let hashed = feed(
        Command::new("perl").args(["-e", script, &salt]),
        password.as_bytes(),
    )?;
    for (path, text) in [
        (paths.password(), format!("{password}\n").into_bytes()),
        (paths.password_hash(), hashed.stdout),
    ] {
        write(&path, &text, 0o600)?;
    }
    Ok(())
}

/// Writes a host's login: authorized keys, sshd's settings, and the user of a hardened one.
pub(crate) fn login(options: &Options, paths: &Paths, stage: &Stage<'_>) -> Result<(), Error> {
    let public = paths.ssh_key().with_extension("pub");
    let key = fs::read(&public).map_err(Error::file("reading", &public))?;
    if !options.hardened {
        return stage.write(&LabFile::secret("/root/.ssh/authorized_keys", key));
    }
    stage.write(&LabFile::new("/etc/ssh/sshd_config.d/hardened.conf", SSHD))?;
    stage.write(&LabFile {
        mode: 0o440,
        ..LabFile::new("/etc/sudoers.d/op", SUDOERS)
    })?;
    let hash_file = paths.password_hash();
    let hash = fs::read_to_string(&hash_file).map_err(Error::file("reading", &hash_file))?;
    append(
        stage,
        "/etc/passwd",
        &format!("op:x:{ID}:{ID}::/home/op:/bin/bash\n"),
        0o644,
    )?;
    append(stage, "/etc/group", &format!("op:x:{ID}:\n"), 0o644)?;
    append(
        stage,
        "/etc/shadow",
        &format!("op:{hash}:19000:0:99999:7:::\n"),
        0o600,
    )?;
    append(stage, "/etc/gshadow", "op:!::\n", 0o600)?;
    stage.write(&LabFile::secret("/home/op/.ssh/authorized_keys", key))?;
    for path in ["/home/op/.ssh/authorized_keys", "/home/op/.ssh", "/home/op"] {
        let path = stage.place(Path::new(path))?;
        chown(&path, Some(ID), Some(ID)).map_err(Error::file("changing the owner of", &path))?;
    }
    Ok(())
}

/// Writes a file of the shared tree with one line more.
fn append(stage: &Stage<'_>, path: &str, line: &str, mode: u32) -> Result<(), Error> {
    let shared = stage.lower.join(path.trim_start_matches('/'));
    let mut text = fs::read_to_string(&shared).map_err(Error::file("reading", &shared))?;
    text.push_str(line);
    stage.write(&LabFile {
        mode,
        ..LabFile::new(path, text)
    })
}
