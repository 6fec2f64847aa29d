//! A DNS of the cluster's own: two replicas of CoreDNS behind the address that the kubelets give to pods. Its image, and that
//! of the sandboxes, lie on the nodes before any bundle comes, as whoever installed such a site has put them there.

use std::path::PathBuf;

use super::On;
use crate::tool::{Say, tail};
use crate::{Error, Host, HostSpec, LabFile, Layout, SERVER, run};

const MANIFEST: &str = include_str!("coredns.yaml");
/// Where the manifest lies on the server.
const PLACE: &str = "/root/coredns.yaml";
/// Where the images lie on each node.
const IMAGES: &str = "/usr/local/share/images";
const IMPORT: &str = "images.service";

/// Takes the images over into containerd, once it answers.
const UNIT: &str = "[Unit]
Description=Images that the node was installed with
After=containerd.service
Requires=containerd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'until /opt/containerd/bin/ctr version >/dev/null 2>&1; do sleep 0.1; done; \
  for image in /usr/local/share/images/*.tar; do /opt/containerd/bin/ctr -n k8s.io images import $image; done'

[Install]
WantedBy=multi-user.target
";

/// Returns what a node gets beyond what every node has.
pub(super) fn node(host: &Host, archives: &[PathBuf]) -> HostSpec {
    let place = |archive: &PathBuf| {
        let name = archive.file_name().unwrap_or_default();
        (archive.clone(), PathBuf::from(IMAGES).join(name))
    };
    HostSpec {
        host: host.name.clone(),
        files: vec![LabFile::new(format!("/etc/systemd/system/{IMPORT}"), UNIT)],
        programs: archives.iter().map(place).collect(),
        units: vec![IMPORT.to_owned()],
    }
}

/// Returns what the server gets beyond what every server has.
pub(super) fn server() -> HostSpec {
    HostSpec {
        host: SERVER.to_owned(),
        files: vec![LabFile::new(PLACE, MANIFEST)],
        programs: Vec::new(),
        units: Vec::new(),
    }
}

/// Starts it in a cluster whose nodes are Ready, and waits until it serves.
pub(crate) fn start(layout: &Layout, on: On<'_>, say: Say<'_>) -> Result<(), Error> {
    let imported = format!("timeout 120 sh -c 'until systemctl -q is-active {IMPORT}; do sleep 0.1; done'");
    for node in layout.nodes() {
        run::run(&mut on(&node.name, &["sh", "-c", &imported])?)?;
    }
    let script = format!(
        "k='kubectl --kubeconfig=/root/admin.kubeconfig'; $k apply -f {PLACE} && \
         $k -n kube-system rollout status deployment/coredns --timeout=120s || \
         {{ $k -n kube-system get pods -o wide; $k -n kube-system get events; exit 1; }} >&2"
    );
    run::run(&mut on(SERVER, &["sh", "-c", &script])?).map_err(|error| Error::Timeout {
        what: "a DNS that serves".to_owned(),
        seconds: 120,
        last: tail(&error.to_string(), 20),
    })?;
    say("the cluster's DNS serves");
    Ok(())
}
