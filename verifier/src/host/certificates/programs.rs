//! The programs of Kubernetes that run on this host, or are to run: what they were given, by command line, environment and
//! configuration, and what they take where they were given nothing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bundle::UserFile;

use super::arguments::Given;
use crate::protocol::ASKED;

/// The programs, as their files are called.
pub(super) const NAMES: [&str; 9] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "etcd",
    "k3s",
    "rke2",
    "kubelite",
];
/// The programs whose flags stand in files of MicroK8s.
const INSIDE_KUBELITE: [&str; 5] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
];
const MICROK8S: &str = "/var/snap/microk8s/current";
const CONFIGURATION: UserFile = UserFile::new("a configuration file", 1 << 20);

/// A program, running or not.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// Its name.
    pub(super) name: String,
    /// Its process.
    pub(super) pid: Option<i32>,
    /// Whom it runs as.
    pub(super) uid: Option<u32>,
    /// What says how it is to run, where it does not.
    pub(super) source: Option<String>,
    /// What it was given.
    pub(super) given: Given,
    /// Whether its root directory may be another one, and is not shown to us.
    pub(super) hidden: bool,
    /// Its root directory, where that is not the host's.
    root: Option<PathBuf>,
}

impl Program {
    /// Returns a path of the program's as it is seen from here.
    pub(super) fn seen(&self, path: &str) -> PathBuf {
        let own = self
            .root
            .as_ref()
            .map(|root| root.join(path.trim_start_matches('/')));
        own.filter(|path| path.exists())
            .unwrap_or_else(|| PathBuf::from(path))
    }

    /// Returns what stands for whoever named files.
    pub(super) fn asked() -> Self {
        Self {
            name: ASKED.to_owned(),
            ..Self::default()
        }
    }

    /// Returns a program that a unit or a manifest starts with these words in this directory.
    pub(super) fn to_run(words: &[String], source: &str, directory: &str) -> Option<Self> {
        let name = name_of(words)?;
        let mut program = Self {
            name: name.to_owned(),
            source: Some(source.to_owned()),
            ..Self::default()
        };
        program.given.directory = Some(PathBuf::from(directory));
        program.given.arguments(words);
        program.complete(words);
        Some(program)
    }

    /// Reads the files of its configuration, and fills in what it takes where it was given nothing.
    fn complete(&mut self, words: &[String]) {
        for flag in ["config", "config-file"] {
            let named = |(setting, path): &(String, String)| (setting == flag).then(|| path.clone());
            let files: Vec<String> = self.given.files.iter().filter_map(named).collect();
            for file in &files {
                self.configuration(&self.seen(file));
            }
        }
        let directory = words.iter().find_map(|word| word.strip_prefix("--config-dir="));
        if let Some(directory) = directory {
            for file in entries(&self.seen(&self.given.absolute(directory)), "conf") {
                self.configuration(&file);
            }
        }
        match self.name.as_str() {
            "kubelet" => self.kubelet(),
            "kube-apiserver" if !self.given.names(&["tls-cert-file"]) => {
                let directory = self.given.get("cert-dir").unwrap_or("/var/run/kubernetes");
                let directory = self.given.absolute(directory);
                self.take("tls-cert-file", format!("{directory}/apiserver.crt"));
                self.take("tls-private-key-file", format!("{directory}/apiserver.key"));
            }
            "k3s" => self.rancher("/var/lib/rancher/k3s", "/etc/rancher/k3s/config.yaml"),
            "rke2" => self.rancher("/var/lib/rancher/rke2", "/etc/rancher/rke2/config.yaml"),
            _ => {}
        }
    }

    fn configuration(&mut self, path: &Path) {
        let name = path.display().to_string();
        let Ok(text) = CONFIGURATION.read_text(path) else {
            return;
        };
        let documents = yaml::documents(&name, &text).unwrap_or_default();
        if let Some(document) = documents.first() {
            // Paths in a kubelet's configuration begin beside it (pkg/kubelet/kubeletconfig/configfiles of Kubernetes).
            let beside = path
                .parent()
                .filter(|_| self.name == "kubelet")
                .map(Path::to_owned);
            let own = self.given.directory.clone();
            self.given.directory = beside.or_else(|| own.clone());
            self.given.document(document);
            self.given.directory = own;
        }
    }

    /// The kubelet without a serving certificate makes one in its directory, or asks the cluster for one
    /// (pkg/kubelet/certificate of Kubernetes).
    fn kubelet(&mut self) {
        let root = self.given.get("root-dir").unwrap_or("/var/lib/kubelet");
        let usual = format!("{root}/pki");
        let directory = self.given.get("cert-dir").map_or(usual, str::to_owned);
        let directory = self.given.absolute(&directory);
        let rotated = format!("{directory}/kubelet-client-current.pem");
        if self.seen(&rotated).exists() {
            self.take("cert-dir/client", rotated);
        }
        if self.given.names(&["tls-cert-file", "tlsCertFile"]) {
            return;
        }
        let asks = ["serverTLSBootstrap", "rotate-server-certificates"];
        if asks.iter().any(|name| self.given.get(name) == Some("true")) {
            let path = format!("{directory}/kubelet-server-current.pem");
            self.take("cert-dir/server", path);
        } else {
            self.take("cert-dir/self-signed", format!("{directory}/kubelet.crt"));
            self.take("cert-dir/self-signed-key", format!("{directory}/kubelet.key"));
        }
    }

    /// k3s and RKE2 keep all that they use in one directory, under fixed names (pkg/daemons/control/deps of k3s).
    fn rancher(&mut self, usual: &str, configuration: &str) {
        if self.given.get("data-dir").is_none() {
            self.configuration(Path::new(configuration));
        }
        let data = self.given.absolute(self.given.get("data-dir").unwrap_or(usual));
        for (place, depth) in [("server/tls", 2), ("server/cred", 1), ("agent", 1)] {
            let mut todo = vec![(PathBuf::from(&data).join(place), depth)];
            while let Some((directory, depth)) = todo.pop() {
                let Ok(listed) = fs::read_dir(&directory) else {
                    continue;
                };
                for entry in listed.flatten() {
                    let (path, name) = (entry.path(), entry.file_name());
                    let name = name.to_string_lossy();
                    if path.is_dir() && depth > 1 && name != "temporary-certs" {
                        todo.push((path, depth - 1));
                    } else if [".crt", ".key", ".kubeconfig", "-cert.json"]
                        .iter()
                        .any(|end| name.ends_with(end))
                    {
                        let setting = path.strip_prefix(&data).unwrap_or(&path).display().to_string();
                        self.take(&setting, path.display().to_string());
                    }
                }
            }
        }
        self.given.files.sort();
    }

    fn take(&mut self, setting: &str, path: String) {
        self.given.files.push((setting.to_owned(), path));
    }
}

/// Returns the programs that run.
pub(super) fn running() -> Vec<Program> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into_iter().flat_map(of_process).collect()
}

fn of_process(pid: i32) -> Vec<Program> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let words = fs::read(process.join("cmdline")).unwrap_or_default();
    let words = words.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<String> = words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    // k3s puts its own title over its arguments: one word with all of them.
    let words = if let [title] = &words[..] {
        title.split(' ').map(str::to_owned).collect()
    } else {
        words
    };
    let Some(name) = name_of(&words) else {
        return Vec::new();
    };
    // A cluster in pods or containers on this host is not the host's.
    if differs(&process, "net") == Some(true) {
        return Vec::new();
    }
    let given = || Given {
        directory: fs::read_link(process.join("cwd")).ok(),
        ..Given::default()
    };
    let of = |name: &str| Program {
        name: name.to_owned(),
        given: given(),
        pid: Some(pid),
        uid: fs::metadata(&process).ok().map(|metadata| metadata.uid()),
        hidden: differs(&process, "mnt").is_none(),
        root: (differs(&process, "mnt") == Some(true)).then(|| process.join("root")),
        ..Program::default()
    };
    if name == "kubelite" {
        let of_flags = |name: &&str| {
            let mut program = of(name);
            let flags = fs::read_to_string(format!("{MICROK8S}/args/{name}")).unwrap_or_default();
            let flags = flags
                .replace("${SNAP_DATA}", MICROK8S)
                .replace("$SNAP_DATA", MICROK8S);
            let words: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
            program.given.arguments(&words);
            program.complete(&words);
            program
        };
        return INSIDE_KUBELITE.iter().map(of_flags).collect();
    }
    let mut program = of(name);
    if name == "etcd" {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let variables = environment
            .split(|byte| *byte == 0)
            .filter_map(|variable| std::str::from_utf8(variable).ok());
        program
            .given
            .variables(variables.filter_map(|variable| variable.split_once('=')));
    }
    program.given.arguments(&words);
    program.complete(&words);
    vec![program]
}

/// Returns which program is started with these words.
pub(super) fn name_of(words: &[String]) -> Option<&'static str> {
    let program = words.first()?.rsplit('/').next()?;
    let name = *NAMES.iter().find(|name| **name == program)?;
    // Both are many programs in one: kubectl, crictl, ctr.
    let is_daemon = |word: &String| ["server", "agent"].contains(&word.as_str());
    (!["k3s", "rke2"].contains(&name) || words.get(1).is_some_and(is_daemon)).then_some(name)
}

/// Returns whether a process has another namespace than this one; none where that is not shown to us.
fn differs(process: &Path, kind: &str) -> Option<bool> {
    let namespace = |process: &Path| fs::read_link(process.join("ns").join(kind)).ok();
    Some(namespace(process)? != namespace(Path::new("/proc/self"))?)
}

/// Returns the files of a directory with that extension, by name.
pub(super) fn entries(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|one| one == extension))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_programs_are_told_by_their_files_names() {
        assert_eq!(
            name_of(&words("/usr/local/bin/kube-apiserver --v=2")),
            Some("kube-apiserver")
        );
        assert_eq!(name_of(&words("/usr/local/bin/k3s server")), Some("k3s"));
        assert_eq!(name_of(&words("k3s kubectl get pods")), None);
        assert_eq!(name_of(&words("/usr/bin/etcdctl")), None);
    }

    #[test]
    fn a_kubelet_that_is_given_no_certificate_makes_its_own_or_asks_for_one() {
        let files = |line: &str| Program::to_run(&words(line), "unit", "/").unwrap().given.files;
        assert_eq!(
            files("kubelet --cert-dir=/pki")[0],
            ("cert-dir/self-signed".to_owned(), "/pki/kubelet.crt".to_owned())
        );
        assert_eq!(
            files("kubelet --rotate-server-certificates"),
            [(
                "cert-dir/server".to_owned(),
                "/var/lib/kubelet/pki/kubelet-server-current.pem".to_owned()
            )]
        );
        assert_eq!(files("kubelet --tls-cert-file=/a.crt").len(), 1);
    }
}
