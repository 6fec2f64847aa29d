//! What etcd stores, and encrypted with what. No value travels: of each object its path, and which provider and key its value
//! begins with.

use std::collections::BTreeMap;

use secrets::Masked;
use serde::{Deserialize, Serialize};

use super::EtcdTls;

/// Asks what an API server encrypts with what, by the file that its process was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EncryptionRules {
    /// The process.
    pub pid: i32,
}

/// What an API server encrypts with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum EncryptionRulesReply {
    /// It was given no file: nothing is encrypted.
    Absent,
    /// It was given a file that could not be read or understood.
    Unread {
        /// Why.
        reason: Masked,
    },
    /// What the file says.
    Rules {
        /// Its entries, in order.
        entries: Vec<EncryptionEntry>,
    },
}

/// An entry of an `EncryptionConfiguration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptionEntry {
    /// The resources, as the file has them: `secrets`, `widgets.example.com`, `*.apps`, `*.*`.
    pub resources: Vec<String>,
    /// What stands before a value that each key of each provider wrote, in order: the first one writes. Empty for `identity`.
    pub writers: Vec<String>,
}

/// Asks what is stored below some paths of etcd, and encrypted with what. Values stay on the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdObjects {
    /// URLs as seen from the host.
    pub endpoints: Vec<String>,
    /// Paths on the host, for endpoints with TLS.
    pub tls: Option<EtcdTls>,
    /// The API server's prefix, for example `/registry`.
    pub prefix: String,
    /// Paths below it, for example `secrets`; an empty one stands for all.
    pub paths: Vec<String>,
    /// What stands before values that are as they should be: of their objects only a few are named.
    pub usual: Vec<String>,
    /// How long may be read, in milliseconds.
    pub millis: u64,
}

/// What is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdObjectsReply {
    /// The endpoint that answered.
    pub endpoint: String,
    /// How many keys there are below the prefix, whatever they are.
    pub total: u64,
    /// How many were looked at.
    pub looked_at: u64,
    /// Whether all was read that was asked for.
    pub whole: bool,
    /// What was found, by path and by what stands before the values.
    pub groups: Vec<StoredGroup>,
}

/// Objects of one resource that are stored in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredGroup {
    /// Where the resource lies below the prefix: `secrets`, `services/specs`, `example.com/widgets`.
    pub path: String,
    /// What stands before the values: `k8s:enc:PROVIDER:VERSION:KEY:`, and of a KMS of version 2 the id of its key behind that;
    /// empty: plaintext.
    pub writer: String,
    /// The revision of the newest of them.
    #[serde(default)]
    pub newest: u64,
    /// Whether such objects are written so now.
    #[serde(default)]
    pub usual: bool,
    /// How many objects.
    pub count: u64,
    /// Some of them, by their paths below the prefix.
    pub named: Vec<String>,
}

/// What stands before the name of a KMS of version 2.
pub const KMS_V2: &str = "k8s:enc:kms:v2:";

/// Parts what an API server was told from the id of the key that a KMS of version 2 used; other values say no such id.
pub fn kms_key(writer: &str) -> (&str, Option<&str>) {
    let name = writer.strip_prefix(KMS_V2).and_then(|rest| rest.find(':'));
    match name {
        Some(end) => {
            let (told, key) = writer.split_at(KMS_V2.len() + end + 1);
            (told, Some(key).filter(|key| !key.is_empty()))
        }
        None => (writer, None),
    }
}

/// Returns, by what API servers were told of each KMS, what stands before values since it used another key last: the newest
/// object of all says it.
pub fn kms_writers(groups: &[StoredGroup]) -> BTreeMap<&str, &str> {
    let mut newest: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for group in groups {
        if let (told, Some(_)) = kms_key(&group.writer) {
            let last = newest.entry(told).or_default();
            *last = (*last).max((group.newest, &group.writer));
        }
    }
    newest
        .into_iter()
        .map(|(told, (_, writer))| (told, writer))
        .collect()
}

/// Returns `PROVIDER:KEY` of what stands before a value, of kms the name of the plugin in the key's place, and behind it the id of
/// the KMS's own key where that is said; `identity` of nothing.
pub fn writer_label(writer: &str) -> String {
    let parts = writer.strip_prefix("k8s:enc:").unwrap_or_default();
    let mut parts = parts.trim_end_matches(':').splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(provider), Some(_), Some(key)) => format!("{provider}:{key}"),
        _ => "identity".to_owned(),
    }
}

/// Asks a member for a snapshot that is read where it is: nothing of it travels, and nothing is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdProof {
    /// Where it comes from.
    pub source: EtcdSnapshot,
    /// The API server's prefix.
    pub prefix: String,
    /// Keys that are looked for, whole.
    pub keys: Vec<String>,
    /// A larger database is not read, in bytes.
    pub most: u64,
}

/// What a member's snapshot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdProofReply {
    /// Where it came from.
    pub begun: SnapshotBegun,
    /// What it is; absent: it is larger than was to be read.
    pub facts: Option<SnapshotFacts>,
}

/// Asks a member for a snapshot: its bytes follow the reply.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdSnapshot {
    /// URLs as seen from the host; the first one that answers gives it.
    pub endpoints: Vec<String>,
    /// Paths on the host, for endpoints with TLS.
    pub tls: Option<EtcdTls>,
}

/// A snapshot that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotBegun {
    /// The endpoint that gives it.
    pub endpoint: String,
    /// The id of the member, as etcdctl shows it.
    pub member: String,
    /// How many bytes will come, the hash included.
    pub bytes: u64,
}

/// Asks which file of a directory is the newest, and what it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Backup {
    /// The directory.
    pub directory: String,
    /// The API server's prefix.
    pub prefix: String,
    /// How long may be read, in milliseconds.
    pub millis: u64,
}

/// The newest files of a directory of backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReply {
    /// The host's time, in seconds since 1970.
    pub now: i64,
    /// How many files there are that may be backups.
    pub files: u64,
    /// The newest one; before it, where it is being written, the one before that.
    pub newest: Option<BackupFile>,
    /// The file that is being written.
    pub growing: Option<String>,
}

/// A file of a directory of backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// Its name.
    pub name: String,
    /// When it was written, in seconds since 1970.
    pub modified: i64,
    /// Its length.
    pub bytes: u64,
    /// How it is packed.
    pub packed: SnapshotPacked,
    /// What it is; absent: it was not read to its end in time.
    pub facts: Option<SnapshotFacts>,
    /// Why it could not be unpacked.
    pub broken: Option<Masked>,
}

/// How a snapshot is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotPacked {
    /// Not at all.
    #[default]
    No,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

/// What a snapshot is, and what is in it. Nothing of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotFacts {
    /// Its length, its hash included.
    pub bytes: u64,
    /// Whether the hash behind it is right.
    pub hash: SnapshotHash,
    /// How large its pages are; 0: it does not begin as a database of etcd does.
    pub page_size: u64,
    /// How many there are.
    pub pages: u64,
    /// What is wrong with pages; the first ones.
    pub problems: Vec<SnapshotProblem>,
    /// How many problems there are.
    pub problem_count: u64,
    /// Whether it is larger than can be read: then nothing is known of what is in it.
    #[serde(default)]
    pub unread: bool,
    /// The newest revision.
    pub revision: u64,
    /// The revision up to which older ones are gone.
    pub compacted: u64,
    /// How many revisions there are.
    pub revisions: u64,
    /// How many keys there are.
    pub keys: u64,
    /// How many of them are none of Kubernetes.
    pub others: u64,
    /// The form in which etcd stores, as it says itself.
    pub version: Option<String>,
    /// When the newest Lease in it was renewed, in seconds since 1970: about when it was taken.
    pub renewed: Option<i64>,
    /// What is stored, and how.
    pub groups: Vec<StoredGroup>,
    /// What stands before the values of the keys that were asked for; absent: there is no such key.
    pub found: Vec<Option<String>>,
    /// The same for two databases with the same keys, revisions and values.
    pub digest: String,
}

/// The SHA-256 behind a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotHash {
    /// It is that of all before it.
    Right,
    /// It is not.
    Wrong,
    /// There is nothing before it.
    #[default]
    Missing,
    /// A member's own database has none.
    None,
}

/// Something that is wrong with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotProblem {
    /// What.
    pub problem: PageProblem,
    /// The page.
    pub page: u64,
}

/// What may be wrong with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageProblem {
    /// A page that says where everything is does not, or differs from its twin.
    Meta,
    /// There are not as many pages as that one says.
    Length,
    /// Something leads to it, and it lies beyond the end.
    Beyond,
    /// Two things lead to it.
    Twice,
    /// It is not of the kind that what leads to it needs.
    Kind,
    /// An element of it lies beyond its end.
    Bounds,
    /// Its keys are not in order.
    Order,
    /// Its keys are not those that what leads to it says.
    Range,
    /// It holds something that is no object of etcd.
    Object,
    /// A bucket that every etcd has is not there.
    Bucket,
    /// It is neither in use nor free.
    Lost,
}

impl PageProblem {
    /// Returns the word of reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Length => "length",
            Self::Beyond => "beyond",
            Self::Twice => "twice",
            Self::Kind => "kind",
            Self::Bounds => "bounds",
            Self::Order => "order",
            Self::Range => "range",
            Self::Object => "object",
            Self::Bucket => "bucket",
            Self::Lost => "lost",
        }
    }
}

impl SnapshotFacts {
    /// Returns whether it is whole: then it can be restored.
    pub fn is_whole(&self) -> bool {
        let hash = matches!(self.hash, SnapshotHash::Right | SnapshotHash::None);
        hash && self.problem_count == 0 && !self.unread && self.keys > 0
    }
}
