//! What a command line or a configuration file gives a program: files that may hold certificates, and settings that say how
//! they are used.

use std::collections::BTreeMap;
use std::path::PathBuf;

use yaml::{Node, Value};

/// Words in the name of a setting that may name a file of certificates or keys, or a kubeconfig.
const NAMING: [&str; 7] = ["cert", "key", "ca", "kubeconfig", "config", "tls", "peer"];
/// Settings of that sort that name others: logs without end, directories, sockets.
const OTHERS: [&str; 7] = ["log", "dir", "socket", "endpoint", "cache", "plugin", "path"];
/// Settings that are no files and say how certificates are used.
pub(super) const KEPT: [&str; 32] = [
    "address",
    "advertise-address",
    "advertise-client-urls",
    "anonymous-auth",
    "authorization-mode",
    "bind-address",
    "cert-dir",
    "client-cert-auth",
    "data-dir",
    "etcd-servers",
    "hostname-override",
    "initial-advertise-peer-urls",
    "initial-cluster",
    "kubelet-preferred-address-types",
    "listen-client-urls",
    "listen-peer-urls",
    "peer-client-cert-auth",
    "port",
    "requestheader-allowed-names",
    "root-dir",
    "rotate-certificates",
    "rotate-server-certificates",
    "rotateCertificates",
    "secure-port",
    "serverTLSBootstrap",
    "service-account-issuer",
    "service-cluster-ip-range",
    "tls-min-version",
    "peer-auto-tls",
    "auto-tls",
    "use-service-account-credentials",
    "authentication-skip-lookup",
];
/// More settings than this are not read of one program.
const SETTINGS: usize = 512;

/// Settings that name a file whatever they end with.
const FILES: [&str; 6] = [
    "config",
    "kubeconfig",
    "kubelet-client-certificate",
    "kubelet-client-key",
    "kubelet-certificate-authority",
    "tls-sni-cert-key",
];

/// What a program was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// The directory that relative paths begin in: the program's own; none where that is not shown to us.
    pub(super) directory: Option<PathBuf>,
    /// Settings that are no files.
    pub(super) settings: BTreeMap<String, String>,
    /// Files by the settings that name them, in order.
    pub(super) files: Vec<(String, String)>,
}

impl Given {
    /// Takes over a command line, or the flags of a file.
    pub(super) fn arguments(&mut self, arguments: &[String]) {
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            let Some(text) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
                continue;
            };
            if let Some((name, value)) = text.split_once('=') {
                self.setting(name, unquoted(value));
            } else if let Some(value) = rest.peek().filter(|value| !value.starts_with('-')) {
                self.setting(text, unquoted(value));
            } else {
                self.setting(text, "true");
            }
        }
    }

    /// Takes over the variables of etcd's environment.
    pub(super) fn variables<'a>(&mut self, variables: impl Iterator<Item = (&'a str, &'a str)>) {
        for (name, value) in variables {
            if let Some(name) = name.strip_prefix("ETCD_") {
                self.setting(&name.to_ascii_lowercase().replace('_', "-"), unquoted(value));
            }
        }
    }

    /// Takes over a configuration file.
    pub(super) fn document(&mut self, document: &Node) {
        self.node("", document);
    }

    fn node(&mut self, above: &str, node: &Node) {
        let Value::Mapping(fields) = &node.value else {
            return;
        };
        for (name, node) in fields {
            let name = name.value.as_str();
            // etcd has the same names in two sections.
            let full = if above.starts_with("peer-") && !name.starts_with("peer-") {
                format!("peer-{name}")
            } else {
                name.to_owned()
            };
            match node.scalar() {
                Some(value) => self.setting(&full, value),
                None => self.node(name, node),
            }
        }
    }

    /// Takes over a setting. What comes later on a command line wins; here the first stays too, since each is a file in use.
    fn setting(&mut self, name: &str, value: &str) {
        if self.files.len() + self.settings.len() >= SETTINGS {
            return;
        }
        if KEPT.contains(&name) {
            self.settings
                .insert(name.to_owned(), value.chars().take(1024).collect());
            return;
        }
        let small = name.to_ascii_lowercase();
        if !NAMING.iter().any(|word| small.contains(word)) || OTHERS.iter().any(|word| small.contains(word)) {
            return;
        }
        // A certificate and its key, with the names that it is for: --tls-sni-cert-key=a.crt,a.key:example.org
        for path in value.split(',') {
            let path = path.split_once(':').map_or(path, |(path, _)| path);
            if path.len() < 4096 && (path.starts_with('/') || is_relative(name, path)) {
                self.files.push((name.to_owned(), self.absolute(path)));
            }
        }
    }

    /// Returns a path from the root on. One whose beginning nobody knows stays as it is.
    pub(super) fn absolute(&self, path: &str) -> String {
        match &self.directory {
            Some(directory) if !path.starts_with('/') => {
                let full: PathBuf = directory.join(path).components().collect();
                full.display().to_string()
            }
            _ => path.to_owned(),
        }
    }

    /// Returns the value of a setting.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// Returns whether a setting named a file.
    pub(super) fn names(&self, setting: &[&str]) -> bool {
        self.files
            .iter()
            .any(|(name, _)| setting.contains(&name.as_str()))
    }
}

/// Returns whether a setting names a file by a path that begins in the program's own directory.
fn is_relative(name: &str, value: &str) -> bool {
    let of_file = FILES.contains(&name) || name.ends_with("-file") || name.ends_with("File");
    of_file && !value.is_empty() && !["true", "false"].contains(&value) && !value.contains("://")
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(given: &Given) -> Vec<(&str, &str)> {
        given
            .files
            .iter()
            .map(|(name, path)| (name.as_str(), path.as_str()))
            .collect()
    }

    #[test]
    fn a_command_line_names_its_files_in_both_forms() {
        let line = [
            "kube-apiserver",
            "--client-ca-file=/ca.crt",
            "--tls-cert-file",
            "/a.crt",
            "--secure-port=6443",
            "--audit-log-path=/var/log/a",
            "--tls-sni-cert-key=/b.crt,/b.key:example.org",
            "--client-cert-auth",
            "--v=2",
            "--service-account-key-file=/one.pub",
            "--service-account-key-file=/two.pub",
        ];
        let mut given = Given::default();
        given.arguments(&line.map(str::to_owned));
        let expected = [
            ("client-ca-file", "/ca.crt"),
            ("tls-cert-file", "/a.crt"),
            ("tls-sni-cert-key", "/b.crt"),
            ("tls-sni-cert-key", "/b.key"),
            ("service-account-key-file", "/one.pub"),
            ("service-account-key-file", "/two.pub"),
        ];
        assert_eq!(files(&given), expected);
        assert_eq!(
            (given.get("secure-port"), given.get("client-cert-auth")),
            (Some("6443"), Some("true"))
        );
    }

    #[test]
    fn a_relative_path_begins_where_the_program_stands() {
        let line = [
            "kube-apiserver",
            "--client-ca-file=ca.crt",
            "--tls-cert-file=./pki/a.crt",
            "--tls-sni-cert-key=b.crt,b.key:example.org",
            "--tls-cipher-suites=TLS_AES_128_GCM_SHA256",
            "--client-cert-auth",
            "--rotate-certificates=true",
        ];
        let mut given = Given {
            directory: Some("/opt/k8s".into()),
            ..Given::default()
        };
        given.arguments(&line.map(str::to_owned));
        let expected = [
            ("client-ca-file", "/opt/k8s/ca.crt"),
            ("tls-cert-file", "/opt/k8s/pki/a.crt"),
            ("tls-sni-cert-key", "/opt/k8s/b.crt"),
            ("tls-sni-cert-key", "/opt/k8s/b.key"),
        ];
        assert_eq!(files(&given), expected);
        let mut nowhere = Given::default();
        nowhere.arguments(&line.map(str::to_owned));
        assert_eq!(files(&nowhere)[0], ("client-ca-file", "ca.crt"));
    }

    #[test]
    fn a_configuration_file_names_its_files_at_any_depth() {
        let mut given = Given::default();
        let text = "authentication: {x509: {clientCAFile: /ca.crt}}\ntlsCertFile: /a.crt\nrotateCertificates: true\nresolvConf: /etc/resolv.conf\n";
        given.document(&yaml::documents("k", text).unwrap()[0]);
        assert_eq!(
            files(&given),
            [("clientCAFile", "/ca.crt"), ("tlsCertFile", "/a.crt")]
        );
        assert_eq!(given.get("rotateCertificates"), Some("true"));
    }

    #[test]
    fn etcd_is_told_by_flags_a_file_or_its_environment() {
        let mut given = Given::default();
        let text =
            "client-transport-security: {cert-file: /a.crt}\npeer-transport-security: {cert-file: /b.crt}\n";
        given.document(&yaml::documents("k", text).unwrap()[0]);
        given.variables([("ETCD_PEER_KEY_FILE", "\"/b.key\""), ("HOME", "/root")].into_iter());
        let expected = [
            ("cert-file", "/a.crt"),
            ("peer-cert-file", "/b.crt"),
            ("peer-key-file", "/b.key"),
        ];
        assert_eq!(files(&given), expected);
    }
}
