//! What sysctl.d(5) sets at boot, in systemd-sysctl's order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{entries, shown, text};

/// The directories, the one that wins first. What lies in /run is gone by then.
const DIRECTORIES: [&str; 4] = [
    "etc/sysctl.d",
    "usr/local/lib/sysctl.d",
    "usr/lib/sysctl.d",
    "lib/sysctl.d",
];

/// Returns the values by key, each with the file that sets it last. /etc/sysctl.conf counts where systemd starts the host only
/// if a link in the directories leads to it, as Debian's and Red Hat's do.
pub(super) fn settings(root: &Path, systemd: bool) -> BTreeMap<String, (String, String)> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for directory in DIRECTORIES {
        for file in entries(&root.join(directory)) {
            let is_conf = file.extension().is_some_and(|extension| extension == "conf");
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
            let Some(name) = name.filter(|_| is_conf) else {
                continue;
            };
            // One that is empty or leads to /dev/null hides those of the same name behind it.
            files.entry(name).or_insert(file);
        }
    }
    let mut settings = BTreeMap::new();
    let mut files: Vec<PathBuf> = files.into_values().collect();
    if !systemd {
        files.push(root.join("etc/sysctl.conf"));
    }
    let ufw = text(&root.join("etc/ufw/ufw.conf")).unwrap_or_default();
    if ufw
        .lines()
        .any(|line| line.trim().eq_ignore_ascii_case("enabled=yes"))
    {
        files.push(root.join("etc/ufw/sysctl.conf"));
    }
    for file in files {
        let lines = text(&file).unwrap_or_default();
        for (key, value) in lines.lines().filter_map(parse) {
            settings.insert(key, (value, shown(root, &file)));
        }
    }
    settings
}

/// Returns key and value of a line: `-net/ipv4/ip_forward = 1`.
fn parse(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (key, value) = line.split_once('=')?;
    let key = key.trim().trim_start_matches('-');
    // With a slash first the separators are slashes, and dots belong to names (eth0.100).
    let slash = key.find('/').unwrap_or(usize::MAX);
    let dot = key.find('.').unwrap_or(usize::MAX);
    let key = if slash < dot {
        key.replace('.', "\u{0}").replace('/', ".")
    } else {
        key.to_owned()
    };
    Some((key, value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    fn forward(files: &[(&str, &str)], systemd: bool) -> Option<(String, String)> {
        settings(Tree::new(files).0.path(), systemd).remove("net.ipv4.ip_forward")
    }

    #[test]
    fn the_last_file_by_name_wins_wherever_it_lies_and_one_of_etc_hides_its_namesake() {
        let found = forward(
            &[
                ("etc/sysctl.d/10-a.conf", "net.ipv4.ip_forward=1"),
                ("usr/lib/sysctl.d/50-b.conf", "# no\n-net/ipv4/ip_forward = 0"),
            ],
            true,
        );
        assert_eq!(
            found,
            Some(("0".to_owned(), "/usr/lib/sysctl.d/50-b.conf".to_owned()))
        );
        let found = forward(
            &[
                ("etc/sysctl.d/50-b.conf", "-> /dev/null"),
                ("usr/lib/sysctl.d/50-b.conf", "net.ipv4.ip_forward=0"),
            ],
            true,
        );
        assert_eq!(found, None);
    }

    #[test]
    fn sysctl_conf_counts_where_a_link_leads_to_it_or_systemd_is_not_there() {
        let conf = ("etc/sysctl.conf", "net.ipv4.ip_forward=1\n");
        assert_eq!(forward(&[conf], true), None);
        assert!(forward(&[conf], false).is_some());
        assert!(
            forward(
                &[conf, ("etc/sysctl.d/99-sysctl.conf", "-> ../sysctl.conf")],
                true
            )
            .is_some()
        );
    }
}
