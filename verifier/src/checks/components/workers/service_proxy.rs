//! kube-proxy, or what serves Services in its place.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::components::component::known::KUBE_PROXY;
use crate::checks::components::component::{self, ComponentState, State};
use crate::distribution::{KUBE_PROXY_FILES, SERVICE_PROXIES};
use crate::findings::{Evidence, Finding, Line, cause, phrase};
use crate::protocol::{
    Existing, HttpProbe, HttpReply, Place, Process, Processes, Setting, SettingReply, Settled,
};
use crate::site::{Host, Role};
use crate::suite::Ctx;

/// How long an agent may take.
const LIST: Duration = Duration::from_secs(10);

/// What a host, and the site around it, say of kube-proxy.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::checks) struct ServiceProxy {
    /// kube-proxy itself.
    pub(in crate::checks) life: ComponentState,
    /// Its version.
    pub(in crate::checks) version: Option<String>,
    /// Where it does not run: its files on this host.
    pub(in crate::checks) installed: Vec<String>,
    /// Where it does not run: the programs on this host that can serve Services in its place.
    pub(in crate::checks) instead: Vec<String>,
    /// Which of these are known to serve them, or not to: they may be set either way.
    #[serde(default)]
    pub(in crate::checks) serving: BTreeMap<String, bool>,
    /// Where it does not run: other workers on which it does.
    pub(in crate::checks) elsewhere: Vec<String>,
}

pub(in crate::checks) async fn look(ctx: &Ctx, host: &Host) -> ServiceProxy {
    let (life, version) = futures::join!(
        component::look(ctx, &host.name, &KUBE_PROXY),
        version(ctx, &host.name)
    );
    let mut proxy = ServiceProxy {
        life,
        version,
        installed: Vec::new(),
        instead: Vec::new(),
        serving: BTreeMap::new(),
        elsewhere: Vec::new(),
    };
    if proxy.life.state(&KUBE_PROXY) == State::Stopped {
        let files = Existing {
            paths: KUBE_PROXY_FILES.iter().map(|path| (*path).to_owned()).collect(),
        };
        let (installed, instead, elsewhere) = futures::join!(
            ctx.ask_within(&host.name, files, LIST),
            processes(ctx, &host.name, SERVICE_PROXIES),
            elsewhere(ctx, host)
        );
        proxy.installed = installed.unwrap_or_default();
        proxy.serving = serving(ctx, &host.name, &instead).await;
        proxy.instead = names(instead);
        proxy.elsewhere = elsewhere;
    }
    proxy
}

async fn processes(ctx: &Ctx, host: &str, names: &[&str]) -> Vec<Process> {
    let ask = Processes {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    ctx.ask_within(host, ask, LIST).await.unwrap_or_default()
}

fn names(processes: Vec<Process>) -> Vec<String> {
    let mut found: Vec<String> = processes.into_iter().map(|process| process.name).collect();
    found.sort();
    found.dedup();
    found
}

/// Returns which of these programs serve Services, as they were set. Of one that cannot be told nothing is said.
async fn serving(ctx: &Ctx, host: &str, processes: &[Process]) -> BTreeMap<String, bool> {
    let asked = processes.iter().map(|process| async move {
        let of = match process.name.as_str() {
            "cilium-agent" => Settled::CiliumServices,
            "kube-router" => Settled::KubeRouterServices,
            "antrea-agent" => Settled::AntreaServices,
            // These have no other way; of kube-ovn-daemon it depends on who asks.
            "ovnkube" | "ovnkube-node" | "kpng" => return Some((process.name.clone(), true)),
            _ => return None,
        };
        let pid = process.pid;
        let reply = ctx.ask_within(host, Setting { pid, of }, LIST).await.ok()?;
        Some((process.name.clone(), serves(of, &reply)?))
    });
    let found = futures::future::join_all(asked).await;
    found.into_iter().flatten().collect()
}

/// Returns whether a program that was set so serves Services.
fn serves(of: Settled, reply: &SettingReply) -> Option<bool> {
    if reply.unread {
        return None;
    }
    match (of, reply.value.as_deref()) {
        // Cilium 1.14 and newer know true and false; older ones strict, partial, probe and disabled.
        (Settled::CiliumServices, Some("true" | "strict")) => Some(true),
        (Settled::CiliumServices, Some("false" | "disabled")) => Some(false),
        // Without a word kube-router does, and Antrea does not.
        (Settled::KubeRouterServices, value) => Some(value != Some("false")),
        (Settled::AntreaServices, value) => Some(value == Some("true")),
        _ => None,
    }
}

/// Returns the other workers on which kube-proxy runs.
async fn elsewhere(ctx: &Ctx, host: &Host) -> Vec<String> {
    let others = ctx
        .site
        .with_role(Role::Worker)
        .filter(|other| other.name != host.name);
    let asked = others.map(|other| async move {
        let found = processes(ctx, &other.name, KUBE_PROXY.programs).await;
        (!found.is_empty()).then(|| other.name.clone())
    });
    let found = futures::future::join_all(asked).await;
    found.into_iter().flatten().collect()
}

/// Returns kube-proxy's version from its metrics: nothing else tells it. The newer ones give the one metric that is
/// asked for, older ones all.
async fn version(ctx: &Ctx, host: &str) -> Option<String> {
    let probe = HttpProbe {
        to: ([127, 0, 0, 1], 10249).into(),
        method: "GET".to_owned(),
        path: "/metrics?name%5B%5D=kubernetes_build_info".to_owned(),
        from: Place::Host,
        timeout_millis: 3000,
        keep_body: 256 * 1024,
    };
    match ctx.ask_within(host, probe, Duration::from_secs(5)).await.ok()? {
        HttpReply::Answer {
            status: 200, body, ..
        } => git_version(&body),
        _ => None,
    }
}

/// Reads `kubernetes_build_info{…,git_version="v1.37.2",…} 1`.
fn git_version(metrics: &str) -> Option<String> {
    let line = metrics
        .lines()
        .find(|line| line.starts_with("kubernetes_build_info{"))?;
    let (_, rest) = line.split_once("git_version=\"")?;
    Some(rest.split('"').next()?.to_owned())
}

impl ServiceProxy {
    /// Returns what is wrong with it.
    pub(in crate::checks) fn finding(&self, host: &str) -> Option<Finding> {
        let finding = self.life.finding(&KUBE_PROXY, host)?;
        if self.life.state(&KUBE_PROXY) != State::Stopped || !self.elsewhere.is_empty() {
            return Some(finding);
        }
        if self.serving.values().any(|serves| *serves) {
            return None;
        }
        let instead = &self.instead.join(", ");
        if !self.instead.is_empty() && self.instead.iter().all(|name| self.serving.contains_key(name)) {
            let none = cause::ServiceProxyNone { host: &host, instead };
            return Some(Finding::fail(none).sure());
        }
        match (self.instead.is_empty(), self.installed.is_empty()) {
            (true, false) => Some(finding),
            (false, true) => {
                let untold = cause::ServiceProxyUntold { host: &host, instead };
                Some(Finding::warn(untold).sure())
            }
            // It may be left over, or stopped everywhere: the files of a program do not tell which.
            (false, false) => {
                let unclear = cause::ServiceProxyUnclear {
                    host: &host,
                    instead,
                    installed: &self.installed.join(", "),
                };
                Some(Finding::warn(unclear).sure())
            }
            (true, true) => Some(Finding::warn(cause::ServiceProxyUnknown { host: &host }).sure()),
        }
    }

    /// Returns what was seen, for a person.
    pub(in crate::checks) fn evidence(&self) -> Evidence {
        let mut evidence = self.life.evidence(&KUBE_PROXY);
        let mut tell = |list: &[String], line: fn(&str) -> Line| {
            if !list.is_empty() {
                evidence.lines.push(line(&list.join(", ")));
            }
        };
        tell(&self.installed, |files| {
            Line::said(phrase::ProxyFiles { files: &files })
        });
        tell(&self.instead, |programs| {
            Line::said(phrase::ProxyInstead { programs: &programs })
        });
        tell(&self.elsewhere, |hosts| {
            Line::said(phrase::ProxyElsewhere { hosts: &hosts })
        });
        evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_be_set_to_serve_services_is_asked_how() {
        let set = |of, value: Option<&str>| {
            let value = value.map(str::to_owned);
            serves(of, &SettingReply { value, unread: false })
        };
        for (value, serves) in [
            (Some("true"), Some(true)),
            (Some("strict"), Some(true)),
            (Some("disabled"), Some(false)),
            (Some("partial"), None),
            (None, None),
        ] {
            assert_eq!(set(Settled::CiliumServices, value), serves, "{value:?}");
        }
        assert_eq!(set(Settled::KubeRouterServices, None), Some(true));
        assert_eq!(set(Settled::KubeRouterServices, Some("false")), Some(false));
        assert_eq!(set(Settled::AntreaServices, None), Some(false));
        let unread = SettingReply {
            value: None,
            unread: true,
        };
        assert_eq!(serves(Settled::AntreaServices, &unread), None);
    }

    #[test]
    fn the_version_stands_among_the_metrics() {
        let metrics = "# TYPE kubernetes_build_info gauge\n\
            kubernetes_build_info{build_date=\"\",git_version=\"v1.37.2\",major=\"1\"} 1\nx 1\n";
        assert_eq!(git_version(metrics).as_deref(), Some("v1.37.2"));
        assert_eq!(git_version("x 1\n"), None);
    }
}
