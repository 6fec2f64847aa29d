//! What the kubelet of this host is told: when it collects images or evicts pods, whether it lives with swap, and which
//! container runtime is its own. Reads /proc and the kubelet's own files.
//!
//! Defaults: pkg/kubelet/apis/config/v1beta1/defaults.go and pkg/kubelet/eviction/defaults_linux.go of Kubernetes.

use std::path::{Path, PathBuf};

use yaml::Node;

use crate::distribution::K3S;
use crate::protocol;

/// The kubelet of `MicroK8s` runs inside this, with its flags in a file of their own.
const KUBELITE: &str = "kubelite";
const KUBELITE_FLAGS: &str = "/var/snap/microk8s/current/args/kubelet";

/// The runtime that k3s brings.
const K3S_RUNTIME: &str = "unix:///run/k3s/containerd/containerd.sock";

/// The kubelet's limits, and its runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kubelet {
    /// Whether it refuses to start while there is swap.
    pub(super) fail_swap_on: bool,
    /// Above this use of the images' file system, in percent, images are collected.
    pub(super) image_gc_high: u64,
    /// With less than this available there, pods are evicted.
    pub(super) imagefs: Threshold,
    /// With less than this available on the file system of `root`, pods are evicted.
    pub(super) nodefs: Threshold,
    /// The same two limits for inodes.
    pub(super) imagefs_inodes: Threshold,
    pub(super) nodefs_inodes: Threshold,
    /// Its kubeconfig; absent where it is told none, or has the API server in its own process.
    pub(super) kubeconfig: Option<PathBuf>,
    /// The kubelet's directory.
    pub(super) root: PathBuf,
    /// Where it asks its container runtime, `unix://PATH`; absent where nothing that could be read names it.
    pub(super) runtime: Option<String>,
    /// Where the figures come from.
    pub(super) source: String,
    /// A file of its configuration that could not be read: then the figures may be others.
    pub(super) unread: Option<PathBuf>,
}

/// An eviction threshold, of bytes or of inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threshold {
    /// Thousandths of the capacity.
    Share(u64),
    /// So many.
    Bytes(u64),
}

impl Threshold {
    /// Returns the bytes that must stay available of `capacity`.
    pub(super) fn of(self, capacity: u64) -> u64 {
        match self {
            Self::Share(thousandths) => capacity / 1000 * thousandths,
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Finds the kubelet that runs here; `None`: there is none.
pub(super) fn kubelet() -> Option<Kubelet> {
    let ours = std::fs::read_link("/proc/self/ns/pid").ok();
    let (name, arguments) = std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let comm = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        let name = comm.trim().to_owned();
        // k3s is kubelet and control plane in one; rke2 starts a kubelet of its own.
        if !["kubelet", KUBELITE].contains(&name.as_str()) && !K3S.contains(&name.as_str()) {
            return None;
        }
        // The kubelet of a cluster in containers on this machine minds its own file systems.
        if std::fs::read_link(entry.path().join("ns/pid")).ok() != ours {
            return None;
        }
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let arguments = line.split(|byte| *byte == 0);
        let arguments = arguments.map(|one| String::from_utf8_lossy(one).into_owned());
        Some((name, arguments.collect::<Vec<_>>()))
    })?;
    let mut found = Kubelet::default();
    let arguments = if name == KUBELITE {
        let text = std::fs::read_to_string(KUBELITE_FLAGS);
        found.unread = text.is_err().then(|| PathBuf::from(KUBELITE_FLAGS));
        flags(&text.unwrap_or_default())
    } else {
        arguments
    };
    if K3S.contains(&name.as_str()) {
        // pkg/daemons/agent/agent_linux.go of k3s.
        let named = flag(&arguments, "container-runtime-endpoint");
        found.runtime = named.or_else(|| Some(K3S_RUNTIME.to_owned()));
        found.fail_swap_on = false;
        found.imagefs = Threshold::Share(50);
        found.nodefs = Threshold::Share(50);
        found.imagefs_inodes = Threshold::Bytes(0);
        found.nodefs_inodes = Threshold::Bytes(0);
        "the defaults of k3s".clone_into(&mut found.source);
        return Some(found);
    }
    let files = flag(&arguments, "config").into_iter().map(PathBuf::from);
    let more = flag(&arguments, "config-dir").map(|directory| drop_ins(Path::new(&directory)));
    for file in files.chain(more.into_iter().flatten()) {
        match std::fs::read_to_string(&file) {
            Ok(text) if found.configure(&file.display().to_string(), &text) => {}
            // The kubelet had another file when it read it.
            Ok(_) | Err(_) => found.unread = Some(file),
        }
    }
    found.command_line(&arguments);
    Some(found)
}

/// Returns the flags of a file of `MicroK8s`, one a line.
fn flags(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with('-'));
    let plain = |line: &str| {
        line.replace("${SNAP_DATA}", "/var/snap/microk8s/current")
            .replace("${SNAP_COMMON}", "/var/snap/microk8s/common")
            .replace('"', "")
    };
    lines.map(plain).collect()
}

/// Returns the files that the kubelet merges over its configuration, in its order.
fn drop_ins(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|one| one == "conf"))
        .collect();
    files.sort();
    files
}

fn flag(arguments: &[String], name: &str) -> Option<String> {
    protocol::flag(arguments.iter().map(String::as_str), name).map(str::to_owned)
}

/// Returns the value of a flag that is a switch: `--name` alone turns it on (pflag).
fn switch(arguments: &[String], name: &str) -> Option<bool> {
    let mut values = arguments.iter().rev().filter_map(|argument| {
        let text = argument
            .strip_prefix("--")
            .or_else(|| argument.strip_prefix('-'))?;
        match text.strip_prefix(name)? {
            "" => Some(true),
            value => value
                .strip_prefix('=')
                .map(|value| matches!(value, "true" | "1" | "t" | "T" | "TRUE" | "True")),
        }
    });
    values.next()
}

impl Default for Kubelet {
    fn default() -> Self {
        Self {
            fail_swap_on: true,
            image_gc_high: 85,
            imagefs: Threshold::Share(150),
            nodefs: Threshold::Share(100),
            imagefs_inodes: Threshold::Share(50),
            nodefs_inodes: Threshold::Share(50),
            kubeconfig: None,
            root: PathBuf::from("/var/lib/kubelet"),
            runtime: None,
            source: "the kubelet's defaults".to_owned(),
            unread: None,
        }
    }
}

impl Kubelet {
    /// Takes over what a KubeletConfiguration says, and returns whether it could be read.
    fn configure(&mut self, file: &str, text: &str) -> bool {
        let Ok(documents) = yaml::documents(file, text) else {
            return false;
        };
        let Some(config) = documents.first() else {
            return true;
        };
        if let Some(fails) = config.get("failSwapOn").and_then(Node::scalar) {
            self.fail_swap_on = fails == "true";
        }
        if let Some(endpoint) = config.get("containerRuntimeEndpoint").and_then(Node::scalar) {
            self.runtime = Some(endpoint.to_owned());
        }
        if let Some(percent) = number(config.get("imageGCHighThresholdPercent")) {
            self.image_gc_high = percent;
            file.clone_into(&mut self.source);
        }
        if let Some(hard) = config.get("evictionHard").filter(|hard| !hard.is_null()) {
            let signal = |name: &str| hard.get(name).and_then(Node::scalar).map(str::to_owned);
            let merge = config.get("mergeDefaultEvictionSettings").and_then(Node::scalar) == Some("true");
            self.evict(signal, merge);
            file.clone_into(&mut self.source);
        }
        true
    }

    /// Takes over what the command line says; it wins over the file.
    fn command_line(&mut self, arguments: &[String]) {
        if let Some(root) = flag(arguments, "root-dir") {
            self.root = PathBuf::from(root);
        }
        self.kubeconfig = flag(arguments, "kubeconfig").map(PathBuf::from);
        if let Some(endpoint) = flag(arguments, "container-runtime-endpoint") {
            self.runtime = Some(endpoint);
        }
        if let Some(fails) = switch(arguments, "fail-swap-on") {
            self.fail_swap_on = fails;
        }
        if let Some(percent) = flag(arguments, "image-gc-high-threshold").and_then(|text| text.parse().ok()) {
            self.image_gc_high = percent;
            "the kubelet's command line".clone_into(&mut self.source);
        }
        if let Some(hard) = flag(arguments, "eviction-hard") {
            let signal = |name: &str| {
                let mut pairs = hard.split(',').filter_map(|pair| pair.split_once('<'));
                let found = pairs.find(|(key, _)| key.trim() == name);
                found.map(|(_, value)| value.trim().to_owned())
            };
            self.evict(signal, false);
            "the kubelet's command line".clone_into(&mut self.source);
        }
    }

    /// Sets both thresholds. A signal that is not named among the hard ones has none, unless defaults are merged.
    fn evict(&mut self, signal: impl Fn(&str) -> Option<String>, merge: bool) {
        let defaults = Self::default();
        let value = |name: &str, default: Threshold| {
            let absent = if merge { default } else { Threshold::Bytes(0) };
            signal(name).and_then(|text| threshold(&text)).unwrap_or(absent)
        };
        self.imagefs = value("imagefs.available", defaults.imagefs);
        self.nodefs = value("nodefs.available", defaults.nodefs);
        self.imagefs_inodes = value("imagefs.inodesFree", defaults.imagefs_inodes);
        self.nodefs_inodes = value("nodefs.inodesFree", defaults.nodefs_inodes);
    }
}

fn number(node: Option<&Node>) -> Option<u64> {
    node?.scalar()?.parse().ok()
}

/// Reads `15%`, `1Gi`, `500M` or `100000`.
fn threshold(text: &str) -> Option<Threshold> {
    const UNITS: [(&str, u64); 10] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("%", 10),
        ("", 1),
    ];
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let digits = text.strip_suffix(unit)?;
    let (whole, tenths) = digits.split_once('.').unwrap_or((digits, "0"));
    let whole: u64 = whole.parse().ok()?;
    let tenth: u64 = tenths.get(..1)?.parse().ok()?;
    let value = whole.checked_mul(*factor)? + factor * tenth / 10;
    Some(if *unit == "%" {
        Threshold::Share(value)
    } else {
        Threshold::Bytes(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_is_no_yaml_is_not_what_the_kubelet_read() {
        assert!(!Kubelet::default().configure("kubelet.yaml", "maxPods: 16\nmaxPods: 3\n"));
        assert!(Kubelet::default().configure("kubelet.yaml", ""));
    }

    #[test]
    fn thresholds_are_read_as_the_kubelet_reads_them() {
        assert_eq!(threshold("15%"), Some(Threshold::Share(150)));
        assert_eq!(threshold("7.5%"), Some(Threshold::Share(75)));
        assert_eq!(threshold("1Gi"), Some(Threshold::Bytes(1 << 30)));
        assert_eq!(threshold("1.5G"), Some(Threshold::Bytes(1_500_000_000)));
        assert_eq!(threshold("100"), Some(Threshold::Bytes(100)));
        assert_eq!(threshold("much"), None);
        assert_eq!(Threshold::Share(150).of(1_000_000), 150_000);
    }

    #[test]
    fn a_configuration_without_thresholds_leaves_the_defaults() {
        let mut kubelet = Kubelet::default();
        kubelet.configure(
            "kubelet.yaml",
            "kind: KubeletConfiguration\nclusterDNS: [10.32.0.10]\n",
        );
        assert_eq!(kubelet, Kubelet::default());
    }

    #[test]
    fn hard_thresholds_replace_all_defaults_unless_they_are_merged() {
        let mut kubelet = Kubelet::default();
        let text = "imageGCHighThresholdPercent: 70\nevictionHard:\n  nodefs.available: 1Gi\n";
        kubelet.configure("kubelet.yaml", text);
        assert_eq!(kubelet.image_gc_high, 70);
        assert_eq!(kubelet.nodefs, Threshold::Bytes(1 << 30));
        assert_eq!(kubelet.imagefs, Threshold::Bytes(0));
        assert_eq!(kubelet.nodefs_inodes, Threshold::Bytes(0));
        assert_eq!(kubelet.source, "kubelet.yaml");
        kubelet.configure(
            "kubelet.yaml",
            &format!("{text}mergeDefaultEvictionSettings: true\n"),
        );
        assert_eq!(kubelet.imagefs, Threshold::Share(150));
    }

    #[test]
    fn swap_is_refused_unless_file_or_command_line_allow_it() {
        let mut kubelet = Kubelet::default();
        assert!(kubelet.fail_swap_on);
        kubelet.configure("kubelet.yaml", "failSwapOn: false\n");
        assert!(!kubelet.fail_swap_on);
        let line = |argument: &str| vec!["kubelet".to_owned(), argument.to_owned()];
        kubelet.command_line(&line("--fail-swap-on"));
        assert!(kubelet.fail_swap_on);
        kubelet.command_line(&line("--fail-swap-on=false"));
        assert!(!kubelet.fail_swap_on);
    }

    #[test]
    fn the_runtime_is_the_one_that_file_or_command_line_name() {
        let mut kubelet = Kubelet::default();
        assert_eq!(kubelet.runtime, None);
        kubelet.configure(
            "kubelet.yaml",
            "containerRuntimeEndpoint: unix:///run/crio/crio.sock\n",
        );
        assert_eq!(kubelet.runtime.as_deref(), Some("unix:///run/crio/crio.sock"));
        let line = [
            "kubelet",
            "--container-runtime-endpoint",
            "unix:///run/other.sock",
        ]
        .map(str::to_owned);
        kubelet.command_line(&line);
        assert_eq!(kubelet.runtime.as_deref(), Some("unix:///run/other.sock"));
    }

    #[test]
    fn the_flags_of_microk8s_stand_in_a_file() {
        let text = "--kubeconfig=${SNAP_DATA}/credentials/kubelet.config\n--root-dir=${SNAP_COMMON}/var/lib/kubelet\n\
            # none\n--fail-swap-on=false\n--eviction-hard=\"memory.available<100Mi,nodefs.available<1Gi,imagefs.available<1Gi\"\n";
        let mut kubelet = Kubelet::default();
        kubelet.command_line(&flags(text));
        assert!(!kubelet.fail_swap_on);
        assert_eq!(
            kubelet.root,
            Path::new("/var/snap/microk8s/common/var/lib/kubelet")
        );
        assert_eq!(kubelet.imagefs, Threshold::Bytes(1 << 30));
    }

    #[test]
    fn the_command_line_wins() {
        let mut kubelet = Kubelet::default();
        let arguments = [
            "kubelet",
            "--eviction-hard=imagefs.available<5%,nodefs.available<2Gi",
            "--image-gc-high-threshold",
            "90",
            "--root-dir=/srv/kubelet",
        ];
        kubelet.command_line(&arguments.map(str::to_owned));
        assert_eq!(kubelet.imagefs, Threshold::Share(50));
        assert_eq!(kubelet.nodefs, Threshold::Bytes(2 << 30));
        assert_eq!(kubelet.image_gc_high, 90);
        assert_eq!(kubelet.root, Path::new("/srv/kubelet"));
    }
}
