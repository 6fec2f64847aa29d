use cli::Shown;

use super::*;
use crate::certs::Standing;
use crate::findings::{Evidence, Finding, Lang, Verdict, cause, phrase};
use crate::report::Report;
use crate::report::certificates::testing::listed;
use crate::report::tests::{about, row};

fn stored(report: &Report) -> Stored {
    Stored::of(cli::to_json(report).unwrap().as_bytes()).unwrap()
}

fn report(rows: &[(&'static str, Outcome)]) -> Report {
    let rows: Vec<_> = rows
        .iter()
        .map(|(id, outcome)| row(id, Some("node-0"), *outcome))
        .collect();
    Report::new(about(), &rows)
}

#[test]
fn a_run_that_is_repeated_changed_nothing() {
    let one = report(&[("network.veth", Outcome::Pass), ("network.udp", Outcome::Fail)]);
    let mut other = one.clone();
    other.run = "another".to_owned();
    other.seconds = 3.0;
    other.results[0].seconds = 9.0;
    let diff = ReportDiff::of(&stored(&one), &stored(&other));
    assert!(diff.is_empty(), "{diff:?}");
    assert_eq!(diff.same_cluster, Some(true));
}

#[test]
fn each_result_that_changed_is_named_with_how() {
    use Outcome::{Error, Fail, Pass, Skip, Warn};
    let cases = [
        (Some(Pass), Some(Pass), None),
        (Some(Pass), Some(Warn), Some(Change::Worse)),
        (Some(Warn), Some(Fail), Some(Change::Worse)),
        (Some(Skip), Some(Fail), Some(Change::Worse)),
        (Some(Skip), Some(Error), Some(Change::Worse)),
        (Some(Fail), Some(Pass), Some(Change::Better)),
        (Some(Error), Some(Warn), Some(Change::Better)),
        (Some(Pass), Some(Skip), Some(Change::Lost)),
        (Some(Fail), Some(Error), Some(Change::Lost)),
        (None, Some(Pass), Some(Change::New)),
        (Some(Fail), None, Some(Change::Gone)),
    ];
    for (before, after, expected) in cases {
        assert_eq!(change(before, after), expected, "{before:?} {after:?}");
    }
    let one = report(&[
        ("network.veth", Pass),
        ("network.udp", Fail),
        ("network.mtu", Fail),
    ]);
    let other = report(&[
        ("network.veth", Fail),
        ("network.udp", Pass),
        ("network.routes", Pass),
    ]);
    let diff = ReportDiff::of(&stored(&one), &stored(&other));
    let brief: Vec<(Change, &str)> = diff
        .results
        .iter()
        .map(|result| (result.change, result.id.as_str()))
        .collect();
    assert_eq!(
        brief,
        [
            (Change::Worse, "network.veth"),
            (Change::New, "network.routes"),
            (Change::Gone, "network.mtu"),
            (Change::Better, "network.udp"),
        ]
    );
    // Two findings each: those of veth came, those of the others went.
    let count = |change| {
        diff.findings
            .iter()
            .filter(|finding| finding.change == change)
            .count()
    };
    assert_eq!((count(Change::New), count(Change::Gone)), (2, 4));
}

#[test]
fn hosts_versions_certificates_and_images_are_compared() {
    let mut rows = [row("images.present", Some("node-0"), Outcome::Pass)];
    let held = |lines: &[&str]| {
        let evidence = Evidence::lines(phrase::SandboxImage, lines.iter().copied());
        Verdict::of(Ok(Vec::new()), evidence.into_iter().collect())
    };
    rows[0].verdict = held(&["a:1 -> sha256:11, pinned", "b:1 -> sha256:22"]);
    let mut one = Report::new(about(), &rows);
    rows[0].verdict = held(&["a:1 -> sha256:33, pinned", "b:1: not there"]);
    let mut other = Report::new(about(), &rows);
    other.hosts[0].kubelet = Some(Shown::new("v1.38.0"));
    one.certificates = vec![
        listed("node-0", "/a.crt", "CN=a", "2027-01-01T00:00:00Z", 40),
        listed("node-0", "/b.crt", "CN=b", "2027-01-01T00:00:00Z", 40),
        listed("node-0", "/c.crt", "CN=c", "2027-01-01T00:00:00Z", 40),
    ];
    other.certificates = vec![
        listed("node-0", "/a.crt", "CN=a", "2028-01-01T00:00:00Z", 400),
        listed("node-0", "/b.crt", "CN=b", "2027-01-01T00:00:00Z", 20),
        listed("node-0", "/d.crt", "CN=d", "2027-01-01T00:00:00Z", 40),
    ];
    other.certificates[0].sha256 = "cd".repeat(32);
    other.certificates[1].standing = Standing::Fail;
    let diff = ReportDiff::of(&stored(&one), &stored(&other));
    let hosts: Vec<&str> = diff.hosts.iter().map(|changed| changed.field.as_str()).collect();
    assert_eq!(hosts, ["kubelet"]);
    let certificates: Vec<(Change, &str)> = diff
        .certificates
        .iter()
        .map(|changed| (changed.change, changed.place.as_str()))
        .collect();
    assert_eq!(
        certificates,
        [
            (Change::Worse, "/b.crt"),
            (Change::New, "/d.crt"),
            (Change::Renewed, "/a.crt"),
            (Change::Gone, "/c.crt"),
        ]
    );
    let images: Vec<(Change, &str)> = diff
        .images
        .iter()
        .map(|changed| (changed.change, changed.field.as_str()))
        .collect();
    assert_eq!(images, [(Change::Changed, "a:1"), (Change::Gone, "b:1")]);
    for lang in [Lang::En, Lang::Ko] {
        let text = diff.text(lang);
        for part in ["v1.38.0", "/b.crt", "sha256:33"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn what_the_run_itself_made_has_another_name_each_time_and_is_the_same_all_the_same() {
    let of = |pod: &str, address: &str, node: &str| {
        let mut row = row("network.pod-reachable", Some("node-0"), Outcome::Fail);
        let silent = cause::PodSilent {
            pod: &pod,
            address: &address,
            node: &node,
            host: &"node-0",
        };
        row.verdict = Verdict::of(Ok(vec![Finding::fail(silent).of(pod)]), Vec::new());
        stored(&Report::new(about(), &[row]))
    };
    let one = of("nginx-5c9ccddc84-skx5f", "10.200.1.4", "node-1");
    let other = of("nginx-7f8d9c6b5d-2qk22", "10.200.1.9", "node-1");
    assert!(ReportDiff::of(&one, &other).is_empty());
    let elsewhere = of("nginx-7f8d9c6b5d-2qk22", "10.200.2.9", "node-2");
    assert_eq!(ReportDiff::of(&one, &elsewhere).findings.len(), 2);
}

#[test]
fn another_cluster_is_told() {
    let one = report(&[]);
    let mut other = one.clone();
    other.cluster.as_mut().unwrap().uid = Some(Shown::new("other"));
    let diff = ReportDiff::of(&stored(&one), &stored(&other));
    assert_eq!(diff.same_cluster, Some(false));
    assert_eq!(diff.hosts[0].field, "uid");
}
