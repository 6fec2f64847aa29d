//! `network.udp`: a datagram from a pod of this node comes back from a pod of every other.

use super::echo::{Echoed, Facts};
use super::path_trace::PathTrace;
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause};
use crate::protocol::{EchoReply, Transport};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<Udp>("network.udp", Scope::Worker)
    .needs(&[Fixture::Pods])
    .traced::<Udp>();

/// What a question to DNS is at most without extensions.
const BYTES: u16 = 512;

struct Udp;

impl Probe for Udp {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        Facts::gather(ctx, member, &[Transport::Udp(BYTES)]).await
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        let wrong = |echoed: &Echoed| Some(Finding::fail(wrong(echoed, host)?).of(&echoed.pod));
        facts.complete(facts.echoed.iter().filter_map(wrong).collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        facts.evidence()
    }
}

/// Returns why a datagram did not come back.
fn wrong(echoed: &Echoed, host: &str) -> Option<Cause> {
    let (pod, address, node, host) = (&echoed.pod, &echoed.address(), &echoed.node, &host);
    #[rustfmt::skip]
    let cause = match &echoed.reply {
        EchoReply::Back { .. } => return None,
        EchoReply::Silent { .. } => cause::UdpSilent { pod, address, node, host }.into(),
        EchoReply::Broken { error, .. } => cause::UdpRefused { pod, address, node, reason: error, host }.into(),
    };
    Some(cause)
}

impl Trace for Udp {
    type Depth = PathTrace;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, _: &[Finding]) -> PathTrace {
        facts.path(ctx, member).await
    }

    fn explain(
        findings: Vec<Finding>,
        facts: &Facts,
        depth: &PathTrace,
        expect: &Expect<'_>,
    ) -> Vec<Finding> {
        facts.explain(findings, depth, expect, |_| None)
    }

    fn deeper(depth: &PathTrace, _: &Expect<'_>) -> Vec<Evidence> {
        depth.evidence()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::echo::tests::{back, echoed, facts, silent};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn judge(echoed: Vec<Echoed>) -> (Outcome, Option<CauseId>) {
        judged::<Udp>(&facts(echoed), &expect(&site(), "node-0"))
    }

    #[test]
    fn a_datagram_that_comes_back_passes_and_a_lost_one_fails() {
        let by = Transport::Udp(BYTES);
        assert_eq!(judge(vec![echoed(by, back(512))]), (Outcome::Pass, None));
        assert_eq!(
            judge(vec![echoed(by, silent(512))]),
            (Outcome::Fail, Some(CauseId::UdpSilent))
        );
        let refused = EchoReply::Broken {
            bytes: 512,
            error: "connection refused".to_owned(),
        };
        assert_eq!(
            judge(vec![echoed(by, refused)]),
            (Outcome::Fail, Some(CauseId::UdpRefused))
        );
        assert_eq!(judge(Vec::new()), (Outcome::Skip, Some(CauseId::OneNode)));
    }
}
