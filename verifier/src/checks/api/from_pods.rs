//! `api.from-pods`: from inside this node's pod every API server answers, at the address, by the CA and for the token that
//! pods are given. Operators, DNS and controllers of all kinds live by that; the kubeconfig takes another way.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::network::path_trace::PathTrace;
use crate::checks::network::pods;
use crate::cluster::{Cluster, ClusterError, InCluster, Permission};
use crate::findings::{Cause, Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::Place;
use crate::site::{Host, Role, Site};
use crate::suite::fixtures::Fixture;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, Trace, cause_of, through_place};

pub(super) const CHECK: Check = Check::of::<FromPods>("api.from-pods", Scope::Worker)
    .needs(&[Fixture::Pods])
    .permissions(&[
        Permission::across("get", "", "services"),
        Permission::across("list", "discovery.k8s.io", "endpointslices"),
        Permission::within("get", "", "configmaps"),
        Permission::within("create", "", "serviceaccounts/token"),
    ])
    .confirmed()
    .traced::<FromPods>();

/// How long a connection, and how long an answer may take.
const PATIENCE: Duration = Duration::from_secs(4);

struct FromPods;

#[derive(Serialize, Deserialize)]
struct Facts {
    /// The pod that asks.
    pod: String,
    /// The address of the Service `kubernetes`.
    service: SocketAddr,
    /// Whether pods are given a CA to know it by.
    authority: bool,
    /// Whether there is a token that they could show.
    token: bool,
    /// What came from the addresses that the Service leads to, each asked for itself, and last from the Service's own.
    heard: Vec<Heard>,
}

/// An address that was asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Heard {
    to: SocketAddr,
    said: Said,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    /// It answered with this HTTP status.
    Status(u16),
    /// Its certificate is not good for what pods know.
    Certificate(String),
    /// Nothing came.
    Silent(String),
    /// What came is nothing that was asked for.
    Strange(Cause),
}

impl Probe for FromPods {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let spread = ctx.fixtures().spread(ctx).await?;
        spread.takes(host.node())?;
        let mut all = pods::up(&spread.pods).map(|(pod, _)| pod);
        let Some(own) = all.find(|pod| pod.node.as_deref() == Some(host.node())) else {
            return Err(pods::needs(&[host.node().to_owned()]));
        };
        let told = ctx.fixtures().in_cluster(ctx).await?;
        let at = Place::Sandbox(ctx.sandbox_of(host, own).await?);
        let mut facts = Facts {
            pod: own.name.clone(),
            service: told.service,
            authority: !told.authorities.is_empty(),
            token: told.has_token(),
            heard: Vec::new(),
        };
        if facts.authority && facts.token {
            let to = told.endpoints.iter().chain([&told.service]);
            let asked = to.map(|to| ask(ctx, host, at.clone(), &told, *to));
            facts.heard = futures::future::try_join_all(asked).await?;
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        if !facts.authority {
            return Ok(vec![Finding::fail(cause::RootAuthorityMissing {})]);
        }
        if !facts.token {
            return Ok(vec![Finding::fail(cause::ServiceAccountMissing {})]);
        }
        let service = &facts.service;
        let servers = facts.servers();
        if servers.is_empty() {
            return Ok(vec![Finding::fail(cause::ApiEndpointsMissing {
                address: service,
            })]);
        }
        let of = |heard: &Heard| Some(Finding::fail(facts.cause(heard, expect, host)?).of(heard.to));
        let mut findings: Vec<Finding> = servers.iter().filter_map(of).collect();
        if findings.is_empty() {
            // Each server is good: what is wrong lies in the way to the Service.
            findings.extend(facts.heard.last().and_then(of));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let lines = facts.heard.iter().map(Heard::line);
        Evidence::lines(phrase::ApiAsked, lines).into_iter().collect()
    }
}

impl Trace for FromPods {
    /// The way to each server that was silent.
    type Depth = Vec<(SocketAddr, PathTrace)>;

    async fn trace(ctx: &Ctx, member: &Member, facts: &Facts, _: &[Finding]) -> Self::Depth {
        let Ok(here) = ctx.host(member) else {
            return Vec::new();
        };
        let silent = facts.silent();
        let looks = silent.map(|to| async move {
            let there = holder(&ctx.site, to);
            (to, PathTrace::to_host(ctx, here, there, to.ip()).await)
        });
        futures::future::join_all(looks).await
    }

    fn explain(findings: Vec<Finding>, _: &Facts, depth: &Self::Depth, expect: &Expect<'_>) -> Vec<Finding> {
        let mut causes: Vec<Cause> = Vec::new();
        for (to, way) in depth {
            let cause = expect
                .host
                .and_then(|here| way.cause_from_pod(here, holder(expect.site, *to), *to));
            causes.extend(cause.filter(|cause| !causes.contains(cause)));
        }
        causes.into_iter().map(Finding::fail).chain(findings).collect()
    }

    fn deeper(depth: &Self::Depth, _: &Expect<'_>) -> Vec<Evidence> {
        depth.iter().flat_map(|(_, way)| way.evidence()).collect()
    }
}

/// Returns the host whose address it is.
fn holder(site: &Site, to: SocketAddr) -> Option<&Host> {
    site.hosts.iter().find(|host| host.ips().contains(&to.ip()))
}

/// Asks an address from inside a pod, on a connection of its own.
async fn ask(
    ctx: &Ctx,
    host: &Host,
    from: Place,
    told: &InCluster,
    to: SocketAddr,
) -> Result<Heard, Unjudged> {
    let lost = |_| Unjudged::error(cause::HostNotConnected { host: &host.name });
    let agent = ctx.agent(&host.name).map_err(lost)?.clone();
    let way = through_place(agent, from, to.to_string(), PATIENCE);
    let pod: Cluster = ctx.api()?.as_pod(told, way)?;
    let said = match tokio::time::timeout(2 * PATIENCE, pod.version_status()).await {
        Ok(Ok(status)) => Said::Status(status),
        Ok(Err(ClusterError::Certificate { reason, .. })) => Said::Certificate(reason),
        Ok(Err(ClusterError::Unreachable { reason, .. })) => Said::Silent(reason),
        Ok(Err(error)) => Said::Strange(cause_of(&error)),
        Err(_) => Said::Silent(format!("no answer within {} s", 2 * PATIENCE.as_secs())),
    };
    Ok(Heard { to, said })
}

impl Facts {
    /// Returns what came from the servers themselves.
    fn servers(&self) -> &[Heard] {
        self.heard.split_last().map_or(&[], |(_, servers)| servers)
    }

    /// Returns the servers from which nothing came.
    fn silent(&self) -> impl Iterator<Item = SocketAddr> {
        let silent = self.servers().iter();
        silent
            .filter(|heard| matches!(heard.said, Said::Silent(_)))
            .map(|heard| heard.to)
    }

    #[rustfmt::skip]
    fn cause(&self, heard: &Heard, expect: &Expect<'_>, host: &str) -> Option<Cause> {
        let (pod, service, address) = (&self.pod, &self.service, &heard.to);
        let host = &host;
        Some(match &heard.said {
            // Known to it, whatever it may see.
            Said::Status(200 | 403) => return None,
            Said::Status(401) => cause::ApiTokenRefused { address }.into(),
            Said::Status(status) => cause::ApiStatusToPods { address, status }.into(),
            Said::Strange(cause) => cause.clone(),
            Said::Certificate(reason) => cause::ApiCertificateForPods { address, service, reason }.into(),
            Said::Silent(reason) if address == service => {
                cause::ApiServiceSilentToPods { address, pod, host, reason }.into()
            }
            Said::Silent(reason) if is_elsewhere(expect, *address) => {
                let servers: Vec<&str> = expect.site.with_role(Role::ControlPlane).map(|host| host.address.as_str()).collect();
                let servers = &servers.join(", ");
                cause::ApiEndpointElsewhere { address, pod, host, servers, reason }.into()
            }
            Said::Silent(reason) => cause::ApiSilentToPods { address, pod, host, reason }.into(),
        })
    }
}

/// Returns whether the site file knows addresses of the control plane, and this is none of them.
fn is_elsewhere(expect: &Expect<'_>, to: SocketAddr) -> bool {
    let mut servers = expect.site.with_role(Role::ControlPlane).peekable();
    servers.peek().is_some() && !servers.any(|host| host.ips().contains(&to.ip()))
}

impl Heard {
    fn line(&self) -> String {
        let said = match &self.said {
            Said::Status(status) => format!("HTTP {status}"),
            Said::Certificate(reason) | Said::Silent(reason) => reason.clone(),
            Said::Strange(cause) => cause.id().name().to_owned(),
        };
        format!("{} {said}", self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    const SERVICE: &str = "10.32.0.1:443";
    /// The server of the page's site file.
    const SERVER: &str = "192.168.10.100:6443";
    const ELSEWHERE: &str = "10.0.2.15:6443";

    fn judge(heard: &[(&str, Said)], change: impl FnOnce(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let heard = heard.iter().map(|(to, said)| Heard {
            to: to.parse().unwrap(),
            said: said.clone(),
        });
        let mut facts = Facts {
            pod: "nginx-a".to_owned(),
            service: SERVICE.parse().unwrap(),
            authority: true,
            token: true,
            heard: heard.collect(),
        };
        change(&mut facts);
        judged::<FromPods>(&facts, &expect(&site(), "node-0"))
    }

    fn told(heard: &[(&str, Said)]) -> (Outcome, Option<CauseId>) {
        judge(heard, |_| ())
    }

    fn silent() -> Said {
        Said::Silent("Connection refused".to_owned())
    }

    #[test]
    fn servers_that_know_the_pod_pass_whatever_it_may_see() {
        let ok = Said::Status(200);
        let pass = (Outcome::Pass, None);
        assert_eq!(told(&[(SERVER, ok.clone()), (SERVICE, ok.clone())]), pass);
        assert_eq!(told(&[(SERVER, Said::Status(403)), (SERVICE, ok)]), pass);
    }

    #[test]
    fn each_way_in_which_pods_are_cut_off_has_its_cause() {
        let fails = |heard: &[(&str, Said)]| {
            let (outcome, cause) = told(heard);
            assert_eq!(outcome, Outcome::Fail);
            cause.unwrap()
        };
        let ok = || Said::Status(200);
        assert_eq!(
            fails(&[(SERVER, silent()), (SERVICE, silent())]),
            CauseId::ApiSilentToPods
        );
        assert_eq!(
            fails(&[(ELSEWHERE, silent()), (SERVICE, silent())]),
            CauseId::ApiEndpointElsewhere
        );
        assert_eq!(
            fails(&[(SERVER, ok()), (SERVICE, silent())]),
            CauseId::ApiServiceSilentToPods
        );
        assert_eq!(
            fails(&[(SERVER, Said::Status(401)), (SERVICE, ok())]),
            CauseId::ApiTokenRefused
        );
        let other = Said::Certificate("of another name".to_owned());
        assert_eq!(
            fails(&[(SERVER, other), (SERVICE, ok())]),
            CauseId::ApiCertificateForPods
        );
        assert_eq!(
            fails(&[(SERVER, Said::Status(500)), (SERVICE, ok())]),
            CauseId::ApiStatusToPods
        );
        assert_eq!(fails(&[(SERVICE, silent())]), CauseId::ApiEndpointsMissing);
    }

    #[test]
    fn one_server_of_several_is_enough_to_fail() {
        let heard = [
            (SERVER, Said::Status(200)),
            (ELSEWHERE, silent()),
            (SERVICE, Said::Status(200)),
        ];
        assert_eq!(told(&heard), (Outcome::Fail, Some(CauseId::ApiEndpointElsewhere)));
    }

    #[test]
    fn a_namespace_that_was_not_given_what_pods_need_fails() {
        assert_eq!(
            judge(&[], |facts| facts.authority = false),
            (Outcome::Fail, Some(CauseId::RootAuthorityMissing))
        );
        assert_eq!(
            judge(&[], |facts| facts.token = false),
            (Outcome::Fail, Some(CauseId::ServiceAccountMissing))
        );
    }
}
