//! The names that the API gives: what Kubernetes never admits is refused where objects become values, before it can
//! stand in a path, a command or another request.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Returns what is wrong with the names of an object of a kind; nothing where Kubernetes could have admitted it: every
/// kind that is read here has the name of a DNS subdomain, and the namespace of a DNS label (k8s.io/apimachinery,
/// pkg/api/validation).
pub(super) fn fault_of(kind: &str, meta: &ObjectMeta) -> Option<String> {
    let name = meta.name.as_deref().unwrap_or_default();
    // `VERSION.GROUP`, and the core group has no name (k8s.io/kube-aggregator, pkg/apis/apiregistration/validation).
    let name = match kind {
        "APIService" => name.strip_suffix('.').unwrap_or(name),
        _ => name,
    };
    let namespace = meta.namespace.as_deref();
    subdomain(kind, name).or_else(|| {
        let bad = namespace.filter(|name| !is_label(name))?;
        Some(no_name("namespace", bad))
    })
}

/// Returns what is wrong with a name that an object of that kind must have had: that of a Node, a pod.
pub(super) fn subdomain(kind: &str, name: &str) -> Option<String> {
    (!is_subdomain(name)).then(|| no_name(kind, name))
}

/// Returns what is wrong with the name of a container.
pub(super) fn label(kind: &str, name: &str) -> Option<String> {
    (!is_label(name)).then(|| no_name(kind, name))
}

/// Returns what is wrong with an address.
pub(super) fn address(text: &str) -> Option<String> {
    let bad = text.parse::<IpAddr>().is_err();
    bad.then(|| format!("{} is no IP address", visible(text)))
}

fn no_name(kind: &str, name: &str) -> String {
    format!("a {kind} called {}, which is no DNS name", visible(name))
}

fn visible(text: &str) -> String {
    format!("\"{}\"", cli::Shown::new(text))
}

/// Returns whether a text is a DNS subdomain (RFC 1123) as Kubernetes takes it: at most 253 characters, labels of small
/// letters, digits and `-` with dots between them. Only the whole has a greatest length, as in Kubernetes.
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

/// Returns whether a text is a DNS label (RFC 1123): at most 63 characters.
fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

fn is_part(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(letter) && text.ends_with(letter) && text.chars().all(|c| letter(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_admits_is_taken_and_nothing_else() {
        let longest = format!("{}a", "a.".repeat(126));
        let one_part = "a".repeat(253);
        for good in ["node-0", "a", "0", "10.0.0.1", "a--b.c-d", &longest, &one_part] {
            assert_eq!(subdomain("Node", good), None, "{good}");
        }
        assert_eq!(longest.len(), 253);
        let (long, label_long) = ("a".repeat(254), "a".repeat(64));
        for bad in [
            "", ".", "a.", ".a", "a..b", "-a", "a-", "A", "a_b", "a/b", "../x", "a b", "a.-b", "ä", &long,
        ] {
            assert!(subdomain("Node", bad).is_some(), "{bad}");
        }
        assert!(label("container", "a.b").is_some() && label("container", &label_long).is_some());
        assert!(label("container", &label_long[1..]).is_none());
        assert!(address("10.0.0.1").is_none() && address("fd00::1").is_none() && address("x").is_some());
    }

    #[test]
    fn the_api_service_of_the_core_group_ends_with_a_dot_and_nothing_else_does() {
        let named = |name: &str| ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        };
        assert_eq!(fault_of("APIService", &named("v1.")), None);
        assert!(fault_of("APIService", &named("v1..")).is_some());
        assert!(fault_of("Node", &named("v1.")).is_some());
    }

    #[test]
    fn a_name_is_told_in_visible_form_only() {
        for nasty in cli::nasty::texts() {
            if let Some(said) = subdomain("Node", &nasty) {
                assert_eq!(cli::nasty::fault(&said), None);
            }
            let meta = ObjectMeta {
                name: Some("a".to_owned()),
                namespace: Some(nasty),
                ..ObjectMeta::default()
            };
            assert!(fault_of("Pod", &meta).is_some_and(|said| said.starts_with("a namespace called")));
        }
        assert_eq!(
            fault_of("Node", &ObjectMeta::default()).unwrap(),
            "a Node called \"\", which is no DNS name"
        );
    }
}
