//! The files of a control plane on one host, that is a node too, as kubeadm names them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

use crate::carrier::local::certificates_of;
use crate::protocol::CertificatesReply;

/// 2026-11-30.
pub(super) const NOW: i64 = 1_795_996_800;
const SERVER: &str = "https://server.kubernetes.local:6443";

/// A certificate and its key, PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// An authority.
pub(super) struct Ca {
    params: CertificateParams,
    key: KeyPair,
    pub(super) own: Pair,
}

impl Ca {
    /// Returns an authority; `edit` changes its certificate.
    pub(super) fn new(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages.clear();
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let own = Pair {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        };
        Self { params, key, own }
    }

    /// Issues a certificate that `edit` changes.
    pub(super) fn issue(&self, name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = params(name);
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        Pair {
            certificate: params.signed_by(&key, &issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Issues another authority.
    pub(super) fn below(&self, name: &str) -> Self {
        self.below_with(name, |_| {})
    }

    /// Issues another authority; `edit` changes its certificate.
    pub(super) fn below_with(&self, name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages.clear();
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let own = Pair {
            certificate: params.signed_by(&key, &issuer).unwrap().pem(),
            key: key.serialize_pem(),
        };
        Self { params, key, own }
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    named(&mut params, name, None);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2035, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

/// Changes whom a certificate names.
pub(super) fn named(params: &mut CertificateParams, name: &str, group: Option<&str>) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.distinguished_name.push(DnType::CommonName, name);
}

/// Adds names that it may serve.
pub(super) fn serving(params: &mut CertificateParams, names: &[&str]) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
}

/// The files, and what uses them.
pub(super) struct Tree {
    dir: TempDir,
    pub(super) ca: Ca,
    pub(super) etcd: Ca,
    pub(super) front: Ca,
    pub(super) lines: Vec<String>,
    /// The host's clock.
    pub(super) clock: i64,
    /// What is changed of what the host says.
    pub(super) edit: Option<fn(&mut CertificatesReply)>,
}

impl Tree {
    /// Returns the files of a cluster in which nothing is wrong.
    pub(super) fn healthy() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut tree = Self {
            dir,
            ca: Ca::new("kubernetes", |_| {}),
            etcd: Ca::new("etcd-ca", |_| {}),
            front: Ca::new("front-proxy-ca", |_| {}),
            lines: Vec::new(),
            clock: NOW,
            edit: None,
        };
        tree.pair("ca", &tree.ca.own);
        tree.write("etcd-ca.crt", &tree.etcd.own.certificate);
        tree.write("front-ca.crt", &tree.front.own.certificate);
        tree.pair("api", &tree.api(|_| {}));
        tree.pair(
            "kubelet-client",
            &tree.ca.issue("kube-apiserver-kubelet-client", |_| {}),
        );
        tree.pair(
            "etcd-client",
            &tree.etcd.issue("kube-apiserver-etcd-client", |_| {}),
        );
        tree.pair("front", &tree.front.issue("front-proxy-client", |_| {}));
        tree.pair(
            "etcd",
            &tree
                .etcd
                .issue("server", |params| serving(params, &["server", "127.0.0.1"])),
        );
        tree.pair(
            "peer",
            &tree
                .etcd
                .issue("server", |params| serving(params, &["server", "192.168.10.100"])),
        );
        tree.pair(
            "kubelet",
            &tree
                .ca
                .issue("server", |params| serving(params, &["server", "192.168.10.100"])),
        );
        let sa = tree.ca.issue("service-accounts", |_| {});
        tree.pair("sa", &sa);
        tree.kubeconfig("kubelet.conf", &tree.node(|_| {}));
        tree.kubeconfig(
            "kcm.conf",
            &tree.ca.issue("system:kube-controller-manager", |_| {}),
        );
        tree.lines = tree.programs();
        tree
    }

    fn programs(&self) -> Vec<String> {
        let lines = [
            "kube-apiserver --client-ca-file=/ca.crt --tls-cert-file=/api.crt --tls-private-key-file=/api.key \
             --kubelet-certificate-authority=/ca.crt --kubelet-client-certificate=/kubelet-client.crt --kubelet-client-key=/kubelet-client.key \
             --etcd-servers=https://127.0.0.1:2379 --etcd-cafile=/etcd-ca.crt --etcd-certfile=/etcd-client.crt --etcd-keyfile=/etcd-client.key \
             --requestheader-client-ca-file=/front-ca.crt --requestheader-allowed-names=front-proxy-client \
             --proxy-client-cert-file=/front.crt --proxy-client-key-file=/front.key \
             --service-account-key-file=/sa.crt --service-account-signing-key-file=/sa.key --service-cluster-ip-range=10.32.0.0/24",
            "kube-controller-manager --kubeconfig=/kcm.conf --root-ca-file=/ca.crt --cluster-signing-cert-file=/ca.crt --cluster-signing-key-file=/ca.key",
            "kubelet --kubeconfig=/kubelet.conf --client-ca-file=/ca.crt --tls-cert-file=/kubelet.crt --tls-private-key-file=/kubelet.key",
            "etcd --cert-file=/etcd.crt --key-file=/etcd.key --trusted-ca-file=/etcd-ca.crt --peer-cert-file=/peer.crt --peer-key-file=/peer.key \
             --peer-trusted-ca-file=/etcd-ca.crt --initial-advertise-peer-urls=https://192.168.10.100:2380",
        ];
        let root = format!("={}/", self.dir.path().display());
        lines.map(|line| line.replace("=/", &root)).into()
    }

    /// Returns what the agent would say of it.
    pub(super) fn collect(&self) -> CertificatesReply {
        certificates_of::collect(&self.lines, &[self.dir.path()])
    }

    /// Issues a certificate for the API server.
    pub(super) fn api(&self, edit: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.ca.issue("kube-apiserver", |params| {
            serving(
                params,
                &["server.kubernetes.local", "kubernetes.default.svc", "10.32.0.1"],
            );
            edit(params);
        })
    }

    /// Issues a certificate for the kubelet's own kubeconfig.
    pub(super) fn node(&self, edit: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.ca.issue("", |params| {
            named(params, "system:node:server", Some("system:nodes"));
            edit(params);
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file for its owner alone.
    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        self.mode(name, 0o600);
    }

    pub(super) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a certificate and its key.
    pub(super) fn pair(&self, name: &str, pair: &Pair) {
        self.write(&format!("{name}.crt"), &pair.certificate);
        self.write(&format!("{name}.key"), &pair.key);
    }

    /// Writes a kubeconfig with everything embedded.
    pub(super) fn kubeconfig(&self, name: &str, user: &Pair) {
        self.kubeconfig_of(name, user, &self.ca.own.certificate, SERVER);
    }

    pub(super) fn kubeconfig_of(&self, name: &str, user: &Pair, ca: &str, server: &str) {
        let [ca, certificate, key] = [ca, &user.certificate, &user.key].map(|text| STANDARD.encode(text));
        let text = format!(
            "kind: Config\nclusters:\n- name: c\n  cluster: {{server: '{server}', certificate-authority-data: {ca}}}\n\
             contexts:\n- name: x\n  context: {{cluster: c, user: u}}\ncurrent-context: x\n\
             users:\n- name: u\n  user: {{client-certificate-data: {certificate}, client-key-data: {key}}}\n"
        );
        self.write(name, text);
    }

    /// Adds to the line of a program.
    pub(super) fn flag(&mut self, program: &str, flag: &str) {
        let line = self
            .lines
            .iter_mut()
            .find(|line| line.starts_with(program))
            .unwrap();
        line.push(' ');
        line.push_str(flag);
    }

    /// Changes the lines of programs.
    pub(super) fn without(&mut self, flag: &str) {
        for line in &mut self.lines {
            let words: Vec<&str> = line
                .split_whitespace()
                .filter(|word| !word.starts_with(flag))
                .collect();
            *line = words.join(" ");
        }
    }

    /// Returns some of the private key of the API server.
    pub(super) fn secret(&self) -> String {
        self.read("api.key").lines().nth(1).unwrap().to_owned()
    }
}

/// Runs openssl.
pub(super) fn openssl(arguments: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().stdout
}
