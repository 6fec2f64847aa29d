//! What is wrong with etcd, from what its members and their hosts said. Pure.

use std::collections::{BTreeMap, BTreeSet};

use secrets::Masked;

use super::{Facts, HostFacts, Other};
use crate::findings::{Cause, Finding, Line, cause, phrase};
use crate::protocol::{EtcdAlarm, EtcdAnswer, EtcdEndpoint, EtcdMember, EtcdUnread};

/// What a member sees of the cluster, which all must see alike.
pub(super) type View = fn(&EtcdMember) -> Option<String>;
/// The cause where they do not.
type Differ = fn(&str) -> Cause;

impl Facts {
    /// Returns what is wrong. What may pass by itself (an election, a restart) is not sure.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.hosts.iter().flat_map(silent).collect();
        findings.extend(self.others.iter().filter_map(lost));
        findings.extend(self.alarms());
        findings.extend(self.between());
        findings.extend(self.of_members());
        findings
    }

    /// Returns a line for each endpoint.
    pub(super) fn lines(&self) -> Vec<Line> {
        let hosts = self.hosts.iter().flat_map(|host| {
            let line = |one| said(&host.host, one);
            host.endpoints.iter().map(line)
        });
        let others = self.others.iter().flat_map(|other| {
            let way = format!("{} -> {}", other.from, other.peer.name);
            other.endpoints.iter().map(move |one| said(&way, one))
        });
        hosts.chain(others).collect()
    }

    fn alarms(&self) -> Vec<Finding> {
        let mut raised: BTreeSet<(String, String)> = BTreeSet::new();
        for (_, member) in self.members() {
            let told = member.alarms.clone().unwrap_or_else(|| told(&member.errors));
            raised.extend(told.into_iter().map(|alarm| (alarm.alarm, alarm.member)));
        }
        let finding = |(alarm, id): (String, String)| {
            let cause = match self.members().find(|(_, member)| member.id == id) {
                Some((host, member)) => Cause::from(cause::EtcdAlarm {
                    alarm: &alarm,
                    member: &id,
                    host: &host,
                    size: &member.size,
                    in_use: &member.in_use,
                }),
                None => Cause::from(cause::EtcdAlarmOfSilent {
                    alarm: &alarm,
                    member: &id,
                }),
            };
            Finding::fail(cause).of(&id).sure()
        };
        raised.into_iter().map(finding).collect()
    }

    /// Returns what is wrong between the members that answered.
    fn between(&self) -> Vec<Finding> {
        let without: Vec<&str> = self
            .members()
            .filter(|(_, member)| member.leader.is_none())
            .map(|(host, _)| host)
            .collect();
        let leaderless = (!without.is_empty()).then(|| {
            let hosts = &without.join(", ");
            Finding::fail(cause::EtcdNoLeader { hosts })
        });
        let views: [(View, Differ); 3] = [
            (
                |member| Some(member.cluster.clone()),
                |views| cause::EtcdClustersDiffer { views: &views }.into(),
            ),
            (
                |member| member.leader.clone(),
                |views| cause::EtcdLeadersDiffer { views: &views }.into(),
            ),
            (peers, |views| {
                cause::EtcdMemberListsDiffer { views: &views }.into()
            }),
        ];
        let differ = views
            .into_iter()
            .filter_map(|(view, differ)| Some(Finding::fail(differ(&self.views(view)?))));
        // Without a leader there is no majority to ask.
        let unread = self.unread().filter(|_| without.is_empty());
        leaderless.into_iter().chain(differ).chain(unread).collect()
    }

    /// Returns what members see, each with the hosts that see it; nothing where all see the same.
    pub(super) fn views(&self, view: View) -> Option<String> {
        let mut views: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (host, member) in self.members() {
            if let Some(seen) = view(member) {
                views.entry(seen).or_default().push(host);
            }
        }
        let told = views
            .iter()
            .map(|(seen, hosts)| format!("{seen} ({})", hosts.join(", ")));
        (views.len() > 1).then(|| told.collect::<Vec<_>>().join("; "))
    }

    /// Returns the first member with a vote that does not answer a read of the majority's.
    fn unread(&self) -> Option<Finding> {
        let mut voters = self.members().filter(|(_, member)| !member.learner);
        let (host, unread) = voters.find_map(|(host, member)| Some((host, member.unread.as_ref()?)))?;
        Some(match unread {
            EtcdUnread::Refused { message } => Finding::fail(cause::EtcdNoMajority { host: &host, message }),
            EtcdUnread::Silent => Finding::fail(cause::EtcdReadTimeout { host: &host }),
        })
    }
}

/// Returns the members that a member knows.
fn peers(member: &EtcdMember) -> Option<String> {
    let ids: BTreeSet<&str> = member
        .members
        .as_ref()?
        .iter()
        .map(|peer| peer.id.as_str())
        .collect();
    Some(ids.into_iter().collect::<Vec<_>>().join(" "))
}

/// Returns why endpoints of a host are silent. Each is judged: others may reach the member by one and not by the other.
fn silent(host: &HostFacts) -> Vec<Finding> {
    let found = if let Some(cause) = &host.unasked {
        vec![Finding::error(cause.clone())]
    } else {
        let found = host.endpoints.iter().filter_map(|one| unanswered(host, one));
        // Where none answers, one word for the host is enough, unless its endpoints are other machines.
        let dead = host.own && host.members().next().is_none();
        found.take(if dead { 1 } else { host.endpoints.len() }).collect()
    };
    let settled = host.is_settled();
    let of_host = |finding: Finding| {
        let finding = finding.of(&host.host);
        if settled { finding.sure() } else { finding }
    };
    found.into_iter().map(of_host).collect()
}

/// Returns why an endpoint gave no answer.
fn unanswered(asked: &HostFacts, one: &EtcdEndpoint) -> Option<Finding> {
    let (host, endpoint) = (&asked.host, &one.endpoint);
    let runs = asked.runs().filter(|_| asked.own);
    let cause: Cause = match &one.answer {
        EtcdAnswer::Member(_) => return None,
        EtcdAnswer::Silent | EtcdAnswer::Refused if runs == Some(false) => cause::EtcdStopped { host }.into(),
        EtcdAnswer::Silent => match asked.state() {
            Some(state) => cause::EtcdHung {
                host,
                endpoint,
                state: &state,
            }
            .into(),
            None => cause::EtcdSilent { host, endpoint }.into(),
        },
        EtcdAnswer::Refused if runs == Some(true) => cause::EtcdNotListening { host, endpoint }.into(),
        EtcdAnswer::Refused => cause::EtcdRefused { host, endpoint }.into(),
        // A certificate or a path that is wrong: perhaps our own.
        EtcdAnswer::Broken { error } => {
            let message = &format!("{endpoint}: {error}");
            return Some(Finding::error(cause::EtcdUnreachable { host, message }));
        }
    };
    Some(Finding::fail(cause))
}

/// Returns why a member that is no host of the site is lost; nothing where it answers.
fn lost(other: &Other) -> Option<Finding> {
    let (member, name, host) = (&other.peer.id, &other.peer.name, &other.from);
    if other.endpoints.is_empty() {
        let finding = if name.is_empty() {
            Finding::fail(cause::EtcdMemberNeverStarted { member })
        } else {
            // It tells clients of loopback only, or nobody could ask.
            Finding::error(cause::EtcdMemberUnasked { member, name, host })
        };
        return Some(finding.of(member));
    }
    let answers = |one: &EtcdEndpoint| matches!(one.answer, EtcdAnswer::Member(_));
    if other.endpoints.iter().any(answers) {
        return None;
    }
    // A certificate or a path that is wrong: perhaps our own.
    let broken = other.endpoints.iter().find_map(|one| match &one.answer {
        EtcdAnswer::Broken { error } => Some(format!("{}: {error}", one.endpoint)),
        _ => None,
    });
    if let Some(message) = &broken {
        return Some(
            Finding::error(cause::EtcdMemberBroken {
                member,
                name,
                host,
                message,
            })
            .of(member),
        );
    }
    let endpoints: Vec<&str> = other.endpoints.iter().map(|one| one.endpoint.as_str()).collect();
    let lost = cause::EtcdMemberLost {
        member,
        name,
        host,
        endpoints: &endpoints.join(", "),
    };
    Some(Finding::fail(lost).of(member))
}

/// Reads the alarms in a member's own words, `memberID:10501334649042878790 alarm:NOSPACE`, for when it does not answer
/// the question itself.
fn told(errors: &[Masked]) -> Vec<EtcdAlarm> {
    let alarm = |text: &Masked| {
        let (member, alarm) = text.split_once("alarm:")?;
        let member = member.trim().strip_prefix("memberID:")?;
        Some(EtcdAlarm {
            member: format!("{:x}", member.trim().parse::<u64>().ok()?),
            alarm: alarm.trim().to_owned(),
        })
    };
    errors.iter().filter_map(alarm).collect()
}

/// Returns what came from an endpoint that was asked on a way.
fn said(way: &str, one: &EtcdEndpoint) -> Line {
    let endpoint = &one.endpoint;
    match &one.answer {
        EtcdAnswer::Refused => Line::said(phrase::EndpointRefused { host: &way, endpoint }),
        EtcdAnswer::Silent => Line::said(phrase::EndpointSilent { host: &way, endpoint }),
        EtcdAnswer::Broken { error } => format!("{way}: {endpoint}: {error}").into(),
        EtcdAnswer::Member(member) => format!("{way}: {endpoint}: {}", described(member)).into(),
    }
}

/// Returns a member by the names that etcd's own API has for its fields; a leader of 0 is none.
fn described(member: &EtcdMember) -> String {
    let quota = member
        .quota
        .map_or_else(String::new, |quota| format!(" dbSizeQuota={quota}"));
    let learner = if member.learner { " isLearner" } else { "" };
    format!(
        "member_id={} cluster_id={} version={}{learner} leader={} raftTerm={} raftAppliedIndex={} dbSize={} dbSizeInUse={}{quota}",
        member.id,
        member.cluster,
        member.version,
        member.leader.as_deref().unwrap_or("0"),
        member.term,
        member.applied,
        member.size,
        member.in_use,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::components::component::tests::process;
    use crate::checks::etcd::health::{CHECK, EtcdHealth, endpoints};
    use crate::checks::testing::{self, expect, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::{EtcdLatency, EtcdPeer, SettingReply};
    use crate::suite::Seen;

    const IDS: [&str; 3] = ["8e9e05c52164694d", "91bc3c398fb3c146", "fd422379fda50e48"];

    fn member(id: &str) -> EtcdMember {
        let peer = |id: &&str| EtcdPeer {
            id: (*id).to_owned(),
            name: format!("etcd-{}", &id[..2]),
            urls: vec![format!("http://{}.example:2379", &id[..2])],
            learner: false,
        };
        EtcdMember {
            id: id.to_owned(),
            cluster: "cdf818194e3a8c32".to_owned(),
            version: "3.7.3".to_owned(),
            leader: Some(IDS[0].to_owned()),
            term: 2,
            applied: 1000,
            size: 20 << 20,
            in_use: 10 << 20,
            quota: Some(2 << 30),
            learner: false,
            errors: Vec::new(),
            alarms: Some(Vec::new()),
            members: Some(IDS.iter().map(peer).collect()),
            unread: None,
            latency: None,
        }
    }

    fn host(at: usize) -> HostFacts {
        HostFacts {
            host: format!("etcd-{at}"),
            own: true,
            endpoints: vec![EtcdEndpoint {
                endpoint: "http://127.0.0.1:2379".to_owned(),
                answer: EtcdAnswer::Member(Box::new(member(IDS[at]))),
            }],
            unasked: None,
            processes: Some(vec![process("etcd", 'S')]),
            quota: Some(SettingReply::default()),
        }
    }

    fn healthy() -> Facts {
        Facts {
            hosts: vec![host(0), host(1), host(2)],
            others: Vec::new(),
        }
    }

    fn with(change: impl Fn(&mut EtcdMember)) -> Facts {
        let mut facts = healthy();
        for host in &mut facts.hosts {
            for one in &mut host.endpoints {
                if let EtcdAnswer::Member(member) = &mut one.answer {
                    change(member);
                }
            }
        }
        facts
    }

    fn judged(facts: &Facts) -> (Outcome, Option<CauseId>) {
        testing::judged::<EtcdHealth>(facts, &expect(&site(), "server"))
    }

    #[test]
    fn members_that_agree_pass() {
        assert_eq!(judged(&healthy()), (Outcome::Pass, None));
        // Older ones do not tell their quota, and readers of theirs may not list alarms.
        let older = with(|member| {
            member.quota = None;
            member.alarms = None;
        });
        assert_eq!(judged(&older), (Outcome::Pass, None));
    }

    #[test]
    fn a_dead_member_is_named_by_its_host() {
        let mut facts = healthy();
        facts.hosts[1].endpoints[0].answer = EtcdAnswer::Refused;
        facts.hosts[1].processes = Some(Vec::new());
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdStopped)));
        let finding = facts.findings().remove(0);
        assert!(finding.sure);
        assert_eq!(finding.cause.args()["host"], "etcd-1");
        // One that runs, but not there, may only be on its way.
        facts.hosts[1].processes = Some(vec![process("etcd", 'S')]);
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdNotListening)));
        assert!(!facts.findings()[0].sure);
        facts.hosts[1].processes = None;
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdRefused)));
    }

    #[test]
    fn a_member_that_is_alive_and_silent_hangs() {
        let mut facts = healthy();
        facts.hosts[2].endpoints[0].answer = EtcdAnswer::Silent;
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdHung)));
        assert!(!facts.findings()[0].sure);
        facts.hosts[2].processes = Some(vec![process("etcd", 'T')]);
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdHung)));
        assert!(facts.findings()[0].sure);
        assert_eq!(facts.findings()[0].cause.args()["state"], "T");
        facts.hosts[2].processes = None;
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdSilent)));
    }

    #[test]
    fn what_passed_by_itself_does_not_count_and_a_dead_member_does() {
        let after = |first: &Facts| {
            let seen = Seen {
                facts: serde_json::to_value(first).unwrap().into(),
                again: Some(serde_json::to_value(healthy()).unwrap().into()),
                depth: None,
            };
            CHECK.judge(&seen, &expect(&site(), "server")).outcome()
        };
        assert_eq!(after(&with(|member| member.leader = None)), Outcome::Pass);
        let mut dead = healthy();
        dead.hosts[1].endpoints[0].answer = EtcdAnswer::Refused;
        dead.hosts[1].processes = Some(Vec::new());
        assert_eq!(after(&dead), Outcome::Fail);
    }

    #[test]
    fn what_could_not_be_asked_is_an_error() {
        let mut facts = healthy();
        facts.hosts[0].endpoints[0].answer = EtcdAnswer::Broken {
            error: "invalid peer certificate: UnknownIssuer".into(),
        };
        assert_eq!(judged(&facts), (Outcome::Error, Some(CauseId::EtcdUnreachable)));
        let mut facts = healthy();
        facts.hosts[0].endpoints.clear();
        let unreachable = cause::HostUnreachable {
            host: &"etcd-0",
            reason: &"no route to host",
        };
        facts.hosts[0].unasked = Some(unreachable.into());
        assert_eq!(judged(&facts), (Outcome::Error, Some(CauseId::HostUnreachable)));
    }

    #[test]
    fn an_alarm_fails_with_its_member_and_sizes() {
        let nospace = |member: &mut EtcdMember| {
            member.alarms = Some(vec![EtcdAlarm {
                member: IDS[1].to_owned(),
                alarm: "NOSPACE".to_owned(),
            }]);
        };
        let facts = with(nospace);
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdAlarm)));
        let finding = facts.findings().remove(0);
        assert!(finding.sure);
        let args = finding.cause.args();
        assert_eq!(
            (args["host"].as_str(), args["alarm"].as_str()),
            ("etcd-1", "NOSPACE")
        );
        assert_eq!(args["size"], "20971520");
        // The status tells it too, where the question itself goes unanswered.
        let told = with(|member| {
            member.alarms = None;
            member.errors = vec!["memberID:10501334649042878790 alarm:CORRUPT ".into()];
        });
        assert_eq!(judged(&told), (Outcome::Fail, Some(CauseId::EtcdAlarm)));
        assert_eq!(told.findings()[0].cause.args()["member"], "91bc3c398fb3c146");
        let mut silent = with(nospace);
        silent.hosts.remove(1);
        assert_eq!(judged(&silent), (Outcome::Fail, Some(CauseId::EtcdAlarmOfSilent)));
    }

    #[test]
    fn no_leader_two_leaders_and_a_read_without_majority_fail() {
        let refused = |message: &str| {
            let message = message.into();
            Some(EtcdUnread::Refused { message })
        };
        let none = with(|member| {
            member.leader = None;
            member.unread = refused("etcdserver: no leader");
        });
        assert_eq!(judged(&none), (Outcome::Fail, Some(CauseId::EtcdNoLeader)));
        assert_eq!(none.findings().len(), 1);
        let two = with(|member| {
            if member.id == IDS[2] {
                member.leader = Some(IDS[2].to_owned());
            }
        });
        assert_eq!(judged(&two), (Outcome::Fail, Some(CauseId::EtcdLeadersDiffer)));
        let strange = with(|member| {
            if member.id == IDS[2] {
                member.cluster = "1".to_owned();
            }
        });
        assert_eq!(
            judged(&strange),
            (Outcome::Fail, Some(CauseId::EtcdClustersDiffer))
        );
        let unread = with(|member| member.unread = refused("etcdserver: request timed out"));
        assert_eq!(judged(&unread), (Outcome::Fail, Some(CauseId::EtcdNoMajority)));
        let unread = with(|member| member.unread = Some(EtcdUnread::Silent));
        assert_eq!(judged(&unread), (Outcome::Fail, Some(CauseId::EtcdReadTimeout)));
        let other = with(|member| {
            if member.id == IDS[2] {
                member.members.as_mut().unwrap().pop();
            }
        });
        assert_eq!(
            judged(&other),
            (Outcome::Fail, Some(CauseId::EtcdMemberListsDiffer))
        );
    }

    #[test]
    fn a_database_near_its_quota_warns() {
        let full = with(|member| member.size = 1700 << 20);
        assert_eq!(judged(&full), (Outcome::Warn, Some(CauseId::EtcdFull)));
    }

    #[test]
    fn a_quota_that_the_member_does_not_tell_is_its_processs() {
        let older = |value: Option<&str>, unread| {
            let mut facts = with(|member| {
                member.size = 1700 << 20;
                member.quota = None;
            });
            for host in &mut facts.hosts {
                let value = value.map(str::to_owned);
                host.quota = Some(SettingReply { value, unread });
            }
            judged(&facts)
        };
        let full = (Outcome::Warn, Some(CauseId::EtcdFull));
        assert_eq!(older(None, false), full);
        assert_eq!(older(Some("0"), false), full);
        assert_eq!(older(Some("8589934592"), false), (Outcome::Pass, None));
        // The usual one may not be that which it was given.
        assert_eq!(
            older(None, true),
            (Outcome::Warn, Some(CauseId::EtcdQuotaUnknown))
        );
    }

    #[test]
    fn members_that_are_behind_differ_learn_or_are_even_are_told() {
        let late = with(|member| {
            if member.id == IDS[1] {
                member.applied += 6000;
            }
        });
        assert_eq!(judged(&late), (Outcome::Fail, Some(CauseId::EtcdBehind)));
        assert_eq!(late.findings().len(), 2);
        let versions = with(|member| {
            if member.id == IDS[1] {
                "3.6.5".clone_into(&mut member.version);
            }
        });
        assert_eq!(
            judged(&versions),
            (Outcome::Warn, Some(CauseId::EtcdVersionsDiffer))
        );
        let learner = with(|member| member.members.as_mut().unwrap()[2].learner = true);
        let ids: Vec<CauseId> = learner
            .findings()
            .iter()
            .map(|finding| finding.cause.id())
            .collect();
        assert_eq!(ids, [CauseId::EtcdLearner, CauseId::EtcdEven]);
        let slow = with(|member| {
            member.latency = Some(EtcdLatency {
                fsyncs: 5000,
                fsync_millis: 256,
                commits: 5000,
                commit_millis: 512,
            });
        });
        assert_eq!(judged(&slow), (Outcome::Warn, Some(CauseId::EtcdSlowLog)));
        assert_eq!(slow.findings().len(), 6);
        let young = with(|member| {
            member.latency = Some(EtcdLatency {
                fsyncs: 50,
                fsync_millis: 8192,
                commits: 5000,
                commit_millis: 25,
            });
        });
        assert_eq!(judged(&young), (Outcome::Pass, None));
    }

    #[test]
    fn each_endpoint_of_a_host_is_judged() {
        let mut facts = healthy();
        facts.hosts[1].endpoints.push(EtcdEndpoint {
            endpoint: "https://192.168.10.91:2379".to_owned(),
            answer: EtcdAnswer::Silent,
        });
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdHung)));
        facts.hosts[1].endpoints[1].answer = EtcdAnswer::Refused;
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdNotListening)));
    }

    #[test]
    fn a_member_that_is_no_host_of_the_site_must_answer_too() {
        let other = |answer: Option<EtcdAnswer>| {
            let mut facts = healthy();
            let peer = member(IDS[2]).members.unwrap().remove(2);
            let endpoint = peer.urls[0].clone();
            facts.hosts.pop();
            facts.others = vec![Other {
                from: "etcd-0".to_owned(),
                peer,
                endpoints: answer
                    .map(|answer| EtcdEndpoint { endpoint, answer })
                    .into_iter()
                    .collect(),
            }];
            judged(&facts)
        };
        let well = EtcdAnswer::Member(Box::new(member(IDS[2])));
        assert_eq!(other(Some(well)), (Outcome::Pass, None));
        assert_eq!(
            other(Some(EtcdAnswer::Refused)),
            (Outcome::Fail, Some(CauseId::EtcdMemberLost))
        );
        let broken = EtcdAnswer::Broken {
            error: "invalid peer certificate: Expired".into(),
        };
        assert_eq!(
            other(Some(broken)),
            (Outcome::Error, Some(CauseId::EtcdMemberBroken))
        );
        // It advertises loopback only, so that nobody but itself can ask it.
        assert_eq!(other(None), (Outcome::Error, Some(CauseId::EtcdMemberUnasked)));
        let mut added = healthy();
        added.others = vec![Other {
            from: "etcd-0".to_owned(),
            peer: EtcdPeer {
                id: "1".to_owned(),
                name: String::new(),
                urls: Vec::new(),
                learner: true,
            },
            endpoints: Vec::new(),
        }];
        assert_eq!(
            judged(&added),
            (Outcome::Fail, Some(CauseId::EtcdMemberNeverStarted))
        );
    }

    #[test]
    fn a_host_is_asked_by_its_own_endpoints_where_the_site_file_names_such() {
        let mut site = site();
        assert!(endpoints(&site.etcd, &site.hosts[0]).0);
        let urls = [
            "https://192.168.10.100:2379",
            "https://[fd00::1]:2379",
            "https://etcd.example:2379",
        ];
        site.etcd.endpoints = urls.map(str::to_owned).to_vec();
        assert_eq!(
            endpoints(&site.etcd, &site.hosts[0]),
            (true, vec![urls[0].to_owned()])
        );
        assert_eq!(endpoints(&site.etcd, &site.hosts[1]).1.len(), 3);
    }
}
