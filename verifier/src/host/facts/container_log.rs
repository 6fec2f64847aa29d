//! A container's log as the kubelet keeps it: `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/N.log`. It tells which container
//! got a request, where the way over the kubelet may be what is broken.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use secrets::MaskedLines;

use super::FactError;
use crate::protocol::ContainerLog;

const LOGS: &str = "/var/log/pods";
/// How much of the end of a log is read.
const TAIL: u64 = 4 << 20;
/// The most lines that are ever given.
const LINES: usize = 5000;

/// Returns the lines of a container's newest log that contain a text, secrets masked.
pub(crate) fn container_log(ask: &ContainerLog) -> Result<MaskedLines, FactError> {
    within(Path::new(LOGS), ask)
}

fn within(logs: &Path, ask: &ContainerLog) -> Result<MaskedLines, FactError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    for name in [&ask.namespace, &ask.pod, &ask.uid, &ask.container] {
        if name.is_empty() || name.contains("..") || !name.chars().all(plain) {
            return Err(FactError::Name { name: name.clone() });
        }
    }
    let pod = format!("{}_{}_{}", ask.namespace, ask.pod, ask.uid);
    let directory = logs.join(pod).join(&ask.container);
    let read = |source| FactError::Read {
        path: directory.clone(),
        source,
    };
    let newest = newest(&directory).map_err(read)?;
    let newest = newest.ok_or_else(|| read(io::ErrorKind::NotFound.into()))?;
    let text = tail(&newest).map_err(|source| FactError::Read { path: newest, source })?;
    let lines = text.lines().filter(|line| line.contains(&ask.containing));
    Ok(MaskedLines::new(&lines.take(LINES).collect::<Vec<_>>()))
}

/// Returns the log of the container's last start: the highest number.
fn newest(directory: &Path) -> io::Result<Option<PathBuf>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".log")?.parse::<u32>().ok());
        logs.extend(number.map(|number| (number, path)));
    }
    logs.sort();
    Ok(logs.pop().map(|(_, path)| path))
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(container: &str) -> ContainerLog {
        ContainerLog {
            namespace: "verifier-x".to_owned(),
            pod: "nginx-b".to_owned(),
            uid: "0c0ffee0-1".to_owned(),
            container: container.to_owned(),
            containing: "marker".to_owned(),
        }
    }

    #[test]
    fn the_newest_log_is_read_and_only_what_was_asked_for_is_given() {
        let logs = tempfile::tempdir().unwrap();
        let directory = logs.path().join("verifier-x_nginx-b_0c0ffee0-1/nginx");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("9.log"), "marker of an older start\n").unwrap();
        fs::write(directory.join("10.log"), "one\nmarker-1\ntwo marker-2\n").unwrap();
        let lines = within(logs.path(), &ask("nginx")).unwrap();
        assert_eq!(*lines, ["marker-1", "two marker-2"]);
    }

    #[test]
    fn names_that_lead_elsewhere_and_logs_that_are_not_there_are_refused() {
        let logs = tempfile::tempdir().unwrap();
        for name in ["..", "a/b", ""] {
            assert!(matches!(
                within(logs.path(), &ask(name)),
                Err(FactError::Name { .. })
            ));
        }
        assert!(matches!(
            within(logs.path(), &ask("nginx")),
            Err(FactError::Read { .. })
        ));
    }
}
