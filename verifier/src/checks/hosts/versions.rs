//! `hosts.versions`: no host is alone with its version of kubelet or container runtime among those that do the same work.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::carrier::Agent;
use crate::cluster::Permission;
use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Versions>("hosts.versions", Scope::Cluster)
    .permissions(&[Permission::across("list", "", "nodes")]);

/// Of fewer hosts nobody can say which is the odd one.
const FEWEST: usize = 3;

struct Versions;

#[derive(Serialize, Deserialize)]
struct Facts {
    hosts: Vec<HostVersions>,
}

/// What a host of the site runs on. What nobody said is absent.
#[derive(Clone, Serialize, Deserialize)]
struct HostVersions {
    name: String,
    /// Its roles, for example `control-plane,etcd`: hosts of the same roles are compared.
    roles: String,
    kubelet: Option<String>,
    runtime: Option<String>,
    kernel: Option<String>,
    system: Option<String>,
}

impl Probe for Versions {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let nodes = ctx.api()?.nodes().await?;
        let hosts = ctx.site.hosts.iter().map(|host| {
            let node = nodes.iter().find(|node| node.name == host.node());
            let hello = ctx.agent(&host.name).ok().map(Agent::hello);
            let roles: Vec<String> = host.roles.iter().map(ToString::to_string).collect();
            HostVersions {
                name: host.name.clone(),
                roles: roles.join(","),
                kubelet: node.map(|node| node.kubelet.clone()),
                runtime: node.map(|node| node.runtime.clone()),
                kernel: hello.map(|hello| hello.kernel.clone()),
                system: hello.and_then(|hello| hello.system.clone()),
            }
        });
        Ok(Facts {
            hosts: hosts.collect(),
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let mut alike: BTreeMap<&str, Vec<&HostVersions>> = BTreeMap::new();
        for host in &facts.hosts {
            alike.entry(&host.roles).or_default().push(host);
        }
        let of = |hosts: &[&HostVersions]| {
            let mut findings = odd(hosts, "kubelet", |host| host.kubelet.as_deref());
            findings.extend(odd(hosts, "runtime", |host| host.runtime.as_deref()));
            findings
        };
        Ok(alike.values().flat_map(|hosts| of(hosts)).collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let lines = facts.hosts.iter().map(|host| {
            Line::from(format!(
                "{}: kubelet {}, {}, kernel {}, {}",
                host.name,
                or(&host.kubelet),
                or(&host.runtime),
                or(&host.kernel),
                or(&host.system)
            ))
        });
        Evidence::lines(phrase::HostVersions, lines).into_iter().collect()
    }
}

/// Returns a warning for each host whose version is not that of more than half of the hosts that do the same.
fn odd(hosts: &[&HostVersions], what: &str, of: impl Fn(&HostVersions) -> Option<&str>) -> Vec<Finding> {
    let said: Vec<(&str, &str)> = hosts
        .iter()
        .filter_map(|host| {
            Some((
                host.name.as_str(),
                of(host).filter(|version| !version.is_empty())?,
            ))
        })
        .collect();
    let count = |version: &str| said.iter().filter(|(_, other)| *other == version).count();
    let most = said
        .iter()
        .map(|(_, version)| *version)
        .find(|version| count(version) * 2 > said.len());
    let Some(most) = most.filter(|_| said.len() >= FEWEST) else {
        return Vec::new();
    };
    let odd = said.iter().filter(|(_, version)| *version != most);
    odd.map(|(host, version)| {
        let cause = cause::VersionOdd {
            host,
            what: &what,
            version,
            others: &most,
        };
        Finding::warn(cause).of(*host)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn facts(runtimes: &[(&str, &str)]) -> Facts {
        let host = |(index, (roles, runtime)): (usize, &(&str, &str))| HostVersions {
            name: format!("node-{index}"),
            roles: (*roles).to_owned(),
            kubelet: Some("v1.37.2".to_owned()),
            runtime: Some((*runtime).to_owned()),
            kernel: None,
            system: None,
        };
        Facts {
            hosts: runtimes.iter().enumerate().map(host).collect(),
        }
    }

    fn found(runtimes: &[(&str, &str)]) -> (Outcome, Option<CauseId>) {
        let site = site();
        judged::<Versions>(&facts(runtimes), &expect(&site, "node-0"))
    }

    #[test]
    fn one_among_three_is_odd_and_one_of_two_or_half_of_four_are_not() {
        let (new, old) = (("worker", "containerd://2.4.2"), ("worker", "containerd://1.7.3"));
        assert_eq!(
            found(&[new, new, old]),
            (Outcome::Warn, Some(CauseId::VersionOdd))
        );
        assert_eq!(found(&[new, new, new]), (Outcome::Pass, None));
        assert_eq!(found(&[new, old]), (Outcome::Pass, None));
        assert_eq!(found(&[new, new, old, old]), (Outcome::Pass, None));
    }

    #[test]
    fn hosts_of_other_roles_are_not_compared_and_silence_is_no_version() {
        let (worker, server) = (
            ("worker", "containerd://2.4.2"),
            ("control-plane", "containerd://1.7.3"),
        );
        assert_eq!(found(&[worker, worker, worker, server]), (Outcome::Pass, None));
        assert_eq!(
            found(&[worker, worker, worker, ("worker", "")]),
            (Outcome::Pass, None)
        );
    }
}
