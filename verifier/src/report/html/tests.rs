use cli::{Shown, nasty};

use super::*;
use crate::certs::Standing;
use crate::findings::Outcome;
use crate::report::certificates::testing::listed;
use crate::report::tests::{about, report, row};
use crate::report::{EvidenceEntry, HostEntry, ReportForm};

/// Returns a report of a site of so many hosts, each with so many results.
fn large(hosts: usize, checks: usize) -> Report {
    let outcomes = [
        Outcome::Pass,
        Outcome::Pass,
        Outcome::Warn,
        Outcome::Fail,
        Outcome::Skip,
        Outcome::Error,
    ];
    let mut report = report(&[Outcome::Pass]);
    let rows: Vec<_> = outcomes
        .iter()
        .map(|outcome| row("network.pod-reachable", Some("x"), *outcome))
        .collect();
    let samples = Report::new(about(), &rows).results;
    report.results.clear();
    let first = report.hosts[0].clone();
    report.hosts.clear();
    for at in 0..hosts {
        let name = Shown::new(&format!("node-{at}"));
        report.hosts.push(HostEntry {
            name: name.clone(),
            ..first.clone()
        });
        for check in 0..checks {
            let mut result = samples[(at * 7 + check * 5) % samples.len()].clone();
            result.host = Some(name.clone());
            result.id = format!("group.check-{check}");
            if let Some(finding) = result.findings.first_mut() {
                finding.cause.text = format!("sentence {check} of {at}");
            }
            result.evidence = vec![EvidenceEntry {
                title: "lines".to_owned(),
                text: "a line of evidence as long as they often are, with addresses\n".repeat(100),
            }];
            report.results.push(result);
        }
    }
    report.certificates = (0..1000)
        .map(|at| {
            listed(
                "node-0",
                &format!("/etc/{at}"),
                &format!("CN={at}"),
                "2027-01-01T00:00:00Z",
                at - 50,
            )
        })
        .collect();
    report.certificates[7].standing = Standing::Fail;
    report
}

fn drawn(report: &Report, lang: Lang) -> String {
    ReportForm::Html.of(report, bundle::Digest::of(b"x"), lang)
}

#[test]
fn a_page_of_fifty_hosts_and_three_thousand_results_is_small() {
    let report = large(50, 60);
    let page = drawn(&report, Lang::Ko);
    assert!(page.len() < 5_000_000, "{}", page.len());
}

#[test]
fn whoever_wrote_the_report_its_page_is_bounded() {
    let mut report = large(2, 2);
    let mut result = report.results[1].clone();
    result.evidence[0].text = "x".repeat(1 << 20);
    report.results = (0..4000)
        .map(|at| {
            let mut result = result.clone();
            result.id = format!("check-{at}");
            result.host = Some(Shown::new(&format!("host-{at}")));
            if at % 400 != 0 {
                result.evidence.clear();
            }
            for finding in &mut result.findings {
                finding.cause.text = format!("{at} {}", "y".repeat(3000));
            }
            result
        })
        .collect();
    let host = report.hosts[0].clone();
    report.hosts = vec![host; 20_000];
    report.untested = vec!["z".repeat(1000); 50_000];
    report.not_run = report.untested.clone();
    let page = drawn(&report, Lang::En);
    assert!(page.len() < 8_000_000, "{}", page.len());
}

/// Returns every tag of a page.
fn tags(page: &str) -> Vec<&str> {
    page.split('<')
        .skip(1)
        .filter_map(|rest| rest.split(['>', ' ']).next())
        .collect()
}

#[test]
fn names_from_outside_make_no_tag_and_no_attribute_and_no_style() {
    let plain = tags_of("SAFE");
    let mut texts = nasty::texts();
    texts.extend(
        [
            "</pre><script>alert(1)</script>",
            "\" onload=\"x",
            "'><img src=x>",
            "</style><b>",
            "\\\"}@import 'x';",
        ]
        .map(str::to_owned),
    );
    for text in texts {
        // Something of it is always left to be shown, and what is long is cut elsewhere.
        let text = format!("x{}", &text[..text.floor_char_boundary(600)]);
        assert_eq!(tags_of(&text), plain, "{text:.80?}");
    }
}

/// Returns the tags of a page in which every text is that one.
fn tags_of(text: &str) -> Vec<String> {
    let rows = [
        row("network.pod-reachable", Some(text), Outcome::Fail),
        row("runtime.process-tree", Some(text), Outcome::Pass),
        row("network.veth", Some(text), Outcome::Skip),
    ];
    let mut report = Report::new(about(), &rows);
    for result in &mut report.results {
        result.by_hand = text.replace(';', ",");
        result.evidence[0].text = text.lines().next().unwrap_or_default().replace(" -> ", "");
        result.evidence[0].title = text.to_owned();
        for finding in &mut result.findings {
            finding.cause.text = text.replace('`', "'");
            finding
                .cause
                .text
                .truncate(finding.cause.text.floor_char_boundary(100));
            finding.hint = text.replace('`', "'");
        }
    }
    report.run = text.to_owned();
    report.tool = text.to_owned();
    report.bundle = Some(text.to_owned());
    report.by.user = Shown::new(text);
    report.hosts[0].name = Shown::new(text);
    report.hosts[0].system = Some(Shown::new(text));
    report.certificates = vec![listed(text, text, text, "2027-01-01T00:00:00Z", 5)];
    let page = drawn(&report, Lang::En);
    // What a name holds is shown in code, of which there may be more; what is long is cut, and says so.
    let varied = ["code", "li", "b", "i", "p"];
    let kept = tags(&page)
        .into_iter()
        .filter(|tag| !varied.contains(&tag.trim_start_matches('/')));
    kept.map(str::to_owned).collect()
}

#[test]
fn a_page_asks_nobody_for_anything() {
    for lang in [Lang::En, Lang::Ko] {
        let page = drawn(&large(3, 8), lang);
        for word in [
            "<script",
            "<link",
            "<img",
            "<iframe",
            "url(",
            "src=",
            "@import",
            "http-equiv=refresh",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn the_first_page_has_verdict_bundle_and_hash_as_text_and_as_a_code() {
    let page = drawn(&report(&[Outcome::Fail]), Lang::En);
    let cover = page.split("<main").next().unwrap();
    let digest = bundle::Digest::of(b"x").to_string();
    for part in ["Failed", "sha256:00", &digest, "<svg class=qr"] {
        assert!(cover.contains(part), "{part}");
    }
}

#[test]
fn both_languages_have_their_own_words() {
    let report = report(&[Outcome::Fail, Outcome::Skip]);
    let (en, ko) = (drawn(&report, Lang::En), drawn(&report, Lang::Ko));
    assert!(en.contains("<html lang=en>") && ko.contains("<html lang=ko>"));
    assert!(ko.contains("잘못된 것") && !ko.contains("What is wrong"));
}
