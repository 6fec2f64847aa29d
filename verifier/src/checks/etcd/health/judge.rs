//! What is wrong with etcd, from what its members and their hosts said. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, HostFacts, Other};
use crate::findings::{Cause, CauseId, Finding, Outcome};
use crate::protocol::{EtcdAlarm, EtcdAnswer, EtcdMember};

/// The part of the quota, in percent, above which it warns.
const FULL: u64 = 80;

/// What a member sees of the cluster, which all must see alike.
type View = fn(&EtcdMember) -> Option<String>;

impl Facts {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.hosts.iter().flat_map(silent).collect();
        findings.extend(self.others.iter().filter_map(lost));
        // A name that no host has as its own is asked from every host.
        let mut seen = BTreeSet::new();
        findings.retain(|finding| seen.insert(finding.cause.clone()));
        findings.extend(self.alarms());
        findings.extend(self.leader());
        findings.extend(self.members().filter_map(|(host, member)| full(host, member)));
        findings
    }

    /// Returns a line for each endpoint.
    pub(super) fn lines(&self) -> Vec<String> {
        let hosts = self.hosts.iter().flat_map(|host| {
            let line = |one: &crate::protocol::EtcdEndpoint| {
                format!("{}: {}: {}", host.host, one.endpoint, said(&one.answer))
            };
            host.endpoints.iter().map(line)
        });
        let others = self.others.iter().flat_map(|other| {
            let line = |one: &crate::protocol::EtcdEndpoint| {
                format!(
                    "{} from {}: {}: {}",
                    other.peer.name,
                    other.from,
                    one.endpoint,
                    said(&one.answer)
                )
            };
            other.endpoints.iter().map(line)
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
            let (host, member) = self
                .members()
                .find(|(_, member)| member.id == id)
                .map_or((None, None), |(host, member)| (Some(host), Some(member)));
            let size = member.map_or_else(|| "of unknown size".to_owned(), sizes);
            Finding::fail(
                Cause::new(CauseId::EtcdAlarm)
                    .with("alarm", alarm)
                    .with("host", host.unwrap_or("a host that does not answer"))
                    .with("member", id)
                    .with("size", size),
            )
        };
        raised.into_iter().map(finding).collect()
    }

    /// Returns what is wrong between the members that answered.
    fn leader(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let without: Vec<&str> = self
            .members()
            .filter(|(_, member)| member.leader.is_none())
            .map(|(host, _)| host)
            .collect();
        if !without.is_empty() {
            findings.push(Finding::fail(
                Cause::new(CauseId::EtcdNoLeader).with("hosts", without.join(", ")),
            ));
        }
        let views: [(&str, View); 3] = [
            ("cluster", |member| Some(member.cluster.clone())),
            ("leader", |member| member.leader.clone()),
            ("list of members", |member| {
                let ids = member.members.as_ref()?.iter().map(|peer| peer.id.as_str());
                Some(
                    ids.collect::<BTreeSet<_>>()
                        .into_iter()
                        .collect::<Vec<_>>()
                        .join(" "),
                )
            }),
        ];
        for (what, view) in views {
            findings.extend(self.differ(what, view));
        }
        if without.is_empty() {
            let unread = self
                .members()
                .filter(|(_, member)| !member.learner)
                .find_map(|(host, member)| Some((host, member.unread.as_ref()?)));
            findings.extend(unread.map(|(host, message)| {
                let cause = Cause::new(CauseId::EtcdNoMajority).with("host", host);
                Finding::fail(cause.with("message", message))
            }));
        }
        findings
    }

    fn differ(&self, what: &str, view: View) -> Option<Finding> {
        let mut views: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (host, member) in self.members() {
            if let Some(seen) = view(member) {
                views.entry(seen).or_default().push(host);
            }
        }
        (views.len() > 1).then(|| {
            let words: Vec<String> = views
                .iter()
                .map(|(seen, hosts)| format!("{seen} ({})", hosts.join(", ")))
                .collect();
            let cause = Cause::new(CauseId::EtcdDisagree).with("what", what);
            Finding::fail(cause.with("views", words.join("; ")))
        })
    }
}

/// Returns why a host's endpoints are silent; nothing where one of its own answers.
fn silent(host: &HostFacts) -> Vec<Finding> {
    if let Some(trouble) = &host.trouble {
        return vec![Finding {
            outcome: Outcome::Error,
            cause: trouble.clone(),
        }];
    }
    if host.own && host.members().next().is_some() {
        return Vec::new();
    }
    let found = host.endpoints.iter().filter_map(|one| {
        let cause = |id| {
            Cause::new(id)
                .with("host", &host.host)
                .with("endpoint", &one.endpoint)
        };
        let unreachable = |why: &str| {
            let message = format!("{}: {why}", one.endpoint);
            cause(CauseId::EtcdUnreachable).with("message", message)
        };
        let state = host.halted().map(|process| process.state);
        let runs = match host.runs() {
            Some(false) if host.own => ", and no etcd runs there",
            Some(true) if host.own => ", though etcd runs there",
            _ => "",
        };
        match &one.answer {
            EtcdAnswer::Member(_) => None,
            EtcdAnswer::Silent if host.own && host.runs() == Some(false) => {
                Some(Finding::fail(unreachable(&format!("no answer in time{runs}"))))
            }
            EtcdAnswer::Silent => {
                let process = host
                    .processes
                    .iter()
                    .flatten()
                    .find(|process| process.state != 'Z');
                let state = state.or(process.map(|process| process.state));
                let state = state.map_or_else(|| "unknown".to_owned(), String::from);
                Some(Finding::fail(cause(CauseId::EtcdHung).with("state", state)))
            }
            EtcdAnswer::Refused => Some(Finding::fail(unreachable(&format!("connection refused{runs}")))),
            // A certificate or a path that is wrong: perhaps our own.
            EtcdAnswer::Broken { error } => Some(Finding {
                outcome: Outcome::Error,
                cause: unreachable(error),
            }),
        }
    });
    // One word for a host is enough, unless its endpoints are other machines.
    if host.own {
        found.take(1).collect()
    } else {
        found.collect()
    }
}

/// Returns why a member that is no host of the site is lost; nothing where it answers or cannot be asked.
fn lost(other: &Other) -> Option<Finding> {
    let why = match other.endpoints.iter().map(|one| &one.answer).next() {
        None if other.peer.name.is_empty() => "it has never been started".to_owned(),
        None => return None,
        Some(_) => {
            let answers = || other.endpoints.iter().map(|one| &one.answer);
            if answers().any(|answer| matches!(answer, EtcdAnswer::Member(_) | EtcdAnswer::Broken { .. })) {
                return None;
            }
            let line =
                |one: &crate::protocol::EtcdEndpoint| format!("{}: {}", one.endpoint, said(&one.answer));
            other.endpoints.iter().map(line).collect::<Vec<_>>().join("; ")
        }
    };
    let cause = Cause::new(CauseId::EtcdMemberLost)
        .with("member", &other.peer.id)
        .with("name", &other.peer.name);
    Some(Finding::fail(cause.with("message", why)))
}

fn full(host: &str, member: &EtcdMember) -> Option<Finding> {
    let quota = member.quota?;
    let percent = member.size.saturating_mul(100) / quota;
    (percent > FULL).then(|| {
        let cause = Cause::new(CauseId::EtcdFull)
            .with("host", host)
            .with("percent", percent);
        Finding::warn(cause.with("size", sizes(member)))
    })
}

/// Reads the alarms in a member's own words, `memberID:10501334649042878790 alarm:NOSPACE`, for when it does not answer
/// the question itself.
fn told(errors: &[String]) -> Vec<EtcdAlarm> {
    let alarm = |text: &String| {
        let (member, alarm) = text.split_once("alarm:")?;
        let member = member.trim().strip_prefix("memberID:")?;
        Some(EtcdAlarm {
            member: format!("{:x}", member.trim().parse::<u64>().ok()?),
            alarm: alarm.trim().to_owned(),
        })
    };
    errors.iter().filter_map(alarm).collect()
}

fn said(answer: &EtcdAnswer) -> String {
    match answer {
        EtcdAnswer::Refused => "connection refused".to_owned(),
        EtcdAnswer::Silent => "no answer in time".to_owned(),
        EtcdAnswer::Broken { error } => error.clone(),
        EtcdAnswer::Member(member) => format!(
            "member {} of cluster {}, etcd {}{}, leader {}, term {}, applied {}, {}",
            member.id,
            member.cluster,
            member.version,
            if member.learner { " (learner)" } else { "" },
            member.leader.as_deref().unwrap_or("none"),
            member.term,
            member.applied,
            sizes(member)
        ),
    }
}

fn sizes(member: &EtcdMember) -> String {
    let quota = member
        .quota
        .map_or_else(|| "quota not told".to_owned(), |quota| format!("quota {quota}"));
    format!("{} bytes, {} in use, {quota}", member.size, member.in_use)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::components::component::tests::process;
    use crate::checks::etcd::health::{CHECK, EtcdHealth, endpoints};
    use crate::checks::testing::{expect, seen, site};
    use crate::protocol::{EtcdEndpoint, EtcdPeer};
    use crate::suite::Probe as _;

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
            trouble: None,
            processes: Some(vec![process("etcd", 'S')]),
        }
    }

    fn healthy() -> Facts {
        Facts {
            hosts: vec![host(0), host(1), host(2)],
            others: Vec::new(),
            journals: Vec::new(),
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
        let site = site();
        // As the engine does it: facts are kept, and judged from what was kept.
        let kept = serde_json::to_value(facts).unwrap();
        assert_eq!(
            CHECK.judge(&kept, &expect(&site, "server")),
            EtcdHealth::judge(facts, &expect(&site, "server"))
        );
        seen(&CHECK.judge(&kept, &expect(&site, "server")))
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
        assert!(!facts.may_pass());
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdUnreachable)));
        let cause = facts.findings().remove(0).cause;
        assert_eq!(cause.args["host"], "etcd-1");
        assert!(cause.args["message"].contains("connection refused, and no etcd runs there"));
    }

    #[test]
    fn a_member_that_is_alive_and_silent_hangs() {
        let mut facts = healthy();
        facts.hosts[2].endpoints[0].answer = EtcdAnswer::Silent;
        assert!(facts.may_pass());
        facts.hosts[2].processes = Some(vec![process("etcd", 'T')]);
        assert!(!facts.may_pass());
        assert_eq!(judged(&facts), (Outcome::Fail, Some(CauseId::EtcdHung)));
        assert_eq!(facts.findings()[0].cause.args["state"], "T");
    }

    #[test]
    fn what_could_not_be_asked_is_an_error() {
        let mut facts = healthy();
        facts.hosts[0].endpoints[0].answer = EtcdAnswer::Broken {
            error: "invalid peer certificate: UnknownIssuer".to_owned(),
        };
        assert_eq!(judged(&facts), (Outcome::Error, Some(CauseId::EtcdUnreachable)));
        let mut facts = healthy();
        facts.hosts[0].endpoints.clear();
        facts.hosts[0].trouble = Some(
            Cause::new(CauseId::HostUnreachable)
                .with("host", "etcd-0")
                .with("reason", "no route to host"),
        );
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
        let cause = facts.findings().remove(0).cause;
        assert_eq!(
            (cause.args["host"].as_str(), cause.args["alarm"].as_str()),
            ("etcd-1", "NOSPACE")
        );
        assert!(cause.args["size"].contains("20971520 bytes"));
        // The status tells it too, where the question itself goes unanswered.
        let told = with(|member| {
            member.alarms = None;
            member.errors = vec!["memberID:10501334649042878790 alarm:CORRUPT ".to_owned()];
        });
        assert_eq!(judged(&told), (Outcome::Fail, Some(CauseId::EtcdAlarm)));
        assert_eq!(told.findings()[0].cause.args["member"], "91bc3c398fb3c146");
    }

    #[test]
    fn no_leader_two_leaders_and_a_read_without_majority_fail() {
        let none = with(|member| {
            member.leader = None;
            member.unread = Some("etcdserver: no leader".to_owned());
        });
        assert_eq!(judged(&none), (Outcome::Fail, Some(CauseId::EtcdNoLeader)));
        assert_eq!(none.findings().len(), 1);
        let two = with(|member| {
            if member.id == IDS[2] {
                member.leader = Some(IDS[2].to_owned());
            }
        });
        assert_eq!(judged(&two), (Outcome::Fail, Some(CauseId::EtcdDisagree)));
        let strange = with(|member| {
            if member.id == IDS[2] {
                member.cluster = "1".to_owned();
            }
        });
        assert_eq!(judged(&strange), (Outcome::Fail, Some(CauseId::EtcdDisagree)));
        let unread = with(|member| member.unread = Some("etcdserver: request timed out".to_owned()));
        assert_eq!(judged(&unread), (Outcome::Fail, Some(CauseId::EtcdNoMajority)));
    }

    #[test]
    fn a_database_near_its_quota_warns() {
        let full = with(|member| member.size = 1700 << 20);
        assert_eq!(judged(&full), (Outcome::Warn, Some(CauseId::EtcdFull)));
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
        // It advertises loopback only, so that nobody but itself can ask it.
        assert_eq!(other(None), (Outcome::Pass, None));
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
