use secrets::MaskedArguments;

use super::*;
use crate::checks::testing::{expect, judged, site};
use crate::findings::{CauseId, Outcome};

fn means(addresses: &[&str]) -> NameFound {
    let parsed = addresses.iter().map(|address| address.parse().unwrap());
    match addresses {
        [] => NameFound::Unknown,
        _ => NameFound::Addresses {
            addresses: parsed.collect(),
            of_file: true,
        },
    }
}

/// What the page's /etc/hosts says.
fn page() -> Facts {
    let names = [
        ("server", "192.168.10.100"),
        ("node-0", "192.168.10.101"),
        ("node-1", "192.168.10.102"),
    ];
    let mut names: BTreeMap<String, NameFound> = names
        .iter()
        .map(|(name, address)| ((*name).to_owned(), means(&[address])))
        .collect();
    names.insert(Names::NOBODY.to_owned(), NameFound::Silent);
    Facts {
        reply: NamesReply {
            names,
            ..NamesReply::default()
        },
        own: BTreeMap::new(),
        prefers: None,
    }
}

fn with(name: &str, addresses: &[&str]) -> Facts {
    let mut facts = page();
    facts.reply.names.insert(name.to_owned(), means(addresses));
    facts
}

fn judge(host: &str, facts: &Facts) -> (Outcome, Option<CauseId>) {
    judged::<HostsNames>(facts, &expect(&site(), host))
}

const PASS: (Outcome, Option<CauseId>) = (Outcome::Pass, None);

#[test]
fn the_page_s_names_pass() {
    for host in ["server", "node-0", "node-1"] {
        assert_eq!(judge(host, &page()), PASS);
    }
}

#[test]
fn a_name_that_means_another_host_fails_unless_that_address_is_the_host_s_too() {
    let wrong = with("node-1", &["192.168.10.110"]);
    assert_eq!(
        judge("server", &wrong),
        (Outcome::Fail, Some(CauseId::NameElsewhere))
    );
    let mut second = with("node-1", &["10.0.2.16"]);
    second
        .own
        .insert("node-1".to_owned(), vec!["10.0.2.16".parse().unwrap()]);
    assert_eq!(judge("server", &second), PASS);
    let mut loopback = with("node-1", &["127.0.1.1"]);
    loopback
        .own
        .insert("node-1".to_owned(), vec!["127.0.1.1".parse().unwrap()]);
    assert_eq!(
        judge("server", &loopback),
        (Outcome::Fail, Some(CauseId::NameElsewhere))
    );
    let both = with("node-1", &["192.168.10.102", "192.168.10.110"]);
    assert_eq!(
        judge("server", &both),
        (Outcome::Warn, Some(CauseId::NameElsewhereToo))
    );
}

#[test]
fn a_node_s_name_is_needed_where_the_api_server_goes_by_it() {
    let mut facts = with("node-1", &[]);
    assert_eq!(
        judge("node-0", &facts),
        (Outcome::Warn, Some(CauseId::NameUnknown))
    );
    facts.prefers = Some("Hostname".to_owned());
    assert_eq!(
        judge("server", &facts),
        (Outcome::Fail, Some(CauseId::NodeNameUnknown))
    );
    facts.prefers = Some("InternalIP".to_owned());
    assert_eq!(
        judge("server", &facts),
        (Outcome::Warn, Some(CauseId::NameUnknown))
    );
    facts.reply.unasked = vec!["sss".to_owned()];
    assert_eq!(
        judge("server", &facts),
        (Outcome::Error, Some(CauseId::NameUnasked))
    );
}

#[test]
fn whoever_goes_by_addresses_alone_needs_no_names() {
    // kubeadm's API server prefers InternalIP.
    let mut facts = page();
    facts.prefers = Some("InternalIP".to_owned());
    for name in ["server", "node-0", "node-1"] {
        facts.reply.names.insert(name.to_owned(), NameFound::Silent);
    }
    let unused = (Outcome::Skip, Some(CauseId::NamesNotUsed));
    assert_eq!(judge("server", &facts), unused);
    assert_eq!(judge("node-0", &facts), unused);
    // A domain that answers whatever it is asked knows nobody.
    for name in ["server", "node-0", "node-1", Names::NOBODY] {
        facts.reply.names.insert(name.to_owned(), means(&["203.0.113.7"]));
    }
    assert_eq!(judge("server", &facts), unused);
}

#[test]
fn the_kubelet_s_api_server_must_be_found() {
    let mut facts = with("api.lab", &["192.168.10.99"]);
    facts.reply.api_server = Some("api.lab".to_owned());
    assert_eq!(judge("node-1", &facts), PASS);
    facts.reply.names.insert("api.lab".to_owned(), NameFound::Silent);
    assert_eq!(
        judge("node-1", &facts),
        (Outcome::Fail, Some(CauseId::ApiNameUnknown))
    );
    facts.reply.unasked = vec!["sss".to_owned()];
    assert_eq!(
        judge("node-1", &facts),
        (Outcome::Error, Some(CauseId::NameUnasked))
    );
}

#[test]
fn a_host_with_two_names_needs_one_unless_it_is_the_node_s() {
    let mut site = site();
    site.hosts[2].node_name = Some("worker-1.lab".to_owned());
    let mut facts = page();
    facts
        .reply
        .names
        .insert("worker-1.lab".to_owned(), NameFound::Unknown);
    let judge = |facts: &Facts, host| judged::<HostsNames>(facts, &expect(&site, host));
    assert_eq!(judge(&facts, "node-0"), PASS);
    facts.prefers = Some(BY_DEFAULT.to_owned());
    assert_eq!(
        judge(&facts, "server"),
        (Outcome::Fail, Some(CauseId::NodeNameUnknown))
    );
}

#[test]
fn what_an_api_server_prefers_is_read_from_its_command_line() {
    let of = |arguments: &[&str]| {
        prefers(&Process {
            pid: 1,
            parent: 1,
            name: "kube-apiserver".to_owned(),
            arguments: MaskedArguments::new(arguments),
            state: 'S',
            age_seconds: 1,
            cgroup: String::new(),
        })
    };
    assert_eq!(of(&["kube-apiserver"]), "Hostname");
    assert_eq!(
        of(&[
            "kube-apiserver",
            "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname"
        ]),
        "InternalIP"
    );
    // Kubespray's.
    let types = "InternalDNS,InternalIP,Hostname,ExternalDNS,ExternalIP";
    assert_eq!(of(&["kube-apiserver", TYPES, types]), "InternalIP");
    assert_eq!(of(&["kube-apiserver", TYPES, "Hostname"]), "Hostname");
}
