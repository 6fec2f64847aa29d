//! Faults of images and of the runtime's configuration.

use super::{Fault, Needs, PODS_OF_NODE_0, PODS_OF_NODE_1, Step, anywhere, fails, on, run, warns};
use crate::images::NGINX_OTHER;

/// Removes every record of an image from a node, and keeps an archive of it for the cure.
/// `--local`: over the transfer service the end of the archive may come after the command.
macro_rules! remove {
    ($image:literal) => {
        concat!(
            "c='/opt/containerd/bin/ctr -n k8s.io images'; d=$($c ls | awk '$1 == \"",
            $image,
            "\" {print $3}'); [ -n \"$d\" ]; $c export --local /var/tmp/lab-image.tar ",
            $image,
            "; $c ls | awk -v d=\"$d\" 'NR > 1 && $3 == d {print $1}' >/var/tmp/lab-image.names; ",
            "$c rm --sync $(cat /var/tmp/lab-image.names)"
        )
    };
}

/// Imports what [`remove`] kept, under all its names, pinned as a load pins.
macro_rules! restore {
    ($image:literal) => {
        concat!(
            "c='/opt/containerd/bin/ctr -n k8s.io images'; [ -e /var/tmp/lab-image.tar ] || exit 0; ",
            "$c import /var/tmp/lab-image.tar; for n in $(cat /var/tmp/lab-image.names); do ",
            "[ $n = ",
            $image,
            " ] || $c tag --force ",
            $image,
            " $n; $c label $n io.cri-containerd.image=managed io.cri-containerd.pinned=pinned; done; ",
            "rm /var/tmp/lab-image.tar /var/tmp/lab-image.names"
        )
    };
}
pub(super) use restore;

/// Labels every record of nginx: CRI calls an image pinned as long as one of them says so.
macro_rules! label {
    ($label:literal) => {
        concat!(
            "c='/opt/containerd/bin/ctr -n k8s.io images'; ",
            "d=$($c ls | awk '$1 == \"docker.io/library/nginx:1.29\" {print $3}'); [ -n \"$d\" ]; ",
            "for n in $($c ls | awk -v d=\"$d\" 'NR > 1 && $3 == d {print $1}'); do $c label $n ",
            $label,
            "; done"
        )
    };
}

/// Puts node-0's crictl.yaml back.
const CRICTL_BACK: &[Step] = &[run(
    "node-0",
    "rm -f /etc/crictl.yaml; [ ! -e /etc/crictl.lab ] || mv /etc/crictl.lab /etc/crictl.yaml",
)];

/// Writes node-0's crictl.yaml; the one that was there lies beside it.
macro_rules! crictl {
    ($text:literal) => {
        &[run(
            "node-0",
            concat!(
                "[ -e /etc/crictl.lab ] || cp -p /etc/crictl.yaml /etc/crictl.lab 2>/dev/null || :; printf '",
                $text,
                "' >/etc/crictl.yaml"
            ),
        )]
    };
}

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "image-missing",
        summary: "the nginx image was removed from node-0",
        plant: &[run("node-0", remove!("docker.io/library/nginx:1.29"))],
        heal: &[run("node-0", restore!("docker.io/library/nginx:1.29"))],
        expect: &[fails("images.present", "node-0", "image-missing")],
        touches: PODS_OF_NODE_0,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "image-wrong",
        summary: "node-0 has another image under nginx's name",
        plant: &[
            Step::Image {
                host: "node-0",
                image: NGINX_OTHER,
                path: "/var/tmp/lab-other.tar",
            },
            run(
                "node-0",
                "c='/opt/containerd/bin/ctr -n k8s.io images'; n=docker.io/library/nginx; \
                 $c tag --force $n:1.29 lab.invalid/kept:1; $c import /var/tmp/lab-other.tar; \
                 $c tag --force $n:1.28 $n:1.29; $c label $n:1.29 io.cri-containerd.pinned=pinned; \
                 $c rm --sync $n:1.28; rm /var/tmp/lab-other.tar",
            ),
        ],
        heal: &[run(
            "node-0",
            "c='/opt/containerd/bin/ctr -n k8s.io images'; n=docker.io/library/nginx; \
             $c ls -q | grep -q ^lab.invalid/kept:1 || exit 0; $c tag --force lab.invalid/kept:1 $n:1.29; \
             $c label $n:1.29 io.cri-containerd.image=managed io.cri-containerd.pinned=pinned; \
             $c rm --sync lab.invalid/kept:1",
        )],
        expect: &[fails("images.present", "node-0", "image-wrong")],
        touches: PODS_OF_NODE_0,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "image-unpinned",
        summary: "nginx on node-0 is not pinned: the kubelet may collect it",
        plant: &[run("node-0", label!("io.cri-containerd.pinned="))],
        heal: &[run("node-0", label!("io.cri-containerd.pinned=pinned"))],
        expect: &[fails("images.present", "node-0", "image-unpinned")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "sandbox-image-missing",
        summary: "the sandbox image was removed from node-1",
        plant: &[run("node-1", remove!("registry.k8s.io/pause:3.10"))],
        heal: &[run("node-1", restore!("registry.k8s.io/pause:3.10"))],
        expect: &[
            fails("runtime.sandbox-image", "node-1", "sandbox-image-missing"),
            // The bundle has it too.
            fails("images.present", "node-1", "image-missing"),
        ],
        touches: PODS_OF_NODE_1,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "image-hollow",
        summary: "the files of nginx's layer on node-0 are empty, as after a power cut; containerd's record stays",
        plant: &[run(
            "node-0",
            "cd /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots; \
             for f in */fs/usr/sbin/nginx; do [ -e $f.lab ] || cp -p $f $f.lab; : >$f; done",
        )],
        heal: &[run(
            "node-0",
            "cd /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots; \
             for f in */fs/usr/sbin/nginx; do [ ! -e $f.lab ] || { cat $f.lab >$f; rm $f.lab; }; done",
        )],
        expect: &[fails("workload.scale", "node-0", "image-hollow")],
        touches: PODS_OF_NODE_0,
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "page-replaced",
        summary: "nginx on node-0 shows another page, with status 200",
        plant: &[run(
            "node-0",
            "cd /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots; \
             for f in */fs/var/www/html/index.nginx-debian.html; do [ -e $f.lab ] || cp -p $f $f.lab; \
             echo '<title>Another page</title>' >$f; done",
        )],
        heal: &[run(
            "node-0",
            "cd /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots; \
             for f in */fs/var/www/html/index.nginx-debian.html; do [ ! -e $f.lab ] || { cat $f.lab >$f; rm $f.lab; }; done",
        )],
        expect: &[
            fails("network.pod-reachable", "server", "wrong-page"),
            fails("network.pod-reachable", "node-0", "wrong-page"),
            fails("network.pod-reachable", "node-1", "wrong-page"),
        ],
        touches: &[anywhere("network.pod-to-pod"), anywhere("service.clusterip")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "crictl-dead-socket",
        summary: "crictl.yaml of node-0 names a socket that nobody listens on",
        plant: crictl!("runtime-endpoint: unix:///run/nobody.sock\\n"),
        heal: CRICTL_BACK,
        expect: &[fails("runtime.crictl-config", "node-0", "crictl-dead-socket")],
        ..Fault::NONE
    },
    Fault {
        name: "crictl-dead-image-socket",
        summary: "crictl.yaml of node-0 names the right socket for the runtime, and for images one that nobody listens on",
        plant: crictl!(
            "runtime-endpoint: unix:///run/containerd/containerd.sock\\nimage-endpoint: unix:///run/crio/crio.sock\\n"
        ),
        heal: CRICTL_BACK,
        expect: &[fails("runtime.crictl-config", "node-0", "crictl-dead-socket")],
        ..Fault::NONE
    },
    Fault {
        name: "second-runtime",
        summary: "a second containerd runs on node-0, as Docker brings one, and crictl.yaml names it",
        plant: &[run(
            "node-0",
            "systemctl stop lab-containerd 2>/dev/null || :; mkdir -p /run/lab-containerd; \
             printf 'version = 3\nroot = \"/var/lib/containerd/lab-second\"\nstate = \"/run/lab-containerd/state\"\n[grpc]\naddress = \"/run/lab-containerd/containerd.sock\"\n' \
             >/run/lab-containerd/config.toml; systemd-run --quiet --collect --unit=lab-containerd containerd --config /run/lab-containerd/config.toml; \
             timeout 20 sh -c 'until [ -S /run/lab-containerd/containerd.sock ]; do sleep 0.1; done'; sleep 1; \
             [ -e /etc/crictl.lab ] || cp -p /etc/crictl.yaml /etc/crictl.lab; \
             printf 'runtime-endpoint: unix:///run/lab-containerd/containerd.sock\n' >/etc/crictl.yaml",
        )],
        heal: &[run(
            "node-0",
            "systemctl stop lab-containerd 2>/dev/null || :; rm -rf /run/lab-containerd /var/lib/containerd/lab-second /etc/crictl.yaml; \
             [ ! -e /etc/crictl.lab ] || mv /etc/crictl.lab /etc/crictl.yaml",
        )],
        expect: &[warns("runtime.crictl-config", "node-0", "crictl-other-runtime")],
        // The second one is of a unit that the next start does not have.
        touches: &[on("hosts.reboot", "node-0")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "crictl-unknown-key",
        summary: "crictl.yaml of node-0 has a key that crictl does not know",
        plant: crictl!("runtime-endpoint: unix:///run/containerd/containerd.sock\\nruntime-endpiont: x\\n"),
        heal: CRICTL_BACK,
        expect: &[fails("runtime.crictl-config", "node-0", "crictl-unknown-key")],
        ..Fault::NONE
    },
    Fault {
        name: "crictl-missing",
        summary: "node-0 has no crictl.yaml",
        plant: &[run(
            "node-0",
            "[ ! -e /etc/crictl.yaml ] || mv /etc/crictl.yaml /etc/crictl.lab",
        )],
        heal: &[run(
            "node-0",
            "[ ! -e /etc/crictl.lab ] || mv /etc/crictl.lab /etc/crictl.yaml",
        )],
        expect: &[warns("runtime.crictl-config", "node-0", "crictl-config-missing")],
        ..Fault::NONE
    },
];
