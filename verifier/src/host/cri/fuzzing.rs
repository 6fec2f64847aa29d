//! The doors of `fuzz/` into files of the container runtime.

use super::{config, crictl};

/// `crictl.yaml`.
pub(crate) fn crictl_yaml(bytes: &[u8]) {
    let file = written(bytes);
    let reply = crictl::read(vec![file.path().to_owned()]);
    assert!(reply.file.is_some(), "the file was not seen");
    assert!(
        reply.problem.is_none() || reply.settings.is_empty(),
        "settings of a broken file"
    );
}

/// `config.toml` of containerd.
pub(crate) fn containerd_configuration(bytes: &[u8]) {
    let file = written(bytes);
    config::collect(file.path(), 0, &mut Vec::new());
}

fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("room for a file");
    std::fs::write(file.path(), bytes).expect("room for a file");
    file
}
