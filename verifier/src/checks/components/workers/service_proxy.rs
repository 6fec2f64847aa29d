//! kube-proxy, or what serves Services in its place.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::components::component::known::KUBE_PROXY;
use crate::checks::components::component::{self, ComponentState, State};
use crate::distribution::{KUBE_PROXY_FILES, SERVICE_PROXIES};
use crate::findings::{Evidence, Finding, Line, cause, phrase};
use crate::protocol::{Existing, HttpProbe, HttpReply, Place, Processes};
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
        elsewhere: Vec::new(),
    };
    if proxy.life.state(&KUBE_PROXY) == State::Stopped {
        let files = Existing {
            paths: KUBE_PROXY_FILES.iter().map(|path| (*path).to_owned()).collect(),
        };
        let (installed, instead, elsewhere) = futures::join!(
            ctx.ask_within(&host.name, files, LIST),
            running(ctx, &host.name, SERVICE_PROXIES),
            elsewhere(ctx, host)
        );
        proxy.installed = installed.unwrap_or_default();
        proxy.instead = instead;
        proxy.elsewhere = elsewhere;
    }
    proxy
}

async fn running(ctx: &Ctx, host: &str, names: &[&str]) -> Vec<String> {
    let ask = Processes {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let found = ctx.ask_within(host, ask, LIST).await.unwrap_or_default();
    let mut found: Vec<String> = found.into_iter().map(|process| process.name).collect();
    found.sort();
    found.dedup();
    found
}

/// Returns the other workers on which kube-proxy runs.
async fn elsewhere(ctx: &Ctx, host: &Host) -> Vec<String> {
    let others = ctx
        .site
        .with_role(Role::Worker)
        .filter(|other| other.name != host.name);
    let asked = others.map(|other| async move {
        let found = running(ctx, &other.name, KUBE_PROXY.programs).await;
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
        match (self.instead.is_empty(), self.installed.is_empty()) {
            (true, false) => Some(finding),
            (false, true) => None,
            // It may be left over, or stopped everywhere: the files of a program do not tell which.
            (false, false) => {
                let unclear = cause::ServiceProxyUnclear {
                    host: &host,
                    instead: &self.instead.join(", "),
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
    fn the_version_stands_among_the_metrics() {
        let metrics = "# TYPE kubernetes_build_info gauge\n\
            kubernetes_build_info{build_date=\"\",git_version=\"v1.37.2\",major=\"1\"} 1\nx 1\n";
        assert_eq!(git_version(metrics).as_deref(), Some("v1.37.2"));
        assert_eq!(git_version("x 1\n"), None);
    }
}
