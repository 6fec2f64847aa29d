//! Faults of what etcd stores: objects of another time, and snapshots of it.

use super::control_plane::{encryption, restart_api};
use super::{Fault, Step, fails_cluster, run};

/// Removes the Secret of a fault, past the API server: it may be unable to read it.
const SECRET_BACK: &str = "etcdctl del /registry/secrets/default/lab-fault";

/// Puts back the encryption configuration that was kept.
macro_rules! encryption_back {
    () => {
        concat!(
            "cd /var/lib/kubernetes; [ ! -e encryption-config.lab ] || mv encryption-config.lab encryption-config.yaml; ",
            restart_api!()
        )
    };
}

/// Keeps the backup of the lab aside.
macro_rules! backup_kept {
    () => {
        "[ -e /root/lab-backup.db ] || cp -p /var/backups/etcd/lab.db /root/lab-backup.db; "
    };
}

const BACKUP_BACK: &[Step] = &[run(
    "server",
    "[ ! -e /root/lab-backup.db ] || mv /root/lab-backup.db /var/backups/etcd/lab.db",
)];

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "secret-plaintext-old",
        summary: "a Secret lies in etcd as plaintext, as it was written before encryption was configured",
        plant: &[run(
            "server",
            "printf '%s' '{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"lab-fault\",\"namespace\":\"default\",\
             \"uid\":\"7d0c0b3e-5a0f-4d6c-9b58-0e5a3c1f7a11\",\"creationTimestamp\":\"2025-01-01T00:00:00Z\"},\
             \"data\":{\"a\":\"Yg==\"},\"type\":\"Opaque\"}' | etcdctl put /registry/secrets/default/lab-fault; \
             kubectl --kubeconfig=/root/admin.kubeconfig get secret lab-fault -o jsonpath={.data.a} | grep -q Yg==",
        )],
        heal: &[run("server", SECRET_BACK)],
        expect: &[fails_cluster("secrets.all-encrypted", "stored-plaintext")],
        ..Fault::NONE
    },
    Fault {
        name: "secret-old-key",
        summary: "a key was rotated, and a Secret that the old one wrote was never written again",
        plant: &[run(
            "server",
            concat!(
                encryption!(
                    "      - aescbc: {keys: [{name: key0, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}\\n"
                ),
                "; kubectl --kubeconfig=/root/admin.kubeconfig create secret generic lab-fault --from-literal=a=b; ",
                "sed '/- identity/i\\      - aescbc: {keys: [{name: key0, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}' \
                 encryption-config.lab >encryption-config.yaml; ",
                restart_api!()
            ),
        )],
        heal: &[run("server", SECRET_BACK), run("server", encryption_back!())],
        expect: &[fails_cluster("secrets.all-encrypted", "stored-old-key")],
        ..Fault::NONE
    },
    Fault {
        name: "backup-old",
        summary: "the timer that saves snapshots has not run for two days",
        plant: &[run("server", "touch -d '2 days ago' /var/backups/etcd/lab.db")],
        heal: &[run("server", "touch /var/backups/etcd/lab.db")],
        expect: &[fails_cluster("etcd.backup-age", "backup-old")],
        ..Fault::NONE
    },
    Fault {
        name: "backup-cut",
        summary: "the disk of the backups was full: the newest one was cut",
        plant: &[run(
            "server",
            concat!(backup_kept!(), "truncate -s -20000 /var/backups/etcd/lab.db"),
        )],
        heal: BACKUP_BACK,
        expect: &[fails_cluster("etcd.backup-age", "backup-damaged")],
        ..Fault::NONE
    },
    Fault {
        name: "backup-flipped",
        summary: "one byte of the newest backup is another one",
        plant: &[run(
            "server",
            concat!(
                backup_kept!(),
                "f=/var/backups/etcd/lab.db; b=$(dd if=$f bs=1 skip=30000 count=1 status=none | od -An -tu1 | tr -d ' '); \
                 printf \"\\\\$(printf %o $(( (b + 1) % 256 )))\" | dd of=$f bs=1 seek=30000 conv=notrunc status=none; \
                 ! cmp -s $f /root/lab-backup.db"
            ),
        )],
        heal: BACKUP_BACK,
        expect: &[fails_cluster("etcd.backup-age", "backup-damaged")],
        ..Fault::NONE
    },
    Fault {
        name: "backup-none",
        summary: "nothing was ever saved where backups are to be",
        plant: &[run(
            "server",
            concat!(backup_kept!(), "rm /var/backups/etcd/lab.db"),
        )],
        heal: BACKUP_BACK,
        expect: &[fails_cluster("etcd.backup-age", "backup-none")],
        ..Fault::NONE
    },
];
