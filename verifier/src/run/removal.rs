//! Why the run's namespace is still there. Pure.

use crate::cluster::ConditionFacts;
use crate::findings::{Finding, cause};

/// Conditions of a namespace that no namespace of a healthy cluster ever has (k8s.io/api/core/v1,
/// `NamespaceConditionType`).
const FAILURES: [&str; 2] = [
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
];

/// Returns what holds a namespace that was not gone in time. That the API server cannot say what an API group holds stops
/// the removal of every namespace: that is the cluster's fault. Where nothing is known of it, nobody could look.
pub(super) fn late(namespace: &str, held_by: &[ConditionFacts]) -> Finding {
    let namespace = &namespace;
    let find = |name: &str| held_by.iter().find(|condition| condition.r#type == name);
    if let Some(undiscovered) = find("NamespaceDeletionDiscoveryFailure") {
        let message = &undiscovered.message;
        let groups = &groups(message).join(", ");
        return Finding::fail(cause::NamespaceUndiscovered {
            namespace,
            groups,
            message,
        });
    }
    let failure = FAILURES.into_iter().find_map(find);
    let Some(condition) = failure.or_else(|| held_by.first()) else {
        return Finding::error(cause::NamespaceStays { namespace });
    };
    let stuck = cause::NamespaceStuck {
        namespace,
        condition: &condition.r#type,
        reason: &condition.reason,
        message: &condition.message,
    };
    if failure.is_some() {
        Finding::fail(stuck)
    } else {
        Finding::error(stuck)
    }
}

/// Returns the API groups with versions that a sentence names, for example `metrics.k8s.io/v1beta1`; a dash where it
/// names none.
fn groups(message: &str) -> Vec<&str> {
    let words = message
        .split_whitespace()
        .map(|word| word.trim_matches([',', ':', ';']));
    let is_version = |text: &str| {
        text.strip_prefix('v')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut groups: Vec<&str> = words
        .filter(|word| {
            word.split_once('/').is_some_and(|(group, version)| {
                group.contains('.') && is_version(version) && !version.contains('/')
            })
        })
        .collect();
    groups.sort_unstable();
    groups.dedup();
    if groups.is_empty() {
        groups.push("-");
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{CauseId, Severity};

    fn condition(name: &str, message: &str) -> ConditionFacts {
        ConditionFacts {
            r#type: name.to_owned(),
            status: "True".to_owned(),
            reason: "DiscoveryFailed".to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn an_api_group_that_is_not_served_is_named_and_fails() {
        let words = "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: \
            metrics.k8s.io/v1beta1: stale GroupVersion discovery: metrics.k8s.io/v1beta1";
        let remaining = condition(
            "NamespaceContentRemaining",
            "Some resources are remaining: pods. has 1 resource instances",
        );
        let found = late(
            "verifier-x",
            &[remaining, condition("NamespaceDeletionDiscoveryFailure", words)],
        );
        assert_eq!(
            (found.severity, found.cause.id()),
            (Severity::Fail, CauseId::NamespaceUndiscovered)
        );
        assert_eq!(found.cause.args()["groups"], "metrics.k8s.io/v1beta1");
    }

    #[test]
    fn what_remains_is_told_and_where_nothing_is_said_the_namespace_just_stays() {
        let remaining = condition("NamespaceFinalizersRemaining", "a.b/c in 1 resource instances");
        let found = late("verifier-x", &[remaining]);
        assert_eq!(
            (found.severity, found.cause.id()),
            (Severity::Error, CauseId::NamespaceStuck)
        );
        assert_eq!(late("verifier-x", &[]).cause.id(), CauseId::NamespaceStays);
        let failed = late(
            "verifier-x",
            &[condition("NamespaceDeletionContentFailure", "unexpected")],
        );
        assert_eq!(failed.severity, Severity::Fail);
    }

    #[test]
    fn groups_are_those_with_a_version() {
        assert_eq!(
            groups("a.b/v1: x, c.d.e/v2beta1: https://10.0.0.1/v1 a/b"),
            ["a.b/v1", "c.d.e/v2beta1"]
        );
        assert_eq!(groups("nothing"), ["-"]);
    }
}
