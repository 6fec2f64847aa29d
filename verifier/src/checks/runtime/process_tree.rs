//! `runtime.process-tree`: the processes of the node hang together as the runtime should have made them.

use std::fmt::Write as _;

use secrets::Masked;
use serde::{Deserialize, Serialize};

use crate::checks::network::pods;
use crate::distribution::{SHIMS, STARTERS};
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{CriPodsReply, Process, Processes};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Motion, Probe, Scope};

/// Pods come and go, and containerd starts a shim through another that lives for a moment: only what lasts counts.
pub(super) const CHECK: Check = Check::of::<ProcessTree>("runtime.process-tree", Scope::Worker)
    .wants(&[Fixture::Pods])
    .confirmed()
    .motion(Motion::Still);

struct ProcessTree;

#[derive(Serialize, Deserialize)]
struct Facts {
    runtime: CriPodsReply,
    /// All processes; those that we draw with their arguments.
    processes: Vec<Process>,
    /// The UIDs of the suite's pods on this node; none where they could not be made.
    own: Vec<String>,
}

impl Probe for ProcessTree {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        // Before the reading, so that it finds their processes too.
        let spread = ctx.fixtures().spread(ctx).await;
        let made = spread.map(|spread| spread.pods).unwrap_or_default();
        let here = pods::started(&made).filter(|(pod, _)| pod.node.as_deref() == Some(host.node()));
        let drawn = SHIMS.iter().chain(STARTERS);
        let names = drawn.map(|name| (*name).to_owned()).collect();
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
        Ok(Facts {
            runtime: runtime?,
            processes,
            own: here.map(|(pod, _)| pod.uid.clone()).collect(),
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let runtime = &facts.runtime.runtime;
        if runtime != "containerd" {
            return Err(Unjudged::skip(cause::OtherRuntime { runtime }));
        }
        let findings = facts.findings();
        if findings.is_empty() && facts.own.is_empty() {
            return Err(Unjudged::skip(cause::Needs {
                what: &Fixture::Pods.owner(),
            }));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        Evidence::text(phrase::Processes, &facts.draw())
            .into_iter()
            .collect()
    }
}

impl Facts {
    fn findings(&self) -> Vec<Finding> {
        let gone = |process: &str| Finding::fail(cause::ProcessMissing { process: &process });
        let mut findings = Vec::new();
        if !self.processes.iter().any(|process| process.pid == 1) {
            findings.push(gone("PID 1"));
        }
        if !self.processes.iter().any(|process| process.name == "containerd") {
            findings.push(gone("containerd"));
        }
        let sandboxes = self.runtime.sandboxes.iter().map(|network| &network.sandbox);
        for sandbox in sandboxes.filter(|sandbox| sandbox.ready) {
            let pod = format!("{}/{}", sandbox.namespace, sandbox.name);
            let cause = self.wrong(&pod, &sandbox.id, self.own.contains(&sandbox.uid));
            findings.extend(cause.map(|cause| Finding::fail(cause).of(pod)));
        }
        findings
    }

    /// Returns what is wrong below the shim of a sandbox; of the suite's own pods the container is known too.
    fn wrong(&self, pod: &str, sandbox: &str, own: bool) -> Option<Cause> {
        let names = |process: &&Process| {
            is_shim(process)
                && process
                    .arguments
                    .iter()
                    .any(|argument| argument.as_str() == sandbox)
        };
        let shims: Vec<&Process> = self.processes.iter().filter(names).collect();
        let [shim] = shims.as_slice() else {
            let cause = cause::ShimMissing {
                pod: &pod,
                sandbox: &sandbox,
                count: &shims.len(),
            };
            return Some(cause.into());
        };
        let shim = &shim.pid;
        let missing = |process: &str| {
            let cause = cause::PodProcessMissing {
                process: &process,
                pod: &pod,
                shim,
            };
            Some(cause.into())
        };
        // How others' pause is called is theirs; the suite's own is known.
        let holds = |child: &Process| !own || child.name == "pause";
        if !self.children(*shim).any(holds) {
            return missing("pause");
        }
        if !own {
            return None;
        }
        let is_nginx = |child: &&Process| child.name.starts_with("nginx");
        let mut masters = self.children(*shim).filter(is_nginx).peekable();
        if masters.peek().is_none() {
            return missing("nginx");
        }
        let works = |master: &Process| self.children(master.pid).any(|child| is_nginx(&child));
        let idle = || {
            let cause = cause::PodWorkerMissing {
                process: &"nginx",
                pod: &pod,
                shim,
            };
            cause.into()
        };
        (!masters.any(works)).then(idle)
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
            process.pid == 1 || is_shim(process) || STARTERS.contains(&process.name.as_str())
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
        let arguments: Vec<&str> = process.arguments.iter().skip(1).map(Masked::as_str).collect();
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
    use secrets::MaskedArguments;

    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::{Sandbox, SandboxNetwork};
    use crate::suite::Seen;

    fn process(pid: i32, parent: i32, name: &str, arguments: &[&str]) -> Process {
        Process {
            pid,
            parent,
            name: name.to_owned(),
            arguments: MaskedArguments::new(arguments),
            state: 'S',
            age_seconds: 60,
            cgroup: String::new(),
        }
    }

    /// The page's node-0: `pstree -ap`.
    fn page() -> Facts {
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
        Facts {
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
            own: vec!["uid".to_owned()],
        }
    }

    fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
        judged::<ProcessTree>(facts, &expect(&site(), "node-0"))
    }

    fn without(pid: i32) -> Facts {
        let mut facts = page();
        facts.processes.retain(|process| process.pid != pid);
        facts
    }

    #[test]
    fn the_page_s_tree_passes_and_is_drawn() {
        assert_eq!(judge(&page()), (Outcome::Pass, None));
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
        let parts = [
            (1, CauseId::ProcessMissing),
            (3440, CauseId::ProcessMissing),
            (4099, CauseId::ShimMissing),
            (4124, CauseId::PodProcessMissing),
            (4154, CauseId::PodProcessMissing),
            (4188, CauseId::PodWorkerMissing),
        ];
        for (pid, cause) in parts {
            assert_eq!(judge(&without(pid)), (Outcome::Fail, Some(cause)), "{pid}");
        }
    }

    #[test]
    fn another_runtime_and_a_node_without_a_pod_are_no_pass() {
        let mut other = page();
        other.runtime.runtime = "cri-o".to_owned();
        assert_eq!(judge(&other), (Outcome::Skip, Some(CauseId::OtherRuntime)));
        let mut bare = page();
        bare.own.clear();
        assert_eq!(judge(&bare), (Outcome::Skip, Some(CauseId::Needs)));
    }

    #[test]
    fn without_a_pod_of_the_suite_what_is_wrong_elsewhere_is_told() {
        let alone = |pid| {
            let mut facts = without(pid);
            facts.own.clear();
            judge(&facts)
        };
        assert_eq!(alone(3440), (Outcome::Fail, Some(CauseId::ProcessMissing)));
        assert_eq!(alone(4099), (Outcome::Fail, Some(CauseId::ShimMissing)));
    }

    #[test]
    fn a_shim_that_only_starts_another_is_gone_in_the_second_reading() {
        let mut starting = page();
        let shim = starting.processes[3].clone();
        starting.processes.push(Process { pid: 5000, ..shim });
        let seen = Seen {
            facts: serde_json::to_value(&starting).unwrap().into(),
            again: Some(serde_json::to_value(page()).unwrap().into()),
            depth: None,
        };
        let site = site();
        let verdict = CHECK.judge(&seen, &expect(&site, "node-0"));
        assert_eq!(verdict.outcome(), Outcome::Pass);
    }
}
