//! The names of the files of a report: from a safe alphabet, bounded, and never the same for two rows.

use std::collections::BTreeSet;

use bundle::Digest;

/// A host's name that is longer stands in a file's name by its beginning and its hash: with the longest check and ending
/// it stays below the 143 bytes that an encrypted file system leaves of 255.
const LIMIT: usize = 80;
/// What is left of such a name, in bytes.
const BEGINNING: usize = 48;

/// The names that were given.
#[derive(Default)]
pub(super) struct FileNames {
    taken: BTreeSet<String>,
}

impl FileNames {
    /// Returns a name for a row's files, without an ending: `ID@HOST` where the host's name is of small letters, digits,
    /// `-` and `.`, as the names of Nodes are. Of any other name what is safe, `_` and the hash: no name of a Node has a
    /// `_`, so that it meets none, and small letters alone meet on no medium that ignores case. Where two rows have one
    /// check and one host, the second is numbered.
    pub(super) fn of(&mut self, id: &str, host: Option<&str>) -> String {
        let name = match host {
            Some(host) => format!("{}@{}", safe(id), safe(host)),
            None => safe(id),
        };
        let mut free = name.clone();
        let mut count = 1;
        while !self.taken.insert(free.clone()) {
            count += 1;
            free = format!("{name}_{count}");
        }
        free
    }
}

/// Returns a name as it may stand in the name of a file.
fn safe(name: &str) -> String {
    let is_safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let dots = name.is_empty() || name.starts_with(['.', '-']) || name.ends_with('.') || name.contains("..");
    if !dots && name.len() <= LIMIT && name.chars().all(is_safe) {
        return name.to_owned();
    }
    let letters = name.chars().map(|c| c.to_ascii_lowercase());
    let kept: String = letters.filter(|c| is_safe(*c)).take(BEGINNING).collect();
    let kept = kept.replace("..", "");
    let hash = Digest::of(name.as_bytes()).hex();
    format!("{}_{}", kept.trim_matches(['.', '-']), &hash[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_nodes_are_kept_and_others_are_made_safe() {
        let name = |host: &str| FileNames::default().of("nodes.ready", Some(host));
        assert_eq!(
            name("node-0.kubernetes.local"),
            "nodes.ready@node-0.kubernetes.local"
        );
        assert_eq!(name("../../etc/passwd"), "nodes.ready@etcpasswd_3754d6cb3a38e118");
        assert_eq!(FileNames::default().of("api.ready", None), "api.ready");
        let mut hosts = cli::nasty::texts();
        hosts.extend([
            "a".repeat(253),
            format!("{}.b", "a".repeat(251)),
            "Node-0".to_owned(),
            "node_0".to_owned(),
        ]);
        for host in hosts {
            let name = name(&host);
            let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._@".contains(c);
            assert!(
                name.chars().all(safe) && name.len() <= 110 && !name.contains(".."),
                "{name}"
            );
        }
    }

    #[test]
    fn no_two_rows_share_a_name_on_a_medium_that_ignores_case_either() {
        let mut hosts = cli::nasty::texts();
        hosts.extend(["node-0", "Node-0", "NODE-0", "node_0", "node-0", "node-0_2", ""].map(str::to_owned));
        hosts.extend((0..9).map(|tail| format!("{}{tail}", "a".repeat(252))));
        let mut names = FileNames::default();
        let given: Vec<String> = hosts
            .iter()
            .map(|host| names.of("nodes.ready", Some(host)))
            .collect();
        let folded: BTreeSet<String> = given.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(folded.len(), hosts.len(), "{given:?}");
    }
}
