//! `network.pod-reachable`: HTTP from this host to every pod.

use serde::{Deserialize, Serialize};

use super::path_trace::{Origin, PathTrace};
use super::pods::{self, Asked};
use crate::findings::{Evidence, Finding, Trouble, Verdict};
use crate::protocol::Place;
use crate::site::Host;
use crate::suite::fixtures::{Fixture, Spread};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<PodReachable>(About {
    id: "network.pod-reachable",
    scope: Scope::Host,
    needs: &[Fixture::Pods],
    permissions: &[],
    summary: "every pod answers HTTP from this host",
    explain: "Asks every pod of the suite for its page, from this host, by the pod's own address: status 200 and the \
page of nginx. Between hosts this proves the route to the other node's pod network, that the node forwards, its \
bridge, and the way back.\n\nUsual causes of failure, in order: the route to the node's pod network is missing or has \
the wrong next hop; net.ipv4.ip_forward is off on the node; its FORWARD chain drops; the bridge cni0 is down; another \
machine owns the address.\n\nWhere to look: `ip route` on this host and on the pod's node, `sysctl net.ipv4.ip_forward` \
and `iptables -S FORWARD` there. Where the site file gives the node's podCIDRs, a missing route is named.",
    by_hand: "kubectl get pods -o wide; ssh {host} curl -s http://POD_IP | grep title",
});

struct PodReachable;

/// What one end saw of the pods.
#[derive(Serialize, Deserialize)]
pub(in crate::checks) struct Facts {
    /// The pods that were asked.
    pub(in crate::checks) asked: Vec<Asked>,
    /// Nodes that should have a pod and have none that runs.
    pub(in crate::checks) without: Vec<String>,
    /// Both ends; looked at only where a pod does not answer.
    pub(in crate::checks) way: Option<PathTrace>,
}

impl Probe for PodReachable {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let spread = ctx.fixtures().spread(ctx).await?;
        let asks = pods::up(&spread.pods).map(|pod| pods::ask(ctx, &host.name, Place::Host, pod));
        let asked = futures::future::try_join_all(asks).await?;
        Ok(Facts::of(ctx, host, asked, &spread).await)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        facts.judge(Origin::Host, expect)
    }
}

impl Facts {
    /// Adds to the answers what explains those that are wrong: both ends, and the pods that are not there.
    pub(in crate::checks) async fn of(ctx: &Ctx, host: &Host, asked: Vec<Asked>, spread: &Spread) -> Self {
        let way = if asked.iter().all(Asked::is_right) {
            None
        } else {
            Some(PathTrace::of(ctx, host, &asked).await)
        };
        Self {
            asked,
            without: pods::without(&spread.wanted, &spread.pods),
            way,
        }
    }

    /// Judges what was seen from a host, or from a pod on it.
    pub(in crate::checks) fn judge(&self, from: Origin, expect: &Expect<'_>) -> Verdict {
        let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
        let mut explained = Vec::new();
        let mut findings = Vec::new();
        for asked in &self.asked {
            let Some(wrong) = asked.wrong(host) else { continue };
            let answered = matches!(asked.reply, crate::protocol::HttpReply::Answer { .. });
            let way = self.way.as_ref().filter(|_| !answered);
            match way.and_then(|way| way.cause(asked, from, expect)) {
                Some(cause) => explained.push(Finding::fail(cause)),
                None => findings.push(Finding::fail(wrong)),
            }
        }
        explained.append(&mut findings);
        let evidence: Vec<Evidence> = pods::evidence(&self.asked)
            .into_iter()
            .chain(self.way.iter().flat_map(PathTrace::evidence))
            .collect();
        if explained.is_empty() && (!self.without.is_empty() || self.asked.is_empty()) {
            return Verdict::from(pods::needs(&self.without)).with(evidence);
        }
        Verdict::of(explained).with(evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::network::path_trace::tests::{route, way};
    use crate::checks::network::pods::TITLE;
    use crate::checks::network::pods::tests::{answer, asked};
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::HttpReply;

    fn judge(facts: &Facts) -> (Outcome, Option<CauseId>) {
        let site = site();
        seen(&PodReachable::judge(facts, &expect(&site, "server")))
    }

    fn facts(reply: HttpReply) -> Facts {
        Facts {
            asked: vec![asked(reply)],
            without: Vec::new(),
            way: Some(way("server", &[route("192.168.10.0/24", None)])),
        }
    }

    #[test]
    fn the_page_of_nginx_passes_and_any_other_fails() {
        assert_eq!(judge(&facts(answer(200, TITLE))), (Outcome::Pass, None));
        assert_eq!(
            judge(&facts(answer(200, "It works"))),
            (Outcome::Fail, Some(CauseId::WrongPage))
        );
    }

    #[test]
    fn the_reason_on_the_way_is_named_where_there_is_one() {
        let silent = || facts(HttpReply::Silent { connected: false });
        assert_eq!(judge(&silent()), (Outcome::Fail, Some(CauseId::RouteMissing)));
        let routed = Facts {
            way: Some(way("server", &[route("10.200.1.0/24", Some("192.168.10.102"))])),
            ..silent()
        };
        assert_eq!(judge(&routed), (Outcome::Fail, Some(CauseId::PodSilent)));
    }

    #[test]
    fn pods_that_are_not_there_are_no_pass() {
        let facts = Facts {
            asked: vec![asked(answer(200, TITLE))],
            without: vec!["node-0".to_owned()],
            way: None,
        };
        assert_eq!(judge(&facts), (Outcome::Skip, Some(CauseId::Needs)));
    }
}
