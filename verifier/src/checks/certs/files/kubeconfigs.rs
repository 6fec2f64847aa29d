//! Kubeconfigs in use: whether they lead somewhere, log in somehow, and check whom they call.

use super::super::view::View;
use crate::certs::{Certificate, host_of, server};
use crate::findings::{Finding, cause};
use crate::protocol::{ASKED, CertificateFile, KubeconfigParts};

/// Judges the kubeconfigs in use.
pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, file) in view.scene.reply.files.iter().enumerate() {
        let Some(parts) = &file.kubeconfig else { continue };
        let mut users = view.scene.users(number).map(|(program, _)| program).peekable();
        if users.peek().is_none() {
            continue;
        }
        let asked = users.all(|program| program.program == ASKED);
        found.extend(dangling(view, file, parts, asked));
        // Configurations of webhooks look the same and need no login; of several files nobody knows which is which.
        let logs_in = view.scene.users(number).any(|(program, given)| {
            given.setting.ends_with("kubeconfig")
                && (program.program != ASKED || view.scene.reply.files.len() == 1)
        });
        found.extend(in_context(view, file, parts, logs_in));
        if asked {
            found.extend(unreached(view, file, parts));
        }
    }
    found
}

/// Names what the current context leads to and the kubeconfig does not have. A program needs a context; who calls with a
/// kubeconfig by hand may name one.
fn dangling(
    view: &View<'_>,
    file: &CertificateFile,
    parts: &KubeconfigParts,
    asked: bool,
) -> Option<Finding> {
    let (what, name) = match &parts.current {
        None if asked => return None,
        None => ("current-context", "-"),
        Some(current) => {
            match parts.contexts.iter().find(|context| &context.name == current) {
                None => ("contexts", current.as_str()),
                Some(context) if !parts.clusters.iter().any(|one| one.name == context.cluster) => {
                    ("clusters", context.cluster.as_str())
                }
                // One without a user is one that nobody logs in with.
                Some(context)
                    if !context.user.is_empty()
                        && !parts.users.iter().any(|one| one.name == context.user) =>
                {
                    ("users", context.user.as_str())
                }
                Some(_) => return None,
            }
        }
    };
    let dangling = cause::KubeconfigDangling {
        path: &file.path,
        what: &what,
        name: &name,
        host: &view.name,
    };
    Some(Finding::fail(dangling).of(&file.path))
}

/// Judges cluster and user of the current context: whether the one is checked, whether the other has what logs in.
fn in_context(
    view: &View<'_>,
    file: &CertificateFile,
    parts: &KubeconfigParts,
    logs_in: bool,
) -> Vec<Finding> {
    let current = parts.current.as_ref();
    let context = parts
        .contexts
        .iter()
        .find(|context| Some(&context.name) == current);
    let Some(context) = context else {
        return Vec::new();
    };
    let cluster = parts.clusters.iter().find(|one| one.name == context.cluster);
    let insecure = cluster.filter(|cluster| cluster.insecure).map(|cluster| {
        Finding::warn(cause::KubeconfigInsecure {
            path: &file.path,
            server: &cluster.server,
            host: &view.name,
        })
    });
    let user = parts.users.iter().find(|one| logs_in && one.name == context.user);
    let bare = user.filter(|user| !user.embedded && user.certificate.is_none() && !user.otherwise);
    let bare = bare.map(|user| {
        Finding::warn(cause::KubeconfigBare {
            path: &file.path,
            user: &user.name,
            host: &view.name,
        })
    });
    insecure
        .into_iter()
        .chain(bare)
        .map(|finding| finding.of(&file.path))
        .collect()
}

/// Names a kubeconfig of the person who asks that calls the API server by a name which none of its certificates has.
fn unreached(view: &View<'_>, file: &CertificateFile, parts: &KubeconfigParts) -> Option<Finding> {
    let served = view.served_by_api(&file.path);
    let leaves: Vec<&Certificate> = served.iter().filter_map(|chain| chain.first().copied()).collect();
    let first = leaves.first()?;
    let url = server(parts)?;
    let name = host_of(&url);
    if leaves.iter().any(|leaf| leaf.serves(name)) {
        return None;
    }
    let names = &first.names().join(", ");
    let missing = cause::CertNameMissing {
        path: &"kube-apiserver",
        name: &name,
        by: &file.path,
        names,
        host: &view.name,
    };
    Some(Finding::fail(missing).of(&file.path))
}
