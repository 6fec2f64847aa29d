//! Debian packages that the tests need beside what the lab installs for itself.

use std::path::Path;
use std::process::Command;

use crate::step::{Talk, TaskError};

/// A file that shows that a package is there, and the package.
const NEEDED: [(&str, &str); 11] = [
    ("/bin/busybox", "busybox-static"),
    ("/usr/bin/chromium", "chromium"),
    ("/usr/bin/minisign", "minisign"),
    ("/usr/bin/npm", "npm"),
    ("/usr/bin/readelf", "binutils"),
    ("/usr/bin/skopeo", "skopeo"),
    ("/usr/bin/ssh-agent", "openssh-client"),
    ("/usr/sbin/sshd", "openssh-server"),
    ("/usr/bin/xmllint", "libxml2-utils"),
    ("/usr/bin/strace", "strace"),
    ("/usr/bin/sudo", "sudo"),
];

/// Installs what is missing, saying so first.
pub(crate) fn ensure(talk: &Talk) -> Result<(), TaskError> {
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    talk.say(&format!(
        "the tests need Debian's {}; installing them",
        missing.join(", ")
    ));
    let mut install = Command::new("sh");
    // A service that a package brings is not wanted on the machine: only its program is.
    let script = "export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1; apt-get update -qq && \
                  apt-get install -qq --no-install-recommends \"$@\" >/dev/null";
    install.args(["-euc", script, "packages"]).args(&missing);
    talk.step("install packages", &mut install)
}
