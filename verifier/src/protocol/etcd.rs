//! What etcd says on the host that it runs on.

use secrets::Masked;
use serde::{Deserialize, Serialize};

/// Asks for one key of etcd. The value stays on the host: see [`EtcdGetReply`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdGet {
    /// URLs as seen from the host, for example `http://127.0.0.1:2379`.
    pub endpoints: Vec<String>,
    /// Paths on the host, for endpoints with TLS.
    pub tls: Option<EtcdTls>,
    /// The key.
    pub key: String,
    /// Texts that must not be in the value, for example the plaintext of a canary and its base64.
    pub needles: Vec<String>,
}

/// Paths of the files that open etcd, on the host itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdTls {
    /// The CA's certificate.
    pub ca: String,
    /// The client's certificate.
    pub cert: Option<String>,
    /// The client's key.
    pub key: Option<String>,
}

/// What may leave the host of a value in etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdGetReply {
    /// The endpoint that answered.
    pub endpoint: String,
    /// The value; absent: there is no such key.
    pub value: Option<EtcdValue>,
}

/// A value without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdValue {
    /// The text up to and with the colon behind the key's name, when it begins with `k8s:enc:`; else empty.
    pub prefix: String,
    /// The whole length in bytes.
    pub length: u64,
    /// The needles (by their place in the request) that stand in the value.
    pub found: Vec<usize>,
    /// `hexdump -C` of the first 128 bytes of key and value; behind the prefix only where the value is encrypted,
    /// else masked.
    pub hexdump: String,
    /// Etcd's modification revision.
    pub revision: i64,
}

/// Asks members of etcd how they are. Reads only: no key's value is touched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EtcdStatus {
    /// URLs as seen from the host; each is asked.
    pub endpoints: Vec<String>,
    /// Paths on the host, for endpoints with TLS.
    pub tls: Option<EtcdTls>,
    /// How long an endpoint may take in milliseconds.
    pub timeout_millis: u64,
}

/// What one endpoint of etcd answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdEndpoint {
    /// Its URL.
    pub endpoint: String,
    /// What came.
    pub answer: EtcdAnswer,
}

/// How the question to a member ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum EtcdAnswer {
    /// It answered.
    Member(Box<EtcdMember>),
    /// Nobody listens there.
    Refused,
    /// No connection, or one that broke, or an error instead of an answer.
    Broken {
        /// Why.
        error: Masked,
    },
    /// Nothing until the deadline.
    Silent,
}

/// A member of etcd by its own account. Ids are hexadecimal, as etcdctl shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdMember {
    /// Its id.
    pub id: String,
    /// The id of its cluster.
    pub cluster: String,
    /// Its version, for example `3.7.3`.
    pub version: String,
    /// The id of the leader that it follows; absent: it knows none.
    pub leader: Option<String>,
    /// The term of that leader.
    pub term: u64,
    /// The index that it has applied.
    pub applied: u64,
    /// The size of its database file in bytes.
    pub size: u64,
    /// The bytes of it that are in use.
    pub in_use: u64,
    /// The size that it may not pass; absent where it does not say (before 3.6).
    pub quota: Option<u64>,
    /// Whether it only learns and has no vote.
    pub learner: bool,
    /// What it says is wrong with itself.
    pub errors: Vec<Masked>,
    /// The alarms of the cluster; absent where it did not say.
    pub alarms: Option<Vec<EtcdAlarm>>,
    /// The members of the cluster; absent where it did not say.
    pub members: Option<Vec<EtcdPeer>>,
    /// Why a read that needs a majority failed; absent: it was answered.
    pub unread: Option<EtcdUnread>,
    /// How long its disk takes; absent where its metrics do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<EtcdLatency>,
}

/// How long a member's disk takes since it started: the time within which 99 of 100 ended, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdLatency {
    /// How many times its log was synced.
    pub fsyncs: u64,
    /// How long that took.
    pub fsync_millis: u64,
    /// How many times its database was committed.
    pub commits: u64,
    /// How long that took.
    pub commit_millis: u64,
}

/// How a read that needs a majority failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum EtcdUnread {
    /// The member refused it.
    Refused {
        /// In its own words.
        message: Masked,
    },
    /// Nothing until the deadline.
    Silent,
}

/// An alarm of etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdAlarm {
    /// The id of the member that raised it.
    pub member: String,
    /// `NOSPACE` or `CORRUPT`.
    pub alarm: String,
}

/// A member as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdPeer {
    /// Its id.
    pub id: String,
    /// Its name; empty until it has started once.
    pub name: String,
    /// Where clients reach it.
    pub urls: Vec<String>,
    /// Whether it only learns and has no vote.
    pub learner: bool,
}
