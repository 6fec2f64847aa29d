//! systemd units in the page's form: a long-running program with one flag a line.

use std::fmt::Write as _;

use crate::LabFile;

/// A service.
pub(super) struct Unit<'a> {
    /// Name without `.service`.
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    /// Lines for `[Unit]`.
    pub(super) relations: &'a [&'a str],
    /// Absolute path of the program.
    pub(super) program: &'a str,
    pub(super) flags: &'a [&'a str],
    /// Further lines for `[Service]`.
    pub(super) service: &'a [&'a str],
}

impl Unit<'_> {
    /// Returns the unit's file.
    pub(super) fn file(&self) -> LabFile {
        let mut text = format!("[Unit]\nDescription={}\n", self.description);
        for line in self.relations {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "{line}");
        }
        let _ = write!(text, "\n[Service]\nExecStart={}", self.program);
        for flag in self.flags {
            let _ = write!(text, " \\\n  {flag}");
        }
        text.push('\n');
        for line in self.service {
            let _ = writeln!(text, "{line}");
        }
        text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        LabFile::new(format!("/etc/systemd/system/{}.service", self.name), text)
    }
}

/// The page's way of staying alive.
pub(super) const RESTART: [&str; 2] = ["Restart=on-failure", "RestartSec=5"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_a_flag_a_line() {
        let unit = Unit {
            name: "etcd",
            description: "etcd",
            relations: &["After=network.target"],
            program: "/usr/local/bin/etcd",
            flags: &["--name controller", "--data-dir=/var/lib/etcd"],
            service: &["Type=notify"],
        };
        let file = unit.file();
        let expected = "[Unit]\nDescription=etcd\nAfter=network.target\n\n[Service]\n\
            ExecStart=/usr/local/bin/etcd \\\n  --name controller \\\n  --data-dir=/var/lib/etcd\nType=notify\n\n\
            [Install]\nWantedBy=multi-user.target\n";
        assert_eq!(String::from_utf8(file.contents).unwrap(), expected);
        assert_eq!(file.path.to_str().unwrap(), "/etc/systemd/system/etcd.service");
    }
}
