//! `network.pod-reachable`: HTTP from this host to every pod.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::agent::protocol::{HttpProbe, HttpReply, Place, Route, Routes};
use crate::check::fixtures::Fixture;
use crate::check::{
    About, Cause, CauseId, Check, Ctx, Evidence, Expect, Finding, Member, Probe, Scope, Trouble, Verdict,
};
use crate::cluster::PodFacts;

/// The title of nginx's own page.
const TITLE: &str = "Welcome to nginx!";
/// The port that the suite's image listens on.
const PORT: u16 = 80;
/// How long a pod may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

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

#[derive(Serialize, Deserialize)]
struct Facts {
    /// The pods that were asked.
    asked: Vec<Asked>,
    /// Nodes that should have a pod and have none that runs.
    without: Vec<String>,
    /// The routes of this host; read only where a pod does not answer.
    routes: Option<Vec<Route>>,
}

#[derive(Serialize, Deserialize)]
struct Asked {
    pod: String,
    node: String,
    address: IpAddr,
    reply: HttpReply,
}

impl Probe for PodReachable {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let spread = ctx.fixtures().spread(ctx).await?;
        let up: Vec<&PodFacts> = spread.pods.iter().filter(|pod| pod.is_up()).collect();
        let has = |node: &String| up.iter().any(|pod| pod.node.as_ref() == Some(node));
        let without = spread.wanted.iter().filter(|node| !has(node)).cloned().collect();
        let asks = up.iter().filter_map(|pod| {
            let address: IpAddr = pod.ip.as_deref()?.parse().ok()?;
            Some(ask(ctx, &host.name, pod, address))
        });
        let asked = futures::future::try_join_all(asks).await?;
        let routes = if asked.iter().all(|asked| title(&asked.reply).is_some()) {
            None
        } else {
            ctx.ask(&host.name, Routes {}).await.ok()
        };
        Ok(Facts {
            asked,
            without,
            routes,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let mut findings: Vec<Finding> = facts
            .asked
            .iter()
            .filter_map(|asked| facts.wrong(asked, expect))
            .collect();
        findings
            .sort_by_key(|finding| !matches!(finding.cause.id, CauseId::RouteMissing | CauseId::RouteWrong));
        let mut evidence: Vec<Evidence> = facts.evidence();
        if let Some(routes) = &facts.routes {
            let lines: Vec<String> = routes.iter().map(line).collect();
            evidence.extend(Evidence::lines("routes", &lines));
        }
        if findings.is_empty() && (!facts.without.is_empty() || facts.asked.is_empty()) {
            // Those that are there answered, and that is no proof for those that are not.
            let cause = Cause::new(CauseId::Needs).with("what", needs(&facts.without));
            return Verdict::from(Trouble::skip(cause)).with(evidence);
        }
        Verdict::of(findings).with(evidence)
    }
}

fn needs(without: &[String]) -> String {
    format!("workload.scale on {}", without.join(", "))
}

async fn ask(ctx: &Ctx, host: &str, pod: &PodFacts, address: IpAddr) -> Result<Asked, Trouble> {
    let probe = HttpProbe {
        to: SocketAddr::new(address, PORT),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        from: Place::Host,
        timeout_millis: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
        keep_body: 4096,
    };
    let reply = ctx.ask_within(host, probe, PATIENCE * 2).await?;
    let node = pod.node.clone().unwrap_or_default();
    Ok(Asked {
        pod: pod.name.clone(),
        node,
        address,
        reply,
    })
}

/// Returns the title of a page that was answered with 200.
fn title(reply: &HttpReply) -> Option<&str> {
    match reply {
        HttpReply::Answer {
            status: 200, body, ..
        } => {
            let (_, rest) = body.split_once("<title>")?;
            rest.split("</title>").next()
        }
        _ => None,
    }
}

impl Facts {
    /// Returns what is wrong with an answer.
    fn wrong(&self, asked: &Asked, expect: &Expect<'_>) -> Option<Finding> {
        let of = |id| {
            Cause::new(id)
                .with("pod", &asked.pod)
                .with("address", asked.address)
        };
        let at = |id| {
            let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
            of(id).with("node", &asked.node).with("host", host)
        };
        let cause = match &asked.reply {
            HttpReply::Answer { status: 200, .. } => match title(&asked.reply) {
                Some(TITLE) => return None,
                other => of(CauseId::WrongPage).with("title", other.unwrap_or("without a title")),
            },
            HttpReply::Answer { status, .. } => of(CauseId::WrongStatus).with("status", status),
            HttpReply::Broken { error } => self
                .route(asked, expect)
                .unwrap_or_else(|| at(CauseId::PodRefused).with("reason", error)),
            HttpReply::Silent { connected } => self.route(asked, expect).unwrap_or_else(|| {
                let reason = if *connected {
                    "it took the connection and said nothing"
                } else {
                    "no connection in time"
                };
                at(CauseId::PodSilent).with("reason", reason)
            }),
        };
        Some(Finding::fail(cause))
    }

    /// Returns the route that this host lacks for a pod, by the site file; nothing where there is one.
    fn route(&self, asked: &Asked, expect: &Expect<'_>) -> Option<Cause> {
        let host = expect.host?;
        let node = expect.site.host_of_node(&asked.node)?;
        let network = node
            .pod_cidrs
            .iter()
            .find(|network| network.contains(&asked.address))?;
        if node.name == host.name {
            return None;
        }
        let hops = node.ips();
        let via = *hops.first()?;
        let route = best(self.routes.as_ref()?, asked.address);
        let of = |id| {
            Cause::new(id)
                .with("network", network)
                .with("via", via)
                .with("pod", &asked.pod)
                .with("node", &asked.node)
                .with("host", &host.name)
        };
        match route {
            None => Some(of(CauseId::RouteMissing)),
            // A default route leads somewhere, and not to that node.
            Some(route) if route.destination.prefix_len() == 0 => Some(of(CauseId::RouteMissing)),
            Some(Route { via: Some(found), .. }) if !hops.contains(found) => {
                Some(of(CauseId::RouteWrong).with("found", found))
            }
            // On the link or over a tunnel's device: another way than static routes, and not ours to judge.
            Some(_) => None,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        let lines: Vec<String> = self
            .asked
            .iter()
            .map(|asked| {
                let Asked {
                    pod,
                    node,
                    address,
                    reply,
                } = asked;
                let answer = match reply {
                    HttpReply::Answer { status, millis, .. } => {
                        format!("{status} {:?} in {millis} ms", title(reply).unwrap_or_default())
                    }
                    HttpReply::Broken { error } => error.clone(),
                    HttpReply::Silent { connected: true } => "connected, then silent".to_owned(),
                    HttpReply::Silent { connected: false } => "silent".to_owned(),
                };
                format!(
                    "GET http://{}/ ({pod} on {node}): {answer}",
                    SocketAddr::new(*address, PORT)
                )
            })
            .collect();
        Evidence::lines("answers", &lines).into_iter().collect()
    }
}

/// Returns the route that the kernel would take: the longest prefix.
fn best(routes: &[Route], address: IpAddr) -> Option<&Route> {
    let fits = |network: &IpNet| network.contains(&address);
    routes
        .iter()
        .filter(|route| fits(&route.destination))
        .max_by_key(|route| route.destination.prefix_len())
}

fn line(route: &Route) -> String {
    let via = route.via.map(|via| format!(" via {via}")).unwrap_or_default();
    let device = route
        .device
        .as_ref()
        .map(|device| format!(" dev {device}"))
        .unwrap_or_default();
    format!("{}{via}{device}", route.destination)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;
    use crate::checks::testing::{expect, seen, site};

    fn answer(status: u16, title: &str) -> HttpReply {
        HttpReply::Answer {
            status,
            headers: std::collections::BTreeMap::new(),
            body: format!("<html><head><title>{title}</title></head></html>"),
            length: 50,
            millis: 2,
        }
    }

    fn asked(reply: HttpReply) -> Asked {
        Asked {
            pod: "nginx-b".to_owned(),
            node: "node-1".to_owned(),
            address: "10.200.1.2".parse().unwrap(),
            reply,
        }
    }

    fn route(destination: &str, via: Option<&str>) -> Route {
        Route {
            destination: destination.parse().unwrap(),
            via: via.map(|via| via.parse().unwrap()),
            device: Some("eth1".to_owned()),
        }
    }

    fn judge(reply: HttpReply, routes: Vec<Route>) -> Verdict {
        let facts = Facts {
            asked: vec![asked(reply)],
            without: Vec::new(),
            routes: Some(routes),
        };
        let site = site();
        PodReachable::judge(&facts, &expect(&site, "server"))
    }

    #[test]
    fn the_page_of_nginx_passes_and_any_other_fails() {
        assert_eq!(
            seen(&judge(answer(200, TITLE), Vec::new())),
            (Outcome::Pass, None)
        );
        assert_eq!(
            seen(&judge(answer(200, "It works"), Vec::new())),
            (Outcome::Fail, Some(CauseId::WrongPage))
        );
        assert_eq!(
            seen(&judge(answer(503, TITLE), Vec::new())),
            (Outcome::Fail, Some(CauseId::WrongStatus))
        );
    }

    #[test]
    fn a_missing_route_is_named_with_its_next_hop() {
        let silent = || HttpReply::Silent { connected: false };
        let link = || route("192.168.10.0/24", None);
        let verdict = judge(
            silent(),
            vec![link(), route("10.200.0.0/24", Some("192.168.10.101"))],
        );
        assert_eq!(seen(&verdict), (Outcome::Fail, Some(CauseId::RouteMissing)));
        let args = verdict.cause.unwrap().args;
        assert_eq!(
            (args["network"].as_str(), args["via"].as_str()),
            ("10.200.1.0/24", "192.168.10.102")
        );
        let broken = HttpReply::Broken {
            error: "network is unreachable".to_owned(),
        };
        let verdict = judge(broken, vec![link(), route("0.0.0.0/0", Some("10.0.2.2"))]);
        assert_eq!(seen(&verdict), (Outcome::Fail, Some(CauseId::RouteMissing)));
    }

    #[test]
    fn a_wrong_next_hop_is_named_and_a_right_one_is_not_the_cause() {
        let silent = || HttpReply::Silent { connected: false };
        let verdict = judge(silent(), vec![route("10.200.1.0/24", Some("192.168.10.101"))]);
        assert_eq!(seen(&verdict), (Outcome::Fail, Some(CauseId::RouteWrong)));
        let verdict = judge(silent(), vec![route("10.200.1.0/24", Some("192.168.10.102"))]);
        assert_eq!(seen(&verdict), (Outcome::Fail, Some(CauseId::PodSilent)));
        let tunnel = Route {
            device: Some("flannel.1".to_owned()),
            ..route("10.200.0.0/16", None)
        };
        assert_eq!(
            seen(&judge(silent(), vec![tunnel])),
            (Outcome::Fail, Some(CauseId::PodSilent))
        );
    }

    #[test]
    fn pods_that_are_not_there_are_no_pass() {
        let facts = Facts {
            asked: vec![asked(answer(200, TITLE))],
            without: vec!["node-0".to_owned()],
            routes: None,
        };
        let site = site();
        let verdict = PodReachable::judge(&facts, &expect(&site, "server"));
        assert_eq!(seen(&verdict), (Outcome::Skip, Some(CauseId::Needs)));
    }
}
