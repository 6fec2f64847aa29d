//! Which certificates and keys lie on a host, and who uses them. Certificates travel whole: they are public. Of a private
//! key only its public half does, and whether both halves belong together.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use secrets::Masked;
use serde::{Deserialize, Serialize};

use super::RefusalKind;

/// Stands for a program where a person named a directory or a file: then all in it is taken for used.
pub const ASKED: &str = "-";

/// Stands among the things of a file that is a certificate without PEM around it: Go finds none in it.
pub const DER: &str = "DER";

/// Asks for the certificates and keys of a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certificates {
    /// Only what lies below this directory, or in this file; absent: all that the host can account for.
    pub below: Option<String>,
}

/// Asks which certificates a server shows in a TLS handshake. Nothing is believed of them, and nothing is sent to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TlsPeek {
    /// Where it listens.
    pub to: SocketAddr,
    /// The name by which it is called; absent: its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long it may take, in milliseconds.
    pub timeout_millis: u64,
}

/// What a server shows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsPeekReply {
    /// The certificates, its own first.
    pub certificates: Vec<Der>,
}

/// The certificates and keys of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificatesReply {
    /// The host's clock, in seconds since the epoch.
    pub unix_seconds: i64,
    /// Every certificate, once.
    pub certificates: Vec<Der>,
    /// The files that hold certificates, keys or kubeconfigs, by path.
    pub files: Vec<CertificateFile>,
    /// The programs of Kubernetes that run there or are to run.
    pub programs: Vec<CertificateUser>,
    /// What could not be looked at.
    pub unread: Vec<UnreadFile>,
    /// Whether there is more than an audit looks at.
    pub more: bool,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Der {
    /// Its DER, as base64.
    pub der: String,
}

/// A file with certificates or keys in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFile {
    /// Where it lies, as the first that names it does.
    pub path: String,
    /// Its other names: links that lead to it, and where a link leads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Permissions, for example 0o600.
    pub mode: u32,
    /// The user who owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// Whether a directory above lets no others in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sheltered: bool,
    /// What is in it, in its order.
    pub items: Vec<FileItem>,
    /// How its parts belong together, where it is a kubeconfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<KubeconfigParts>,
}

/// A thing in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileItem {
    /// Where in the file, for example `users/admin`; absent where it is PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What it is.
    pub what: ItemFacts,
}

/// What a thing in a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemFacts {
    /// A certificate: its place in [`CertificatesReply::certificates`].
    Certificate(usize),
    /// A private key.
    Key(KeyFacts),
    /// A public key: SHA-256 of its SubjectPublicKeyInfo.
    PublicKey(String),
    /// Something else in PEM, by its label.
    Other(String),
    /// Something that cannot be read, by its label.
    Broken(String),
}

/// A private key, without anything private.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// How it is written: `PKCS#1`, `PKCS#8` or `SEC 1`.
    pub form: String,
    /// SHA-256 of the SubjectPublicKeyInfo that belongs to it; absent where that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// Whether both halves were proven to belong together.
    #[serde(default)]
    pub proof: KeyProof,
}

/// Whether the private half of a key belongs to its public half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyProof {
    /// It does.
    Good,
    /// It does not.
    Bad,
    /// It is encrypted: nobody can use it without a passphrase.
    Encrypted,
    /// It is of a kind that cannot be proven here.
    #[default]
    Unproven,
}

/// The parts of a kubeconfig. Certificates and keys inside it are items of the file, at `users/NAME` and `clusters/NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeconfigParts {
    /// The context that is used unless another is asked for.
    pub current: Option<String>,
    /// The contexts.
    pub contexts: Vec<KubeconfigContext>,
    /// The clusters.
    pub clusters: Vec<KubeconfigCluster>,
    /// The users.
    pub users: Vec<KubeconfigUser>,
}

/// A context of a kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeconfigContext {
    /// Its name.
    pub name: String,
    /// Its cluster.
    pub cluster: String,
    /// Its user.
    pub user: String,
}

/// A cluster of a kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeconfigCluster {
    /// Its name.
    pub name: String,
    /// The URL of its API server.
    pub server: String,
    /// Whether the server's certificate is not checked.
    pub insecure: bool,
    /// The name that the certificate must have, where that is not the URL's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The file with its CA, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Whether a CA stands in the kubeconfig itself.
    pub embedded: bool,
}

/// A user of a kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeconfigUser {
    /// The name.
    pub name: String,
    /// The file with the certificate, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The file with the key, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether a certificate stands in the kubeconfig itself.
    pub embedded: bool,
    /// Whether there is another way to prove who it is: a token, a program, a password.
    pub otherwise: bool,
}

/// A program that uses certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateUser {
    /// Its name, for example `kube-apiserver`; [`ASKED`] stands for whoever named the files.
    pub program: String,
    /// Its process; absent where it does not run: then a unit or a manifest says how it is to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Whom it runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// What says how it is run, where it does not run: a unit, a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its settings that are no files and that matter here, by name.
    pub settings: BTreeMap<String, String>,
    /// The files that it was given.
    pub files: Vec<FileUse>,
}

/// A file that a program was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileUse {
    /// The setting that names it, for example `client-ca-file`.
    pub setting: String,
    /// The path, as the program has it.
    pub path: String,
    /// The file, as its place in [`CertificatesReply::files`]; absent where it holds nothing of interest or cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<usize>,
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<RefusalKind>,
}

/// A file or directory that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadFile {
    /// Where it is.
    pub path: String,
    /// Of which kind the error is.
    pub kind: RefusalKind,
    /// The error.
    pub text: Masked,
}
