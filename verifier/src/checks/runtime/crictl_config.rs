//! `runtime.crictl-config`: crictl's configuration names the socket on which the container runtime answers.

use bundle::Index;
use serde::{Deserialize, Serialize};

use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::{CriStatus, Crictl, CrictlReply};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

/// Where the bundle carries the file.
const MEMBER: &str = "config/crictl.yaml";

pub(super) const CHECK: Check = Check::of::<CrictlConfig>(About {
    id: "runtime.crictl-config",
    scope: Scope::Worker,
    needs: &[],
    permissions: &[],
    summary: "crictl's configuration names the socket that answers",
    explain: "Reads what crictl would read on this node: the file that CRI_CONFIG_FILE names, else /etc/crictl.yaml, else \
crictl.yaml beside the crictl binary. Its runtime-endpoint must be a socket on which a container runtime answers, and it \
must hold no key that crictl does not know: crictl refuses such a file. A missing file is a warning: crictl then tries \
the usual sockets in turn and warns with every call.\n\nUsual causes of failure, in order: the file was never put there; \
it was copied from a cluster with another runtime; a key is misspelt.\n\nWhere to look: the file itself; the bundle \
carries a right one as config/crictl.yaml. crictl need not be installed: it is what one reaches for when something fails.",
    by_hand: "ssh {host} 'cat /etc/crictl.yaml; crictl version'",
});

struct CrictlConfig;

#[derive(Serialize, Deserialize)]
struct Facts {
    crictl: CrictlReply,
    /// The socket on which the node's runtime answers; absent where none does.
    socket: Option<String>,
}

impl Probe for CrictlConfig {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let status = CriStatus {
            socket: host.runtime.clone(),
        };
        let (crictl, status) = futures::join!(
            ctx.ask_runtime(&host.name, Crictl {}),
            ctx.ask_runtime(&host.name, status)
        );
        Ok(Facts {
            crictl: crictl?,
            socket: status.ok().map(|status| status.socket),
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let evidence = facts.evidence();
        let crictl = &facts.crictl;
        let Some(file) = &crictl.file else {
            let place = crictl.places.first().map_or("/etc/crictl.yaml", String::as_str);
            let cause = Cause::new(CauseId::CrictlConfigMissing).with("file", place);
            return Verdict::of(vec![Finding::warn(cause.with("from", source(expect.index)))]).with(evidence);
        };
        let of = |id| Cause::new(id).with("file", file);
        let mut findings = Vec::new();
        if let Some(problem) = &crictl.problem {
            findings.push(Finding::fail(
                of(CauseId::CrictlConfigBroken).with("message", problem),
            ));
        }
        if !crictl.unknown.is_empty() {
            let keys = crictl.unknown.join(", ");
            findings.push(Finding::fail(of(CauseId::CrictlUnknownKey).with("key", keys)));
        }
        match crictl.settings.get("runtime-endpoint") {
            Some(_) if crictl.runtime.is_some() => {}
            // Nobody answers anywhere: that is not the file's fault.
            Some(_) if facts.socket.is_none() && findings.is_empty() => {
                let message = crictl.silent.clone().unwrap_or_default();
                let cause = Cause::new(CauseId::RuntimeSilent).with("message", message);
                return Verdict::from(Trouble::error(cause)).with(evidence);
            }
            Some(endpoint) => {
                let right = facts.socket.as_deref().unwrap_or("none");
                let cause = of(CauseId::CrictlDeadSocket).with("endpoint", endpoint);
                findings.push(Finding::fail(cause.with("socket", right)));
            }
            None if crictl.problem.is_none() => {
                findings.push(Finding::warn(of(CauseId::CrictlNoEndpoint)));
            }
            None => {}
        }
        Verdict::of(findings).with(evidence)
    }
}

/// Returns where a right file comes from.
fn source(index: Option<&Index>) -> String {
    let carries =
        index.is_some_and(|index| index.members.iter().any(|member| member.path.as_str() == MEMBER));
    if carries {
        format!("{MEMBER} of the bundle")
    } else {
        "a file with the line `runtime-endpoint: unix:///run/containerd/containerd.sock`".to_owned()
    }
}

impl Facts {
    fn evidence(&self) -> Vec<Evidence> {
        let CrictlReply {
            places,
            file,
            settings,
            runtime,
            silent,
            ..
        } = &self.crictl;
        let mut lines = vec![format!("looked for {}", places.join(", then "))];
        lines.push(
            file.as_ref()
                .map_or_else(|| "found none".to_owned(), |file| format!("found {file}")),
        );
        lines.extend(settings.iter().map(|(key, value)| format!("{key}: {value}")));
        lines.extend(runtime.iter().map(|runtime| format!("{runtime} answers")));
        lines.extend(silent.iter().cloned());
        Evidence::lines("crictl's configuration", &lines)
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;

    const SOCKET: &str = "unix:///run/containerd/containerd.sock";

    fn healthy() -> Facts {
        Facts {
            crictl: CrictlReply {
                places: vec!["/etc/crictl.yaml".to_owned()],
                file: Some("/etc/crictl.yaml".to_owned()),
                settings: [("runtime-endpoint".to_owned(), SOCKET.to_owned())].into(),
                runtime: Some("containerd v2.4.2".to_owned()),
                ..CrictlReply::default()
            },
            socket: Some("/run/containerd/containerd.sock".to_owned()),
        }
    }

    fn judge(change: fn(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let mut facts = healthy();
        change(&mut facts);
        let site = site();
        seen(&CrictlConfig::judge(&facts, &expect(&site, "node-0")))
    }

    #[test]
    fn a_socket_that_answers_passes_and_a_missing_file_warns() {
        assert_eq!(judge(|_| ()), (Outcome::Pass, None));
        assert_eq!(
            judge(|facts| facts.crictl.file = None),
            (Outcome::Warn, Some(CauseId::CrictlConfigMissing))
        );
        assert_eq!(
            judge(|facts| facts.crictl.settings.clear()),
            (Outcome::Warn, Some(CauseId::CrictlNoEndpoint))
        );
    }

    #[test]
    fn a_dead_socket_an_unknown_key_and_a_broken_file_fail() {
        let fail = |cause| (Outcome::Fail, Some(cause));
        let dead = |facts: &mut Facts| facts.crictl.runtime = None;
        assert_eq!(judge(dead), fail(CauseId::CrictlDeadSocket));
        let unknown = |facts: &mut Facts| facts.crictl.unknown = vec!["runtime-endpiont".to_owned()];
        assert_eq!(judge(unknown), fail(CauseId::CrictlUnknownKey));
        let broken = |facts: &mut Facts| {
            facts.crictl.settings.clear();
            facts.crictl.problem = Some("line 1: no mapping".to_owned());
        };
        assert_eq!(judge(broken), fail(CauseId::CrictlConfigBroken));
    }

    #[test]
    fn a_runtime_that_is_down_is_not_the_file_s_fault() {
        let down = |facts: &mut Facts| {
            facts.crictl.runtime = None;
            facts.socket = None;
        };
        assert_eq!(judge(down), (Outcome::Error, Some(CauseId::RuntimeSilent)));
    }
}
