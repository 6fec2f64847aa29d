//! How etcd is opened on its hosts, and which member gives a snapshot.

use std::cmp::Reverse;
use std::time::Duration;

use crate::protocol::{EtcdAnswer, EtcdEndpoint, EtcdMember, EtcdStatus, EtcdTls};
use crate::site::{Etcd, Host};

/// A member that is so many entries behind may give what is old.
const BEHIND: u64 = 100;

/// Returns the files that open etcd, as the site file names them; nothing where it is open.
pub(crate) fn etcd_tls(etcd: &Etcd) -> Option<EtcdTls> {
    etcd.ca.as_ref().map(|ca| EtcdTls {
        ca: ca.clone(),
        cert: etcd.cert.clone(),
        key: etcd.key.clone(),
    })
}

/// Returns the question to members how they are, each of which may take so long to answer.
pub(crate) fn etcd_status(etcd: &Etcd, endpoints: Vec<String>, answer: Duration) -> EtcdStatus {
    EtcdStatus {
        endpoints,
        tls: etcd_tls(etcd),
        timeout_millis: u64::try_from(answer.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Returns the endpoints to ask on a host: its own where the site file names such, else all.
pub(crate) fn endpoints(etcd: &Etcd, host: &Host) -> (bool, Vec<String>) {
    let ips: Vec<String> = host.ips().iter().map(ToString::to_string).collect();
    let is_own = |url: &&String| {
        let name = name_of(url);
        is_loopback(url) || name == host.name || name == host.address || ips.iter().any(|ip| ip == name)
    };
    let own: Vec<String> = etcd.endpoints.iter().filter(is_own).cloned().collect();
    if own.is_empty() {
        (false, etcd.endpoints.clone())
    } else {
        (true, own)
    }
}

/// Returns the host in a URL: what stands between the scheme and the port.
fn name_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Returns whether a URL leads to the host itself.
pub(crate) fn is_loopback(url: &str) -> bool {
    let name = name_of(url);
    let ip = name.parse::<std::net::IpAddr>();
    name == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// A member that gives a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Giver {
    /// The host through which it is asked.
    pub host: String,
    /// Its endpoint there.
    pub endpoint: String,
    /// Its name, or its id where it has none.
    pub member: String,
}

/// Returns the members that can give a snapshot, the best first: one that is not behind, and not the leader, which has the
/// most to do. Learners are behind by their nature.
pub fn givers(asked: &[(String, Vec<EtcdEndpoint>)]) -> Vec<Giver> {
    let answers = asked.iter().flat_map(|(host, endpoints)| {
        endpoints
            .iter()
            .filter_map(move |endpoint| match &endpoint.answer {
                EtcdAnswer::Member(member) => Some((host, endpoint, &**member)),
                _ => None,
            })
    });
    let answers: Vec<_> = answers.filter(|(_, _, member)| !member.learner).collect();
    let most = answers.iter().map(|(_, _, member)| member.applied).max();
    let mut answers = answers;
    answers.sort_by_key(|(_, _, member)| {
        let behind = most.unwrap_or_default().saturating_sub(member.applied) > BEHIND;
        let leads = member.leader.as_ref() == Some(&member.id);
        (is_corrupt(member), behind, leads, Reverse(member.applied))
    });
    let giver = |(host, endpoint, member): (&String, &EtcdEndpoint, &EtcdMember)| Giver {
        host: host.clone(),
        endpoint: endpoint.endpoint.clone(),
        member: name(member),
    };
    answers.into_iter().map(giver).collect()
}

fn is_corrupt(member: &EtcdMember) -> bool {
    let alarms = member.alarms.as_deref().unwrap_or_default();
    alarms
        .iter()
        .any(|alarm| alarm.alarm == "CORRUPT" && alarm.member == member.id)
}

fn name(member: &EtcdMember) -> String {
    let known = member.members.as_deref().unwrap_or_default();
    let own = known.iter().find(|peer| peer.id == member.id);
    own.map(|peer| peer.name.clone())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| member.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::EtcdPeer;

    fn member(id: &str, applied: u64, learner: bool) -> EtcdMember {
        EtcdMember {
            id: id.to_owned(),
            cluster: "c".to_owned(),
            version: "3.7.3".to_owned(),
            leader: Some("1".to_owned()),
            term: 2,
            applied,
            size: 1,
            in_use: 1,
            quota: None,
            learner,
            errors: Vec::new(),
            alarms: None,
            members: Some(vec![EtcdPeer {
                id: "2".to_owned(),
                name: "two".to_owned(),
                urls: Vec::new(),
                learner: false,
            }]),
            unread: None,
            latency: None,
        }
    }

    fn asked(members: Vec<EtcdMember>) -> Vec<(String, Vec<EtcdEndpoint>)> {
        let one = |member: EtcdMember| {
            let endpoint = EtcdEndpoint {
                endpoint: "https://127.0.0.1:2379".to_owned(),
                answer: EtcdAnswer::Member(Box::new(member.clone())),
            };
            let silent = EtcdEndpoint {
                answer: EtcdAnswer::Silent,
                ..endpoint.clone()
            };
            (format!("host-{}", member.id), vec![silent, endpoint])
        };
        members.into_iter().map(one).collect()
    }

    #[test]
    fn a_member_that_follows_gives_the_snapshot_and_the_leader_where_nobody_else_can() {
        let names = |members| {
            let givers = givers(&asked(members));
            givers
                .into_iter()
                .map(|giver| (giver.host, giver.member))
                .collect::<Vec<_>>()
        };
        let pair = |host: &str, member: &str| (host.to_owned(), member.to_owned());
        assert_eq!(
            names(vec![
                member("1", 1000, false),
                member("2", 990, false),
                member("3", 100, false),
                member("4", 1000, true)
            ]),
            [pair("host-2", "two"), pair("host-1", "1"), pair("host-3", "3")]
        );
        assert_eq!(names(vec![member("1", 9, false)]), [pair("host-1", "1")]);
        assert_eq!(names(Vec::new()), []);
    }
}
