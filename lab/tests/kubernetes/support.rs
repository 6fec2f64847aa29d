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
    let cache = Cache::user().unwrap();
    for node in lab.layout().nodes() {
        for image in [NGINX, PAUSE] {
            let path = lab.root(&node.name).unwrap().join("var/tmp/image.tar");
            images::archive(&cache, image, &path, &|_| {}).unwrap();
            lab.read(
                &node.name,
                &[
                    "/opt/containerd/bin/ctr",
                    "-n",
                    "k8s.io",
                    "images",
                    "import",
                    "/var/tmp/image.tar",
                ],
            )
            .unwrap();
            fs::remove_file(path).unwrap();
        }
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
