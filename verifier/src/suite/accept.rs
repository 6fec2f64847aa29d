//! Which of what a judge found the site has accepted. Pure; whether the day of an acceptance has passed is known before.

use crate::findings::{Accepted, Finding};
use crate::site::Acceptance;

/// Marks what is accepted among the findings of one result. What could not be looked at is not known, and so nothing to be
/// accepted. One that names no cause accepts only where all that it could mean is one and the same cause.
pub(super) fn accept(findings: &mut [Finding], check: &str, host: Option<&str>, acceptances: &[Acceptance]) {
    for acceptance in acceptances.iter().filter(|acceptance| acceptance.live) {
        let is_here = acceptance.host.as_deref() == host && acceptance.check().is_none_or(|own| own == check);
        if !is_here {
            continue;
        }
        let is_meant = |finding: &Finding| {
            let subject = finding.subject.as_deref() == acceptance.subject.as_deref();
            let cause = acceptance
                .cause()
                .is_none_or(|own| own == finding.cause.id().name());
            subject && cause && !finding.could_not_look()
        };
        let mut causes: Vec<_> = findings
            .iter()
            .filter(|finding| is_meant(finding))
            .map(|finding| finding.cause.id())
            .collect();
        causes.dedup();
        if causes.len() != 1 {
            continue;
        }
        for finding in findings.iter_mut().filter(|finding| is_meant(finding)) {
            finding.accepted = Some(Accepted {
                reason: acceptance.reason.clone(),
                by: acceptance.by.clone(),
                until: acceptance.until,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Outcome, Unjudged, Verdict, cause};

    fn acceptance(id: &str, host: Option<&str>, subject: Option<&str>) -> Acceptance {
        Acceptance {
            id: id.to_owned(),
            host: host.map(str::to_owned),
            subject: subject.map(str::to_owned),
            reason: "known".to_owned(),
            by: "kim".to_owned(),
            until: "2027-03-31".parse().unwrap(),
            live: true,
            line: 1,
        }
    }

    fn outcome(findings: &[Finding], acceptance: &Acceptance) -> Outcome {
        let mut findings = findings.to_vec();
        accept(
            &mut findings,
            "nodes.ready",
            Some("a"),
            std::slice::from_ref(acceptance),
        );
        Verdict::of(Ok(findings), Vec::new()).outcome()
    }

    fn missing(subject: &str) -> Finding {
        Finding::fail(cause::NodeMissing { node: &"a" }).of(subject)
    }

    fn cordoned(subject: &str) -> Finding {
        Finding::warn(cause::NodeCordoned { node: &"a" }).of(subject)
    }

    #[test]
    fn what_is_accepted_is_never_a_pass_and_hides_nothing_else() {
        let own = acceptance("nodes.ready/node-missing", Some("a"), Some("x"));
        assert_eq!(outcome(&[missing("x")], &own), Outcome::Accepted);
        // Another subject, another cause of the same subject.
        assert_eq!(outcome(&[missing("x"), missing("y")], &own), Outcome::Fail);
        assert_eq!(outcome(&[missing("x"), cordoned("x")], &own), Outcome::Warn);
        assert_eq!(outcome(&[cordoned("x")], &own), Outcome::Warn);
        for other in [
            acceptance("nodes.ready/node-missing", Some("b"), Some("x")),
            acceptance("nodes.ready/node-missing", None, Some("x")),
            acceptance("nodes.ready/node-missing", Some("a"), None),
            acceptance("nodes.ready/node-missing", Some("a"), Some("*")),
            acceptance("certs.files/node-missing", Some("a"), Some("x")),
        ] {
            assert_eq!(outcome(&[missing("x")], &other), Outcome::Fail, "{other:?}");
        }
        let over = Acceptance { live: false, ..own };
        assert_eq!(outcome(&[missing("x")], &over), Outcome::Fail);
        assert_eq!(outcome(&[], &over), Outcome::Pass);
    }

    #[test]
    fn without_a_cause_only_what_is_one_cause_is_accepted() {
        let whole = acceptance("nodes.ready", Some("a"), Some("x"));
        assert_eq!(outcome(&[missing("x")], &whole), Outcome::Accepted);
        assert_eq!(outcome(&[missing("x"), cordoned("x")], &whole), Outcome::Fail);
        assert_eq!(
            outcome(&[missing("x")], &acceptance("node-missing", Some("a"), Some("x"))),
            Outcome::Accepted
        );
    }

    #[test]
    fn what_could_not_be_looked_at_is_not_accepted() {
        let late = Finding::error(cause::CheckTimeout { seconds: &2 }).of("x");
        let own = acceptance("check-timeout", Some("a"), Some("x"));
        assert_eq!(outcome(&[late], &own), Outcome::Error);
        assert_eq!(
            Verdict::from(Unjudged::skip(cause::OneNode)).outcome(),
            Outcome::Skip
        );
    }

    #[test]
    fn beyond_what_a_report_lists_no_failure_is_lost_behind_accepted_ones() {
        let mut findings: Vec<Finding> = (0..10_000).map(|_| missing("x")).collect();
        findings.push(missing("y"));
        assert_eq!(
            outcome(&findings, &acceptance("node-missing", Some("a"), Some("x"))),
            Outcome::Fail
        );
    }
}
