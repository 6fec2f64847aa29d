//! What is wrong with members that answer: their room, how far they are, their number, their versions, their disks. Pure.

use std::collections::BTreeSet;

use super::{Facts, HostFacts};
use crate::findings::{Finding, cause};
use crate::protocol::{EtcdMember, EtcdPeer, SettingReply};

/// The part of the quota, in percent, above which it warns.
const FULL: u64 = 80;
/// The quota of a member that was given none (etcd, server/storage/quota.go).
const USUAL_QUOTA: u64 = 2 << 30;
/// A member that is so many entries behind refuses writes (etcd, server/etcdserver/v3_server.go: maxGapBetweenApplyAndCommitIndex).
const BEHIND: u64 = 5000;
/// With fewer measurements than these the 99th of 100 says nothing.
const MEASURED: u64 = 1000;
/// etcd's own guidance is 10 ms for a sync of the log and 25 ms for a commit of the database. These are ten times as much, about
/// what a leader's heartbeat takes by default: above them members lose their leader, below them a shared disk may be well.
const SLOW_LOG: u64 = 128;
const SLOW_DATABASE: u64 = 256;

impl Facts {
    /// Returns what is wrong with the members that answered, each and together.
    pub(super) fn of_members(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (host, member) in self.members() {
            let asked = self.hosts.iter().find(|asked| asked.host == host);
            findings.extend(self.behind(host, member));
            findings.extend(full(host, member, asked));
            findings.extend(slow(host, member));
        }
        findings.extend(self.learners());
        findings.extend(self.even());
        findings.extend(self.versions());
        findings
    }

    /// Returns the members that the cluster knows, as the first that answered lists them.
    fn known(&self) -> &[EtcdPeer] {
        let known = self.members().find_map(|(_, member)| member.members.as_deref());
        known.unwrap_or_default()
    }

    /// Returns that a member with a vote is far behind another.
    fn behind(&self, host: &str, member: &EtcdMember) -> Option<Finding> {
        let most = self.members().map(|(_, member)| member.applied).max()?;
        let behind = most.saturating_sub(member.applied);
        (behind > BEHIND && !member.learner).then(|| {
            let (host, most) = (&host, &BEHIND);
            let behind = &behind;
            Finding::fail(cause::EtcdBehind { host, most, behind }).of(*host)
        })
    }

    fn learners(&self) -> impl Iterator<Item = Finding> {
        let learners = self
            .known()
            .iter()
            .filter(|peer| peer.learner && !peer.name.is_empty());
        learners.map(|peer| {
            let (member, name) = (&peer.id, &peer.name);
            Finding::warn(cause::EtcdLearner { member, name }).of(member)
        })
    }

    fn even(&self) -> Option<Finding> {
        let count = self.known().iter().filter(|peer| !peer.learner).count();
        (count > 0 && count.is_multiple_of(2)).then(|| Finding::warn(cause::EtcdEven { count: &count }))
    }

    fn versions(&self) -> Option<Finding> {
        let versions: BTreeSet<&str> = self
            .members()
            .map(|(_, member)| member.version.as_str())
            .collect();
        if versions.len() < 2 {
            return None;
        }
        let views = self.views(|member| Some(member.version.clone()))?;
        Some(Finding::warn(cause::EtcdVersionsDiffer { views: &views }))
    }
}

/// Returns that a member's database is nearly as large as it may be. Before 3.6 its status does not tell how large that is;
/// its process does, where it is one of the host's own.
fn full(host: &str, member: &EtcdMember, asked: Option<&HostFacts>) -> Option<Finding> {
    let given = asked
        .filter(|asked| asked.own)
        .and_then(|asked| asked.quota.as_ref());
    let (quota, is_known) = match (member.quota, given) {
        (Some(quota), _) => (quota, true),
        (None, Some(SettingReply { unread: false, value })) => (given_quota(value.as_deref()), true),
        (None, _) => (USUAL_QUOTA, false),
    };
    let percent = member.size.saturating_mul(100) / quota.max(1);
    let (size, in_use) = (&member.size, &member.in_use);
    if percent > FULL && !is_known {
        let unknown = cause::EtcdQuotaUnknown {
            host: &host,
            quota: &quota,
            percent: &percent,
            size,
        };
        return Some(Finding::warn(unknown).of(host));
    }
    (percent > FULL).then(|| {
        let full = cause::EtcdFull {
            host: &host,
            quota: &quota,
            percent: &percent,
            size,
            in_use,
        };
        Finding::warn(full).of(host)
    })
}

/// Returns the quota that a member was given: none, and 0, are the usual one.
fn given_quota(value: Option<&str>) -> u64 {
    let given = value.and_then(|value| value.trim().parse().ok());
    given.filter(|given| *given > 0).unwrap_or(USUAL_QUOTA)
}

fn slow(host: &str, member: &EtcdMember) -> Vec<Finding> {
    let Some(latency) = member.latency else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if latency.fsyncs >= MEASURED && latency.fsync_millis > SLOW_LOG {
        findings.push(Finding::warn(cause::EtcdSlowLog {
            host: &host,
            bound: &SLOW_LOG,
            millis: &latency.fsync_millis,
            count: &latency.fsyncs,
        }));
    }
    if latency.commits >= MEASURED && latency.commit_millis > SLOW_DATABASE {
        findings.push(Finding::warn(cause::EtcdSlowDatabase {
            host: &host,
            bound: &SLOW_DATABASE,
            millis: &latency.commit_millis,
            count: &latency.commits,
        }));
    }
    findings.into_iter().map(|finding| finding.of(host)).collect()
}
