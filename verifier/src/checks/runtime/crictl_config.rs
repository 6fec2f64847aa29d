//! `runtime.crictl-config`: crictl's configuration names the socket on which the container runtime answers.

use serde::{Deserialize, Serialize};

use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::protocol::{CriStatus, Crictl, CrictlProblem, CrictlReply};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<CrictlConfig>("runtime.crictl-config", Scope::Worker);

struct CrictlConfig;

#[derive(Serialize, Deserialize)]
struct Facts {
    crictl: CrictlReply,
    /// The socket on which the node's runtime answers; absent where none does.
    socket: Option<String>,
}

impl Probe for CrictlConfig {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let socket = host.runtime.clone();
        let crictl = Crictl {
            socket: socket.clone(),
        };
        let status = CriStatus { socket };
        let (crictl, status) = futures::join!(
            ctx.ask_runtime(&host.name, crictl),
            ctx.ask_runtime(&host.name, status)
        );
        Ok(Facts {
            crictl: crictl?,
            socket: status.ok().map(|status| status.socket),
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let crictl = &facts.crictl;
        let Some(file) = &crictl.file else {
            let file = crictl.places.first().map_or("/etc/crictl.yaml", String::as_str);
            return Ok(vec![Finding::warn(cause::CrictlConfigMissing { file: &file })]);
        };
        let mut findings = Vec::new();
        match &crictl.problem {
            Some(CrictlProblem::Unreadable(message)) => {
                findings.push(Finding::fail(cause::CrictlConfigBroken { file, message }));
            }
            Some(CrictlProblem::NoMapping) => {
                findings.push(Finding::fail(cause::CrictlConfigNoMapping { file }));
            }
            None => {}
        }
        if !crictl.unknown.is_empty() {
            let key = &crictl.unknown.join(", ");
            findings.push(Finding::fail(cause::CrictlUnknownKey { file, key }));
        }
        match (crictl.settings.get("runtime-endpoint"), &facts.socket) {
            (Some(endpoint), Some(socket)) if crictl.other => {
                findings.push(Finding::warn(cause::CrictlOtherRuntime {
                    endpoint,
                    file,
                    socket,
                }));
            }
            (Some(_), _) if crictl.runtime.is_some() => {}
            (Some(endpoint), Some(socket)) => {
                findings.push(dead("runtime-endpoint", endpoint, file, socket));
            }
            // Nobody answers anywhere: that is not the file's fault.
            (Some(_), None) => {
                let message = crictl.silent.as_deref().unwrap_or_default();
                findings.push(Finding::error(cause::RuntimeSilent { message: &message }));
            }
            (None, _) if crictl.problem.is_none() => {
                findings.push(Finding::warn(cause::CrictlNoEndpoint { file }));
            }
            (None, _) => {}
        }
        // It counts beside the runtime's: `crictl images` and `crictl pull` use it, and nothing else.
        if let (Some(endpoint), Some(_), Some(socket)) = (
            crictl.settings.get("image-endpoint"),
            &crictl.images_silent,
            &facts.socket,
        ) {
            findings.push(dead("image-endpoint", endpoint, file, socket));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let CrictlReply {
            places,
            file,
            settings,
            runtime,
            silent,
            images_silent,
            ..
        } = &facts.crictl;
        let places = Line::said(phrase::CrictlPlaces {
            places: &places.join(", "),
        });
        let file = match file {
            Some(file) => Line::said(phrase::CrictlFile { file }),
            None => Line::said(phrase::CrictlFileAbsent),
        };
        let settings = settings
            .iter()
            .map(|(key, value)| format!("{key}: {value}").into());
        let answers = runtime
            .iter()
            .map(|runtime| Line::said(phrase::CrictlRuntime { runtime }));
        let lines = [places, file].into_iter().chain(settings).chain(answers);
        let refusals = silent.iter().chain(images_silent).map(Line::from);
        Evidence::lines(phrase::CrictlConfig, lines.chain(refusals))
            .into_iter()
            .collect()
    }
}

/// Returns that nobody answers on the socket that a setting of crictl names.
fn dead(setting: &str, endpoint: &str, file: &str, socket: &str) -> Finding {
    Finding::fail(cause::CrictlDeadSocket {
        setting: &setting,
        endpoint: &endpoint,
        file: &file,
        socket: &socket,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

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
        judged::<CrictlConfig>(&facts, &expect(&site, "node-0"))
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
            facts.crictl.problem = Some(CrictlProblem::Unreadable("line 1: no end".into()));
        };
        assert_eq!(judge(broken), fail(CauseId::CrictlConfigBroken));
        let list = |facts: &mut Facts| {
            facts.crictl.settings.clear();
            facts.crictl.problem = Some(CrictlProblem::NoMapping);
        };
        assert_eq!(judge(list), fail(CauseId::CrictlConfigNoMapping));
    }

    #[test]
    fn a_socket_of_another_runtime_warns() {
        assert_eq!(
            judge(|facts| facts.crictl.other = true),
            (Outcome::Warn, Some(CauseId::CrictlOtherRuntime))
        );
    }

    #[test]
    fn a_dead_socket_for_images_fails_beside_a_runtime_that_answers() {
        let mut facts = healthy();
        facts.crictl.settings.insert(
            "image-endpoint".to_owned(),
            "unix:///run/crio/crio.sock".to_owned(),
        );
        let site = site();
        let expect = expect(&site, "node-0");
        assert_eq!(CrictlConfig::judge(&facts, &expect).unwrap(), []);
        facts.crictl.images_silent = Some("nobody".into());
        let findings = CrictlConfig::judge(&facts, &expect).unwrap();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].cause.id(), CauseId::CrictlDeadSocket);
        assert_eq!(findings[0].cause.args()["setting"], "image-endpoint");
        assert_eq!(findings[0].cause.args()["endpoint"], "unix:///run/crio/crio.sock");
    }

    #[test]
    fn a_runtime_that_is_down_is_not_the_file_s_fault() {
        let down = |facts: &mut Facts| {
            facts.crictl.runtime = None;
            facts.socket = None;
        };
        assert_eq!(judge(down), (Outcome::Error, Some(CauseId::RuntimeSilent)));
        let misspelt = |facts: &mut Facts| {
            facts.crictl.runtime = None;
            facts.crictl.unknown = vec!["runtime-endpiont".to_owned()];
            facts.socket = None;
        };
        assert_eq!(judge(misspelt), (Outcome::Fail, Some(CauseId::CrictlUnknownKey)));
    }
}
