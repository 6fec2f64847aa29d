//! What is wrong with a Node by what it reports of itself, and by what keeps pods away from it. Pure.

use bytesize::ByteSize;

use crate::cluster::{ConditionFacts, NodeFacts};
use crate::findings::{Cause, Finding, cause};
use crate::protocol::{HeadroomReply, Left};
use crate::site::Host;

/// Returns why a Node is not Ready.
pub(super) fn readiness(node: &NodeFacts) -> Option<Finding> {
    let name = &node.name;
    let cause: Cause = match node.condition("Ready") {
        Some(ready) if ready.status == "True" => return None,
        Some(ready) => cause::NodeNotReady {
            node: name,
            reason: &ready.reason,
            message: &ready.message,
        }
        .into(),
        None => cause::NodeUnreported { node: name }.into(),
    };
    Some(Finding::fail(cause))
}

/// Returns the pressures that a Node reports.
pub(super) fn pressures(node: &NodeFacts, left: Option<&HeadroomReply>) -> Vec<Finding> {
    let in_bytes = |left: Left| {
        (
            ByteSize(left.available).to_string(),
            ByteSize(left.capacity).to_string(),
        )
    };
    let pressure = |name: &str| {
        let reported = node.condition(name)?;
        let (node, condition, message) = (&node.name, &name, &reported.message);
        let figures = left.map(|left| match name {
            "DiskPressure" => in_bytes(left.disk),
            "MemoryPressure" => in_bytes(left.memory),
            _ => (
                left.processes.available.to_string(),
                left.processes.capacity.to_string(),
            ),
        });
        let cause: Cause = match &figures {
            Some((available, capacity)) => cause::NodePressure {
                node,
                condition,
                available,
                capacity,
                message,
            }
            .into(),
            None => cause::NodePressureUnmeasured {
                node,
                condition,
                message,
            }
            .into(),
        };
        (reported.status == "True").then(|| Finding::fail(cause))
    };
    let names = ["DiskPressure", "MemoryPressure", "PIDPressure"];
    names.into_iter().filter_map(pressure).collect()
}

/// Returns what else a Node reports: that its network is not there, and what others watch on it (a Node Problem Detector,
/// an operator).
pub(super) fn conditions(node: &NodeFacts) -> Vec<Finding> {
    let judged = ["Ready", "DiskPressure", "MemoryPressure", "PIDPressure"];
    // Most conditions are problems. Those that are not say so by their names: RKE2's and k3s's EtcdIsVoter, DriverReady.
    let good = |name: &str| {
        ["Ready", "Healthy", "Available", "IsVoter"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let finding = |found: &ConditionFacts| {
        let (condition, reason, message) = (&found.r#type, &found.reason, &found.message);
        if condition == "NetworkUnavailable" {
            let cause = cause::NodeNetworkUnavailable {
                node: &node.name,
                reason,
                message,
            };
            return (found.status == "True").then(|| Finding::fail(cause));
        }
        let healthy = if good(condition) { "True" } else { "False" };
        let cause = cause::NodeCondition {
            node: &node.name,
            condition,
            status: &found.status,
            reason,
            message,
        };
        (found.status != healthy).then(|| Finding::warn(cause))
    };
    let others = node
        .conditions
        .iter()
        .filter(|condition| !judged.contains(&condition.r#type.as_str()));
    others.filter_map(finding).collect()
}

/// Returns what keeps the suite's pods away, but for what a finding about its state explains already and for what every
/// Node of the host's roles has.
pub(super) fn closed(node: &NodeFacts, host: &Host) -> Vec<Finding> {
    const EXPLAINED: [&str; 6] = [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/memory-pressure",
        "node.kubernetes.io/disk-pressure",
        "node.kubernetes.io/pid-pressure",
        "node.kubernetes.io/unschedulable",
    ];
    let name = &node.name;
    let mut findings = Vec::new();
    if node.unschedulable {
        findings.push(Finding::fail(cause::NodeCordoned { node: name }));
    }
    let networkless = node.is_true("NetworkUnavailable");
    let explained = |key: &str| {
        EXPLAINED.contains(&key) || networkless && key == "node.kubernetes.io/network-unavailable"
    };
    for taint in &node.taints {
        if taint.keeps_away() && !explained(&taint.key) && !host.is_standard_taint(&taint.key) {
            findings.push(Finding::fail(cause::NodeTainted { node: name, taint }));
        }
    }
    findings
}
