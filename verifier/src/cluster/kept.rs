//! What an API server said, kept in a reading, and told again elsewhere. What is kept are values of ours, not the server's own
//! objects: these hold what no check looks at.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::{Cluster, ClusterError, Detour, Target};
use crate::gathered::Reading;

/// The server that the kubeconfig names.
const MAIN: &str = "main";
/// An address that is never dialled.
const NOWHERE: &str = "http://gathered.invalid";

/// Where answers are kept or come from.
#[derive(Clone)]
pub(super) struct Kept {
    reading: Arc<Reading>,
    /// Which of the servers it is.
    server: String,
    /// What the hosts' own servers said, by the hosts' names; absent: the server itself is asked.
    told: Option<Arc<BTreeMap<String, Arc<Reading>>>>,
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
enum Said<T> {
    Ok(T),
    Err(ClusterError),
}

/// What is known of a server without asking it.
#[derive(Serialize, Deserialize)]
struct About {
    server: String,
    verified: bool,
    authority: Option<String>,
}

impl Kept {
    fn key(&self, call: &str) -> String {
        format!("api {}: {call}", self.server)
    }

    /// Returns the way of one of the servers behind this one.
    pub(super) fn at(&self, host: &str, name: Option<&str>) -> Self {
        let own = self.told.as_ref().map(|told| told.get(host).cloned());
        Self {
            reading: own
                .unwrap_or_else(|| Some(Arc::clone(&self.reading)))
                .unwrap_or_default(),
            server: format!("own {}", name.unwrap_or_default()),
            told: self.told.clone(),
        }
    }
}

impl Cluster {
    /// Returns the server with a reading that keeps what it says, and answers what was asked before.
    #[must_use]
    pub fn keeping(self, reading: Arc<Reading>) -> Self {
        let kept = Kept {
            reading,
            server: MAIN.to_owned(),
            told: None,
        };
        let about = About {
            server: self.server.clone(),
            verified: self.verified,
            authority: self.authority.clone(),
        };
        if let Ok(about) = serde_json::to_string(&about) {
            kept.reading.keep(kept.key("about"), about);
        }
        Self {
            kept: Some(kept),
            lists: Arc::default(),
            ..self
        }
    }

    /// Returns a server that says what was kept of another one, and knows nothing else. `hosts` are the readings in which what
    /// the hosts' own servers said was kept.
    ///
    /// # Errors
    /// When nothing was kept of a server.
    pub fn told(
        reading: Arc<Reading>,
        hosts: Arc<BTreeMap<String, Arc<Reading>>>,
    ) -> Result<Self, ClusterError> {
        let kept = Kept {
            reading,
            server: MAIN.to_owned(),
            told: Some(hosts),
        };
        let about = kept.reading.get(&kept.key("about"));
        let about = about.and_then(|about| serde_json::from_str::<About>(&about).ok());
        let About {
            server,
            verified,
            authority,
        } = about.ok_or_else(Self::ungathered)?;
        let failed = || ClusterError::Client {
            server: server.clone(),
            reason: "no client".to_owned(),
        };
        let mut config = kube::Config::new(NOWHERE.parse().map_err(|_| failed())?);
        // A machine that trusts nobody could make no client else, and this one never calls anybody.
        config.root_cert = Some(Vec::new());
        let never = Detour::new(|| async {
            Err::<tokio::io::DuplexStream, _>(io::Error::other("there is only what was gathered"))
        });
        let target = Target {
            config,
            server: server.clone(),
            asked: Asked::default(),
        };
        Ok(Self {
            verified,
            authority,
            kept: Some(kept),
            ..target.open(Some(never))?
        })
    }

    /// Returns the error of a server of which nothing was kept.
    pub fn ungathered() -> ClusterError {
        ClusterError::Ungathered {
            operation: "connect".to_owned(),
        }
    }

    /// Returns whether it is one that was asked before, elsewhere: it knows only what was kept of it.
    pub(super) fn is_told(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.told.is_some())
    }

    /// Returns what the server says to a call, or what was kept of it.
    pub(super) fn kept<'a, T: Serialize + DeserializeOwned + Send + 'a>(
        &'a self,
        call: &'a str,
        live: impl Future<Output = Result<T, ClusterError>> + Send + 'a,
    ) -> impl Future<Output = Result<T, ClusterError>> + Send + 'a {
        // What reads a list is large, and whoever waits for it would be as large.
        self.kept_of(call, live.boxed())
    }

    async fn kept_of<T: Serialize + DeserializeOwned>(
        &self,
        call: &str,
        live: BoxFuture<'_, Result<T, ClusterError>>,
    ) -> Result<T, ClusterError> {
        let Some(kept) = &self.kept else {
            return live.await;
        };
        let key = kept.key(call);
        let ungathered = || ClusterError::Ungathered {
            operation: call.to_owned(),
        };
        let answer = match (kept.reading.get(&key), &kept.told) {
            (Some(answer), _) => answer,
            (None, Some(_)) => return Err(ungathered()),
            (None, None) => {
                let said = match live.await {
                    Ok(said) => Said::Ok(said),
                    Err(error) => Said::Err(error),
                };
                let text = serde_json::to_string(&said).map_err(|_| ungathered())?;
                kept.reading.keep(key, text)
            }
        };
        match serde_json::from_str(&answer) {
            Ok(Said::Ok(said)) => Ok(said),
            Ok(Said::Err(error)) => Err(error),
            Err(_) => Err(ungathered()),
        }
    }
}
