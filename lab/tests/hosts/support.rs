//! Labs for tests, and what the machine has of them, found without the lab's own code.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Guard, Options};

/// The hosts with systemd and sshd of a lab with one node.
pub(crate) const CLUSTER: [&str; 2] = ["server", "node-0"];
/// All hosts that hang on the switch of a lab with one node.
pub(crate) const CLOSED: [&str; 3] = ["server", "node-0", "jumpbox"];

/// Returns options for a bare lab with one node, whose name no other test or run has.
pub(crate) fn bare(purpose: &str) -> Options {
    Options {
        name: format!("t{}-{purpose}", std::process::id()),
        nodes: 1,
        bare: true,
        ..Options::default()
    }
}

/// Boots a lab that ends with the test.
pub(crate) fn up(options: &Options) -> Guard {
    Guard::up(options, &|line| println!("{line}")).unwrap()
}

/// Returns everything on this machine that bears a lab's name: namespaces, mounts, cgroups, links, files, processes.
pub(crate) fn traces(name: &str) -> Vec<String> {
    let mut traces = Vec::new();
    let prefix = format!("{name}.");
    for (what, path) in [("namespace", "/run/netns"), ("file", lab::STATE)] {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            let entry = entry.file_name().into_string().unwrap();
            if entry.starts_with(&prefix) || entry == name || entry.starts_with(&format!(".{name}.")) {
                traces.push(format!("{what} {entry}"));
            }
        }
    }
    let find = ["/sys/fs/cgroup", "-name", &format!("{prefix}*")];
    traces.extend(
        lines("find", &find)
            .into_iter()
            .map(|line| format!("cgroup {line}")),
    );
    for word in [format!("/{prefix}"), format!("/{name}/"), format!(" {prefix}")] {
        let mounts = mentions(Path::new("/proc/self/mountinfo"), &word);
        traces.extend(mounts.iter().map(|line| format!("mount {line}")));
    }
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        if entry.file_name().to_str().unwrap().parse::<u32>().is_err() {
            continue;
        }
        let cgroups = mentions(&entry.path().join("cgroup"), &format!("/{prefix}"));
        // What has ended, but of which the machine's own PID 1 has not yet taken note, is in a cgroup that is gone.
        let alive = cgroups.iter().filter(|line| !line.ends_with(" (deleted)"));
        traces.extend(alive.map(|line| format!("process {}: {line}", entry.path().display())));
    }
    let links = links().into_iter().filter(|link| link.contains(&prefix));
    traces.extend(links);
    traces
}

/// Returns the network links of the machine's own namespace.
pub(crate) fn links() -> Vec<String> {
    lines("ip", &["-o", "link", "show"])
}

/// Waits until something is there, at most a minute.
pub(crate) fn until(what: &str, mut there: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !there() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
    }
}

fn mentions(path: &Path, word: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter(|line| line.contains(word))
        .map(str::to_owned)
        .collect()
}

fn lines(program: &str, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}
