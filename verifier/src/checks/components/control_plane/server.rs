//! The API server of a host: asked at its own address, with the kubeconfig's credentials where they reach it.

use serde::{Deserialize, Serialize};

use crate::checks::api::ready::unready;
use crate::checks::components::component::known::API_SERVER;
use crate::checks::components::component::{self, ComponentState, State};
use crate::cluster::ReadyFacts;
use crate::findings::{Cause, CauseId, Evidence, Finding, Unjudged, cause, phrase};
use crate::site::Host;
use crate::suite::listening::{self, Listening};
use crate::suite::{Ctx, Silent, servers};

/// What the API server of a host said to the kubeconfig's credentials.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Server {
    /// It answered.
    Answered(ReadyFacts),
    /// It was asked and did not answer.
    Failed(Cause),
    /// It could not be asked with them.
    Unasked(Cause),
    /// There is none.
    Stopped,
}

/// Looks at the API server of a host as a stranger and as the kubeconfig's user.
pub(super) async fn look(ctx: &Ctx, host: &Host) -> (ComponentState, Server) {
    let found = match listening::look(ctx, &host.name, &servers::programs()).await {
        Ok(found) => found,
        Err(failure) => {
            let seen = component::look_at(ctx, &host.name, &API_SERVER, None, None).await;
            return (seen, Server::Unasked(Unjudged::from(failure).into_cause()));
        }
    };
    let own = servers::address(&found);
    futures::join!(
        component::look_at(ctx, &host.name, &API_SERVER, Some(&found), own),
        ask(ctx, host, &found)
    )
}

async fn ask(ctx: &Ctx, host: &Host, found: &Listening) -> Server {
    let silent = match servers::ask_at(ctx, host, found).await {
        Ok(server) => return Server::Answered(server.ready),
        Err(silent) => silent,
    };
    match silent {
        Silent::Stopped => Server::Stopped,
        Silent::Unasked(unjudged) => Server::Unasked(unjudged.into_cause()),
        Silent::Failed(cause) if cause.id() == CauseId::ApiCertificate => {
            // A balancer that ends TLS hides servers of another CA.
            let all = ctx.fixtures().servers(ctx).await;
            match all.get(&host.name) {
                Some(Err(Silent::Unasked(unjudged))) => Server::Unasked(unjudged.cause().clone()),
                _ => Server::Failed(cause),
            }
        }
        Silent::Failed(cause) => Server::Failed(cause),
    }
}

impl Server {
    /// Returns what is wrong with the API server: by its process, then by what it says to the kubeconfig's user. Who may
    /// not ask so believes what it says to strangers, where it says anything.
    pub(super) fn finding(&self, seen: &ComponentState, host: &str) -> Option<Finding> {
        let state = seen.state(&API_SERVER);
        if !matches!(state, State::Answers | State::Closed(_)) {
            return seen.finding(&API_SERVER, host);
        }
        match self {
            Self::Answered(ready) => answered(ready, &state, host),
            Self::Failed(cause) => Some(Finding::fail(cause.clone())),
            Self::Unasked(_) | Self::Stopped if state == State::Answers => None,
            Self::Unasked(cause) => Some(Finding::error(cause.clone())),
            Self::Stopped => seen.finding(&API_SERVER, host),
        }
    }

    /// Returns what it said, for a person.
    pub(super) fn evidence(&self) -> Option<Evidence> {
        let Self::Answered(ready) = self else {
            return None;
        };
        let version = ready.version.as_deref().unwrap_or_default();
        let text = format!("{} {version}\n{}", ready.server, ready.body);
        Evidence::text(phrase::Readyz, &text)
    }
}

fn answered(ready: &ReadyFacts, state: &State, host: &str) -> Option<Finding> {
    match ready.status {
        // It has another CA of clients, or another key for tokens, than who made the kubeconfig.
        401 => Some(Finding::fail(cause::ServerCredentials {
            host: &host,
            server: &ready.server,
        })),
        // Who may not read /readyz knows what strangers know.
        403 if *state == State::Answers => None,
        403 => Some(Finding::error(cause::ComponentClosed {
            component: &API_SERVER.name,
            host: &host,
            status: &403,
        })),
        _ => unready(ready).map(|failed| {
            Finding::fail(cause::ServerNotReady {
                host: &host,
                server: &ready.server,
                failed: &failed,
            })
        }),
    }
}
