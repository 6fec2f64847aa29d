//! The consoles of hosts: what somebody does there by hand, and the media that are carried from and to them.

use std::fs;
use std::process::Stdio;

use crate::{Closed, programs};

impl Closed {
    /// Gathers on a host's own console with these further arguments and carries the file to the jumpbox, where it is
    /// `HOST.facts` beside the other media.
    ///
    /// # Panics
    ///
    /// When the verifier does not end well there, or leaves anything but the file.
    pub fn gather(&self, host: &str, arguments: &[&str]) {
        let script = "set -e; d=$(mktemp -d); cd $d; cat >verifier; chmod 755 verifier; mkdir out; \
            ./verifier gather --local -o out/facts \"$@\" >&2; \
            test \"$(ls -A out)\" = facts; test \"$(stat -c %a out/facts)\" = 600; cat out/facts; rm -r $d";
        let argv = [&["sh", "-c", script, "gather"], arguments].concat();
        let verifier = fs::File::open(programs().verifier).expect("the verifier");
        let mut command = self.lab().command(host, &argv).expect("the lab is up");
        let ended = command
            .stdin(Stdio::from(verifier))
            .output()
            .expect("start the verifier there");
        let talk = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{host}: {talk}");
        fs::write(self.media().join(format!("{host}.facts")), ended.stdout).expect("carry the file");
    }

    /// Judges files that were gathered, on the jumpbox, and returns the end and the report.
    ///
    /// # Panics
    ///
    /// When it prints no report.
    pub fn judge(&self, files: &[&str], arguments: &[&str]) -> (crate::Finished, crate::Report) {
        let command = [
            &["judge", "--site", "site.yaml", "--bundle", "site.tar", "--json"],
            files,
        ];
        self.report(&command.concat(), arguments)
    }
}
