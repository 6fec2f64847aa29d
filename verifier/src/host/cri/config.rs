//! The configuration files of the containerd behind a socket: where no API gives a setting, they do.

use std::path::{Path, PathBuf};

use globset::Glob;
use toml::Table;

/// Where containerd looks without `--config`.
const DEFAULT: &str = "/etc/containerd/config.toml";
/// Files that import each other deeper than this are not followed.
const DEPTH: usize = 8;

/// Reads the configuration of the process that serves `socket`: the file and what it imports, in the order in which
/// later ones win. Files that are not there are left out. Nothing where one cannot be read or is no TOML: the process did not
/// start with that, and what it started with nobody knows.
pub(super) async fn read(socket: &str) -> Option<Vec<Table>> {
    let stream = tokio::net::UnixStream::connect(socket).await;
    let peer = stream.and_then(|stream| stream.peer_cred());
    let pid = peer.ok().and_then(|peer| peer.pid());
    let arguments = pid.and_then(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok());
    let file = arguments
        .and_then(|line| named(&line))
        .unwrap_or_else(|| DEFAULT.into());
    let mut tables = Vec::new();
    collect(Path::new(&file), DEPTH, &mut tables).then_some(tables)
}

/// Returns the file that the command line names.
fn named(line: &[u8]) -> Option<String> {
    let arguments = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_ref() {
            "-c" | "--config" | "-config" => return arguments.next().map(Into::into),
            text => {
                if let Some(path) = text
                    .strip_prefix("--config=")
                    .or_else(|| text.strip_prefix("-c="))
                {
                    return Some(path.to_owned());
                }
            }
        }
    }
    None
}

/// Adds a file and what it imports to the tables, and returns whether all that is there could be read.
pub(super) fn collect(file: &Path, depth: usize, tables: &mut Vec<Table>) -> bool {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return error.kind() == std::io::ErrorKind::NotFound,
    };
    let Ok(table) = text.parse::<Table>() else {
        return false;
    };
    let imports = table
        .get("imports")
        .and_then(|imports| imports.as_array())
        .cloned();
    tables.push(table);
    if depth == 0 {
        return true;
    }
    let imports = imports.unwrap_or_default();
    let mut whole = true;
    for pattern in imports.iter().filter_map(|import| import.as_str()) {
        let pattern = file.parent().unwrap_or(Path::new("/")).join(pattern);
        for path in matching(&pattern) {
            if path != file {
                whole &= collect(&path, depth - 1, tables);
            }
        }
    }
    whole
}

/// Returns the files that a pattern with wildcards in its last part names, sorted.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let parts = pattern
        .parent()
        .zip(pattern.file_name().and_then(|name| name.to_str()));
    let Some((directory, name)) = parts else {
        return Vec::new();
    };
    let Ok(glob) = Glob::new(name) else {
        return Vec::new();
    };
    let matcher = glob.compile_matcher();
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter(|entry| matcher.is_match(entry.file_name()));
    let mut files: Vec<_> = names.map(|entry| entry.path()).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_one_that_the_command_line_names() {
        let line = |text: &str| named(text.replace(' ', "\0").as_bytes());
        assert_eq!(line("/usr/bin/containerd"), None);
        assert_eq!(
            line("containerd -c /srv/c.toml -a /run/s").as_deref(),
            Some("/srv/c.toml")
        );
        assert_eq!(
            line("containerd --config=/srv/c.toml").as_deref(),
            Some("/srv/c.toml")
        );
    }

    #[test]
    fn imports_follow_the_file_that_names_them() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write(
            "config.toml",
            "version = 3\nimports = [\"conf-*.toml\", \"config.toml\"]\n",
        );
        write("conf-b.toml", "b = 1\n");
        write("conf-a.toml", "a = 1\n");
        write("other.toml", "other = 1\n");
        let mut tables = Vec::new();
        assert!(collect(&directory.path().join("config.toml"), DEPTH, &mut tables));
        let keys: Vec<_> = tables
            .iter()
            .map(|table| table.keys().next().unwrap().as_str())
            .collect();
        assert_eq!(keys, ["imports", "a", "b"]);
        write("conf-a.toml", "a = [[[\n");
        assert!(!collect(
            &directory.path().join("config.toml"),
            DEPTH,
            &mut Vec::new()
        ));
        assert!(collect(
            &directory.path().join("none.toml"),
            DEPTH,
            &mut Vec::new()
        ));
    }
}
