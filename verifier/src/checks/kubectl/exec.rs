//! `kubectl.exec`: a command runs in a container of this node, through the API server.

use serde::{Deserialize, Serialize};

use super::through_kubelet::{self, KubeletFailure, KubeletReply, NodePod, ThroughKubelet};
use crate::cluster::{Executed, Permission};
use crate::findings::{Cause, Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

/// The page's own command.
const COMMAND: [&str; 2] = ["nginx", "-v"];

pub(super) const CHECK: Check = Check::of::<Exec>("kubectl.exec", Scope::Worker)
    .needs(&[Fixture::Pods])
    .permissions(&[
        Permission::within("create", "", "pods/exec"),
        Permission::within("get", "", "pods/exec"),
    ])
    .traced::<Exec>();

struct Exec;

#[derive(Serialize, Deserialize)]
struct Facts {
    pod: String,
    came: KubeletReply<Ended>,
}

/// How the command ended.
#[derive(Serialize, Deserialize)]
struct Ended {
    stdout: String,
    stderr: String,
    code: i32,
}

impl Probe for Exec {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let NodePod { namespace, pod, .. } = through_kubelet::pod_of(ctx, member).await?;
        let container = pod.containers.first().map(|container| container.name.as_str());
        let result = ctx
            .api()?
            .exec(&namespace, &pod.name, container.unwrap_or_default(), &COMMAND)
            .await;
        let came = match through_kubelet::reply(result)? {
            KubeletReply::Answer(executed) => ended(executed),
            KubeletReply::Failed(failure) => KubeletReply::Failed(failure),
        };
        Ok(Facts { pod: pod.name, came })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let finding = match &facts.came {
            KubeletReply::Answer(ended) => ended.cause(&facts.pod).map(Finding::fail),
            KubeletReply::Failed(failure) => Some(failure.finding(expect)?),
        };
        Ok(finding.into_iter().collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let evidence = match &facts.came {
            KubeletReply::Answer(ended) => Some(ended.evidence(&facts.pod)),
            KubeletReply::Failed(failure) => failure.evidence(),
        };
        evidence.into_iter().collect()
    }
}

impl ThroughKubelet for Exec {
    fn failure(facts: &Facts) -> Option<&KubeletFailure> {
        facts.came.failure()
    }
}

/// The connection to us stands before the one to the kubelet: its failure comes as the command's end.
fn ended(executed: Executed) -> KubeletReply<Ended> {
    match executed {
        Executed {
            code: Some(code),
            stdout,
            stderr,
            ..
        } => KubeletReply::Answer(Ended { stdout, stderr, code }),
        Executed {
            message: Some(message),
            ..
        } => KubeletReply::Failed(through_kubelet::refused(500, message)),
        Executed { .. } => KubeletReply::Failed(KubeletFailure::Ended),
    }
}

impl Ended {
    fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Returns what is wrong with it.
    #[rustfmt::skip]
    fn cause(&self, pod: &str) -> Option<Cause> {
        let (command, output) = (&COMMAND.join(" "), self.output());
        let pod = &pod;
        Some(match (self.code, output.lines().next()) {
            (0, _) if output.contains("nginx") => return None,
            (0, None) => cause::ExecNoOutput { command, pod }.into(),
            (0, Some(first)) => cause::ExecOutput { command, pod, output: &first }.into(),
            (code, None) => cause::ExecFailedMutely { command, pod, code: &code }.into(),
            (code, Some(first)) => cause::ExecFailed { command, pod, code: &code, output: &first }.into(),
        })
    }

    fn evidence(&self, pod: &str) -> Evidence {
        let title = phrase::CommandOutput {
            command: &COMMAND.join(" "),
            pod: &pod,
        };
        let mut lines: Vec<Line> = self.output().trim_end().lines().map(Line::from).collect();
        lines.push(Line::said(phrase::ExitCode { code: &self.code }));
        Evidence {
            title: title.into(),
            lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn judge(came: KubeletReply<Ended>) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            pod: "nginx-b".to_owned(),
            came,
        };
        judged::<Exec>(&facts, &expect(&site(), "node-1"))
    }

    fn command(stderr: &str, code: Option<i32>, message: Option<&str>) -> KubeletReply<Ended> {
        ended(Executed {
            stdout: String::new(),
            stderr: stderr.to_owned(),
            code,
            message: message.map(str::to_owned),
        })
    }

    #[test]
    fn the_version_with_exit_code_0_passes_and_nothing_else() {
        let version = "nginx version: nginx/1.22.1\n";
        assert_eq!(judge(command(version, Some(0), None)), (Outcome::Pass, None));
        let fails = |output, code, cause| {
            assert_eq!(judge(command(output, code, None)), (Outcome::Fail, Some(cause)));
        };
        fails(version, Some(1), CauseId::ExecFailed);
        fails("", Some(1), CauseId::ExecFailedMutely);
        fails("busybox", Some(0), CauseId::ExecOutput);
        fails("", Some(0), CauseId::ExecNoOutput);
        fails(version, None, CauseId::KubeletStreamEnded);
    }

    #[test]
    fn a_closed_way_is_named() {
        let expired = "x509: certificate has expired or is not yet valid: current time 2026-11-23T22:00:00Z is after 2026-11-23T20:50:00Z";
        let came = command("", None, Some(expired));
        assert_eq!(judge(came), (Outcome::Fail, Some(CauseId::CertificateExpired)));
    }
}
