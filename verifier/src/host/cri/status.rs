//! The runtime's own account: version, snapshotter, the image of its sandboxes.

use serde::Deserialize;

use super::proto::{StatusRequest, StatusResponse, VersionRequest, VersionResponse};
use super::{Cri, Error, answer, config, sandbox_image};
use crate::protocol::{CriCondition, CriStatusReply};

/// The configuration in the verbose status of containerd 1.x. In 2.x the CRI's image service has a configuration of
/// its own, which no API gives.
#[derive(Default, Deserialize)]
struct Configured {
    #[serde(rename = "sandboxImage")]
    sandbox_image: Option<String>,
    #[serde(default)]
    containerd: ConfiguredContainerd,
}

#[derive(Default, Deserialize)]
struct ConfiguredContainerd {
    snapshotter: Option<String>,
    #[serde(rename = "discardUnpackedLayers")]
    discards: Option<bool>,
}

impl Cri {
    /// Returns what the runtime says of itself, completed from its configuration file where no API says it.
    pub async fn status(&self) -> Result<CriStatusReply, Error> {
        let version = self.ask_version().await?;
        let reply = self.ask_status().await?;
        let config = document(&reply, "config");
        let configured = config.map(configuration).unwrap_or_default();
        let sandbox_image = match present(configured.sandbox_image) {
            Some(image) => Some(image),
            None if version.runtime_name == "containerd" => {
                let files = config::read(&self.socket).await;
                match files.and_then(|files| sandbox_image::find(&files, &version.runtime_version)) {
                    Some(image) => Some(image),
                    None => self.sandbox_image_in_use().await?,
                }
            }
            None => None,
        };
        let snapshotter = match present(configured.containerd.snapshotter) {
            Some(name) => Some(name),
            None => snapshotter(self.image_directory().await?.as_deref()),
        };
        Ok(CriStatusReply {
            socket: self.socket.clone(),
            runtime: version.runtime_name,
            version: version.runtime_version,
            sandbox_image,
            snapshotter,
            conditions: conditions(reply),
        })
    }

    /// Returns who answers, for example `containerd v2.4.2`.
    pub async fn version(&self) -> Result<String, Error> {
        let version = self.ask_version().await?;
        Ok(format!("{} {}", version.runtime_name, version.runtime_version))
    }

    /// Returns the directory of the CNI's configuration, where the runtime says it.
    pub(crate) async fn cni_directory(&self) -> Result<Option<String>, Error> {
        let config = self.info("cniconfig").await?;
        let directory = config.and_then(|config| Some(config.get("PluginConfDir")?.as_str()?.to_owned()));
        Ok(present(directory))
    }

    async fn ask_version(&self) -> Result<VersionResponse, Error> {
        let mut client = self.runtime();
        let call = client.version(VersionRequest::default());
        answer(|| "ask the runtime's version".into(), call).await
    }

    /// Returns the snapshotter that the runtime is configured with, where it says it.
    pub(crate) async fn configured_snapshotter(&self) -> Result<Option<String>, Error> {
        Ok(present(self.configured().await?.containerd.snapshotter))
    }

    /// Returns whether the runtime is set to drop the blobs of layers once they are unpacked: as it says itself (1.x), else
    /// as its configuration files do. No runtime but containerd has such a setting.
    pub(crate) async fn discards(&self) -> Result<bool, Error> {
        if let Some(discards) = self.configured().await?.containerd.discards {
            return Ok(discards);
        }
        let files = config::read(&self.socket).await.unwrap_or_default();
        Ok(files.iter().rev().find_map(discards).unwrap_or(false))
    }

    async fn configured(&self) -> Result<Configured, Error> {
        let config = self.info("config").await?;
        Ok(config.map(configuration).unwrap_or_default())
    }

    /// Returns one of the documents in the runtime's verbose status.
    async fn info(&self, name: &str) -> Result<Option<serde_json::Value>, Error> {
        Ok(document(&self.ask_status().await?, name))
    }

    async fn ask_status(&self) -> Result<StatusResponse, Error> {
        let mut client = self.runtime();
        let call = client.status(StatusRequest { verbose: true });
        answer(|| "ask the runtime's status".into(), call).await
    }
}

fn document(reply: &StatusResponse, name: &str) -> Option<serde_json::Value> {
    serde_json::from_str(reply.info.get(name)?).ok()
}

fn conditions(reply: StatusResponse) -> Vec<CriCondition> {
    let conditions = reply.status.unwrap_or_default().conditions.into_iter();
    let condition = conditions.map(|one| CriCondition {
        name: one.r#type,
        holds: one.status,
        reason: one.reason,
        message: one.message.into(),
    });
    condition.collect()
}

fn configuration(config: serde_json::Value) -> Configured {
    serde_json::from_value(config).unwrap_or_default()
}

/// Returns what a configuration file says of blobs once they are unpacked (version 3 of the file, and version 2).
fn discards(file: &toml::Table) -> Option<bool> {
    let plugins = file.get("plugins")?.as_table()?;
    let three = plugins.get("io.containerd.cri.v1.images");
    let two = plugins
        .get("io.containerd.grpc.v1.cri")
        .and_then(|cri| cri.get("containerd"));
    three.or(two)?.get("discard_unpacked_layers")?.as_bool()
}

fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// containerd names the directory of a snapshotter after its plugin.
fn snapshotter(directory: Option<&str>) -> Option<String> {
    let (_, name) = directory?.rsplit_once("/io.containerd.snapshotter.v1.")?;
    present(Some(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_1_x_names_image_and_snapshotter_and_that_of_2_x_neither() {
        let config = |text: &str| configuration(serde_json::from_str(text).unwrap());
        let one = r#"{"containerd":{"snapshotter":"overlayfs"},"sandboxImage":"registry.k8s.io/pause:3.8"}"#;
        let one = config(one);
        assert_eq!(one.sandbox_image.as_deref(), Some("registry.k8s.io/pause:3.8"));
        assert_eq!(one.containerd.snapshotter.as_deref(), Some("overlayfs"));
        let two = config(r#"{"containerd":{"defaultRuntimeName":"runc"},"rootDir":"/x"}"#);
        assert_eq!((two.sandbox_image, two.containerd.snapshotter), (None, None));
    }

    #[test]
    fn a_file_of_either_version_says_whether_blobs_of_unpacked_layers_are_kept() {
        let file = |text: &str| discards(&text.parse().unwrap());
        let three = "[plugins.'io.containerd.cri.v1.images']\ndiscard_unpacked_layers = true\n";
        let two = "[plugins.'io.containerd.grpc.v1.cri'.containerd]\ndiscard_unpacked_layers = true\n";
        assert_eq!(
            (file(three), file(two), file("version = 3\n")),
            (Some(true), Some(true), None)
        );
    }
}
