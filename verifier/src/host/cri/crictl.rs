//! What crictl would read on this host, and whether the socket that it names answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use yaml::Value;

use super::Cri;
use crate::protocol::{CrictlProblem, CrictlReply, Refusal};

/// Where crictl looks first.
const DEFAULT: &str = "/etc/crictl.yaml";
/// The settings that crictl knows (cri-tools, docs/crictl.md); it refuses a file with any other.
const KNOWN: [&str; 7] = [
    "runtime-endpoint",
    "image-endpoint",
    "timeout",
    "debug",
    "pull-image-on-create",
    "disable-pull-on-run",
    "max-retries",
];

/// Reads crictl's configuration, asks the runtime that it names who it is, and for images whom it names for them. `own` is the
/// socket of the node's runtime where the site file has it.
pub(crate) async fn crictl(own: Option<&str>) -> CrictlReply {
    let mut reply = read(places());
    let socket = |setting: &str| {
        let endpoint = reply
            .settings
            .get(setting)
            .filter(|endpoint| !endpoint.is_empty())?;
        Some(endpoint.strip_prefix("unix://").unwrap_or(endpoint).to_owned())
    };
    let (runtime, images) = (socket("runtime-endpoint"), socket("image-endpoint"));
    if let Some(socket) = runtime {
        let answer = async { Cri::connect(Some(&socket)).await?.version().await };
        match answer.await {
            Ok(version) => {
                reply.runtime = Some(version);
                reply.other = is_other(&socket, own).await;
            }
            Err(error) => reply.silent = Some(Refusal::of(&error).text),
        }
    }
    if let Some(socket) = images {
        let answer = async { Cri::connect(Some(&socket)).await?.image_directory().await };
        reply.images_silent = answer.await.err().map(|error| Refusal::of(&error).text);
    }
    reply
}

/// Returns whether another process serves a socket than serves the node's runtime; not where either cannot be told.
async fn is_other(socket: &str, own: Option<&str>) -> bool {
    let Ok(own) = Cri::connect(own).await else {
        return false;
    };
    let (named, own) = (server_of(socket).await, server_of(&own.socket).await);
    named.is_some() && own.is_some() && named != own
}

/// Returns the process that listens on a socket (`SO_PEERCRED`, unix(7)).
async fn server_of(socket: &str) -> Option<i32> {
    let stream = tokio::net::UnixStream::connect(socket).await.ok()?;
    stream.peer_cred().ok()?.pid()
}

/// Returns where crictl looks, in order: what the environment names, else the default, else beside the program.
fn places() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("CRI_CONFIG_FILE") {
        return vec![path.into()];
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/local/bin")]);
    let program = folders
        .map(|folder| folder.join("crictl"))
        .find(|path| path.is_file());
    let beside = program.map(|program| program.with_file_name("crictl.yaml"));
    [PathBuf::from(DEFAULT)].into_iter().chain(beside).collect()
}

pub(super) fn read(places: Vec<PathBuf>) -> CrictlReply {
    let mut reply = CrictlReply {
        places: places.iter().map(|place| place.display().to_string()).collect(),
        ..CrictlReply::default()
    };
    let Some(file) = places.into_iter().find(|place| place.exists()) else {
        return reply;
    };
    reply.file = Some(file.display().to_string());
    match settings(&file) {
        Ok(settings) => {
            let (known, unknown): (BTreeMap<_, _>, BTreeMap<_, _>) = settings
                .into_iter()
                .partition(|(key, _)| KNOWN.contains(&key.as_str()));
            reply.settings = known;
            reply.unknown = unknown.into_keys().collect();
        }
        Err(problem) => reply.problem = Some(problem),
    }
    reply
}

/// Returns the keys of the file's mapping with their values as text.
fn settings(file: &Path) -> Result<BTreeMap<String, String>, CrictlProblem> {
    let text =
        std::fs::read_to_string(file).map_err(|error| CrictlProblem::Unreadable(error.to_string().into()))?;
    let documents = yaml::documents(&file.display().to_string(), &text)
        .map_err(|problems| CrictlProblem::Unreadable(problems.to_string().into()))?;
    let Some(document) = documents.first() else {
        return Ok(BTreeMap::new());
    };
    let Value::Mapping(fields) = &document.value else {
        return Err(CrictlProblem::NoMapping);
    };
    let value = |value: &Value| match value {
        Value::Scalar { text, .. } => text.clone(),
        _ => String::new(),
    };
    Ok(fields
        .iter()
        .map(|(key, node)| (key.value.clone(), value(&node.value)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> CrictlReply {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("crictl.yaml");
        std::fs::write(&file, text).unwrap();
        read(vec![PathBuf::from("/nowhere/crictl.yaml"), file])
    }

    #[test]
    fn settings_and_unknown_keys_are_told_apart() {
        let reply = reply(
            "runtime-endpoint: unix:///run/containerd/containerd.sock\ntimeout: 10\nruntime-endpiont: x\n",
        );
        assert_eq!(reply.settings["timeout"], "10");
        assert_eq!(reply.unknown, ["runtime-endpiont"]);
        assert_eq!(reply.problem, None);
    }

    #[test]
    fn a_file_that_is_no_mapping_is_a_problem_and_none_is_none() {
        assert_eq!(reply("- a\n").problem, Some(CrictlProblem::NoMapping));
        assert!(matches!(
            reply("a: [").problem,
            Some(CrictlProblem::Unreadable(_))
        ));
        assert_eq!(read(vec![PathBuf::from("/nowhere")]).file, None);
    }
}
