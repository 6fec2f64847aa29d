//! `runtime.process-tree`: the processes of the node hang together as the runtime should have made them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::checks::network::pods;
use crate::checks::twice::Twice;
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::{CriPodsReply, Process, Processes};
use crate::site::Host;
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

/// The shims that containerd starts, one a pod, as their program files are called.
const SHIMS: [&str; 3] = [
    "containerd-shim",
    "containerd-shim-runc-v2",
    "containerd-shim-runc-v1",
];
/// What hosts an own tree of containers that is none of ours to draw.
const DRAWN: [&str; 7] = [
    "containerd",
    "kubelet",
    "kube-proxy",
    "k3s",
    "k3s-server",
    "k3s-agent",
    "rke2",
];

pub(super) const CHECK: Check = Check::of::<ProcessTree>(About {
    id: "runtime.process-tree",
    scope: Scope::Worker,
    needs: &[Fixture::Pods],
    permissions: &[],
    summary: "a shim for each pod, with pause and the container's processes below it",
    explain: "Draws the processes of the node as pstree -ap does and proves how they hang together: PID 1, containerd, for \
each pod one containerd-shim that names its sandbox id, below it pause, which holds the pod's namespaces, and below it \
the container: nginx with its workers. The shim is why pods survive a restart of containerd.\n\nUsual causes of failure, \
in order: containerd was restarted in a way that killed its shims (KillMode=process is missing in its unit); a shim was \
killed for want of memory, and its pod lives on without anybody who watches it.\n\nWhere to look: `pstree -ap` on the \
node, `journalctl -u containerd`, `journalctl -k` for the OOM killer. Other processes are no finding. With another runtime \
than containerd the check is skipped.",
    by_hand: "ssh {host} pstree -ap",
});

struct ProcessTree;

#[derive(Serialize, Deserialize)]
struct Facts {
    /// Pods of others come and go: containerd starts a shim through another that lives for a moment.
    views: Twice<View>,
    /// The UIDs of the suite's pods on this node.
    own: Vec<String>,
}

/// One reading of a node.
#[derive(Serialize, Deserialize)]
struct View {
    runtime: CriPodsReply,
    /// All processes; those that we draw with their arguments.
    processes: Vec<Process>,
}

impl Probe for ProcessTree {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let spread = ctx.fixtures().spread(ctx).await?;
        let here = pods::started(&spread.pods).filter(|(pod, _)| pod.node.as_deref() == Some(host.node()));
        let own: Vec<String> = here.map(|(pod, _)| pod.uid.clone()).collect();
        let views = Twice::read(|| look(ctx, host), |view| !view.findings(&own).is_empty()).await?;
        Ok(Facts { views, own })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let view = facts.views.last();
        if view.runtime.runtime != "containerd" {
            let cause = Cause::new(CauseId::OtherRuntime).with("runtime", &view.runtime.runtime);
            return Trouble::skip(cause).into();
        }
        let evidence = Evidence::new("processes", view.draw());
        if facts.own.is_empty() {
            let node = expect.host.map(|host| host.node().to_owned());
            return Verdict::from(pods::needs(&node.into_iter().collect::<Vec<_>>())).with([evidence]);
        }
        Verdict::of(facts.views.findings(|view| view.findings(&facts.own))).with([evidence])
    }
}

/// Reads a node once.
async fn look(ctx: &Ctx, host: &Host) -> Result<View, Trouble> {
    let names = SHIMS
        .iter()
        .chain(&DRAWN)
        .map(|name| (*name).to_owned())
        .collect();
    let (runtime, all, drawn) = futures::join!(
        pods::of_runtime(ctx, host),
        ctx.ask(&host.name, Processes { names: Vec::new() }),
        ctx.ask(&host.name, Processes { names })
    );
    let (mut processes, drawn) = (all?, drawn?);
    for process in &mut processes {
        if let Some(drawn) = drawn.iter().find(|drawn| drawn.pid == process.pid) {
            process.arguments.clone_from(&drawn.arguments);
        }
    }
    Ok(View {
        runtime: runtime?,
        processes,
    })
}

impl View {
    /// Returns what is wrong; `own` are the UIDs of the suite's pods.
    fn findings(&self, own: &[String]) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.processes.iter().any(|process| process.pid == 1) {
            findings.push(Finding::fail(
                Cause::new(CauseId::ProcessMissing).with("process", "PID 1"),
            ));
        }
        let runs = |process: &Process| DRAWN.contains(&process.name.as_str()) && process.name != "kubelet";
        if !self.processes.iter().any(runs) {
            findings.push(Finding::fail(
                Cause::new(CauseId::ProcessMissing).with("process", "containerd"),
            ));
        }
        for network in &self.runtime.sandboxes {
            let sandbox = &network.sandbox;
            if !sandbox.ready {
                continue;
            }
            let pod = format!("{}/{}", sandbox.namespace, sandbox.name);
            let cause = self.wrong(&sandbox.id, own.contains(&sandbox.uid));
            findings.extend(cause.map(|cause| Finding::fail(cause.with("pod", pod))));
        }
        findings
    }

    /// Returns what is wrong below the shim of a sandbox; of the suite's own pods the container is known too.
    fn wrong(&self, sandbox: &str, own: bool) -> Option<Cause> {
        let names = |process: &&Process| {
            is_shim(process) && process.arguments.iter().any(|argument| argument == sandbox)
        };
        let shims: Vec<&Process> = self.processes.iter().filter(names).collect();
        let [shim] = shims.as_slice() else {
            let cause = Cause::new(CauseId::ShimMissing).with("sandbox", sandbox);
            return Some(cause.with("count", shims.len()));
        };
        let missing = |process: &str| {
            let cause = Cause::new(CauseId::ProcessMissing).with("process", process);
            cause.with("shim", shim.pid)
        };
        if self.children(shim.pid).next().is_none() {
            return Some(missing("pause"));
        }
        if !own {
            return None;
        }
        if !self.children(shim.pid).any(|child| child.name == "pause") {
            return Some(missing("pause"));
        }
        let masters = self
            .children(shim.pid)
            .filter(|child| child.name.starts_with("nginx"));
        let works = |master: &Process| {
            self.children(master.pid)
                .any(|child| child.name.starts_with("nginx"))
        };
        let mut masters = masters.peekable();
        if masters.peek().is_none() {
            return Some(missing("nginx"));
        }
        (!masters.any(works)).then(|| missing("a worker of nginx"))
    }

    fn children(&self, pid: i32) -> impl Iterator<Item = &Process> {
        self.processes
            .iter()
            .filter(move |process| process.parent == pid && process.state != 'Z')
    }

    /// Draws PID 1, the runtime, the kubelet, kube-proxy, and each shim with what is below it.
    fn draw(&self) -> String {
        let mut text = String::new();
        let drawn = |process: &&Process| {
            process.pid == 1 || is_shim(process) || DRAWN.contains(&process.name.as_str())
        };
        for process in self.processes.iter().filter(drawn) {
            let below = process.pid != 1;
            self.branch(process, usize::from(below), is_shim(process), &mut text);
        }
        text
    }

    fn branch(&self, process: &Process, depth: usize, deeper: bool, text: &mut String) {
        let bar = if depth == 0 {
            String::new()
        } else {
            format!("{}|-", "  ".repeat(depth - 1))
        };
        let arguments: Vec<&str> = process.arguments.iter().skip(1).map(String::as_str).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{bar}{},{} {}",
            process.name,
            process.pid,
            arguments.join(" ")
        );
        // Deep enough for a master and its workers; a process cannot be below itself.
        if deeper && depth < 5 {
            for child in self.children(process.pid) {
                self.branch(child, depth + 1, true, text);
            }
        }
    }
}

/// Names of processes are cut at 15 bytes.
fn is_shim(process: &Process) -> bool {
    process.name.starts_with("containerd-shim")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;
    use crate::protocol::{Sandbox, SandboxNetwork};

    fn process(pid: i32, parent: i32, name: &str, arguments: &[&str]) -> Process {
        Process {
            pid,
            parent,
            name: name.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            state: 'S',
            age_seconds: 60,
            cgroup: String::new(),
        }
    }

    /// The page's node-0: `pstree -ap`.
    fn page() -> View {
        let sandbox = Sandbox {
            id: "c7fd0a93cbea".to_owned(),
            namespace: "default".to_owned(),
            name: "nginx".to_owned(),
            uid: "uid".to_owned(),
            ready: true,
        };
        let shim = [
            "containerd-shim-runc-v2",
            "-namespace",
            "k8s.io",
            "-id",
            "c7fd0a93cbea",
        ];
        View {
            runtime: CriPodsReply {
                runtime: "containerd".to_owned(),
                sandboxes: vec![SandboxNetwork {
                    sandbox,
                    host_network: false,
                    interfaces: None,
                }],
                containers: Vec::new(),
            },
            processes: vec![
                process(1, 0, "systemd", &[]),
                process(619, 1, "VBoxService", &[]),
                process(3440, 1, "containerd", &["/usr/bin/containerd"]),
                process(4099, 1, "containerd-shim", &shim),
                process(4154, 4099, "nginx", &[]),
                process(4188, 4154, "nginx", &[]),
                process(4124, 4099, "pause", &[]),
                process(3433, 1, "kube-proxy", &["kube-proxy", "--config=x"]),
            ],
        }
    }

    fn judged(first: View, second: Option<View>, own: &[&str]) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            views: Twice::of(first, second),
            own: own.iter().map(|uid| (*uid).to_owned()).collect(),
        };
        let site = site();
        seen(&ProcessTree::judge(&facts, &expect(&site, "node-0")))
    }

    fn judge(view: View) -> (Outcome, Option<CauseId>) {
        judged(view, None, &["uid"])
    }

    fn without(pid: i32) -> View {
        let mut view = page();
        view.processes.retain(|process| process.pid != pid);
        view
    }

    #[test]
    fn the_page_s_tree_passes_and_is_drawn() {
        assert_eq!(judge(page()), (Outcome::Pass, None));
        let drawn = page().draw();
        assert!(drawn.starts_with("systemd,1"), "{drawn}");
        assert!(
            drawn.contains("|-containerd-shim,4099 -namespace k8s.io -id c7fd0a93cbea"),
            "{drawn}"
        );
        assert!(
            drawn.contains("  |-nginx,4154") && drawn.contains("    |-nginx,4188"),
            "{drawn}"
        );
        assert!(!drawn.contains("VBoxService"), "{drawn}");
    }

    #[test]
    fn each_part_that_is_missing_is_named() {
        assert_eq!(judge(without(4099)), (Outcome::Fail, Some(CauseId::ShimMissing)));
        for pid in [4124, 4154, 4188] {
            assert_eq!(
                judge(without(pid)),
                (Outcome::Fail, Some(CauseId::ProcessMissing)),
                "{pid}"
            );
        }
    }

    #[test]
    fn another_runtime_and_a_node_without_a_pod_are_no_pass() {
        let mut other = page();
        other.runtime.runtime = "cri-o".to_owned();
        assert_eq!(judge(other), (Outcome::Skip, Some(CauseId::OtherRuntime)));
        assert_eq!(judged(page(), None, &[]), (Outcome::Skip, Some(CauseId::Needs)));
    }

    #[test]
    fn a_shim_that_only_starts_another_is_gone_in_the_second_reading() {
        let mut starting = page();
        let shim = starting.processes[3].clone();
        starting.processes.push(Process { pid: 5000, ..shim });
        assert_eq!(judged(starting, Some(page()), &["uid"]), (Outcome::Pass, None));
    }
}
