//! Kubeconfigs in use: whether they check whom they call.

use super::super::view::View;
use crate::findings::{Finding, cause};
use crate::protocol::KubeconfigCluster;

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
    found.collect()
}
