//! Faults that only an audit looks for. The audit of images runs with a site file that says `expect: {images: exact}`, so that
//! what would be a note is a failure.

use super::images::restore;
use super::{Asked, Fault, Needs, Step, fails, fails_cluster, run};
use crate::images::NGINX_OTHER;

/// What containerd keeps for nginx, as variables of a script: `$c` the client, `$n` the name, `$l` the hexadecimal digest of the
/// last layer's blob.
macro_rules! nginx {
    () => {
        "c='/opt/containerd/bin/ctr -n k8s.io'; n=docker.io/library/nginx:1.29; s=/var/lib/containerd; \
         m=$($c images ls | awk -v n=$n '$1 == n {print $3}'); [ -n \"$m\" ]; \
         l=$($c content get $m | tr ',' '\\n' | grep -o 'sha256:[0-9a-f]*' | tail -n 1 | cut -d: -f2); [ -n \"$l\" ]; \
         b=$s/io.containerd.content.v1.content/blobs/sha256/$l; "
    };
}

/// Brings another nginx onto a node, under its own name.
const OTHER: [Step; 2] = [
    Step::Image {
        host: "node-1",
        image: NGINX_OTHER,
        path: "/var/tmp/lab-other.tar",
    },
    run(
        "node-1",
        "/opt/containerd/bin/ctr -n k8s.io images import /var/tmp/lab-other.tar; rm /var/tmp/lab-other.tar; sleep 1",
    ),
];

const OTHER_GONE: Step = run(
    "node-1",
    "c='/opt/containerd/bin/ctr -n k8s.io images'; \
     d=$($c ls | awk '$1 == \"docker.io/library/nginx:1.28\" {print $3}'); [ -n \"$d\" ] || exit 0; \
     $c rm --sync $($c ls | awk -v d=\"$d\" 'NR > 1 && $3 == d {print $1}')",
);

/// Removes what heals leave on node-0: records of images that are neither nginx nor pause.
const LEFT_OVER_GONE: Step = run(
    "node-0",
    "c='/opt/containerd/bin/ctr -n k8s.io images'; \
     k=$($c ls | awk '$1 == \"docker.io/library/nginx:1.29\" || $1 == \"registry.k8s.io/pause:3.10\" {print $3}'); \
     [ $(echo $k | wc -w) = 2 ]; n=$($c ls | awk -v k=\"$(echo $k)\" 'NR > 1 && index(k, $3) == 0 {print $1}'); \
     [ -z \"$n\" ] || $c rm --sync $n; sleep 1",
);

/// What an audit of images finds.
const AUDIT: Fault = Fault {
    asked: Asked::Images,
    needs: Needs::Images,
    ..Fault::NONE
};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "audit-image-missing",
        summary: "the nginx image was removed from node-0",
        plant: &[Step::Plant("image-missing")],
        heal: &[Step::Heal("image-missing")],
        expect: &[fails("images.inventory", "node-0", "image-missing")],
        ..AUDIT
    },
    Fault {
        name: "audit-image-wrong",
        summary: "node-0 has another image under nginx's name",
        plant: &[Step::Plant("image-wrong")],
        heal: &[Step::Heal("image-wrong"), LEFT_OVER_GONE],
        expect: &[fails("images.inventory", "node-0", "image-wrong")],
        ..AUDIT
    },
    Fault {
        name: "audit-image-unpinned",
        summary: "nginx on node-0 is not pinned",
        plant: &[Step::Plant("image-unpinned")],
        heal: &[Step::Heal("image-unpinned")],
        expect: &[fails("images.inventory", "node-0", "image-unpinned")],
        ..AUDIT
    },
    Fault {
        name: "audit-image-extra",
        summary: "node-1 has an image of no bundle, which nobody uses",
        plant: &OTHER,
        heal: &[OTHER_GONE],
        expect: &[fails("images.inventory", "node-1", "image-extra")],
        ..AUDIT
    },
    Fault {
        name: "audit-image-unbundled",
        summary: "a pod on node-1 runs an image of no bundle",
        plant: &[
            Step::Plant("audit-image-extra"),
            run(
                "server",
                "k='kubectl --kubeconfig=/root/admin.kubeconfig'; \
                 $k run lab-other --image=docker.io/library/nginx:1.28 --image-pull-policy=Never --overrides='{\"spec\":{\"nodeName\":\"node-1\"}}'; \
                 $k wait --for=condition=Ready pod/lab-other --timeout=60s",
            ),
        ],
        heal: &[
            run(
                "server",
                "kubectl --kubeconfig=/root/admin.kubeconfig delete pod lab-other --ignore-not-found --grace-period=1",
            ),
            Step::Heal("audit-image-extra"),
        ],
        expect: &[fails("images.inventory", "node-1", "image-unbundled")],
        ..AUDIT
    },
    Fault {
        name: "audit-mutable-tag",
        summary: "nginx on node-1 has the tag latest too",
        plant: &[run(
            "node-1",
            "/opt/containerd/bin/ctr -n k8s.io images tag docker.io/library/nginx:1.29 docker.io/library/nginx:latest; sleep 1",
        )],
        heal: &[run(
            "node-1",
            "/opt/containerd/bin/ctr -n k8s.io images rm --sync docker.io/library/nginx:latest; sleep 1",
        )],
        expect: &[fails("images.inventory", "node-1", "image-mutable-tag")],
        ..AUDIT
    },
    Fault {
        name: "audit-other-platform",
        summary: "node-0 has an image for s390x under nginx's name",
        plant: &[run(
            "node-0",
            concat!(
                nginx!(),
                "$c images tag --force $n lab.invalid/kept:1; rm -rf /var/tmp/lab-image; mkdir -p /var/tmp/lab-image/blobs/sha256; \
                 cd /var/tmp/lab-image; add() { d=$(sha256sum <$1 | cut -d' ' -f1); z=$(stat -c %s $1); mv $1 blobs/sha256/$d; }; \
                 tar -cf layer -T /dev/null; add layer; layer=$d; size=$z; \
                 printf '{\"architecture\":\"s390x\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}}' $layer >config; \
                 add config; t=application/vnd.oci.image; \
                 printf '{\"schemaVersion\":2,\"mediaType\":\"%s.manifest.v1+json\",\"config\":{\"mediaType\":\"%s.config.v1+json\",\"digest\":\"sha256:%s\",\"size\":%s},\
                 \"layers\":[{\"mediaType\":\"%s.layer.v1.tar\",\"digest\":\"sha256:%s\",\"size\":%s}]}' $t $t $d $z $t $layer $size >manifest; add manifest; \
                 printf '{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s.manifest.v1+json\",\"digest\":\"sha256:%s\",\"size\":%s,\
                 \"annotations\":{\"io.containerd.image.name\":\"%s\"}}]}' $t $d $z $n >index.json; \
                 printf '{\"imageLayoutVersion\":\"1.0.0\"}' >oci-layout; tar -cf ../lab-image.tar oci-layout index.json blobs; \
                 $c images import --local --no-unpack --all-platforms /var/tmp/lab-image.tar; rm -rf /var/tmp/lab-image /var/tmp/lab-image.tar; \
                 $c images label $n io.cri-containerd.image=managed io.cri-containerd.pinned=pinned; sleep 1"
            ),
        )],
        heal: &[Step::Heal("image-wrong"), LEFT_OVER_GONE],
        expect: &[fails("images.inventory", "node-0", "image-other-platform")],
        touches: &[super::on("images.complete", "node-0")],
        ..AUDIT
    },
    Fault {
        name: "audit-blob-gone",
        summary: "the file of a blob of nginx is gone on node-1; containerd's record stays",
        plant: &[run(
            "node-1",
            concat!(
                nginx!(),
                "mv $b /var/tmp/lab-blob; echo $b >/var/tmp/lab-blob.path"
            ),
        )],
        heal: &[run(
            "node-1",
            "[ ! -e /var/tmp/lab-blob ] || mv /var/tmp/lab-blob $(cat /var/tmp/lab-blob.path)",
        )],
        expect: &[fails("images.complete", "node-1", "image-blob-gone")],
        ..AUDIT
    },
    Fault {
        name: "audit-blob-cut",
        summary: "a blob of nginx on node-1 lacks its last bytes",
        plant: &[run(
            "node-1",
            concat!(
                nginx!(),
                "cp -p $b /var/tmp/lab-blob; echo $b >/var/tmp/lab-blob.path; truncate -s -8 $b"
            ),
        )],
        heal: &[Step::Heal("audit-blob-gone")],
        expect: &[fails("images.complete", "node-1", "image-blob-spoilt")],
        ..AUDIT
    },
    Fault {
        name: "audit-snapshot-gone",
        summary: "the directory of an unpacked layer of nginx is gone on node-0; containerd's record stays",
        plant: &[run(
            "node-0",
            "cd /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots; \
             d=$(ls -d */fs/usr/sbin/nginx | head -n 1 | cut -d/ -f1); [ -n \"$d\" ]; mv $d ../lab-$d",
        )],
        heal: &[run(
            "node-0",
            "cd /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs; \
             for d in lab-*; do [ ! -e $d ] || mv $d snapshots/${d#lab-}; done",
        )],
        expect: &[fails("images.complete", "node-0", "image-snapshot-gone")],
        ..AUDIT
    },
    Fault {
        name: "audit-snapshot-hollow",
        summary: "a file of an unpacked layer of nginx is gone on node-0; containerd's record stays",
        plant: &[run(
            "node-0",
            "cd /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots; \
             f=$(ls -d */fs/usr/sbin/nginx | head -n 1); [ -n \"$f\" ]; mv $f /var/tmp/lab-file; echo $PWD/$f >/var/tmp/lab-file.path",
        )],
        heal: &[run(
            "node-0",
            "[ ! -e /var/tmp/lab-file ] || mv /var/tmp/lab-file $(cat /var/tmp/lab-file.path)",
        )],
        expect: &[fails("images.complete", "node-0", "image-snapshot-hollow")],
        ..AUDIT
    },
    Fault {
        name: "audit-snapshot-elsewhere",
        summary: "nginx on node-1 is unpacked by the snapshotter native alone",
        plant: &[run(
            "node-1",
            concat!(
                nginx!(),
                "$c images export --local /var/tmp/lab-image.tar $n; \
                 $c images ls | awk -v d=$m 'NR > 1 && $3 == d {print $1}' >/var/tmp/lab-image.names; \
                 $c images rm --sync $(cat /var/tmp/lab-image.names); \
                 $c images import --local --snapshotter native /var/tmp/lab-image.tar; \
                 for i in $(cat /var/tmp/lab-image.names); do [ $i = $n ] || $c images tag --force $n $i; \
                 $c images label $i io.cri-containerd.image=managed io.cri-containerd.pinned=pinned; done; sleep 1"
            ),
        )],
        heal: &[
            run(
                "node-1",
                "c='/opt/containerd/bin/ctr -n k8s.io images'; [ ! -e /var/tmp/lab-image.names ] || $c rm --sync $(cat /var/tmp/lab-image.names) || :",
            ),
            run("node-1", restore!("docker.io/library/nginx:1.29")),
        ],
        expect: &[fails("images.complete", "node-1", "image-snapshot-elsewhere")],
        ..AUDIT
    },
    Fault {
        name: "audit-other-namespace",
        summary: "nginx is only in containerd's namespace default on node-0",
        plant: &[
            Step::Plant("image-missing"),
            run(
                "node-0",
                "/opt/containerd/bin/ctr -n default images import --local /var/tmp/lab-image.tar; sleep 1",
            ),
        ],
        heal: &[
            run(
                "node-0",
                "c='/opt/containerd/bin/ctr -n default images'; for n in $($c ls -q); do $c rm --sync $n; done",
            ),
            Step::Heal("image-missing"),
        ],
        expect: &[fails("images.inventory", "node-0", "image-other-namespace")],
        ..AUDIT
    },
    Fault {
        name: "audit-workload-nowhere",
        summary: "a CronJob names an image that no node has",
        plant: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig create cronjob lab-nightly --image=example.org/nightly:1 --schedule='0 0 1 1 *'",
        )],
        heal: &[run(
            "server",
            "kubectl --kubeconfig=/root/admin.kubeconfig delete cronjob lab-nightly --ignore-not-found",
        )],
        expect: &[fails_cluster("images.workloads", "image-nowhere")],
        ..AUDIT
    },
];
