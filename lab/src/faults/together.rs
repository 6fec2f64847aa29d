//! Several faults at once: none may hide another.

use super::{Fault, Needs, Step, fails, fails_cluster};

pub(super) const FAULTS: &[Fault] = &[Fault {
    name: "three-at-once",
    summary: "server lacks a route, crictl.yaml of node-0 names a dead socket, new Secrets are stored as plaintext",
    plant: &[
        Step::Plant("route-missing-server"),
        Step::Plant("crictl-dead-socket"),
        Step::Plant("identity-first"),
    ],
    heal: &[
        Step::Heal("identity-first"),
        Step::Heal("crictl-dead-socket"),
        Step::Heal("route-missing-server"),
    ],
    expect: &[
        fails("network.routes", "server", "route-missing"),
        fails("network.pod-reachable", "server", "route-missing"),
        fails("runtime.crictl-config", "node-0", "crictl-dead-socket"),
        fails("secrets.encrypted-at-rest", "server", "secret-plaintext"),
        fails_cluster("secrets.all-encrypted", "encryption-identity-first"),
        fails_cluster("etcd.snapshot", "snapshot-canary-plaintext"),
    ],
    needs: Needs::Images,
    ..Fault::NONE
}];
