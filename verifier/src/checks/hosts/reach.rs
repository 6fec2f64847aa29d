//! `hosts.reach`: login, host key, sudo where asked, and an agent of this version.

use serde::{Deserialize, Serialize};

use super::login::login;
use crate::findings::{Cause, CauseId, Evidence, Finding, Outcome, Trouble, Verdict};
use crate::protocol::{Hello, HelloReply, VERSION};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<HostsReach>(About {
    id: "hosts.reach",
    scope: Scope::Host,
    needs: &[],
    permissions: &[],
    summary: "the host lets us in and our agent runs there",
    explain: "Proves that the host answers on its SSH port, shows the host key that is known for it, accepts the login \
of the site file, gives the rights of `become`, and runs an agent of this very version.\n\n\
Usual causes of failure, in order: sshd is down or the address is wrong; the host key is not in known_hosts; the key \
or the user is wrong; sudo asks for a password that the site file does not name; no directory of the host lets \
programs run.\n\nWhere to look: `journalctl -u ssh` on the host; `ssh -v` from here. All other checks of a host that \
cannot be reached are errors: nothing is known about it.",
    by_hand: "ssh {host} true",
})
.without_agent();

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
    Failed { outcome: Outcome, cause: Cause },
}

impl Probe for HostsReach {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        match ctx.agent(&host.name) {
            Ok(_) => {
                let hello = ctx.ask(&host.name, Hello {}).await?;
                let expected = format!("verifier {}", env!("CARGO_PKG_VERSION"));
                Ok(Facts::Answered { hello, expected })
            }
            Err(Some(error)) => {
                let (outcome, cause) = login(&host.address, error);
                Ok(Facts::Failed { outcome, cause })
            }
            Err(None) => Err(Trouble::internal(&"no connection was tried")),
        }
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        match facts {
            Facts::Failed { outcome, cause } => Verdict::new(*outcome, cause.clone()),
            Facts::Answered { hello, expected } => {
                let mut findings = Vec::new();
                if hello.protocol != VERSION || hello.tool != *expected {
                    let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
                    let cause = Cause::new(CauseId::AgentVersion).with("host", host);
                    findings.push(Finding::fail(
                        cause.with("found", &hello.tool).with("expected", expected),
                    ));
                }
                let text = format!(
                    "{} on {} ({}), uid {}",
                    hello.tool, hello.hostname, hello.platform, hello.uid
                );
                Verdict::of(findings).with([Evidence::new("agent", text)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, seen, site};

    fn answered(protocol: u32, tool: &str) -> Facts {
        let hello = HelloReply {
            protocol,
            tool: tool.to_owned(),
            platform: "linux/amd64".to_owned(),
            hostname: "node-0".to_owned(),
            uid: 0,
        };
        Facts::Answered {
            hello,
            expected: "verifier 0.1.0".to_owned(),
        }
    }

    #[test]
    fn an_agent_of_this_version_passes_and_another_fails() {
        let site = site();
        let judge = |facts| seen(&HostsReach::judge(&facts, &expect(&site, "node-0")));
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
        let cause = Cause::new(CauseId::SshHostKeyUnknown)
            .with("address", "192.168.10.101")
            .with("fingerprint", "SHA256:x")
            .with("next", "pin it");
        let outcome = Outcome::Error;
        let verdict = HostsReach::judge(&Facts::Failed { outcome, cause }, &expect(&site, "node-0"));
        assert_eq!(seen(&verdict), (Outcome::Error, Some(CauseId::SshHostKeyUnknown)));
    }
}
