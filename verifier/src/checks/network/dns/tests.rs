use std::net::SocketAddr;

use super::*;
use crate::checks::testing::{expect, judged, service, site};
use crate::findings::cause;
use crate::findings::{CauseId, Outcome};

const SERVICE: &str = "10.32.0.10";
const PODS: [&str; 2] = ["10.200.0.2", "10.200.1.2"];
const KUBERNETES: &str = "10.32.0.1";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn dns() -> DnsServiceFacts {
    DnsServiceFacts {
        namespace: "kube-system".to_owned(),
        name: "kube-dns".to_owned(),
        said: true,
        addresses: vec![ip(SERVICE)],
        udp: "dns".to_owned(),
        tcp: Some("dns-tcp".to_owned()),
    }
}

fn endpoint(at: usize) -> DnsEndpoint {
    DnsEndpoint {
        pod: format!("coredns-{at}"),
        address: ip(PODS[at]),
        node: Some(format!("node-{at}")),
        udp: Some(53),
        tcp: Some(53),
    }
}

fn asker(at: usize, server: &str, domain: &str) -> Asker {
    Asker {
        host: format!("node-{at}"),
        node: format!("node-{at}"),
        pod: format!("nginx-{at}"),
        address: ip(&format!("10.200.{at}.7")),
        container: "0123456789abcdef".to_owned(),
        told: ResolverReply {
            servers: vec![ip(server)],
            search: vec![
                format!("verifier-x.svc.{domain}"),
                format!("svc.{domain}"),
                domain.to_owned(),
            ],
        },
        heard: Vec::new(),
    }
}

fn addresses(code: u8, all: &[&str]) -> DnsReply {
    DnsReply::Answer {
        code,
        truncated: false,
        addresses: all.iter().map(|address| ip(address)).collect(),
        millis: 1,
    }
}

const SILENT: DnsReply = DnsReply::Silent { connected: false };

/// What a healthy DNS that serves cluster.local says.
fn well(question: &DnsQuestion) -> DnsReply {
    match question.name.as_str() {
        "kubernetes.default.svc.cluster.local" => addresses(0, &[KUBERNETES]),
        "nginx.verifier-x.svc.cluster.local" => addresses(0, &["10.32.0.7"]),
        questions::OUTSIDE => addresses(5, &[]),
        _ => addresses(3, &[]),
    }
}

/// Returns facts of two workers whose questions end so; `None`: as in a healthy cluster.
fn facts(reply: impl Fn(&Asker, &DnsQuestion) -> Option<DnsReply>) -> Facts {
    with(
        vec![
            asker(0, SERVICE, "cluster.local"),
            asker(1, SERVICE, "cluster.local"),
        ],
        reply,
    )
}

fn with(askers: Vec<Asker>, reply: impl Fn(&Asker, &DnsQuestion) -> Option<DnsReply>) -> Facts {
    let mut facts = Facts {
        dns: Some(dns()),
        servers: vec![endpoint(0), endpoint(1)],
        kubernetes: vec![ip(KUBERNETES)],
        service: service(),
        askers,
        unasked: Vec::new(),
        without: Vec::new(),
    };
    answer(&mut facts, reply);
    facts
}

fn answer(facts: &mut Facts, reply: impl Fn(&Asker, &DnsQuestion) -> Option<DnsReply>) {
    let plan = Plan::of(facts);
    for at in 0..facts.askers.len() {
        let asked = plan.questions(facts, at);
        let asker = &facts.askers[at];
        let heard = asked.into_iter().map(|question| Heard {
            reply: reply(asker, &question).unwrap_or_else(|| well(&question)),
            question,
        });
        facts.askers[at].heard = heard.collect();
    }
}

fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
    judged::<ClusterDns>(facts, &expect(&site(), ""))
}

fn found(facts: &Facts) -> Vec<CauseId> {
    let findings = facts.judged().unwrap();
    findings.iter().map(|finding| finding.cause.id()).collect()
}

#[test]
fn a_dns_that_answers_passes_be_names_outside_refused_or_unknown() {
    assert_eq!(judge(&facts(|_, _| None)), (Outcome::Pass, None));
    for code in [0, 2, 3] {
        let outside =
            facts(|_, question| (question.name == questions::OUTSIDE).then(|| addresses(code, &[])));
        assert_eq!(judge(&outside), (Outcome::Pass, None));
    }
    let hangs = facts(|_, question| (question.name == questions::OUTSIDE).then_some(SILENT));
    assert_eq!(judge(&hangs), (Outcome::Warn, Some(CauseId::DnsOutsideSilent)));
}

#[test]
fn every_server_is_asked_by_both_protocols_and_cut_answers_are_normal() {
    let facts = facts(|_, question| {
        let cut = DnsReply::Answer {
            code: 0,
            truncated: true,
            addresses: Vec::new(),
            millis: 1,
        };
        (question.by == DnsBy::Udp && question.name.starts_with("kubernetes")).then_some(cut)
    });
    assert_eq!(judge(&facts), (Outcome::Pass, None));
    let asked = |server: &str, by: DnsBy| {
        let mut heard = facts.askers[0].heard.iter();
        heard.any(|heard| heard.question.server.ip() == ip(server) && heard.question.by == by)
    };
    for server in [SERVICE, PODS[0], PODS[1]] {
        assert!(asked(server, DnsBy::Udp) && asked(server, DnsBy::Tcp), "{server}");
    }
}

#[test]
fn a_pod_that_is_dead_is_named_once_though_the_service_answers_at_times() {
    let dead = facts(|asker, question| {
        let server = question.server.ip();
        // By chance the Service leads one of the two to it.
        let led = server == ip(SERVICE) && asker.node == "node-0";
        (server == ip(PODS[1]) || led).then_some(SILENT)
    });
    assert_eq!(found(&dead), [CauseId::DnsPodSilent]);
    let finding = &dead.judged().unwrap()[0];
    assert_eq!(finding.subject.as_deref(), Some("coredns-1"));
    assert_eq!(&*finding.cause.args()["from"], "node-0, node-1");
}

#[test]
fn what_is_lost_of_one_protocol_is_told_apart() {
    for by in [DnsBy::Udp, DnsBy::Tcp] {
        let of_pod =
            facts(|_, question| (question.by == by && question.server.ip() == ip(PODS[0])).then_some(SILENT));
        assert_eq!(found(&of_pod), [CauseId::DnsPodHalf]);
        let of_service = facts(|asker, question| {
            let lost = question.by == by && question.server.ip() == ip(SERVICE);
            (lost && asker.node == "node-1").then_some(SILENT)
        });
        let findings = of_service.judged().unwrap();
        assert_eq!(findings[0].cause.id(), CauseId::DnsServiceHalf);
        let lost = if by == DnsBy::Udp { "UDP" } else { "TCP" };
        assert_eq!(&*findings[0].cause.args()["lost"], lost);
    }
}

#[test]
fn a_service_that_is_silent_while_its_pods_answer_fails_and_one_without_pods_says_so() {
    let silent = facts(|_, question| (question.server.ip() == ip(SERVICE)).then_some(SILENT));
    assert_eq!(judge(&silent), (Outcome::Fail, Some(CauseId::DnsServiceSilent)));
    let mut none = facts(|_, _| None);
    none.servers.clear();
    answer(&mut none, |_, _| Some(SILENT));
    assert_eq!(found(&none), [CauseId::DnsNoEndpoints]);
}

#[test]
fn a_kubelet_that_names_another_address_is_named_unless_a_cache_answers_there() {
    let askers = || {
        vec![
            asker(0, SERVICE, "cluster.local"),
            asker(1, "10.32.0.11", "cluster.local"),
        ]
    };
    let nobody = with(askers(), |_, question| {
        (question.server.ip() == ip("10.32.0.11")).then_some(SILENT)
    });
    assert_eq!(found(&nobody), [CauseId::DnsKubeletAddress]);
    // A server of the site, which does not know the cluster.
    let other = with(askers(), |_, question| {
        (question.server.ip() == ip("10.32.0.11")).then(|| addresses(3, &[]))
    });
    assert_eq!(found(&other), [CauseId::DnsKubeletAddress]);
    let cached = vec![
        asker(0, "169.254.20.10", "cluster.local"),
        asker(1, "169.254.20.10", "cluster.local"),
    ];
    assert_eq!(judge(&with(cached, |_, _| None)), (Outcome::Pass, None));
    let mut empty = askers();
    empty[1].told = ResolverReply::default();
    assert_eq!(found(&with(empty, |_, _| None)), [CauseId::DnsKubeletAddress]);
}

#[test]
fn a_domain_that_the_dns_does_not_serve_is_named_and_a_served_one_may_be_any() {
    let differs = with(
        vec![
            asker(0, SERVICE, "cluster.local"),
            asker(1, SERVICE, "site.internal"),
        ],
        |_, _| None,
    );
    assert_eq!(found(&differs), [CauseId::DnsDomainDiffers]);
    let own = |_: &Asker, question: &DnsQuestion| {
        Some(match question.name.as_str() {
            "kubernetes.default.svc.site.internal" => addresses(0, &[KUBERNETES]),
            "nginx.verifier-x.svc.site.internal" => addresses(0, &["10.32.0.7"]),
            _ => addresses(5, &[]),
        })
    };
    let all = vec![
        asker(0, SERVICE, "site.internal"),
        asker(1, SERVICE, "site.internal"),
    ];
    assert_eq!(judge(&with(all, own)), (Outcome::Pass, None));
}

#[test]
fn wrong_answers_name_the_pod_that_gives_them_and_stale_ones_the_service_that_is_new() {
    let wrong = facts(|_, question| {
        let it = question.server.ip() == ip(PODS[1]) && question.name.starts_with("kubernetes");
        it.then(|| addresses(0, &["10.9.9.9"]))
    });
    let findings = wrong.judged().unwrap();
    assert_eq!(found(&wrong), [CauseId::DnsAnswerWrong]);
    assert_eq!(&*findings[0].cause.args()["answer"], "10.9.9.9");
    let down = facts(|_, question| question.name.starts_with("kubernetes").then(|| addresses(2, &[])));
    assert_eq!(found(&down), [CauseId::DnsAnswerWrong; 2]);
    let stale = facts(|_, question| question.name.starts_with("nginx").then(|| addresses(3, &[])));
    assert_eq!(found(&stale), [CauseId::DnsServiceUnknown]);
}

#[test]
fn a_cluster_without_dns_is_skipped_and_what_pods_are_told_of_is_named() {
    let mut none = facts(|_, _| None);
    none.dns = None;
    none.servers.clear();
    answer(&mut none, |_, _| Some(SILENT));
    assert_eq!(judge(&none), (Outcome::Skip, Some(CauseId::DnsNoneNamed)));
    for asker in &mut none.askers {
        asker.told = ResolverReply::default();
    }
    answer(&mut none, |_, _| None);
    assert_eq!(judge(&none), (Outcome::Skip, Some(CauseId::DnsNone)));
    // A server outside of the cluster that knows it, as some sites have.
    let mut outside = facts(|_, _| None);
    outside.dns = None;
    answer(&mut outside, |_, _| None);
    assert_eq!(judge(&outside), (Outcome::Pass, None));
    answer(&mut outside, |asker, _| {
        (asker.node == "node-1").then_some(SILENT)
    });
    assert_eq!(judge(&outside), (Outcome::Fail, Some(CauseId::DnsServerSilent)));
}

#[test]
fn what_could_not_be_asked_is_no_pass() {
    let mut facts = facts(|_, _| None);
    facts.without = vec!["node-2".to_owned()];
    assert_eq!(judge(&facts), (Outcome::Skip, Some(CauseId::Needs)));
    let why: Cause = cause::HostNotConnected { host: &"node-2" }.into();
    facts.unasked = vec![("node-2".to_owned(), why)];
    assert_eq!(judge(&facts).0, Outcome::Error);
    facts.askers.clear();
    assert_eq!(judge(&facts).0, Outcome::Error);
}

#[test]
fn the_cluster_s_dns_is_the_one_that_pods_are_told_of() {
    let other = |name: &str, address: &str, said: bool| DnsServiceFacts {
        name: name.to_owned(),
        addresses: vec![ip(address)],
        said,
        ..dns()
    };
    let told = [asker(0, SERVICE, "cluster.local")];
    let name = |services: &[DnsServiceFacts], askers: &[Asker]| {
        questions::choose(services, askers).map(|service| service.name.clone())
    };
    let upstream = other("kube-dns-upstream", "10.32.0.44", true);
    let services = [upstream.clone(), dns()];
    assert_eq!(name(&services, &told).as_deref(), Some("kube-dns"));
    // A node-local cache is nobody's Service; OpenShift's says nothing of itself.
    let cached = [asker(0, "169.254.20.10", "cluster.local")];
    assert_eq!(name(&services, &cached).as_deref(), Some("kube-dns"));
    let openshift = [other("dns-default", SERVICE, false)];
    assert_eq!(name(&openshift, &told).as_deref(), Some("dns-default"));
    assert_eq!(name(&[other("powerdns", "10.32.0.9", false)], &told), None);
}

#[test]
fn many_pods_of_a_dns_are_shared_among_those_who_ask() {
    let mut facts = facts(|_, _| None);
    facts.servers = (0..20)
        .map(|at| DnsEndpoint {
            address: ip(&format!("10.200.{at}.2")),
            ..endpoint(0)
        })
        .collect();
    let plan = Plan::of(&facts);
    let asked: BTreeSet<SocketAddr> = (0..2)
        .flat_map(|at| plan.questions(&facts, at))
        .map(|question| question.server)
        .collect();
    assert_eq!(asked.len(), 20 + 1);
}
