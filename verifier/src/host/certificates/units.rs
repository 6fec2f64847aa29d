//! What is to run and does not: the units of systemd, and the manifests from which the kubelet starts the control plane. An
//! expired certificate is what keeps such a program from running.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use yaml::Node;

use super::programs::{Program, entries};

/// Where units lie, the place that wins first.
const UNITS: [&str; 4] = [
    "etc/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
/// Where the kubelet looks for static pods.
const MANIFESTS: [&str; 2] = [
    "etc/kubernetes/manifests",
    "var/lib/rancher/rke2/agent/pod-manifests",
];
/// The units that start programs of Kubernetes.
const NAMES: [&str; 10] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "etcd",
    "k3s",
    "k3s-agent",
    "rke2-server",
    "rke2-agent",
];

/// Returns the programs that units and manifests start.
pub(super) fn all() -> Vec<Program> {
    below(Path::new("/"))
}

fn below(root: &Path) -> Vec<Program> {
    let units = NAMES.iter().filter_map(|name| unit(root, name));
    let manifests = MANIFESTS
        .iter()
        .flat_map(|place| entries(&root.join(place), "yaml"));
    units.chain(manifests.flat_map(|file| manifest(&file))).collect()
}

fn unit(root: &Path, name: &str) -> Option<Program> {
    let files = UNITS
        .iter()
        .map(|place| root.join(place).join(format!("{name}.service")));
    let file = files.into_iter().find(|file| file.is_file())?;
    let drop_ins = UNITS
        .iter()
        .flat_map(|place| entries(&root.join(place).join(format!("{name}.service.d")), "conf"));
    let mut texts = vec![fs::read_to_string(&file).ok()?];
    texts.extend(drop_ins.filter_map(|file| fs::read_to_string(file).ok()));
    let text = texts.join("\n").replace("\\\n", " ");
    let mut variables = BTreeMap::new();
    let mut command = None;
    let mut directory = "/".to_owned();
    for (key, value) in text.lines().filter_map(|line| line.trim().split_once('=')) {
        match key {
            "Environment" => value.split('"').for_each(|text| variable(text, &mut variables)),
            "EnvironmentFile" => {
                let path = value.trim_start_matches('-').trim_start_matches('/');
                let text = fs::read_to_string(root.join(path)).unwrap_or_default();
                text.lines().for_each(|line| variable(line, &mut variables));
            }
            "WorkingDirectory" if value.starts_with(['/', '-']) => {
                value.trim_start_matches('-').clone_into(&mut directory);
            }
            // An empty one takes back what came before.
            "ExecStart" if !value.trim().is_empty() => command = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let command = command?;
    let words = command
        .trim_start_matches(['-', '@', ':', '+', '!'])
        .split_whitespace();
    let words: Vec<String> = words.flat_map(|word| expanded(word, &variables)).collect();
    let mut program = Program::to_run(&words, &file.display().to_string(), &directory)?;
    program.given.variables(
        variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    Some(program)
}

fn variable(text: &str, variables: &mut BTreeMap<String, String>) {
    if let Some((name, value)) = text.trim().split_once('=') {
        variables.insert(name.to_owned(), value.trim_matches(['"', '\'']).to_owned());
    }
}

/// Returns a word of a command line, or the words of the variable that it names.
fn expanded(word: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let Some(name) = word.strip_prefix('$') else {
        return vec![word.to_owned()];
    };
    let value = variables.get(name.trim_matches(['{', '}']));
    value
        .into_iter()
        .flat_map(|value| value.split_whitespace())
        .map(str::to_owned)
        .collect()
}

fn manifest(file: &PathBuf) -> Vec<Program> {
    let source = file.display().to_string();
    let text = fs::read_to_string(file).unwrap_or_default();
    let documents = yaml::documents(&source, &text).unwrap_or_default();
    let containers = documents
        .first()
        .and_then(|pod| pod.get("spec")?.get("containers"));
    let of_container = |container: &Node| {
        let words = ["command", "args"]
            .into_iter()
            .filter_map(|name| container.get(name));
        let words: Vec<String> = words
            .flat_map(Node::items)
            .filter_map(Node::scalar)
            .map(str::to_owned)
            .collect();
        let directory = container.get("workingDir").and_then(Node::scalar);
        Program::to_run(&words, &source, directory.unwrap_or("/"))
    };
    containers
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .filter_map(of_container)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Vec<(String, Vec<(String, String)>)> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        below(root.path())
            .into_iter()
            .map(|program| (program.name, program.given.files))
            .collect()
    }

    #[test]
    fn units_name_files_over_several_lines_and_by_variables() {
        let found = tree(&[
            (
                "lib/systemd/system/kubelet.service",
                "[Service]\nExecStart=/usr/bin/kubelet\n",
            ),
            (
                "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
                "[Service]\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=--kubeconfig=/etc/kubernetes/kubelet.conf --tls-cert-file=/a.crt\"\n\
                 ExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $NOTHING\n",
            ),
            (
                "etc/systemd/system/etcd.service",
                "[Service]\nEnvironmentFile=-/etc/etcd.env\nExecStart=/usr/local/bin/etcd \\\n  --cert-file=/b.crt \\\n  --v=2\n",
            ),
            ("etc/etcd.env", "ETCD_PEER_CERT_FILE=/c.crt\n"),
        ]);
        let named = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        let expected = [
            (
                "kubelet".to_owned(),
                vec![
                    named("kubeconfig", "/etc/kubernetes/kubelet.conf"),
                    named("tls-cert-file", "/a.crt"),
                ],
            ),
            (
                "etcd".to_owned(),
                vec![named("cert-file", "/b.crt"), named("peer-cert-file", "/c.crt")],
            ),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn relative_paths_begin_in_the_unit_s_directory() {
        let unit = "[Service]\nWorkingDirectory=/opt/k8s\nExecStart=/usr/local/bin/kube-proxy --kubeconfig=proxy.conf\n";
        let found = tree(&[("etc/systemd/system/kube-proxy.service", unit)]);
        let file = ("kubeconfig".to_owned(), "/opt/k8s/proxy.conf".to_owned());
        assert_eq!(found, [("kube-proxy".to_owned(), vec![file])]);
    }

    #[test]
    fn manifests_of_static_pods_name_files() {
        let found = tree(&[(
            "etc/kubernetes/manifests/kube-scheduler.yaml",
            "spec:\n  containers:\n  - command:\n    - kube-scheduler\n    - --kubeconfig=/etc/kubernetes/scheduler.conf\n",
        )]);
        let file = (
            "kubeconfig".to_owned(),
            "/etc/kubernetes/scheduler.conf".to_owned(),
        );
        assert_eq!(found, [("kube-scheduler".to_owned(), vec![file])]);
    }
}
