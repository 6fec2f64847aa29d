//! A bill of materials of what runs where (CycloneDX 1.6): each image that runs is a component, each host one that depends on
//! the images that it runs.

use std::collections::{BTreeMap, BTreeSet};

use bundle::Digest;
use serde_json::{Value, json};

use crate::images::Listed;
use crate::protocol::{repository, split_digest};
use crate::report::Report;

/// Returns the bill.
pub(super) fn text(report: &Report) -> String {
    let running = report.images.iter().filter(|listed| !listed.used_by.is_empty());
    let running: Vec<&Listed> = running.collect();
    let mut images: BTreeMap<String, Value> = BTreeMap::new();
    let mut on: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut users: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for host in &report.hosts {
        on.entry(host.name.as_str()).or_default();
    }
    for listed in running {
        let reference = reference(listed);
        images
            .entry(reference.clone())
            .or_insert_with(|| component(listed, &reference));
        on.entry(listed.host.as_str())
            .or_default()
            .insert(reference.clone());
        let uses = listed
            .used_by
            .iter()
            .map(|user| property("verifier:runs", &format!("{user} {reference}")));
        users.entry(listed.host.as_str()).or_default().extend(uses);
    }
    let hosts = on.keys().map(|host| {
        let properties = users.get(host).cloned().unwrap_or_default();
        json!({"type": "device", "bom-ref": format!("host:{host}"), "name": host, "properties": properties})
    });
    let dependencies = on
        .iter()
        .map(|(host, images)| json!({"ref": format!("host:{host}"), "dependsOn": images}));
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(report),
        "version": 1,
        "metadata": {
            "timestamp": report.started.to_string(),
            "tools": {"components": [{"type": "application", "name": report.tool}]},
        },
        "components": hosts.chain(images.values().cloned()).collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    });
    // A value always has JSON.
    serde_json::to_string_pretty(&bill).unwrap_or_default() + "\n"
}

/// Returns a name that no other bill has: a UUID of the run's own (RFC 9562, version 8).
fn serial(report: &Report) -> String {
    let hex = Digest::of(format!("{} {}", report.run, report.started)).hex();
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    )
}

/// Returns how the bill calls an image: by its id, else by its name.
fn reference(listed: &Listed) -> String {
    let name = listed.names.first().or(listed.digests.first());
    let id = listed.id.as_ref().or(name);
    format!("image:{}", id.map(cli::Shown::as_str).unwrap_or_default())
}

fn property(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

fn component(listed: &Listed, reference: &str) -> Value {
    let tag = listed.names.first().map(cli::Shown::as_str).unwrap_or_default();
    let digest = listed.digests.first().map(cli::Shown::as_str).unwrap_or_default();
    let named = if tag.is_empty() { digest } else { tag };
    let name = repository(named);
    let digest = split_digest(digest).1;
    let version = tag.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
    let mut component = json!({
        "type": "container",
        "bom-ref": reference,
        "name": if name.is_empty() { reference } else { name },
        "version": version.or(digest).unwrap_or_default(),
    });
    if let Some(digest) = digest {
        let last = name.rsplit('/').next().unwrap_or_default();
        let mut purl = format!(
            "pkg:oci/{}@{}?repository_url={}",
            encoded(&last.to_lowercase()),
            encoded(digest),
            encoded(name)
        );
        if let Some(version) = version {
            purl.extend(["&tag=", &encoded(version)]);
        }
        component["purl"] = purl.into();
    }
    if let Some(id) = listed.id.as_deref() {
        let hex = id.strip_prefix("sha256:").unwrap_or(id);
        if hex.len() == 64 {
            component["hashes"] = json!([{"alg": "SHA-256", "content": hex}]);
        }
    }
    let platform = listed.platform.as_deref();
    let mut properties: Vec<Value> = platform
        .map(|platform| property("verifier:platform", platform))
        .into_iter()
        .collect();
    if let Some(bundled) = listed.bundled {
        properties.push(property("verifier:bundled", &bundled.to_string()));
    }
    component["properties"] = properties.into();
    component
}

/// Returns a text with what purl does not take encoded (RFC 3986).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::images::testing::listed;
    use crate::report::tests::report;

    #[test]
    fn what_runs_is_a_component_once_and_its_hosts_depend_on_it() {
        let mut report = report(&[]);
        let nginx = "docker.io/library/nginx:1.29";
        report.images = vec![
            listed("node-0", nginx, &["default/web/nginx"]),
            listed("node-1", nginx, &["default/other/nginx"]),
            listed("node-1", "example.org/unused:1", &[]),
        ];
        let bill: Value = serde_json::from_str(&text(&report)).unwrap();
        let components = bill["components"].as_array().unwrap();
        let images: Vec<&Value> = components
            .iter()
            .filter(|one| one["type"] == "container")
            .collect();
        assert_eq!(images.len(), 1);
        assert_eq!(
            (&images[0]["name"], &images[0]["version"]),
            (&json!("docker.io/library/nginx"), &json!("1.29"))
        );
        let purl = images[0]["purl"].as_str().unwrap();
        assert!(
            purl.starts_with("pkg:oci/nginx@sha256%3Acdcd")
                && purl.ends_with("?repository_url=docker.io/library/nginx&tag=1.29"),
            "{purl}"
        );
        assert_eq!(images[0]["hashes"][0]["content"], "ab".repeat(32));
        let depends = bill["dependencies"].as_array().unwrap();
        let of = |host: &str| {
            depends
                .iter()
                .find(|one| one["ref"] == format!("host:{host}"))
                .unwrap()
        };
        assert_eq!(of("node-0")["dependsOn"][0], images[0]["bom-ref"]);
        assert_eq!(of("node-1")["dependsOn"].as_array().unwrap().len(), 1);
        let serial = bill["serialNumber"].as_str().unwrap();
        assert_eq!((serial.len(), &serial[..9]), (45, "urn:uuid:"));
        // Every name of the bill is there once.
        let names: BTreeSet<&str> = components
            .iter()
            .filter_map(|one| one["bom-ref"].as_str())
            .collect();
        assert_eq!(names.len(), components.len());
    }
}
