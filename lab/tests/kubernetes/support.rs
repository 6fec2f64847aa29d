//! Labs with images, and looks at them.

use std::fs;
use std::time::{Duration, Instant};

use lab::cache::Cache;
use lab::images::{self, NGINX, PAUSE};
use lab::{Guard, Lab, Options};

/// Longest wait for anything here.
const PATIENCE: Duration = Duration::from_mins(1);

/// Boots a lab whose name tells it from those of other runs.
pub(crate) fn up(purpose: &str, options: Options) -> Guard {
    let name = format!("t{}-{purpose}", std::process::id());
    Guard::up(&Options { name, ..options }, &|_| {}).unwrap()
}

/// Imports nginx and pause on every node with containerd's own tool.
pub(crate) fn import(lab: &Lab) {
    let (cache, directory) = (Cache::user().unwrap(), tempfile::tempdir().unwrap());
    for image in [NGINX, PAUSE] {
        let archive = directory.path().join("image.tar");
        images::archive(&cache, image, &archive, &|_| {}).unwrap();
        for node in lab.layout().nodes() {
            let there = lab.root(&node.name).unwrap().join("var/tmp/image.tar");
            fs::copy(&archive, &there).unwrap();
            let import = [
                "/opt/containerd/bin/ctr",
                "-n",
                "k8s.io",
                "images",
                "import",
                "/var/tmp/image.tar",
            ];
            lab.read(&node.name, &import).unwrap();
            fs::remove_file(there).unwrap();
        }
        fs::remove_file(archive).unwrap();
    }
}

/// Runs kubectl on the jumpbox.
pub(crate) fn kubectl(lab: &Lab, arguments: &[&str]) -> String {
    lab.read("jumpbox", &[&["kubectl"], arguments].concat()).unwrap()
}

/// Waits until a look gives something, and tells what was seen last if it never does.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(last) => assert!(Instant::now() < deadline, "{what}: {last}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
