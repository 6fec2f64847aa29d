//! The wait for a cluster: the API server answers, may reach the kubelets, and every node is Ready.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::On;
use crate::tool::{Say, tail};
use crate::{Error, Layout, SERVER, run};

/// Four seconds are usual; this is for a machine that compiles meanwhile.
const PATIENCE: Duration = Duration::from_mins(3);
/// How often a look is taken.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until every node of the layout is Ready, with the page's permission for the API server applied.
pub fn wait_ready(layout: &Layout, on: On<'_>, say: Say<'_>) -> Result<(), Error> {
    let begun = Instant::now();
    let deadline = begun + PATIENCE;
    for server in layout.servers() {
        serves(deadline, on, &server.name)?;
    }
    say(&format!(
        "{} ready after {:.1} s",
        if layout.is_balanced() {
            "the API servers are"
        } else {
            "the API server is"
        },
        begun.elapsed().as_secs_f32()
    ));
    let manifest = [
        "apply",
        "--validate=false",
        "-f",
        "/root/kube-apiserver-to-kubelet.yaml",
    ];
    let applied = until(deadline, || {
        kubectl(on, SERVER, &manifest).map_err(|error| error.to_string())
    });
    applied.map_err(|last| {
        late(
            "kube-apiserver's access to the kubelets",
            &last,
            on,
            SERVER,
            &["kube-apiserver"],
        )
    })?;
    let expected: BTreeSet<String> = layout.nodes().map(|node| node.name.clone()).collect();
    let ready = until(deadline, || {
        let nodes = kubectl(on, SERVER, &["get", "nodes", "-o", "json"])
            .map_err(|error| (error.to_string(), None))?;
        let missing = expected.difference(&ready_nodes(&nodes)).next().cloned();
        missing.map_or(Ok(()), |node| Err((format!("{node} is not Ready"), Some(node))))
    });
    ready.map_err(|(last, node)| match node {
        Some(node) => late(
            "nodes that are Ready",
            &last,
            on,
            &node,
            &["kubelet", "containerd"],
        ),
        None => late("nodes that are Ready", &last, on, SERVER, &["kube-apiserver"]),
    })?;
    say(&format!(
        "{} nodes are Ready after {:.1} s",
        expected.len(),
        begun.elapsed().as_secs_f32()
    ));
    Ok(())
}

/// Waits until the API server of a host is ready.
fn serves(deadline: Instant, on: On<'_>, server: &str) -> Result<(), Error> {
    let answer = until(deadline, || {
        match kubectl(on, server, &["get", "--raw=/readyz"]) {
            Ok(text) if text == "ok" => Ok(()),
            Ok(text) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    });
    let units = ["etcd", "kube-apiserver"];
    answer.map_err(|last| late("an API server that is ready", &last, on, server, &units))
}

/// Repeats a look until it is content or the time is over, and then returns what it saw last.
fn until<T, E>(deadline: Instant, mut look: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    loop {
        match look() {
            Err(last) if Instant::now() > deadline => return Err(last),
            Err(_) => thread::sleep(LOOK),
            done => return done,
        }
    }
}

/// Returns the nodes whose Ready condition is true.
fn ready_nodes(json: &str) -> BTreeSet<String> {
    let list: Value = serde_json::from_str(json).unwrap_or_default();
    let ready = |node: &&Value| {
        let conditions = node["status"]["conditions"].as_array();
        let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        conditions.is_some_and(|conditions| conditions.iter().any(is_ready))
    };
    let nodes = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    nodes
        .iter()
        .filter(ready)
        .filter_map(|node| Some(node["metadata"]["name"].as_str()?.to_owned()))
        .collect()
}

/// Runs kubectl on a server as the administrator, who reaches its own API server there.
fn kubectl(on: On<'_>, server: &str, arguments: &[&str]) -> Result<String, Error> {
    let base = [
        "kubectl",
        "--kubeconfig=/root/admin.kubeconfig",
        "--request-timeout=10s",
    ];
    let output = run::run(&mut on(server, &[&base, arguments].concat())?)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the error of a wait that was in vain, with the end of the journals that say why.
fn late(what: &str, last: &str, on: On<'_>, host: &str, units: &[&str]) -> Error {
    let mut said = vec![tail(last, 3)];
    for unit in units {
        said.push(format!("  journalctl -u {unit} on {host}:"));
        let journal = journal(on, host, unit).unwrap_or_else(|error| error.to_string());
        said.push(tail(&journal, 6));
    }
    Error::Timeout {
        what: what.to_owned(),
        seconds: PATIENCE.as_secs(),
        last: said.join("\n"),
    }
}

fn journal(on: On<'_>, host: &str, unit: &str) -> Result<String, Error> {
    let mut command = on(
        host,
        &["journalctl", "--no-pager", "-n", "20", "-o", "cat", "-u", unit],
    )?;
    Ok(String::from_utf8_lossy(&run::run(&mut command)?.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_true_ready_condition_counts() {
        let json = r#"{"items": [
            {"metadata": {"name": "node-0"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            {"metadata": {"name": "node-1"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
            {"metadata": {"name": "node-2"}, "status": {}}]}"#;
        assert_eq!(ready_nodes(json), BTreeSet::from(["node-0".to_owned()]));
        assert!(ready_nodes("not JSON").is_empty());
    }

    #[test]
    fn a_look_that_is_never_content_ends_with_what_it_saw() {
        let past = Instant::now();
        let mut looks = 0;
        let result: Result<(), _> = until(past, || {
            looks += 1;
            Err(looks)
        });
        assert!(result.unwrap_err() >= 1);
    }
}
