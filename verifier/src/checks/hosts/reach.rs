//! `hosts.reach`: login, host key, sudo where asked, and an agent of this version.

use serde::{Deserialize, Serialize};

use super::login::login;
use crate::findings::{Cause, Evidence, Finding, Judged, Line, Severity, Unjudged, cause, phrase};
use crate::protocol::{Hello, HelloReply, TOOL, VERSION};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<HostsReach>("hosts.reach", Scope::Host).without_agent();

struct HostsReach;

/// How reaching a host ended.
#[derive(Serialize, Deserialize)]
enum Facts {
    /// The agent answered.
    Answered {
        hello: HelloReply,
        /// The version of this program.
        expected: String,
    },
    /// It could not be reached.
    Failed { severity: Severity, cause: Cause },
}

impl Probe for HostsReach {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        match ctx.agent(&host.name) {
            Ok(_) => {
                let hello = ctx.ask(&host.name, Hello {}).await?;
                let expected = TOOL.to_owned();
                Ok(Facts::Answered { hello, expected })
            }
            Err(Some(error)) => {
                let Finding { severity, cause, .. } = login(&host.name, error);
                Ok(Facts::Failed { severity, cause })
            }
            Err(None) => Err(Unjudged::error(cause::HostNotConnected { host: &host.name })),
        }
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let finding = match facts {
            Facts::Failed { severity, cause } => match severity {
                Severity::Warn => Finding::warn(cause.clone()),
                Severity::Error => Finding::error(cause.clone()),
                Severity::Fail => Finding::fail(cause.clone()),
            },
            Facts::Answered { hello, expected } if hello.protocol != VERSION || hello.tool != *expected => {
                Finding::fail(cause::AgentVersion {
                    host: &expect.host()?.name,
                    found: &hello.tool,
                    expected,
                })
            }
            Facts::Answered { .. } => return Ok(Vec::new()),
        };
        Ok(vec![finding])
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let Facts::Answered { hello, .. } = facts else {
            return Vec::new();
        };
        let line = phrase::AgentLine {
            tool: &hello.tool,
            hostname: &hello.hostname,
            platform: &hello.platform,
            uid: &hello.uid,
        };
        Evidence::lines(phrase::Agent, [Line::said(line)])
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn answered(protocol: u32, tool: &str) -> Facts {
        let hello = HelloReply {
            protocol,
            tool: tool.to_owned(),
            platform: "linux/amd64".to_owned(),
            hostname: "node-0".to_owned(),
            uid: 0,
            boot: None,
            kernel: String::new(),
            system: None,
        };
        Facts::Answered {
            hello,
            expected: "verifier 0.1.0".to_owned(),
        }
    }

    #[test]
    fn an_agent_of_this_version_passes_and_another_fails() {
        let site = site();
        let judge = |facts| judged::<HostsReach>(&facts, &expect(&site, "node-0"));
        assert_eq!(judge(answered(VERSION, "verifier 0.1.0")), (Outcome::Pass, None));
        assert_eq!(
            judge(answered(VERSION, "verifier 0.0.9")),
            (Outcome::Fail, Some(CauseId::AgentVersion))
        );
        assert_eq!(
            judge(answered(VERSION + 1, "verifier 0.1.0")),
            (Outcome::Fail, Some(CauseId::AgentVersion))
        );
    }

    #[test]
    fn a_host_that_cannot_be_reached_keeps_its_cause() {
        let site = site();
        let facts = Facts::Failed {
            severity: Severity::Error,
            cause: cause::SshHostKeyUnknown {
                host: &"node-0",
                fingerprint: &"SHA256:x",
            }
            .into(),
        };
        assert_eq!(
            judged::<HostsReach>(&facts, &expect(&site, "node-0")),
            (Outcome::Error, Some(CauseId::SshHostKeyUnknown))
        );
    }
}
