//! Kubeconfigs in use: whether they check whom they call.

use super::super::view::View;
use crate::certs::{Certificate, host_of, servers};
use crate::findings::{Finding, cause};
use crate::protocol::{ASKED, KubeconfigCluster};

/// Names kubeconfigs in use that believe any server.
pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let files = view.scene.reply.files.iter().enumerate();
    let found = files.filter_map(|(number, file)| {
        let parts = file.kubeconfig.as_ref()?;
        view.scene.users(number).next()?;
        let current = parts.current.as_ref()?;
        let context = parts.contexts.iter().find(|context| &context.name == current)?;
        let is_current = |cluster: &&KubeconfigCluster| cluster.name == context.cluster;
        let cluster = parts
            .clusters
            .iter()
            .find(is_current)
            .filter(|cluster| cluster.insecure)?;
        let insecure = cause::KubeconfigInsecure {
            path: &file.path,
            server: &cluster.server,
            host: &view.name,
        };
        Some(Finding::warn(insecure).of(&file.path))
    });
    found.chain(unreached(view)).collect()
}

/// Names a kubeconfig of the person who asks that calls the API server by a name which none of its certificates has.
fn unreached(view: &View<'_>) -> Option<Finding> {
    let program = view
        .scene
        .reply
        .programs
        .iter()
        .find(|program| program.program == ASKED)?;
    let served = view.served_by_api();
    let leaves: Vec<&Certificate> = served.iter().filter_map(|chain| chain.first().copied()).collect();
    let first = leaves.first()?;
    let url = servers(view.scene.reply, program).into_iter().next()?;
    let name = host_of(&url);
    if leaves.iter().any(|leaf| leaf.serves(name)) {
        return None;
    }
    let path = &program.files.first()?.path;
    let names = &first.names().join(", ");
    let missing = cause::CertNameMissing {
        path: &"kube-apiserver",
        name: &name,
        by: path,
        names,
        host: &view.name,
    };
    Some(Finding::fail(missing).of(path))
}
