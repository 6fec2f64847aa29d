//! `verifier explain`: the runbook, offline.

use std::fmt::Write as _;
use std::io;

use clap::{Args, ValueEnum};
use cli::{Failure, Kind};

use crate::check::{Cause, CauseId, Check, catalogue};
use crate::checks;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A check or a cause, as reports name it; absent: the list of checks
    id: Option<String>,
    /// What one sees, instead of an id
    #[arg(long, conflicts_with = "id")]
    symptom: Option<Symptom>,
}

/// What one sees.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Symptom {
    /// Pods stay Pending
    Pending,
    /// A Node is NotReady
    Notready,
    /// A Service does not answer
    Service,
    /// A pod does not answer from elsewhere
    PodNetwork,
}

/// Checks in the order in which one looks at them, each with why.
type Walk = &'static [(&'static str, &'static str)];

/// Pods that stay Pending.
const PENDING: Walk = &[
    (
        "nodes.ready",
        "a pod without a Node: is there one that takes pods, and is its kubelet alive?",
    ),
    (
        "components.control-plane",
        "no event at all: does kube-scheduler run, and does somebody lead?",
    ),
    (
        "workload.deployment",
        "its cause names the scheduler, the image, the sandbox or the policy that refused",
    ),
    (
        "images.present",
        "a pod with a Node: is its image there? Nothing is pulled here",
    ),
    (
        "runtime.sandbox-image",
        "FailedCreatePodSandBox: is the runtime's own image there?",
    ),
];

/// A Node that is NotReady.
const NOTREADY: Walk = &[
    (
        "nodes.ready",
        "its cause names the kubelet, its Lease, the pressure or the condition's own words",
    ),
    (
        "components.workers",
        "do the kubelet, the runtime and kube-proxy run and answer?",
    ),
    (
        "kubectl.logs",
        "does the API server reach the kubelet? Its cause names the kubelet's certificate with its dates",
    ),
    ("hosts.reach", "is the host there at all?"),
    ("api.ready", "does the kubelet have an API server to talk to?"),
    ("runtime.sandbox-image", "does the container runtime answer?"),
];

/// A Service that does not answer.
const SERVICE: Walk = &[
    (
        "workload.scale",
        "do the pods behind it run and are they ready? Only ready pods get connections",
    ),
    (
        "service.endpoints",
        "does it lead to them? Its selector against their labels; kube-controller-manager writes the endpoints",
    ),
    (
        "components.workers",
        "does kube-proxy run on the node that is asked? Rules of older Services stay when it dies",
    ),
    (
        "service.clusterip",
        "does it answer from the node itself? Its cause names kube-proxy, its missing rules or the chain that drops",
    ),
    (
        "service.nodeport",
        "does the node's port answer from outside? Its cause names the chain, the rules, or the pod that never answered",
    ),
    (
        "network.pod-reachable",
        "do the pods answer that node by their own addresses? If not, no Service can work there",
    ),
];

/// A pod that does not answer from elsewhere.
const POD_NETWORK: Walk = &[
    ("workload.scale", "does the pod run, and on which Node?"),
    (
        "network.pod-reachable",
        "from which hosts does it answer? Its cause names the route, the bridge or the chain",
    ),
    (
        "network.routes",
        "ip route: does every host send the pod network to its node, and do the nodes forward?",
    ),
    (
        "network.bridge",
        "brctl show: is the bridge of its node up, with the gateway address and a port for each pod?",
    ),
    (
        "network.veth",
        "ip addr: is the pod's veth up and a port of the bridge?",
    ),
    (
        "network.pod-to-pod",
        "do pods reach each other? Where hosts reach them and pods do not, look at the FORWARD chains",
    ),
    (
        "workload.pod-cidr",
        "does the pod's address lie in the network that the others route to its node?",
    ),
    (
        "network.interfaces",
        "do the hosts', the pods' and the Services' networks overlap?",
    ),
    ("nodes.ready", "is its Node Ready, so that the CNI was set up?"),
];

impl Symptom {
    /// Returns the checks to look at, in order, each with why.
    const fn walk(self) -> Walk {
        match self {
            Self::Pending => PENDING,
            Self::Notready => NOTREADY,
            Self::Service => SERVICE,
            Self::PodNetwork => POD_NETWORK,
        }
    }
}

/// An id that is neither a check's nor a cause's.
#[derive(Debug, thiserror::Error)]
#[error("{id:?} is neither a check nor a cause")]
struct Unknown {
    id: String,
}

pub(super) fn run(args: &ExplainArgs) -> Result<u8, Failure> {
    let text = match (&args.id, args.symptom) {
        (_, Some(symptom)) => walk(symptom),
        (None, None) => list(),
        (Some(id), None) => match checks::ALL.iter().find(|check| check.id == id) {
            Some(check) => explain(check),
            None => cause(id)?,
        },
    };
    cli::write_text(&mut io::stdout(), &text)?;
    Ok(cli::exit::PASS)
}

fn list() -> String {
    let lines = checks::ALL
        .iter()
        .map(|check| format!("{:<26} {}\n", check.id, check.summary));
    lines.collect::<Vec<_>>().concat() + "\nverifier explain ID says more about one of them\n"
}

fn explain(check: &Check) -> String {
    let mut text = format!(
        "{}: {}\n\n{}\n\nBy hand\n",
        check.id,
        check.summary,
        wrapped(check.explain)
    );
    for command in check.by_hand.split("; ") {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}", command.replace("{host}", "HOST"));
    }
    let needs: Vec<&str> = check
        .needs
        .iter()
        .map(|fixture| fixture.owner())
        .filter(|owner| *owner != check.id)
        .collect();
    if !needs.is_empty() {
        let _ = writeln!(text, "\nIt is skipped where {} did not work", needs.join(", "));
    }
    text
}

/// Breaks lines at words so that none is longer than 90 characters.
fn wrapped(text: &str) -> String {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 90 {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

fn cause(id: &str) -> Result<String, Failure> {
    let found = CauseId::ALL.iter().find(|cause| cause.name() == id);
    let found = found.ok_or_else(|| {
        Failure::new(Kind::Usage, Unknown { id: id.to_owned() }).hint("verifier explain lists the checks")
    })?;
    let cause = Cause::new(*found);
    Ok(format!(
        "{id}: {}\n\nNext: {}\n",
        catalogue::text(&cause),
        catalogue::hint(&cause)
    ))
}

fn walk(symptom: Symptom) -> String {
    let mut text = String::new();
    for (at, (id, why)) in symptom.walk().iter().enumerate() {
        let _ = writeln!(text, "{}. {id}\n   {why}", at + 1);
    }
    text + "\nverifier smoke --site site.yaml --bundle FILE --only ID runs one of them; verifier explain ID says more\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symptoms_lead_to_checks_that_exist() {
        for symptom in Symptom::value_variants() {
            for (id, _) in symptom.walk() {
                assert!(checks::ALL.iter().any(|check| check.id == *id), "{id}");
            }
        }
    }

    #[test]
    fn checks_and_causes_are_explained_and_others_refused() {
        for check in checks::ALL {
            let text = explain(check);
            let longest = wrapped(check.explain)
                .lines()
                .map(|line| line.chars().count())
                .max();
            assert!(text.contains("By hand") && longest <= Some(90));
        }
        for id in CauseId::ALL {
            assert!(cause(id.name()).is_ok());
        }
        assert!(cause("nonsense").is_err());
    }
}
