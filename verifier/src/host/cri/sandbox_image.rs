//! Which image a containerd 2.x runs its sandboxes from. Pure.
//!
//! Status no longer says it (the setting moved to the image service, whose configuration no API gives), so it is read
//! from the configuration files, and where they are silent it is the default that is compiled into that version. For
//! versions whose default is not known here, the sandboxes that run say it.

use toml::{Table, Value};

/// Returns the image. `files` in the order in which later ones win; `version` as the runtime says it.
pub(super) fn find(files: &[Table], version: &str) -> Option<String> {
    let configured = files.iter().rev().find_map(configured);
    configured.or_else(|| default(version).map(str::to_owned))
}

fn configured(file: &Table) -> Option<String> {
    let plugins = file.get("plugins")?.as_table()?;
    // Version 3 of the configuration, and version 2, which containerd 2.x translates.
    let three = plugins.get("io.containerd.cri.v1.images");
    let three = three.and_then(|images| images.get("pinned_images")?.get("sandbox"));
    let two = plugins
        .get("io.containerd.grpc.v1.cri")
        .and_then(|cri| cri.get("sandbox_image"));
    let image = three.or(two).and_then(Value::as_str)?;
    (!image.is_empty()).then(|| image.to_owned())
}

/// Returns containerd's DefaultSandboxImage (internal/cri/config/config.go), of the lines whose source was read.
fn default(version: &str) -> Option<&'static str> {
    let numbers = version.strip_prefix('v').unwrap_or(version);
    let mut parts = numbers.split('.');
    match (parts.next()?, parts.next()?) {
        ("2", "1") => Some("registry.k8s.io/pause:3.10"),
        ("2", "4") => Some("registry.k8s.io/pause:3.10.2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_file_that_says_it_wins_in_either_version_of_the_configuration() {
        let three = table("[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'a/pause:3'\n");
        let two = table("[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"a/pause:2\"\n");
        let silent = table("version = 3\n");
        assert_eq!(
            find(&[three.clone(), silent], "v2.4.2").as_deref(),
            Some("a/pause:3")
        );
        assert_eq!(find(&[three, two], "v2.4.2").as_deref(), Some("a/pause:2"));
    }

    #[test]
    fn without_a_setting_it_is_the_default_of_the_version_or_unknown() {
        assert_eq!(
            find(&[], "v2.4.2").as_deref(),
            Some("registry.k8s.io/pause:3.10.2")
        );
        assert_eq!(find(&[], "2.1.9").as_deref(), Some("registry.k8s.io/pause:3.10"));
        assert_eq!(find(&[], "v9.0.0"), None);
    }
}
