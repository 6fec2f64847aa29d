//! How members of etcd are, by their own account: leader, alarms, sizes, and a read that needs a majority.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use secrets::Masked;
use tonic::transport::{Channel, ClientTlsConfig};
use tonic::{Code, Response, Status};

use super::proto::cluster_client::ClusterClient;
use super::proto::kv_client::KvClient;
use super::proto::maintenance_client::MaintenanceClient;
use super::{EtcdError, Files, connect, files, metrics, proto};
use crate::host::grpc;
use crate::protocol::{EtcdAlarm, EtcdAnswer, EtcdEndpoint, EtcdMember, EtcdPeer, EtcdStatus, EtcdUnread};

/// The longest that an endpoint may take, whatever is asked for.
const LONGEST: Duration = Duration::from_secs(30);
/// The key that `etcdctl endpoint health` reads. It need not be there.
const KEY: &str = "health";

/// Asks every endpoint, all at once.
///
/// # Errors
/// When a file for TLS cannot be read.
pub(crate) async fn status(ask: &EtcdStatus) -> Result<Vec<EtcdEndpoint>, EtcdError> {
    let files = ask.tls.as_ref().map(files).transpose()?;
    let limit = Duration::from_millis(ask.timeout_millis).min(LONGEST);
    let asked = ask.endpoints.iter().map(|endpoint| {
        let files = files.as_ref();
        async move {
            let tls = files.map(Files::config);
            let latency = tokio::time::timeout(limit, metrics::latency(endpoint, files));
            let (mut answer, latency) = futures::join!(member(endpoint, tls, limit), latency);
            if let EtcdAnswer::Member(member) = &mut answer {
                member.latency = latency.ok().flatten();
            }
            EtcdEndpoint {
                endpoint: endpoint.clone(),
                answer,
            }
        }
    });
    Ok(futures::future::join_all(asked).await)
}

async fn member(endpoint: &str, tls: Option<ClientTlsConfig>, limit: Duration) -> EtcdAnswer {
    let end = tokio::time::Instant::now() + limit;
    match tokio::time::timeout_at(end, connect(endpoint, tls)).await {
        Err(_) => EtcdAnswer::Silent,
        Ok(Err(error)) => broken(&error),
        Ok(Ok(channel)) => asked(channel, end).await,
    }
}

/// Asks all at once, so that what hangs (a read without a majority) takes no time from the rest.
async fn asked(channel: Channel, end: tokio::time::Instant) -> EtcdAnswer {
    let mut maintenance = MaintenanceClient::new(channel.clone());
    let mut alarming = maintenance.clone();
    let mut cluster = ClusterClient::new(channel.clone());
    let mut keys = KvClient::new(channel);
    let read = proto::RangeRequest {
        key: KEY.as_bytes().to_vec(),
        range_end: Vec::new(),
        limit: 1,
        count_only: true,
    };
    let (status, alarms, members, read) = futures::join!(
        within(end, maintenance.status(proto::StatusRequest {})),
        within(end, alarming.alarm(proto::AlarmRequest::default())),
        // Every member knows the others; an answer that needs a majority would tell nothing where there is none.
        within(
            end,
            cluster.member_list(proto::MemberListRequest { linearizable: false })
        ),
        within(end, keys.range(read)),
    );
    let status = match status {
        Ok(status) => status,
        Err(None) => return EtcdAnswer::Silent,
        Err(Some(status)) => {
            return EtcdAnswer::Broken {
                error: status.message().into(),
            };
        }
    };
    EtcdAnswer::Member(Box::new(EtcdMember {
        alarms: alarms.ok().map(alarms_of),
        members: members.ok().map(peers_of),
        unread: read.err().and_then(why),
        ..described(status)
    }))
}

async fn within<T>(
    end: tokio::time::Instant,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Option<Status>> {
    match tokio::time::timeout_at(end, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        // The channel has a deadline of its own.
        Ok(Err(status)) if grpc::is_late(&status) => Err(None),
        Ok(Err(status)) => Err(Some(status)),
        Err(_) => Err(None),
    }
}

/// Why a read failed. One that was only not allowed went through a majority all the same: etcdctl takes it so too.
fn why(failed: Option<Status>) -> Option<EtcdUnread> {
    match failed {
        Some(status) if status.code() == Code::PermissionDenied => None,
        Some(status) => Some(EtcdUnread::Refused {
            message: status.message().into(),
        }),
        None => Some(EtcdUnread::Silent),
    }
}

fn described(status: proto::StatusResponse) -> EtcdMember {
    let header = status.header.unwrap_or_default();
    let bytes = |number: i64| u64::try_from(number).unwrap_or_default();
    EtcdMember {
        id: hex(header.member_id),
        cluster: hex(header.cluster_id),
        version: status.version,
        leader: (status.leader != 0).then(|| hex(status.leader)),
        term: status.raft_term,
        applied: status.raft_applied_index,
        size: bytes(status.db_size),
        in_use: bytes(status.db_size_in_use),
        quota: Some(bytes(status.db_size_quota)).filter(|quota| *quota > 0),
        learner: status.is_learner,
        errors: status.errors.into_iter().map(Masked::from).collect(),
        alarms: None,
        members: None,
        unread: None,
        latency: None,
    }
}

fn alarms_of(reply: proto::AlarmResponse) -> Vec<EtcdAlarm> {
    let named = |alarm: proto::AlarmMember| EtcdAlarm {
        member: hex(alarm.member_id),
        alarm: proto::AlarmType::try_from(alarm.alarm)
            .map_or_else(|_| alarm.alarm.to_string(), |kind| kind.as_str_name().to_owned()),
    };
    reply.alarms.into_iter().map(named).collect()
}

fn peers_of(reply: proto::MemberListResponse) -> Vec<EtcdPeer> {
    let peer = |member: proto::Member| EtcdPeer {
        id: hex(member.id),
        name: member.name,
        urls: member.client_ur_ls,
        learner: member.is_learner,
    };
    reply.members.into_iter().map(peer).collect()
}

fn hex(id: u64) -> String {
    format!("{id:x}")
}

/// Returns how a connection failed: a refused one, one that took too long, or another.
fn broken(error: &EtcdError) -> EtcdAnswer {
    let mut next = error.source();
    let mut words = error.to_string();
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => return EtcdAnswer::Refused,
                io::ErrorKind::TimedOut => return EtcdAnswer::Silent,
                _ => {}
            }
        }
        words = cause.to_string();
        next = cause.source();
    }
    EtcdAnswer::Broken { error: words.into() }
}
