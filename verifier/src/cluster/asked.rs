//! What was asked of the API, counted as RBAC names it; and where a run only reads, what is not sent.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hyper::Method;

/// What was asked, shared by all clients of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
    reads: Arc<AtomicBool>,
}

/// A request that was not sent.
#[derive(Debug, thiserror::Error)]
#[error("{0} was not sent: this run only reads")]
pub(super) struct Unsent(String);

impl Asked {
    /// Lets nothing through from now on that makes, changes or removes anything.
    pub(super) fn only_read(&self) {
        self.reads.store(true, Ordering::Relaxed);
    }

    /// Takes note of a request.
    ///
    /// # Errors
    /// Where it is not to be sent.
    pub(super) fn see(&self, method: &Method, path: &str) -> Result<(), Unsent> {
        let name = named(method, path);
        // A review of one's own rights is an answer, and leaves nothing behind.
        let reads = method == Method::GET || name == "create selfsubjectaccessreviews.authorization.k8s.io";
        if !reads && self.reads.load(Ordering::Relaxed) {
            return Err(Unsent(name));
        }
        if let Ok(mut counts) = self.counts.lock() {
            *counts.entry(name).or_default() += 1;
        }
        Ok(())
    }

    /// Returns how often each thing was asked.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts
            .lock()
            .map(|counts| counts.clone())
            .unwrap_or_default()
    }
}

/// Returns a request as a permission is written: `list pods`, `create deployments.apps`, `get /readyz`.
fn named(method: &Method, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    // What stands before is the kubeconfig's.
    let own = ["/apis/", "/api/"]
        .into_iter()
        .find_map(|root| Some(&path[path.find(root)?..]));
    let parts: Vec<&str> = own
        .unwrap_or_default()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _version, rest @ ..] => ("", rest),
        ["apis", group, _version, rest @ ..] => (*group, rest),
        _ => ("", &[][..]),
    };
    let rest = match rest {
        ["namespaces", _name, resource, more @ ..] => [&[*resource], more].concat(),
        other => other.to_vec(),
    };
    let Some((resource, more)) = rest.split_first() else {
        return format!("{} {path}", method.as_str().to_ascii_lowercase());
    };
    let verb = match (method.as_str(), more.is_empty()) {
        ("GET", true) => "list",
        ("GET", false) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", false) => "delete",
        ("DELETE", true) => "deletecollection",
        (other, _) => other,
    };
    let below = more.get(1).map_or(String::new(), |below| format!("/{below}"));
    let group = if group.is_empty() {
        String::new()
    } else {
        format!(".{group}")
    };
    format!("{verb} {resource}{below}{group}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_named_as_permissions_are() {
        for (method, path, name) in [
            (Method::GET, "/api/v1/nodes?limit=500", "list nodes"),
            (Method::GET, "/api/v1/namespaces/kube-system", "get namespaces"),
            (Method::POST, "/api/v1/namespaces", "create namespaces"),
            (Method::GET, "/api/v1/namespaces/a/pods", "list pods"),
            (
                Method::GET,
                "/api/v1/namespaces/a/pods/b/exec?command=x",
                "get pods/exec",
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                "patch deployments/scale.apps",
            ),
            (
                Method::DELETE,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/b",
                "delete leases.coordination.k8s.io",
            ),
            (
                Method::DELETE,
                "/api/v1/namespaces/a/pods",
                "deletecollection pods",
            ),
            (
                Method::GET,
                "/k8s/clusters/c-1/apis/apps/v1/deployments",
                "list deployments.apps",
            ),
            (Method::GET, "/readyz?verbose", "get /readyz"),
            (Method::GET, "/apis", "get /apis"),
        ] {
            assert_eq!(named(&method, path), name, "{path}");
        }
    }

    #[test]
    fn who_only_reads_sends_nothing_that_changes_anything() {
        let asked = Asked::default();
        let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        assert!(asked.see(&Method::POST, "/api/v1/namespaces").is_ok());
        asked.only_read();
        assert!(asked.see(&Method::GET, "/api/v1/nodes").is_ok());
        assert!(asked.see(&Method::POST, review).is_ok());
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(
                asked.see(&method, "/api/v1/namespaces/a/pods/b").is_err(),
                "{method}"
            );
        }
        assert_eq!(asked.counts().len(), 3);
    }
}
