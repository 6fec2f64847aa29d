use super::super::{AllEncrypted, Facts, Rules, Stored};
use super::*;
use crate::checks::testing::{expect, judged, site};
use crate::findings::{CauseId, Outcome};
use crate::suite::Probe as _;

const KEY1: &str = "k8s:enc:aescbc:v1:key1:";
const KEY2: &str = "k8s:enc:aescbc:v1:key2:";

fn entry(resources: &[&str], writers: &[&str]) -> EncryptionEntry {
    let owned = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    EncryptionEntry {
        resources: owned(resources),
        writers: owned(writers),
    }
}

fn rules(entries: Vec<EncryptionEntry>) -> Rules {
    Rules::Given(EncryptionRulesReply::Rules { entries })
}

/// The page's configuration.
fn page() -> Rules {
    rules(vec![entry(&["secrets"], &[KEY1, ""])])
}

fn group(path: &str, writer: &str, named: &[&str]) -> StoredGroup {
    StoredGroup {
        path: path.to_owned(),
        writer: writer.to_owned(),
        usual: false,
        newest: 0,
        count: named.len() as u64,
        named: named.iter().map(|name| format!("{path}/{name}")).collect(),
    }
}

fn facts(hosts: Vec<Rules>, groups: Vec<StoredGroup>) -> Facts {
    let names = ["server", "server-1", "server-2"];
    let hosts = names.iter().map(|name| (*name).to_owned()).zip(hosts).collect();
    Facts {
        hosts,
        stored: Stored::Read(EtcdObjectsReply {
            endpoint: "http://127.0.0.1:2379".to_owned(),
            total: 300,
            looked_at: 12,
            whole: true,
            groups,
        }),
    }
}

fn open() -> Site {
    let mut site = site();
    site.expect.encryption = None;
    site
}

/// Returns causes and subjects.
fn found(facts: &Facts, site: &Site) -> Vec<(CauseId, String)> {
    let findings = judge(facts, site).unwrap();
    let named = |finding: &Finding| {
        let subject = finding.subject.as_deref().unwrap_or_default();
        (finding.cause.id(), subject.to_owned())
    };
    findings.iter().map(named).collect()
}

#[test]
fn what_the_first_key_wrote_passes_and_other_objects_are_named() {
    let good = group("secrets", KEY1, &["a/one", "a/two"]);
    assert_eq!(found(&facts(vec![page()], vec![good.clone()]), &site()), []);
    let rotated = || rules(vec![entry(&["secrets"], &[KEY1, KEY2, ""])]);
    let groups = vec![
        good,
        group("secrets", "", &["a/plain"]),
        group("secrets", KEY2, &["a/old"]),
        group("secrets", "k8s:enc:aesgcm:v1:lost:", &["a/lost"]),
    ];
    let all = [
        (CauseId::StoredPlaintext, "secrets/a/plain".to_owned()),
        (CauseId::StoredOldKey, "secrets/a/old".to_owned()),
        (CauseId::StoredUnknownKey, "secrets/a/lost".to_owned()),
    ];
    for site in [site(), open()] {
        assert_eq!(found(&facts(vec![rotated()], groups.clone()), &site), all);
    }
}

#[test]
fn what_an_older_key_of_a_kms_encrypted_is_named_and_what_says_no_key_is_an_error() {
    let kms = "k8s:enc:kms:v2:lab:";
    let of = |path: &str, key: &str, newest: u64, named: &[&str]| StoredGroup {
        newest,
        ..group(path, &format!("{kms}{key}"), named)
    };
    let configured = || rules(vec![entry(&["secrets", "configmaps"], &[kms, KEY1, ""])]);
    let mut expects = site();
    let mut expecting = |key: Option<&str>| {
        expects.expect.encryption = Some(Encryption {
            provider: "kms".to_owned(),
            key: key.map(str::to_owned),
        });
        expects.clone()
    };
    let sites = [open(), expecting(None), expecting(Some("lab"))];
    // The newest object of all says which key is used now, whatever it is called.
    let groups = vec![
        of("configmaps", "kek-2", 50, &["a/old"]),
        of("secrets", "kek-1", 90, &["a/one", "a/two"]),
        of("secrets", "kek-2", 80, &["a/old"]),
        group("secrets", KEY1, &["a/page"]),
    ];
    let all = [
        (CauseId::StoredOldKey, "secrets/a/old".to_owned()),
        (CauseId::StoredOldKey, "secrets/a/page".to_owned()),
        (CauseId::StoredOldKey, "configmaps/a/old".to_owned()),
    ];
    for site in &sites {
        let facts = facts(vec![configured()], groups.clone());
        assert_eq!(found(&facts, site), all);
        let first = &judge(&facts, site).unwrap()[0];
        assert_eq!(first.cause.args()["found"], *"kms:lab:kek-2");
        assert_eq!(first.cause.args()["expected"], *"kms:lab:kek-1");
    }
    let one = vec![of("secrets", "kek-1", 90, &["a/one"])];
    let odd = [one.clone(), vec![of("secrets", "", 95, &["a/odd"])]].concat();
    for site in &sites {
        assert_eq!(found(&facts(vec![configured()], one.clone()), site), []);
        assert_eq!(
            judged::<AllEncrypted>(&facts(vec![configured()], odd.clone()), &expect(site, "server")),
            (Outcome::Error, Some(CauseId::StoredKeyUnsaid))
        );
    }
    // Version 1 of a KMS of that name is another one.
    let first_version = vec![group("secrets", "k8s:enc:kms:v1:lab:", &["a/old"])];
    for site in &sites {
        assert_eq!(
            found(&facts(vec![configured()], first_version.clone()), site),
            [(CauseId::StoredUnknownKey, "secrets/a/old".to_owned())]
        );
    }
    // Only where that KMS writes: where the page's key does, all that it encrypted is old.
    let page_first = rules(vec![entry(&["secrets"], &[KEY1, kms, ""])]);
    assert_eq!(
        found(&facts(vec![page_first], one), &open()),
        [(CauseId::StoredOldKey, "secrets/a/one".to_owned())]
    );
}

#[test]
fn objects_beyond_those_that_are_named_are_counted() {
    let mut many = group("secrets", "", &["a/plain"]);
    many.count = 700;
    let found = judge(&facts(vec![page()], vec![many]), &site()).unwrap();
    assert_eq!(found[0].cause.id(), CauseId::StoredMore);
    assert_eq!(found[0].cause.args()["count"], *"700");
    assert_eq!(found.len(), 2);
}

#[test]
fn the_site_file_says_which_key_is_the_right_one_for_secrets() {
    let old_first = || rules(vec![entry(&["secrets"], &["k8s:enc:aescbc:v1:key0:", KEY1, ""])]);
    let groups = vec![
        group("secrets", KEY1, &["a/right"]),
        group("secrets", "k8s:enc:aescbc:v1:key0:", &["a/new"]),
    ];
    assert_eq!(
        found(&facts(vec![old_first()], groups.clone()), &site()),
        [(CauseId::StoredOldKey, "secrets/a/new".to_owned())]
    );
    // Without it the API server's own order does.
    assert_eq!(
        found(&facts(vec![old_first()], groups), &open()),
        [(CauseId::StoredOldKey, "secrets/a/right".to_owned())]
    );
    let mut only_provider = site();
    only_provider.expect.encryption = Some(Encryption {
        provider: "aescbc".to_owned(),
        key: None,
    });
    let rotated = || rules(vec![entry(&["secrets"], &[KEY2, KEY1, ""])]);
    let groups = vec![
        group("secrets", KEY1, &["a/old"]),
        group("secrets", KEY2, &["a/new"]),
    ];
    assert_eq!(
        found(&facts(vec![rotated()], groups), &only_provider),
        [(CauseId::StoredOldKey, "secrets/a/old".to_owned())]
    );
}

#[test]
fn custom_resources_and_wildcards_are_judged_and_what_is_left_out_on_purpose_is_not() {
    let rules = || {
        rules(vec![
            entry(&["events", "leases.coordination.k8s.io"], &[""]),
            entry(
                &["secrets", "widgets.example.com"],
                &["k8s:enc:secretbox:v1:box:", ""],
            ),
            entry(&["*.*"], &["k8s:enc:kms:v2:vault:"]),
        ])
    };
    let kms = "k8s:enc:kms:v2:vault:kek-1";
    let good = vec![
        group("events", "", &["a/x"]),
        group("leases", "", &["kube-node-lease/node-0"]),
        group("secrets", "k8s:enc:secretbox:v1:box:", &["a/x"]),
        group("example.com/widgets", "k8s:enc:secretbox:v1:box:", &["a/x"]),
        group("masterleases", "", &[""]),
        group("ranges/serviceips", "", &[""]),
        group("apiregistration.k8s.io/apiservices", kms, &["v1."]),
        group("nobody-knows", kms, &["x"]),
    ];
    assert_eq!(found(&facts(vec![rules()], good.clone()), &open()), []);
    let mut bad = good;
    bad.push(group("example.com/widgets", "", &["a/plain"]));
    bad.push(group("deployments", "", &["a/plain"]));
    assert_eq!(
        found(&facts(vec![rules()], bad), &open()),
        [
            (CauseId::StoredPlaintext, "deployments/a/plain".to_owned()),
            (CauseId::StoredPlaintext, "example.com/widgets/a/plain".to_owned()),
        ]
    );
}

#[test]
fn what_nobody_knows_the_group_of_is_an_error_where_groups_decide() {
    let apps = || rules(vec![entry(&["*.apps"], &[KEY1, ""])]);
    let groups = vec![group("nobody-knows", "", &["x"]), group("pods", "", &["a/x"])];
    let facts = facts(vec![apps()], groups);
    let findings = judge(&facts, &open()).unwrap();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].could_not_look());
    assert_eq!(findings[0].cause.id(), CauseId::StoredUnknownResource);
}

#[test]
fn identity_first_fails_for_secrets_and_their_objects_are_not_all_listed() {
    let identity = || rules(vec![entry(&["secrets"], &["", KEY1])]);
    let groups = || {
        vec![
            group("secrets", "", &["a/new"]),
            group("secrets", KEY1, &["a/old"]),
        ]
    };
    assert_eq!(
        found(&facts(vec![identity()], groups()), &open()),
        [
            (CauseId::EncryptionIdentityFirst, "secrets".to_owned()),
            (CauseId::StoredOldKey, "secrets/a/old".to_owned())
        ]
    );
    // The site file says that they are to be encrypted.
    assert_eq!(
        found(&facts(vec![identity()], groups()), &site()),
        [
            (CauseId::EncryptionIdentityFirst, "secrets".to_owned()),
            (CauseId::StoredPlaintext, "secrets/a/new".to_owned())
        ]
    );
    let maps = || rules(vec![entry(&["configmaps"], &["", KEY1])]);
    let facts = facts(vec![maps()], vec![group("configmaps", "", &["a/x"])]);
    let outcome = judged::<AllEncrypted>(&facts, &expect(&open(), "server"));
    assert_eq!(outcome, (Outcome::Warn, Some(CauseId::EncryptionIdentityFirst)));
}

#[test]
fn servers_that_write_differently_are_told() {
    let other = || rules(vec![entry(&["secrets"], &[KEY2, KEY1])]);
    let groups = vec![group("secrets", KEY1, &["a/x"]), group("secrets", KEY2, &["a/y"])];
    assert_eq!(
        found(&facts(vec![page(), other()], groups), &open()),
        [(CauseId::EncryptionDiffers, "secrets".to_owned())]
    );
    let absent = Rules::Given(EncryptionRulesReply::Absent);
    let groups = vec![group("secrets", KEY1, &["a/x"]), group("secrets", "", &["a/y"])];
    let causes: Vec<CauseId> = found(&facts(vec![page(), absent], groups), &open())
        .into_iter()
        .map(|(cause, _)| cause)
        .collect();
    assert_eq!(
        causes,
        [
            CauseId::EncryptionDiffers,
            CauseId::EncryptionIdentityFirst,
            CauseId::StoredPlaintext
        ]
    );
}

#[test]
fn what_could_not_be_looked_at_is_never_a_pass() {
    let outcome = |facts: Facts| judged::<AllEncrypted>(&facts, &expect(&open(), "server"));
    let unread = || {
        Rules::Given(EncryptionRulesReply::Unread {
            reason: "permission denied".into(),
        })
    };
    let none = |hosts| Facts {
        stored: Stored::Unasked,
        ..facts(hosts, Vec::new())
    };
    let absent = || Rules::Given(EncryptionRulesReply::Absent);
    let only_identity = || rules(vec![entry(&["secrets"], &[""])]);
    assert_eq!(
        outcome(none(vec![unread()])),
        (Outcome::Error, Some(CauseId::EncryptionUnread))
    );
    assert_eq!(
        outcome(none(vec![absent(), unread()])),
        (Outcome::Error, Some(CauseId::EncryptionUnread))
    );
    let not_configured = (Outcome::Skip, Some(CauseId::EncryptionNotConfigured));
    assert_eq!(outcome(none(vec![absent()])), not_configured);
    assert_eq!(outcome(none(vec![only_identity()])), not_configured);
    assert_eq!(outcome(none(Vec::new())), not_configured);
    assert_eq!(
        outcome(none(vec![Rules::Stopped])),
        (Outcome::Skip, Some(CauseId::ApiserverStopped))
    );
    let good = || vec![group("secrets", KEY1, &["a/x"])];
    assert_eq!(
        outcome(facts(vec![page(), unread()], good())),
        (Outcome::Error, Some(CauseId::EncryptionUnread))
    );
    assert_eq!(
        outcome(facts(vec![page(), Rules::Stopped], good())).0,
        Outcome::Pass
    );
    let with = |change: fn(&mut EtcdObjectsReply)| {
        let mut facts = facts(vec![page()], good());
        if let Stored::Read(reply) = &mut facts.stored {
            change(reply);
        }
        outcome(facts)
    };
    assert_eq!(
        with(|reply| reply.whole = false),
        (Outcome::Error, Some(CauseId::ObjectsUnread))
    );
    assert_eq!(
        with(|reply| reply.total = 0),
        (Outcome::Error, Some(CauseId::EtcdHoldsNothing))
    );
    let silent = Facts {
        stored: Stored::Unreadable {
            host: "server".to_owned(),
            message: "refused".to_owned(),
        },
        ..facts(vec![page()], Vec::new())
    };
    assert_eq!(outcome(silent), (Outcome::Error, Some(CauseId::EtcdUnreachable)));
}

#[test]
fn the_evidence_says_what_is_stored_and_how() {
    let facts = facts(vec![page()], vec![group("secrets", KEY1, &["a/x", "a/y"])]);
    let lines = lines(&facts);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("secrets ") && lines[0].contains("aescbc:key1"));
    assert_eq!(
        AllEncrypted::evidence(&facts, &expect(&open(), "server")).len(),
        1
    );
}
