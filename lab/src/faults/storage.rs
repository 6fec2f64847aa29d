//! Faults of storage, and storage that is well: what the site file names as `expect.storageClass`.

use super::{Fault, Needs, fails_cluster, run, warns_cluster};

/// Names the class `lab` in the site file.
const NAMED: &str =
    "grep -q storageClass /media/site.yaml || sed -i 's/^expect:$/&\\n  storageClass: lab/' /media/site.yaml";
/// Names none.
const NAMED_NO_MORE: &str = "sed -i '/^  storageClass: lab$/d' /media/site.yaml";

/// Makes the class, and volumes of it.
macro_rules! class {
    ($provisioner:literal, $volumes:expr) => {
        concat!(
            "kubectl --kubeconfig=/root/admin.kubeconfig apply -f - <<'EOF'\n\
             apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: lab}\nprovisioner: ",
            $provisioner,
            "\nvolumeBindingMode: WaitForFirstConsumer\n",
            $volumes,
            "EOF"
        )
    };
}

/// A volume on a disk that these nodes have.
macro_rules! disk {
    ($path:literal, $nodes:literal) => {
        concat!(
            "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {name: lab-disk}\nspec:\n  \
             capacity: {storage: 64Mi}\n  accessModes: [ReadWriteOnce]\n  storageClassName: lab\n  \
             persistentVolumeReclaimPolicy: Retain\n  local: {path: ",
            $path,
            ", fsType: ext4}\n  nodeAffinity:\n    required:\n      nodeSelectorTerms:\n      \
             - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: ",
            $nodes,
            "}]\n"
        )
    };
}

const UNCLASSED: &str = "k='kubectl --kubeconfig=/root/admin.kubeconfig'; $k delete storageclass lab --ignore-not-found; \
    $k delete pv lab-disk --ignore-not-found --timeout=60s";

/// Makes the disk that every node sees, as a LUN of a SAN: loop devices belong to the kernel, which all hosts of a lab share.
const DISK: &str = "[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237; \
    for n in $(seq 0 63); do [ -e /dev/loop$n ] || mknod /dev/loop$n b 7 $n; done; \
    image=/var/lib/kubelet/lab-lun; [ -e $image ] || truncate -s 64M $image; \
    losetup -j $image | grep -q . || losetup -f $image; \
    ln -sfn $(losetup -j $image | cut -d: -f1) /dev/lab-lun";
const NO_DISK: &str = "image=/var/lib/kubelet/lab-lun; [ ! -e $image ] || losetup -j $image | cut -d: -f1 | xargs -r losetup -d; \
    rm -f $image /dev/lab-lun";
/// Finds it on the other node: the one loop device whose file is of that name.
const DISK_ELSEWHERE: &str = "for n in $(seq 0 63); do [ -e /dev/loop$n ] || mknod /dev/loop$n b 7 $n; done; \
    for n in $(seq 0 63); do case $(cat /sys/block/loop$n/loop/backing_file 2>/dev/null) in */lab-lun) \
    ln -sfn /dev/loop$n /dev/lab-lun;; esac; done; [ -e /dev/lab-lun ]";

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "storage-unprovisioned",
        summary: "nobody makes volumes of the site's StorageClass",
        plant: &[
            run("jumpbox", NAMED),
            run("server", class!("lab.example/nobody", "")),
        ],
        heal: &[run("jumpbox", NAMED_NO_MORE), run("server", UNCLASSED)],
        expect: &[fails_cluster("storage.volume", "claim-unbound")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "storage-unmounted",
        summary: "a volume of the site's StorageClass lies on a disk that the nodes do not have",
        plant: &[
            run("jumpbox", NAMED),
            run(
                "server",
                class!(
                    "kubernetes.io/no-provisioner",
                    disk!("/dev/lab-none", "[node-0, node-1]")
                ),
            ),
        ],
        heal: &[run("jumpbox", NAMED_NO_MORE), run("server", UNCLASSED)],
        expect: &[fails_cluster("storage.volume", "volume-unmounted")],
        needs: Needs::Images,
        ..Fault::NONE
    },
    Fault {
        name: "storage-of-one-node",
        summary: "a volume of the site's StorageClass can be used on one node alone",
        plant: &[
            run("jumpbox", NAMED),
            run("node-0", DISK),
            run(
                "server",
                class!("kubernetes.io/no-provisioner", disk!("/dev/lab-lun", "[node-0]")),
            ),
        ],
        heal: &[
            run("jumpbox", NAMED_NO_MORE),
            run("server", UNCLASSED),
            run("node-0", NO_DISK),
        ],
        expect: &[warns_cluster("storage.volume", "volume-one-node")],
        needs: Needs::Images,
        ..Fault::NONE
    },
];

/// Gives the volume to the next claim as soon as one has let it go: nobody else makes volumes of this class.
const AGAIN: &str = "systemctl stop lab-volume 2>/dev/null || :; systemd-run --quiet --collect --unit=lab-volume sh -c \
    'k=\"kubectl --kubeconfig=/root/admin.kubeconfig\"; while :; do \
    [ \"$($k get pv lab-disk -o jsonpath={.status.phase})\" != Released ] || \
    $k patch pv lab-disk --type=json -p \"[{\\\"op\\\":\\\"remove\\\",\\\"path\\\":\\\"/spec/claimRef\\\"}]\"; sleep 1; done'";

/// A disk that both nodes have, one at a time.
pub(super) const STORAGE: Fault = Fault {
    name: "storage",
    summary: "volumes of the site's StorageClass lie on a disk that both nodes have",
    plant: &[
        run("jumpbox", NAMED),
        run("node-0", DISK),
        run("node-1", DISK_ELSEWHERE),
        run(
            "server",
            class!(
                "kubernetes.io/no-provisioner",
                disk!("/dev/lab-lun", "[node-0, node-1]")
            ),
        ),
        run("server", AGAIN),
    ],
    heal: &[
        run("jumpbox", NAMED_NO_MORE),
        run("server", "systemctl stop lab-volume 2>/dev/null || :"),
        run("server", UNCLASSED),
        run("node-1", "rm -f /dev/lab-lun"),
        run("node-0", NO_DISK),
    ],
    needs: Needs::Images,
    ..Fault::NONE
};
