//! `kubectl.exec`: a command runs in a container of this node, through the API server.

use serde::{Deserialize, Serialize};

use super::through_kubelet::{self, KubeletReply, NodePod};
use crate::cluster::{Executed, Permission};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

/// The page's own command.
const COMMAND: [&str; 2] = ["nginx", "-v"];

pub(super) const CHECK: Check = Check::of::<Exec>(About {
    id: "kubectl.exec",
    scope: Scope::Worker,
    needs: &[Fixture::Pods],
    // A websocket begins with a GET; from Kubernetes 1.35 on it asks for `create` too.
    permissions: &[
        Permission::within("create", "", "pods/exec"),
        Permission::within("get", "", "pods/exec"),
    ],
    summary: "nginx -v runs in a container of this node and ends with 0",
    explain: "Runs `nginx -v` in the suite's container on this node through the API server, as kubectl exec does: the \
output names nginx and the exit code is 0. The API server connects to the kubelet (port 10250), the kubelet to the \
container runtime, and the stream goes all the way back.\n\nUsual causes of failure, in order: the kubelet's serving \
certificate has expired, or names another node; the API server may not use the kubelet's API (the ClusterRole \
system:kube-apiserver-to-kubelet is missing); a firewall is between the API server and port 10250; the kubelet does not \
run; a proxy on the way allows no websockets.\n\nWhere to look: `journalctl -u kubelet` on the node, `journalctl -u \
kube-apiserver`; `openssl x509 -noout -dates -ext subjectAltName -in /var/lib/kubelet/kubelet.crt` on the node.",
    by_hand: "kubectl exec -ti POD_ON_{host} -- nginx -v",
});

struct Exec;

#[derive(Serialize, Deserialize)]
struct Facts {
    pod: String,
    came: KubeletReply<Executed>,
}

impl Probe for Exec {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let NodePod { host, namespace, pod } = through_kubelet::pod_of(ctx, member).await?;
        let container = pod.containers.first().map(|container| container.name.as_str());
        let result = ctx
            .api()?
            .exec(&namespace, &pod.name, container.unwrap_or_default(), &COMMAND)
            .await;
        let came = match through_kubelet::came(ctx, host, result).await? {
            // The connection to us stands before the one to the kubelet: its failure comes as the command's end.
            KubeletReply::Answer(Executed {
                code: None,
                message: Some(message),
                ..
            }) => KubeletReply::Failed(through_kubelet::closed(ctx, host, Some(500), message).await),
            other => other,
        };
        Ok(Facts { pod: pod.name, came })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let executed = match &facts.came {
            KubeletReply::Answer(executed) => executed,
            KubeletReply::Failed(closed) => return closed.verdict(expect),
        };
        let output = format!("{}{}", executed.stdout, executed.stderr);
        let of = |id| {
            Cause::new(id)
                .with("pod", &facts.pod)
                .with("command", COMMAND.join(" "))
        };
        let first = output.lines().next().unwrap_or("nothing").to_owned();
        let cause = match executed.code {
            Some(0) if output.contains("nginx") => None,
            Some(0) => Some(of(CauseId::ExecOutput).with("output", first)),
            Some(code) => Some(of(CauseId::ExecFailed).with("code", code).with("output", first)),
            None => Some(of(CauseId::ExecFailed).with("code", "none").with("output", first)),
        };
        let code = executed
            .code
            .map_or_else(|| "none".to_owned(), |code| code.to_string());
        let text = format!("{}\nexit code {code}", output.trim_end());
        let title = format!("{} in {}", COMMAND.join(" "), facts.pod);
        Verdict::of(cause.map(Finding::fail).into_iter().collect()).with([Evidence::new(title, text)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::kubectl::through_kubelet::tests::closed;
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;

    fn judge(came: KubeletReply<Executed>) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            pod: "nginx-b".to_owned(),
            came,
        };
        seen(&Exec::judge(&facts, &expect(&site(), "node-1")))
    }

    fn ended(stderr: &str, code: Option<i32>) -> KubeletReply<Executed> {
        KubeletReply::Answer(Executed {
            stdout: String::new(),
            stderr: stderr.to_owned(),
            code,
            message: None,
        })
    }

    #[test]
    fn the_version_with_exit_code_0_passes_and_nothing_else() {
        let version = "nginx version: nginx/1.22.1\n";
        assert_eq!(judge(ended(version, Some(0))), (Outcome::Pass, None));
        let failed = (Outcome::Fail, Some(CauseId::ExecFailed));
        assert_eq!(judge(ended(version, Some(1))), failed);
        assert_eq!(judge(ended(version, None)), failed);
        assert_eq!(
            judge(ended("", Some(0))),
            (Outcome::Fail, Some(CauseId::ExecOutput))
        );
    }

    #[test]
    fn a_closed_way_is_named() {
        let expired = "x509: certificate has expired or is not yet valid: current time 2026-11-23T22:00:00Z is after 2026-11-23T20:50:00Z";
        let came = KubeletReply::Failed(closed(Some(500), expired));
        assert_eq!(judge(came), (Outcome::Fail, Some(CauseId::CertificateExpired)));
    }
}
