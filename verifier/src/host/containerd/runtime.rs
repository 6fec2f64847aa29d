//! What this containerd is: its snapshotter, what that can do, where its files lie.

use tonic::Code;

use super::client::{Containerd, answer};
use super::error::Error;
use super::proto::introspection::introspection_client::IntrospectionClient;
use super::proto::introspection::{Plugin, PluginsRequest};
use crate::host::runtime_socket::MESSAGE_LIMIT;

/// The type of the plugins that hold snapshots.
const SNAPSHOTTERS: &str = "io.containerd.snapshotter.v1";

/// What a load must know of a containerd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Runtime {
    /// The snapshotter of the CRI, for example `overlayfs`.
    pub(crate) snapshotter: String,
    /// Whether a layer can be unpacked before the layers below it (the capability `rebase`, since 2.2).
    pub(crate) rebase: bool,
    /// The directory of the snapshots, where the runtime says it.
    pub(crate) directory: Option<String>,
}

/// Asks containerd and the CRI on the same socket.
pub(super) async fn runtime(containerd: &Containerd) -> Result<Runtime, Error> {
    let cri = crate::host::cri::Cri::new(containerd.socket.clone(), containerd.channel.clone());
    let directory = cri.image_directory().await;
    let directory = directory.map_err(|source| Error::Cri {
        source: Box::new(source),
    })?;
    let status = cri.configured_snapshotter().await;
    let configured = status.map_err(|source| Error::Cri {
        source: Box::new(source),
    })?;
    let plugins = snapshotters(containerd).await?;
    Ok(judge(directory, configured, &plugins))
}

/// Returns the plugins that hold snapshots, those that cannot work here too.
pub(super) async fn snapshotters(containerd: &Containerd) -> Result<Vec<Plugin>, Error> {
    let request = PluginsRequest {
        filters: vec![format!("type=={SNAPSHOTTERS}")],
    };
    let client = IntrospectionClient::new(containerd.channel.clone());
    let mut client = client.max_decoding_message_size(MESSAGE_LIMIT);
    let call = client.plugins(containerd.request(request));
    match answer(|| "list the snapshotters".into(), call).await {
        Ok(reply) => Ok(reply.plugins),
        Err(error) if error.has_code(Code::Unimplemented) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Finds the CRI's snapshotter: the configured one where the runtime says it (1.x), else the one whose directory the
/// CRI names as the file system of its images (2.x), else containerd's default.
fn judge(directory: Option<String>, configured: Option<String>, plugins: &[Plugin]) -> Runtime {
    let by_directory = directory.as_deref().and_then(|directory| {
        let exported = plugins
            .iter()
            .find(|plugin| plugin.exports.get("root").is_some_and(|root| root == directory));
        let named = directory.rsplit_once(&format!("/{SNAPSHOTTERS}."));
        let named = named.map(|(_, name)| name.to_owned());
        exported.map(|plugin| plugin.id.clone()).or(named)
    });
    let configured = configured.filter(|name| !name.is_empty());
    let snapshotter = configured
        .or(by_directory)
        .unwrap_or_else(|| "overlayfs".to_owned());
    let plugin = plugins.iter().find(|plugin| plugin.id == snapshotter);
    let rebase = plugin.is_some_and(|plugin| plugin.capabilities.iter().any(|one| one == "rebase"));
    Runtime {
        snapshotter,
        rebase,
        directory,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn plugin(id: &str, root: &str, capabilities: &[&str]) -> Plugin {
        Plugin {
            r#type: SNAPSHOTTERS.into(),
            id: id.into(),
            exports: HashMap::from([("root".to_owned(), root.to_owned())]),
            capabilities: capabilities.iter().map(|one| (*one).to_owned()).collect(),
            ..Plugin::default()
        }
    }

    #[test]
    fn the_snapshotter_is_the_one_whose_directory_the_cri_names() {
        let plugins = [
            plugin("native", "/srv/native", &[]),
            plugin("overlayfs", "/srv/overlay", &["rebase"]),
        ];
        let found = judge(Some("/srv/overlay".into()), None, &plugins);
        assert_eq!((found.snapshotter.as_str(), found.rebase), ("overlayfs", true));
        let found = judge(Some("/srv/native".into()), None, &plugins);
        assert_eq!((found.snapshotter.as_str(), found.rebase), ("native", false));
        let path = "/var/lib/containerd/io.containerd.snapshotter.v1.btrfs";
        assert_eq!(judge(Some(path.into()), None, &[]).snapshotter, "btrfs");
        assert_eq!(judge(None, None, &[]).snapshotter, "overlayfs");
        let configured = judge(Some("/srv/overlay".into()), Some("native".into()), &plugins);
        assert_eq!(configured.snapshotter, "native");
    }
}
