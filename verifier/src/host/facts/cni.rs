//! The CNI's configuration, as container runtimes read it (containernetworking/cni, libcni: ConfFiles): the first file
//! of the directory by name that makes an interface.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde_json::Value;

use crate::protocol::CniReply;

/// The directory that runtimes use unless they are told otherwise.
pub(crate) const DIRECTORY: &str = "/etc/cni/net.d";

/// Returns what the directory configures.
pub(crate) fn cni(directory: &Path) -> CniReply {
    let mut reply = CniReply {
        directory: directory.display().to_string(),
        ..CniReply::default()
    };
    for path in files(directory) {
        let text = std::fs::read_to_string(&path);
        let parsed = text
            .map_err(|error| error.to_string())
            .and_then(|text| serde_json::from_str::<Value>(&text).map_err(|error| error.to_string()));
        reply.file = Some(path.display().to_string());
        match parsed {
            Ok(config) => {
                describe(&config, &mut reply);
                // The loopback's file configures no pod network.
                if reply.plugin != "loopback" {
                    return reply;
                }
            }
            Err(problem) => {
                reply.problem = Some(problem.into());
                return reply;
            }
        }
    }
    CniReply {
        directory: reply.directory,
        ..CniReply::default()
    }
}

/// Returns the files that count, by name.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let counts = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("conf" | "conflist" | "json"))
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(counts).collect();
    files.sort();
    files
}

/// Reads a network: one plugin, or a list of which the first makes the interface.
fn describe(config: &Value, reply: &mut CniReply) {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let plugin = config.pointer("/plugins/0").unwrap_or(config);
    reply.name = text(config, "name").unwrap_or_default();
    reply.plugin = text(plugin, "type").unwrap_or_default();
    if reply.plugin == "bridge" {
        // The plugin's own defaults (plugins/main/bridge).
        reply.bridge = text(plugin, "bridge").or_else(|| Some("cni0".to_owned()));
        let flag = |key: &str| plugin.get(key).and_then(Value::as_bool).unwrap_or_default();
        reply.gateway = flag("isGateway") || flag("isDefaultGateway");
        reply.masquerades = flag("ipMasq");
    }
    reply.subnets = subnets(plugin.get("ipam").unwrap_or(&Value::Null));
}

/// Returns the networks of host-local: `subnet`, or `ranges` of one or several for each address.
fn subnets(ipam: &Value) -> Vec<IpNet> {
    let ranges = ipam.get("ranges").and_then(Value::as_array).into_iter().flatten();
    let each = ranges.filter_map(Value::as_array).flatten();
    let texts = each
        .chain([ipam])
        .filter_map(|range| range.get("subnet")?.as_str());
    texts.filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> CniReply {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        cni(directory.path())
    }

    #[test]
    fn the_page_s_bridge_is_read_whatever_lies_beside_it() {
        let bridge = r#"{"cniVersion": "1.0.0", "name": "bridge", "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.200.1.0/24"}]]}}"#;
        let reply = read(&[
            ("99-loopback.conf", r#"{"name": "lo", "type": "loopback"}"#),
            ("10-bridge.conf", bridge),
            ("README", "no configuration"),
        ]);
        assert_eq!(
            (reply.plugin.as_str(), reply.bridge.as_deref(), reply.gateway),
            ("bridge", Some("cni0"), true)
        );
        assert!(reply.masquerades);
        assert_eq!(reply.subnets, ["10.200.1.0/24".parse().unwrap()]);
    }

    #[test]
    fn a_list_is_known_by_its_first_plugin() {
        let list = r#"{"name": "cbr0", "plugins": [{"type": "flannel"}, {"type": "portmap"}]}"#;
        let reply = read(&[("10-flannel.conflist", list)]);
        assert_eq!(
            (reply.plugin.as_str(), reply.bridge, reply.subnets.len()),
            ("flannel", None, 0)
        );
    }

    #[test]
    fn no_file_and_a_broken_one_are_said() {
        assert_eq!(
            read(&[("99-loopback.conf", r#"{"type": "loopback"}"#)]).file,
            None
        );
        assert_eq!(cni(Path::new("/nowhere")).file, None);
        assert!(read(&[("10-bridge.conf", "{")]).problem.is_some());
    }
}
