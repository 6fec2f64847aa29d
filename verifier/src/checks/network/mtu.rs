//! `network.mtu`: long bodies and the longest packets pass from a pod of this node to a pod of every other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::echo::{Echoed, Facts, Sender};
use super::packet_filter::Packet;
use super::path_trace::PathTrace;
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause};
use crate::protocol::{EchoReply, Transport};
use crate::suite::fixtures::{EchoAt, Fixture};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace};

pub(super) const CHECK: Check = Check::of::<Mtu>("network.mtu", Scope::Worker)
    .needs(&[Fixture::Pods])
    .traced::<Mtu>();

/// A body that takes many packets.
const BODY: u32 = 64 << 10;
/// Lengths that are tried where the longest does not pass: what tunnels, clouds and old links leave of 1500 and of 9000,
/// in bytes of a datagram over IPv4.
const LADDER: [u16; 10] = [64, 548, 1172, 1252, 1352, 1392, 1422, 1452, 1472, 8922];

struct Mtu;

/// What explains what is lost.
#[derive(Default, Serialize, Deserialize)]
struct Depth {
    path: PathTrace,
    /// The longest datagram of [`LADDER`] that came back, by pod; a pod is absent where none did, all where it could not be
    /// tried.
    passes: Option<BTreeMap<String, u32>>,
}

impl Probe for Mtu {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        Facts::gather(ctx, member, &[Transport::LargestUdp, Transport::Tcp(BODY)]).await
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        let mut findings: Vec<Finding> = Vec::new();
        // Datagrams first: what they miss explains a body that does not come.
        for echoed in facts.lost() {
            let known = |finding: &Finding| finding.subject.as_deref() == Some(&*echoed.pod);
            if !findings.iter().any(known) {
                findings.push(Finding::fail(wrong(echoed, host, Passes::Unknown)).of(&echoed.pod));
            }
        }
        facts.complete(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        facts.evidence()
    }
}

/// What is known of the lengths that pass.
#[derive(Clone, Copy)]
enum Passes {
    /// Nobody looked.
    Unknown,
    /// None did.
    Nothing,
    /// A datagram of so many bytes does.
    UpTo(u32),
}

/// Returns what is wrong with what did not come back.
#[rustfmt::skip]
fn wrong(echoed: &Echoed, host: &str, passes: Passes) -> Cause {
    let (pod, address, node, host) = (&echoed.pod, &echoed.address(), &echoed.node, &host);
    let packet = |bytes: u32| Packet::udp(echoed.to, bytes).length();
    let bytes = &packet(echoed.bytes());
    match (&echoed.reply, echoed.by, passes) {
        (EchoReply::Broken { error, .. }, _, _) => cause::EchoBroken { pod, address, node, reason: error, host }.into(),
        (_, Transport::Tcp(bytes), _) => cause::BodyLost { pod, address, node, bytes: &bytes, host }.into(),
        (_, _, Passes::Unknown) => cause::PacketLost { pod, address, node, bytes, host }.into(),
        (_, _, Passes::UpTo(passes)) => cause::MtuHole { pod, address, node, bytes, passes: &packet(passes), host }.into(),
        // Not even short ones: that is no matter of lengths.
        (_, _, Passes::Nothing) => cause::UdpSilent { pod, address, node, host }.into(),
    }
}

impl Trace for Mtu {
    type Depth = Depth;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, _: &[Finding]) -> Depth {
        let (path, passes) = futures::join!(facts.path(ctx, member), ladder(ctx, member, facts));
        Depth { path, passes }
    }

    fn explain(findings: Vec<Finding>, facts: &Facts, depth: &Depth, expect: &Expect<'_>) -> Vec<Finding> {
        let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
        let passes = |echoed: &Echoed| match &depth.passes {
            None => Passes::Unknown,
            Some(passes) => passes
                .get(&echoed.pod)
                .map_or(Passes::Nothing, |bytes| Passes::UpTo(*bytes)),
        };
        facts.explain(findings, &depth.path, expect, |echoed| {
            Some(wrong(echoed, host, passes(echoed)))
        })
    }

    fn deeper(depth: &Depth, _: &Expect<'_>) -> Vec<Evidence> {
        depth.path.evidence()
    }
}

/// Tries which lengths pass to the pods that did not send everything back; nothing where not all of it could be tried.
async fn ladder(ctx: &Ctx, member: &Member, facts: &Facts) -> Option<BTreeMap<String, u32>> {
    let sender = &Sender::of(ctx, member).await.ok()?;
    let is_lost = |server: &&EchoAt| facts.lost().any(|echoed| echoed.pod == server.pod);
    let lost = sender.others.iter().filter(is_lost);
    let asks = lost.flat_map(|server| LADDER.map(|bytes| sender.send(server, Transport::WholeUdp(bytes))));
    let mut passes = BTreeMap::new();
    for echoed in futures::future::try_join_all(asks).await.ok()? {
        if echoed.is_back() {
            let longest = passes.entry(echoed.pod.clone()).or_insert(0);
            *longest = echoed.bytes().max(*longest);
        }
    }
    Some(passes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::echo::tests::{back, echoed, facts, silent};
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    #[test]
    fn what_is_long_must_come_back_too() {
        let site = site();
        let judge = |largest, body| {
            let both = vec![
                echoed(Transport::LargestUdp, largest),
                echoed(Transport::Tcp(BODY), body),
            ];
            judged::<Mtu>(&facts(both), &expect(&site, "node-0"))
        };
        assert_eq!(judge(back(1472), back(BODY)), (Outcome::Pass, None));
        let fails = |cause| (Outcome::Fail, Some(cause));
        assert_eq!(judge(silent(1472), back(BODY)), fails(CauseId::PacketLost));
        assert_eq!(judge(silent(1472), silent(BODY)), fails(CauseId::PacketLost));
        assert_eq!(judge(back(1472), silent(BODY)), fails(CauseId::BodyLost));
    }

    #[test]
    fn the_longest_packet_that_passes_is_named_and_none_at_all_is_no_matter_of_lengths() {
        let site = site();
        let expect = expect(&site, "node-0");
        let facts = facts(vec![echoed(Transport::LargestUdp, silent(1472))]);
        let explained = |passes: Option<&[(&str, u32)]>| {
            let tried = |passes: &[(&str, u32)]| {
                let named = passes.iter().map(|(pod, bytes)| ((*pod).to_owned(), *bytes));
                named.collect()
            };
            let depth = Depth {
                passes: passes.map(tried),
                ..Depth::default()
            };
            let findings = Mtu::judge(&facts, &expect).unwrap();
            Mtu::explain(findings, &facts, &depth, &expect).remove(0).cause
        };
        let hole = explained(Some(&[("nginx-b", 1172)]));
        assert_eq!(hole.id(), CauseId::MtuHole);
        assert_eq!(
            (hole.args()["bytes"].as_str(), hole.args()["passes"].as_str()),
            ("1500", "1200")
        );
        assert_eq!(explained(Some(&[])).id(), CauseId::UdpSilent);
        // Where nobody could try other lengths nothing is said of them.
        assert_eq!(explained(None).id(), CauseId::PacketLost);
    }
}
