//! Clusters whose API server is one of a test.

use std::net::SocketAddr;

use super::{Cluster, Target};

/// Returns the cluster whose API server listens at that address, without TLS, as a kubeconfig names it.
pub(crate) async fn at(address: SocketAddr) -> Cluster {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("kubeconfig");
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&path, kubeconfig).unwrap();
    Target::read(&path).await.unwrap().open(None).unwrap()
}
