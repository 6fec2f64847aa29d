//! Paths of the spec with `*`, `?`, `[...]` and `**`, expanded in sorted order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::GlobBuilder;

/// A pattern that cannot be expanded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GlobError {
    #[error("not a pattern: {0}")]
    Pattern(globset::ErrorKind),
    #[error("cannot list {}", path.display())]
    List { path: PathBuf, source: io::Error },
}

/// Returns the files that match, as paths relative to `base` (or absolute, where the pattern is), sorted.
pub(crate) fn expand(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, GlobError> {
    let mut found = Vec::new();
    let parts: Vec<&str> = pattern
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let start = if pattern.starts_with('/') {
        PathBuf::from("/")
    } else {
        PathBuf::new()
    };
    descend(base, start, &parts, &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn descend(base: &Path, at: PathBuf, parts: &[&str], found: &mut Vec<PathBuf>) -> Result<(), GlobError> {
    let Some((part, rest)) = parts.split_first() else {
        if base.join(&at).is_file() {
            found.push(at);
        }
        return Ok(());
    };
    if !part.contains(['*', '?', '[', '{']) {
        return descend(base, at.join(part), rest, found);
    }
    let deep = *part == "**";
    if deep {
        descend(base, at.clone(), rest, found)?;
    }
    let matcher = GlobBuilder::new(part).literal_separator(true).build();
    let matcher = matcher
        .map_err(|error| GlobError::Pattern(error.kind().clone()))?
        .compile_matcher();
    for name in list(&base.join(&at))? {
        // As in a shell, a leading dot is matched only by a dot.
        let hidden = name.starts_with('.') && !part.starts_with('.');
        if hidden || !matcher.is_match(&name) {
            continue;
        }
        let next = at.join(&name);
        if deep {
            // A link could lead back up: `**` does not follow it.
            let is_directory = fs::symlink_metadata(base.join(&next)).is_ok_and(|metadata| metadata.is_dir());
            if is_directory {
                descend(base, next, parts, found)?;
            }
        } else {
            descend(base, next, rest, found)?;
        }
    }
    Ok(())
}

/// Returns the names in a directory; what is no directory has none.
fn list(path: &Path) -> Result<Vec<String>, GlobError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let failed = |source| GlobError::List {
        path: path.to_owned(),
        source,
    };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(source) => return Err(failed(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is not UTF-8 could not be a member's name either.
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let directory = tempfile::tempdir().unwrap();
        for path in ["a.yaml", "d/b.yaml", "d/c.yml", "d/.hidden.yaml", "d/e/f.yaml"] {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let found = expand(directory.path(), pattern).unwrap();
            found
                .iter()
                .map(|path| path.to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names("*.yaml"), ["a.yaml"]);
        assert_eq!(names("./d/*.yaml"), ["d/b.yaml"]);
        assert_eq!(names("d/?.y*"), ["d/b.yaml", "d/c.yml"]);
        assert_eq!(names("**/*.yaml"), ["a.yaml", "d/b.yaml", "d/e/f.yaml"]);
        assert_eq!(names("d/b.yaml"), ["d/b.yaml"]);
        assert!(names("none/*").is_empty() && names("missing.yaml").is_empty() && names("d").is_empty());
        assert!(expand(directory.path(), "[").is_err());
    }
}
