//! The API servers of the control plane's hosts, each at its own address: reached through its host's agent, with the
//! kubeconfig's credentials and CA. What stands before them in the kubeconfig may lead to any of them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::listening::{self, Listening};
use super::{Ctx, cause_of};
use crate::carrier::Agent;
use crate::cluster::{Cluster, ClusterError, Detour, ReadyFacts};
use crate::distribution::CONTROL_PLANE_INSIDE;
use crate::findings::{Cause, CauseId, Unjudged, cause};
use crate::protocol::Place;
use crate::site::{Host, Role};

/// How long a byte stream through a host may take to be opened.
const DIAL: Duration = Duration::from_secs(10);
/// How long a server may take to say how it is. Its own question to etcd takes 2 s when etcd is dead.
const ANSWER: Duration = Duration::from_secs(8);
/// The program itself.
const PROGRAM: &str = "kube-apiserver";
/// The usual ports: of everybody, and of `MicroK8s`.
const PORTS: [u16; 2] = [6443, 16443];
/// Flags that move it: of kube-apiserver, and of k3s and RKE2.
const FLAGS: [&str; 2] = ["secure-port", "https-listen-port"];
/// What every API server's certificate is good for, whatever name leads to all of them.
const NAME: &str = "kubernetes.default.svc";

/// The API server of a host.
#[derive(Clone)]
pub struct Server {
    /// The server, at its own address.
    pub cluster: Cluster,
    /// What it says of itself.
    pub ready: ReadyFacts,
}

/// Why the API server of a host said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silent {
    /// No process of it is there.
    Stopped,
    /// It could not be asked: nothing is known of it.
    Unasked(Unjudged),
    /// It was asked, and did not answer as it should.
    Failed(Cause),
}

impl Silent {
    /// Returns why what needs this server says nothing. That a server is not there is judged elsewhere.
    pub fn unjudged(&self, host: &str) -> Unjudged {
        match self {
            Self::Stopped => Unjudged::skip(cause::ApiserverStopped { host: &host }),
            Self::Unasked(unjudged) => unjudged.clone(),
            Self::Failed(cause) => Unjudged::Error(cause.clone()),
        }
    }
}

/// Returns the way to `to` through an agent, as its host resolves the name. The streams are this process's own.
pub fn through(agent: Agent, to: String) -> Detour {
    through_place(agent, Place::Host, to, DIAL)
}

/// The same from a place on the agent's host, where connecting takes no longer than `most`.
pub fn through_place(agent: Agent, from: Place, to: String, most: Duration) -> Detour {
    Detour::new(move || {
        let (agent, from, to) = (agent.clone(), from.clone(), to.clone());
        async move { agent.dial(from, &to, most).await.map_err(io::Error::other) }
    })
}

/// Asks the API servers of all control-plane hosts, by the hosts' names.
pub(super) async fn all(ctx: &Ctx) -> BTreeMap<String, Result<Server, Silent>> {
    let hosts = ctx.site.with_role(Role::ControlPlane);
    let asked = hosts.map(|host| async move { (host.name.clone(), ask(ctx, host).await) });
    let mut all: BTreeMap<_, _> = futures::future::join_all(asked).await.into_iter().collect();
    if end_of_tls(&all) && is_reached(ctx).await {
        for (host, silent) in &mut all {
            let reason = match silent {
                Err(Silent::Failed(cause)) => cause.args().get("reason").cloned().unwrap_or_default(),
                _ => continue,
            };
            *silent = Err(Silent::Unasked(Unjudged::skip(cause::ServerBehindTls {
                host,
                reason: &reason,
            })));
        }
    }
    all
}

/// Returns whether none of the servers that were asked shows a certificate that the kubeconfig's CA has signed.
fn end_of_tls(all: &BTreeMap<String, Result<Server, Silent>>) -> bool {
    let mut failed = all
        .values()
        .filter(|asked| !matches!(asked, Err(Silent::Stopped | Silent::Unasked(_))));
    let other = |asked: &Result<Server, Silent>| matches!(asked, Err(Silent::Failed(cause)) if cause.id() == CauseId::ApiCertificate);
    failed.next().is_some_and(other) && failed.all(other)
}

/// Returns whether the kubeconfig's own address shows a certificate that its CA has signed.
async fn is_reached(ctx: &Ctx) -> bool {
    match ctx.api() {
        Ok(api) => api.ready().await.is_ok_and(|ready| ready.verified),
        Err(_) => false,
    }
}

/// Asks the API server of a host.
///
/// # Errors
/// Where it says nothing.
pub(crate) async fn ask(ctx: &Ctx, host: &Host) -> Result<Server, Silent> {
    let found = listening::look(ctx, &host.name, &programs()).await;
    let found = found.map_err(|failure| Silent::Unasked(failure.into()))?;
    ask_at(ctx, host, &found).await
}

/// Asks the API server of a host whose processes were looked at.
///
/// # Errors
/// Where it says nothing.
pub(crate) async fn ask_at(ctx: &Ctx, host: &Host, found: &Listening) -> Result<Server, Silent> {
    let Some(address) = address(found) else {
        return Err(without_address(host, found));
    };
    let api = ctx.api().map_err(Silent::Unasked)?;
    if api.server().starts_with("http:") {
        // What listens there, for example `kubectl proxy`, speaks TLS to the servers for us.
        let (host, reason) = (&host.name, &api.server());
        return Err(Silent::Unasked(Unjudged::skip(cause::ServerBehindTls {
            host,
            reason,
        })));
    }
    let agent = ctx.agent(&host.name).map_err(|_| {
        let host = &host.name;
        Silent::Unasked(Unjudged::error(cause::HostNotConnected { host }))
    })?;
    let server = format!("https://{}:{}", host.address, address.port());
    let mut asked = try_name(api, agent, address, (&host.name, &server), None).await;
    if asked.as_ref().is_err_and(ClusterError::is_other_name) {
        asked = try_name(api, agent, address, (&host.name, &server), Some(NAME)).await;
    }
    asked.map_err(|error| match error {
        ClusterError::Kubeconfig { .. } | ClusterError::Client { .. } | ClusterError::Ungathered { .. } => {
            Silent::Unasked(error.into())
        }
        error => Silent::Failed(cause_of(&error)),
    })
}

/// Asks at an address, with a certificate that must be good for a name; absent: for the kubeconfig's.
async fn try_name(
    api: &Cluster,
    agent: &Agent,
    address: SocketAddr,
    (host, server): (&str, &str),
    name: Option<&str>,
) -> Result<Server, ClusterError> {
    let detour = through(agent.clone(), address.to_string());
    let cluster = api.at((host, server), name, detour)?;
    let late = || ClusterError::Late {
        operation: "get /readyz".to_owned(),
        server: server.to_owned(),
        seconds: ANSWER.as_secs(),
    };
    let ready = tokio::time::timeout(ANSWER, cluster.ready()).await;
    let ready = ready.map_err(|_| late())??;
    Ok(Server { cluster, ready })
}

/// Returns the names that a process of an API server may have.
pub(crate) fn programs() -> Vec<&'static str> {
    [PROGRAM].iter().chain(CONTROL_PLANE_INSIDE).copied().collect()
}

/// Returns where the API server of a host listens: at the port that its flags say, else at a usual one, else at the only
/// one that it has.
pub(crate) fn address(found: &Listening) -> Option<SocketAddr> {
    let said = FLAGS.iter().find_map(|flag| found.flag(flag)?.parse().ok());
    let ports = said.into_iter().chain(PORTS);
    let usual = ports.into_iter().find_map(|port| found.at(port));
    usual.or_else(|| match found.addresses.as_slice() {
        [only] => Some(listening::reachable(*only)),
        _ => None,
    })
}

fn without_address(host: &Host, found: &Listening) -> Silent {
    let host = &host.name;
    let alive = found.processes.iter().any(|process| process.state != 'Z');
    if !alive {
        return Silent::Stopped;
    }
    if found.hidden {
        return Silent::Unasked(Unjudged::error(cause::ServerHidden { host }));
    }
    Silent::Failed(cause::ServerNotListening { host }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::listening::tests::listening;

    #[test]
    fn the_address_is_that_of_the_process_and_not_of_a_balancer_on_the_usual_port() {
        let at = |addresses: &[&str], arguments: &[&str]| {
            let address = address(&listening(addresses, arguments));
            address.map_or_else(String::new, |address| address.to_string())
        };
        assert_eq!(at(&["0.0.0.0:6443"], &["kube-apiserver"]), "127.0.0.1:6443");
        assert_eq!(at(&["0.0.0.0:8443"], &["kube-apiserver"]), "127.0.0.1:8443");
        let moved = ["kube-apiserver", "--secure-port=7443"];
        assert_eq!(at(&["[::]:7443", "127.0.0.1:6443"], &moved), "127.0.0.1:7443");
        let k3s = ["0.0.0.0:6443", "127.0.0.1:6444", "127.0.0.1:10259"];
        assert_eq!(at(&k3s, &["/usr/local/bin/k3s server"]), "127.0.0.1:6443");
        assert_eq!(
            at(&["[::]:16443", "[::]:10250"], &["kubelite"]),
            "127.0.0.1:16443"
        );
        assert_eq!(at(&["[::]:1", "[::]:2"], &["kube-apiserver"]), "");
    }
}
