//! Why a Service does not answer through a node: no endpoints, kube-proxy, its rules, a chain that drops, the way from the node
//! to the pods. Looked at only once something failed; where no pod could answer, kube-proxy's rules alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::attempts::FIRST;
use crate::checks::components::component::known::KUBE_PROXY;
use crate::checks::components::workers::service_proxy::{self, ServiceProxy};
use crate::checks::network::packet_filter::{self, Hook, Packet, chain_drops};
use crate::checks::network::path_trace::{Origin, PathTrace};
use crate::checks::network::pods::{self, Asked, PORT};
use crate::cluster::{EndpointFacts, ServiceFacts};
use crate::findings::{Cause, CauseId, Evidence, Finding, Judged, Severity, cause, phrase};
use crate::protocol::{Chain, Chains, ChainsReply, Place};
use crate::site::Host;
use crate::suite::fixtures::ECHO_PORT;
use crate::suite::{Ctx, Expect, Member};

/// How often kube-proxy's rules are read while they are waited for.
const REREAD: Duration = Duration::from_millis(500);
/// What rules contain where kube-proxy works by IPVS: the name of a set of addresses, not that of a Service.
const IPVS: &str = "-CLUSTER-IP ";
/// About as long as a datagram of ours is, in bytes.
const DATAGRAM: u32 = 16;
/// How long an agent may take to list the rules of the packet filter.
const LIST: Duration = Duration::from_secs(10);

/// Where a Service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checks) enum Entry {
    /// At its cluster IP, from the node itself.
    ClusterIp,
    /// At its cluster IP, from a pod of the node.
    FromPod,
    /// The same by datagrams.
    UdpFromPod,
    /// At the node's port, from elsewhere.
    NodePort(SocketAddr),
}

/// Returns kube-proxy's rules where no pod could answer through them: once they name the Service, or as they are when
/// kube-proxy has had its time. None where nobody could list them.
pub(in crate::checks) async fn rules(ctx: &Ctx, host: &Host, service: &ServiceFacts) -> Option<ChainsReply> {
    let since = Instant::now();
    loop {
        let found = chains(ctx, host, service).await?;
        if !is_unknown(&found, service) || since.elapsed() > FIRST {
            return Some(found);
        }
        tokio::time::sleep(REREAD).await;
    }
}

/// Judges kube-proxy by its rules, where no pod could answer through them.
pub(in crate::checks) fn judge_rules(
    rules: Option<&ChainsReply>,
    service: &ServiceFacts,
    entry: Entry,
    host: &str,
) -> Judged {
    match rules.filter(|chains| is_unknown(chains, service)) {
        Some(_) => Ok(vec![Finding::fail(missing(service, entry, host))]),
        None => Err(pods::needs(&[])),
    }
}

async fn chains(ctx: &Ctx, host: &Host, service: &ServiceFacts) -> Option<ChainsReply> {
    let containing = vec![service.full_name(), IPVS.to_owned()];
    ctx.ask_within(&host.name, Chains { containing }, LIST).await.ok()
}

/// Returns whether kube-proxy works by iptables. Where it works by nftables, or something else serves Services, there
/// is no jump to its chain; where it works by IPVS, its chain names sets.
fn by_iptables(chains: &ChainsReply) -> bool {
    let nat = || chains.chains.iter().filter(|chain| chain.table == "nat");
    let jumps = |rule: &String| rule.contains("-j KUBE-SERVICES");
    let sets = |rule: &String| rule.contains(IPVS);
    chains.readable
        && nat().any(|chain| chain.policy.is_some() && chain.rules.iter().any(jumps))
        && !nat().any(|chain| chain.rules.iter().any(sets))
}

/// Returns whether kube-proxy works by iptables and none of its rules is of the Service: one without endpoints has
/// rules that reject, in the table filter.
fn is_unknown(chains: &ChainsReply, service: &ServiceFacts) -> bool {
    let name = service.full_name();
    let own = |chain: &&Chain| chain.name.starts_with("KUBE-");
    let mut rules = chains.chains.iter().filter(own).flat_map(|chain| &chain.rules);
    by_iptables(chains) && !rules.any(|rule| rule.contains(&name))
}

fn missing(service: &ServiceFacts, entry: Entry, host: &str) -> Cause {
    let (host, name) = (&host, &service.full_name());
    match entry {
        Entry::ClusterIp | Entry::FromPod => cause::ServiceRulesMissing {
            host,
            address: &service.cluster_ip,
            service: name,
        }
        .into(),
        Entry::UdpFromPod => cause::ServiceUdpRulesMissing {
            host,
            address: &service.cluster_ip,
            service: name,
        }
        .into(),
        Entry::NodePort(_) => cause::NodeportRulesMissing {
            host,
            port: &service.node_port,
            service: name,
        }
        .into(),
    }
}

/// What a node, and the API, say of a Service that does not answer there.
#[derive(Serialize, Deserialize)]
pub(in crate::checks) struct ServiceTrace {
    proxy: ServiceProxy,
    chains: Option<ChainsReply>,
    /// The ready endpoints; absent where the API did not say.
    endpoints: Option<Vec<EndpointFacts>>,
    /// What the node itself gets of the pods.
    asked: Vec<Asked>,
    way: Option<PathTrace>,
    journal: Option<Evidence>,
}

/// Looks at the node, and asks every pod straight from it; none where the site file does not know the host.
pub(in crate::checks) async fn look(
    ctx: &Ctx,
    member: &Member,
    service: &ServiceFacts,
) -> Option<ServiceTrace> {
    let host = ctx.host(member).ok()?;
    let spread = ctx.fixtures().spread(ctx).await;
    let all = spread.map(|spread| spread.pods).unwrap_or_default();
    let asks = pods::up(&all).map(|pod| pods::ask(ctx, &host.name, Place::Host, pod));
    let endpoints = async {
        let namespace = ctx.fixtures().namespace(ctx).await.ok()?;
        ctx.api().ok()?.endpoints(&namespace, &service.name).await.ok()
    };
    let (proxy, chains, endpoints, asked) = futures::join!(
        service_proxy::look(ctx, host),
        chains(ctx, host, service),
        endpoints,
        futures::future::join_all(asks)
    );
    let asked: Vec<Asked> = asked.into_iter().flatten().collect();
    let way = if asked.iter().all(Asked::is_right) {
        None
    } else {
        Some(PathTrace::of(ctx, host, Origin::Host, pods::lost(&asked)).await)
    };
    Some(ServiceTrace {
        journal: ctx.journal(&host.name, &proxy.life.unit(&KUBE_PROXY)).await,
        proxy,
        chains,
        endpoints: endpoints.map(|all| all.into_iter().filter(|one| one.ready).collect()),
        asked,
        way,
    })
}

impl ServiceTrace {
    /// Returns why the Service does not answer; nothing where all that can be looked at is as it should be.
    pub(in crate::checks) fn cause(
        &self,
        service: &ServiceFacts,
        entry: Entry,
        expect: &Expect<'_>,
    ) -> Option<Cause> {
        let host = expect.host.map(|host| host.name.as_str())?;
        if self.endpoints.as_ref().is_some_and(Vec::is_empty) {
            let service = &service.full_name();
            return Some(cause::EndpointsNone { service }.into());
        }
        self.proxy_dead(host)
            .or_else(|| self.rules_missing(service, entry, host))
            .or_else(|| self.drops(service, entry, host))
            .or_else(|| self.pod_silent(expect))
    }

    /// Returns what keeps kube-proxy from writing rules.
    pub(in crate::checks) fn proxy_dead(&self, host: &str) -> Option<Cause> {
        let finding = self.proxy.finding(host)?;
        let dead = [
            CauseId::KubeProxyStopped,
            CauseId::KubeProxyHung,
            CauseId::ComponentUnhealthy,
        ];
        let fails = finding.severity == Severity::Fail && dead.contains(&finding.cause.id());
        fails.then_some(finding.cause)
    }

    /// Returns the rules that kube-proxy should have written.
    fn rules_missing(&self, service: &ServiceFacts, entry: Entry, host: &str) -> Option<Cause> {
        let chains = self.chains.as_ref().filter(|chains| by_iptables(chains))?;
        let name = match entry {
            Entry::ClusterIp | Entry::FromPod | Entry::UdpFromPod => "KUBE-SERVICES",
            Entry::NodePort(_) => "KUBE-NODEPORTS",
        };
        let own = |chain: &&Chain| chain.table == "nat" && chain.name == name;
        let mut rules = chains.chains.iter().filter(own).flat_map(|chain| &chain.rules);
        let mine = service.full_name();
        let is_of = |rule: &str| entry != Entry::UdpFromPod || rule.contains("-p udp ");
        let there = rules.any(|rule| rule.contains(&mine) && is_of(rule));
        (!there).then(|| missing(service, entry, host))
    }

    fn drops(&self, service: &ServiceFacts, entry: Entry, host: &str) -> Option<Cause> {
        let chains = self.chains.as_ref()?;
        let is_udp = entry == Entry::UdpFromPod;
        let packet = |to| {
            if is_udp {
                Packet::udp(to, DATAGRAM)
            } else {
                Packet::tcp(to)
            }
        };
        let (port, target) = match service.udp_port {
            Some(port) if is_udp => (port, ECHO_PORT),
            _ => (service.port, self.asked.first().map_or(PORT, |asked| asked.port)),
        };
        let cluster_ip = SocketAddr::new(service.cluster_ip, port);
        let (path, outside, inside) = match entry {
            Entry::ClusterIp => (Hook::OutOf, cluster_ip, Hook::OutOf),
            Entry::FromPod | Entry::UdpFromPod => (Hook::Translated, cluster_ip, Hook::Through),
            Entry::NodePort(to) => (Hook::Translated, to, Hook::Through),
        };
        let pods = self
            .asked
            .iter()
            .map(|asked| SocketAddr::new(asked.address, target));
        chain_drops(chains, host, packet(outside), path).or_else(|| {
            pods.into_iter()
                .find_map(|pod| chain_drops(chains, host, packet(pod), inside))
        })
    }

    fn pod_silent(&self, expect: &Expect<'_>) -> Option<Cause> {
        let host = expect.host.map(|host| host.name.as_str())?;
        let silent = self.asked.iter().find(|asked| !asked.is_right())?;
        let way = self.way.as_ref();
        way.and_then(|way| way.cause(silent.into(), Origin::Host, expect))
            .or_else(|| silent.wrong(host))
    }

    /// Returns what was seen.
    pub(in crate::checks) fn evidence(&self, expect: &Expect<'_>) -> Vec<Evidence> {
        let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
        let mut evidence = vec![self.proxy.evidence()];
        evidence.extend(self.journal.clone());
        let endpoints = self.endpoints.iter().flatten().map(line);
        evidence.extend(Evidence::lines(phrase::ReadyEndpoints, endpoints));
        let chains = self.chains.as_ref();
        evidence.extend(chains.and_then(|chains| packet_filter::evidence(chains, host)));
        evidence.extend(pods::evidence(&self.asked));
        evidence.extend(self.way.iter().flat_map(PathTrace::evidence));
        evidence
    }
}

fn line(endpoint: &EndpointFacts) -> String {
    let pod = endpoint.pod.as_deref().unwrap_or("-");
    format!("{} {pod}", endpoint.address)
}

#[cfg(test)]
pub(in crate::checks) mod tests {
    use super::*;
    use crate::checks::components::component::ComponentState;
    use crate::checks::components::component::tests::{hung, stopped, well};
    use crate::checks::network::pods::tests::{answer, asked};
    use crate::checks::testing::{expect, service, site};
    use crate::protocol::{Filter, HttpReply};

    impl ServiceTrace {
        /// Changes what the node itself got of the pods.
        pub(in crate::checks) fn asked_for_tests(&mut self, asked: Vec<Asked>) {
            self.asked = asked;
        }

        /// Changes the ready endpoints.
        pub(in crate::checks) fn endpoints_for_tests(&mut self, endpoints: Vec<EndpointFacts>) {
            self.endpoints = Some(endpoints);
        }
    }

    fn chain(table: &str, name: &str, policy: Option<&str>, rules: &[&str]) -> Chain {
        Chain {
            of: Filter::Iptables,
            v6: false,
            table: table.to_owned(),
            name: name.to_owned(),
            hook: policy.map(|_| name.to_owned()),
            policy: policy.map(str::to_owned),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        }
    }

    /// Returns a node on which all is as it should be.
    pub(in crate::checks) fn good() -> ServiceTrace {
        let comment = "-m comment --comment \"verifier-x/nginx:http\"";
        let chains = vec![
            chain("nat", "PREROUTING", Some("ACCEPT"), &["-j KUBE-SERVICES"]),
            chain("nat", "KUBE-SERVICES", None, &[comment]),
            chain("nat", "KUBE-NODEPORTS", None, &[comment]),
            chain("filter", "INPUT", Some("DROP"), &[]),
        ];
        ServiceTrace {
            proxy: proxy(well("kube-proxy")),
            chains: Some(ChainsReply {
                readable: true,
                chains,
            }),
            endpoints: Some(vec![EndpointFacts {
                address: "10.200.1.2".to_owned(),
                pod: Some("nginx-b".to_owned()),
                ready: true,
            }]),
            asked: vec![asked(answer(200, pods::TITLE))],
            way: None,
            journal: None,
        }
    }

    fn proxy(life: ComponentState) -> ServiceProxy {
        ServiceProxy {
            life,
            version: None,
            installed: vec!["/etc/systemd/system/kube-proxy.service".to_owned()],
            instead: Vec::new(),
            serving: std::collections::BTreeMap::new(),
            elsewhere: Vec::new(),
        }
    }

    fn why(entry: Entry, change: impl FnOnce(&mut ServiceTrace)) -> Option<CauseId> {
        let mut way = good();
        change(&mut way);
        let site = site();
        way.cause(&service(), entry, &expect(&site, "node-1"))
            .map(|cause| cause.id())
    }

    fn node_port() -> Entry {
        Entry::NodePort("192.168.10.102:30443".parse().unwrap())
    }

    fn rules<'a>(way: &'a mut ServiceTrace, chain: &str) -> &'a mut Vec<String> {
        let chains = &mut way.chains.as_mut().unwrap().chains;
        &mut chains.iter_mut().find(|other| other.name == chain).unwrap().rules
    }

    #[test]
    fn where_all_is_well_nothing_is_named() {
        assert_eq!(why(Entry::ClusterIp, |_| {}), None);
        // The policy of INPUT is not asked about a packet that is for a pod by then.
        assert_eq!(why(node_port(), |_| {}), None);
    }

    #[test]
    fn a_kube_proxy_that_does_not_run_or_hangs_is_named_before_its_rules() {
        let dead = |life: ComponentState| {
            move |way: &mut ServiceTrace| {
                way.proxy = proxy(life);
                rules(way, "KUBE-SERVICES").clear();
            }
        };
        assert_eq!(
            why(Entry::ClusterIp, dead(stopped())),
            Some(CauseId::KubeProxyStopped)
        );
        assert_eq!(
            why(Entry::ClusterIp, dead(hung("kube-proxy"))),
            Some(CauseId::KubeProxyHung)
        );
    }

    #[test]
    fn missing_rules_are_named_only_where_kube_proxy_works_by_iptables() {
        let none = |way: &mut ServiceTrace| rules(way, "KUBE-NODEPORTS").clear();
        assert_eq!(why(node_port(), none), Some(CauseId::NodeportRulesMissing));
        assert_eq!(why(Entry::ClusterIp, none), None);
        let none = |way: &mut ServiceTrace| rules(way, "KUBE-SERVICES").clear();
        assert_eq!(why(Entry::ClusterIp, none), Some(CauseId::ServiceRulesMissing));
        // The rules of TCP are no rules of UDP.
        assert_eq!(
            why(Entry::UdpFromPod, |_| {}),
            Some(CauseId::ServiceUdpRulesMissing)
        );
        let udp = |way: &mut ServiceTrace| {
            let rule = "-d 10.32.0.7/32 -p udp -m comment --comment \"verifier-x/nginx:echo cluster IP\" -m udp --dport 7";
            rules(way, "KUBE-SERVICES").push(rule.to_owned());
        };
        assert_eq!(why(Entry::UdpFromPod, udp), None);
        let dropped = |way: &mut ServiceTrace| {
            udp(way);
            let chains = &mut way.chains.as_mut().unwrap().chains;
            chains.push(chain(
                "raw",
                "PREROUTING",
                Some("ACCEPT"),
                &["-p udp -m udp --dport 7 -j DROP"],
            ));
        };
        assert_eq!(why(Entry::UdpFromPod, dropped), Some(CauseId::ChainDrops));
        assert_eq!(why(Entry::FromPod, dropped), None);
        let nftables = |way: &mut ServiceTrace| way.chains.as_mut().unwrap().chains.truncate(0);
        assert_eq!(why(node_port(), nftables), None);
        let ipvs = |way: &mut ServiceTrace| {
            let set = "-m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT";
            *rules(way, "KUBE-SERVICES") = vec![set.to_owned()];
        };
        assert_eq!(why(Entry::ClusterIp, ipvs), None);
    }

    #[test]
    fn where_no_pod_could_answer_kube_proxys_rules_are_judged_alone() {
        let judge = |rejects: bool, entry: Entry| {
            let mut way = good();
            rules(&mut way, "KUBE-SERVICES").clear();
            rules(&mut way, "KUBE-NODEPORTS").clear();
            let mut chains = way.chains.unwrap();
            if rejects {
                let rule = "-m comment --comment \"verifier-x/nginx:http has no endpoints\" -j REJECT";
                chains
                    .chains
                    .push(chain("filter", "KUBE-SERVICES", None, &[rule]));
            }
            let judged = judge_rules(Some(&chains), &service(), entry, "node-1");
            judged.map(|findings| findings[0].cause.id())
        };
        assert_eq!(judge(false, Entry::ClusterIp), Ok(CauseId::ServiceRulesMissing));
        assert_eq!(judge(false, node_port()), Ok(CauseId::NodeportRulesMissing));
        assert_eq!(judge(true, node_port()), Err(pods::needs(&[])));
        let unread = judge_rules(None, &service(), Entry::ClusterIp, "node-1");
        assert_eq!(unread, Err(pods::needs(&[])));
    }

    #[test]
    fn a_rule_that_drops_the_node_port_and_a_policy_that_drops_what_is_forwarded_are_named() {
        let raw = |way: &mut ServiceTrace| {
            let rule = "-p tcp -m tcp --dport 30000:32767 -j DROP";
            let chains = &mut way.chains.as_mut().unwrap().chains;
            chains.push(chain("raw", "PREROUTING", Some("ACCEPT"), &[rule]));
        };
        assert_eq!(why(node_port(), raw), Some(CauseId::ChainDrops));
        let forward = |way: &mut ServiceTrace| {
            let chains = &mut way.chains.as_mut().unwrap().chains;
            chains.push(chain("filter", "FORWARD", Some("DROP"), &[]));
        };
        assert_eq!(why(node_port(), forward), Some(CauseId::ChainDrops));
        assert_eq!(why(Entry::ClusterIp, forward), None);
    }

    #[test]
    fn no_endpoints_and_a_silent_pod_are_named() {
        let none = |way: &mut ServiceTrace| way.endpoints = Some(Vec::new());
        assert_eq!(why(Entry::ClusterIp, none), Some(CauseId::EndpointsNone));
        let silent = |way: &mut ServiceTrace| way.asked = vec![asked(HttpReply::Silent { connected: false })];
        assert_eq!(why(Entry::ClusterIp, silent), Some(CauseId::PodSilent));
    }
}
