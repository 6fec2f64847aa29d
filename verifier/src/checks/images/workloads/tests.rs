//! Which images are missed, and where it cannot be told.

use serde_json::{Value, json};

use super::*;
use crate::checks::testing::{expect, site};
use crate::findings::Outcome;

fn node(name: &str, labels: &[(&str, &str)], taint: Option<&str>) -> Place {
    let taint = taint.map(|key| TaintFacts {
        key: key.to_owned(),
        value: String::new(),
        effect: "NoSchedule".to_owned(),
    });
    Place {
        name: name.to_owned(),
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        taints: taint.into_iter().collect(),
    }
}

fn object(kind: &str, place: Value) -> NamingFacts {
    NamingFacts {
        namespace: "default".to_owned(),
        kind: kind.to_owned(),
        name: "a".to_owned(),
        images: vec!["nginx:1".to_owned()],
        asleep: false,
        place: serde_json::from_value(place).unwrap(),
    }
}

fn facts(object: NamingFacts, holders: &[&str]) -> Facts {
    let holders = holders.iter().map(|name| (*name).to_owned()).collect();
    Facts {
        nodes: vec![
            node("server", &[], Some("node-role.kubernetes.io/control-plane")),
            node(
                "node-0",
                &[("disk", "ssd")],
                Some("node.kubernetes.io/unschedulable"),
            ),
            node("node-1", &[("cores", "16")], None),
        ],
        objects: vec![object],
        holders: BTreeMap::from([("nginx:1".to_owned(), holders)]),
        ..Facts::default()
    }
}

fn judged(facts: &Facts) -> Vec<(&'static str, Outcome)> {
    let site = site();
    let found = Workloads::judge(facts, &expect(&site, "nobody")).unwrap();
    found
        .iter()
        .map(|finding| (finding.cause.id().name(), finding.severity.outcome()))
        .collect()
}

fn on(place: Value, holders: &[&str]) -> Vec<&'static str> {
    let found = judged(&facts(object("Deployment", place), holders));
    found.into_iter().map(|(cause, _)| cause).collect()
}

#[test]
fn an_image_on_any_node_that_may_run_it_is_enough() {
    assert!(on(json!({}), &["node-1"]).is_empty());
    assert_eq!(on(json!({}), &[]), ["image-nowhere"]);
    // A control plane takes it only where it is tolerated.
    assert_eq!(on(json!({}), &["server"]), ["image-nowhere"]);
    let tolerant =
        json!({"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]});
    assert!(on(tolerant, &["server"]).is_empty());
    assert!(on(json!({"tolerations": [{"operator": "Exists"}]}), &["server"]).is_empty());
    // Cordoned today, it takes pods tomorrow.
    assert!(on(json!({}), &["node-0"]).is_empty());
}

#[test]
fn what_binds_a_pod_to_some_nodes_counts() {
    let ssd = json!({"nodeSelector": {"disk": "ssd"}});
    assert_eq!(on(ssd.clone(), &["node-1"]), ["image-nowhere"]);
    assert!(on(ssd, &["node-0"]).is_empty());
    let term = |key: &str, operator: &str, values: Value| json!({"terms": [{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]});
    assert!(on(term("disk", "In", json!(["ssd", "nvme"])), &["node-0"]).is_empty());
    assert_eq!(
        on(term("disk", "DoesNotExist", json!([])), &["node-0"]),
        ["image-nowhere"]
    );
    assert!(on(term("cores", "Gt", json!(["8"])), &["node-1"]).is_empty());
    assert!(
        on(term("cores", "Gt", json!(["32"])), &[]).is_empty(),
        "no node may run it"
    );
    let named = json!({"terms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}]});
    assert_eq!(on(named, &["node-0"]), ["image-nowhere"]);
    assert_eq!(on(json!({"nodeName": "node-0"}), &["node-1"]), ["image-nowhere"]);
}

#[test]
fn a_daemon_set_needs_it_on_every_node() {
    let daemons = |holders: &[&str]| judged(&facts(object("DaemonSet", json!({})), holders));
    assert_eq!(daemons(&["node-0", "node-1"]), []);
    assert_eq!(daemons(&["node-0"]), [("image-not-on-nodes", Outcome::Fail)]);
    assert_eq!(daemons(&[]), [("image-nowhere", Outcome::Fail)]);
}

#[test]
fn where_a_node_was_not_looked_at_nobody_knows() {
    let mut facts = facts(object("Deployment", json!({})), &[]);
    facts
        .unseen
        .insert("node-1".to_owned(), "host-unreachable".to_owned());
    assert_eq!(judged(&facts), [("image-nowhere-seen", Outcome::Error)]);
    facts
        .holders
        .get_mut("nginx:1")
        .unwrap()
        .insert("node-0".to_owned());
    assert_eq!(judged(&facts), []);
    facts.objects[0].kind = "DaemonSet".to_owned();
    assert_eq!(judged(&facts), [("image-nowhere-seen", Outcome::Error)]);
    facts
        .unread
        .insert("CronJob".to_owned(), "list cronjobs: refused".to_owned());
    assert!(judged(&facts).contains(&("workloads-unread", Outcome::Error)));
}

#[test]
fn what_starts_nothing_now_is_shown_and_no_failure() {
    let mut facts = facts(object("StatefulSet", json!({})), &[]);
    facts.objects[0].asleep = true;
    assert_eq!(judged(&facts), []);
    let site = site();
    let shown = Workloads::evidence(&facts, &expect(&site, "nobody"));
    assert_eq!(shown[0].lines, ["nginx:1 StatefulSet default/a".into()]);
}
