//! What would make images useless that are loaded: known before the first byte of them is sent. Changes nothing.

use std::time::Duration;

use crate::carrier::{Agent, Hosts};
use crate::findings::{Finding, cause};
use crate::protocol::{Process, Processes, Setting, Settled};
use crate::site::Site;

/// How long an agent may take.
const ANSWER: Duration = Duration::from_secs(10);
const API_SERVER: &str = "kube-apiserver";
const KUBELET: &str = "kubelet";
/// The flag that names what API servers do on admission.
const PLUGINS: &str = "enable-admission-plugins";
/// The kubelet asks the registry for every image, also for one that nobody pulled (`imagePullCredentialsVerificationPolicy`).
const ALWAYS_VERIFY: &str = "AlwaysVerify";

/// Returns what is known to make images useless that are loaded, each a warning. What cannot be asked is not known.
pub(super) async fn policies(site: &Site, hosts: &Hosts) -> Vec<Finding> {
    let asked = site.hosts.iter().map(|host| async move {
        match hosts.get(&host.name) {
            Some(Ok(agent)) => of_host(&host.name, agent).await,
            _ => Vec::new(),
        }
    });
    futures::future::join_all(asked)
        .await
        .into_iter()
        .flatten()
        .collect()
}

async fn of_host(host: &str, agent: &Agent) -> Vec<Finding> {
    let names = [API_SERVER, KUBELET].map(str::to_owned).to_vec();
    let processes = agent.ask(Processes { names }, ANSWER).await.unwrap_or_default();
    let kubelet = processes.iter().find(|process| process.name == KUBELET);
    let verified = match kubelet {
        Some(kubelet) => {
            let of = Settled::PullVerification;
            let pid = kubelet.pid;
            let reply = agent.ask(Setting { pid, of }, ANSWER).await.ok();
            reply.and_then(|reply| reply.value)
        }
        None => None,
    };
    judge(host, &processes, verified.as_deref())
}

fn judge(host: &str, processes: &[Process], verified: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let server = processes.iter().find(|process| process.name == API_SERVER);
    let plugins = server.and_then(|server| server.flag(PLUGINS)).unwrap_or_default();
    let has = |name: &str| plugins.split(',').any(|plugin| plugin.trim() == name);
    if has("AlwaysPullImages") {
        findings.push(Finding::warn(cause::PullsForced { host: &host }));
    }
    if has("ImagePolicyWebhook") {
        findings.push(Finding::warn(cause::ImagesPoliced { host: &host }));
    }
    if verified == Some(ALWAYS_VERIFY) {
        findings.push(Finding::warn(cause::PullsVerified { host: &host }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use secrets::MaskedArguments;

    use super::*;
    use crate::findings::CauseId;

    fn told(plugins: &str, verified: Option<&str>) -> Vec<CauseId> {
        let server = Process {
            pid: 1,
            parent: 0,
            name: API_SERVER.to_owned(),
            arguments: MaskedArguments::new(&[API_SERVER, &format!("--{PLUGINS}={plugins}")]),
            state: 'S',
            age_seconds: 1,
            cgroup: String::new(),
        };
        let findings = judge("server", &[server], verified);
        findings.iter().map(|finding| finding.cause.id()).collect()
    }

    #[test]
    fn what_asks_a_registry_for_what_is_there_is_named_and_the_usual_plugins_are_not() {
        assert_eq!(
            told("NamespaceLifecycle,NodeRestriction,ServiceAccount", None),
            []
        );
        assert_eq!(
            told("NodeRestriction,AlwaysPullImages", None),
            [CauseId::PullsForced]
        );
        assert_eq!(
            told("ImagePolicyWebhook", Some("AlwaysVerify")),
            [CauseId::ImagesPoliced, CauseId::PullsVerified]
        );
        assert_eq!(told("", Some("NeverVerifyPreloadedImages")), []);
    }
}
