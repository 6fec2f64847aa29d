//! The connections to bastions, one for all the hosts behind it: a login for each of them is more than an sshd lets
//! start at once (MaxStartups), and more than a lock after some failed logins forgives.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::logged_in::Session;
use super::{ConnectError, Limit, Route, Target};

/// How often the connection to a bastion is made anew.
const AGAIN: usize = 3;

/// The bastions of a site. Their connections end with the last host behind them.
#[derive(Default)]
pub struct Bastions {
    ways: Mutex<BTreeMap<Way, Arc<tokio::sync::Mutex<Bastion>>>>,
}

/// What makes two logins to a bastion the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    login: (String, String, u16),
    keys: [Option<PathBuf>; 4],
    above: Option<Box<Way>>,
    command: Option<String>,
}

/// What became of a bastion so far.
#[derive(Default)]
struct Bastion {
    open: Option<Arc<Session>>,
    made: usize,
    /// Why it cannot be logged into: nobody behind it tries that again.
    failed: Option<Arc<ConnectError>>,
}

impl Way {
    fn to(target: &Target) -> Self {
        Self {
            login: (target.user.clone(), target.address.clone(), target.port),
            keys: [
                target.identity.clone(),
                target.certificate.clone(),
                target.key_agent.clone(),
                Some(target.known_hosts.clone()),
            ],
            above: match &target.route {
                Route::Bastion(outer) => Some(Box::new(Self::to(outer))),
                Route::Direct | Route::Command(_) => None,
            },
            command: match &target.route {
                Route::Command(command) => Some(command.clone()),
                Route::Direct | Route::Bastion(_) => None,
            },
        }
    }
}

impl Bastions {
    /// Returns the connection to a bastion: the one that is there; where there is none, or where it broke, that of
    /// `opening`.
    pub(super) async fn session(
        &self,
        target: &Target,
        limit: &Limit,
        opening: impl Future<Output = Result<Session, ConnectError>>,
    ) -> Result<Arc<Session>, Arc<ConnectError>> {
        let way = {
            let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(ways.entry(Way::to(target)).or_default())
        };
        let mut bastion = limit
            .step("another login to this bastion", way.lock())
            .await
            .map_err(Arc::new)?;
        if let Some(error) = &bastion.failed {
            return Err(Arc::clone(error));
        }
        if let Some(session) = bastion.open.take_if(|session| session.handle.is_closed()) {
            drop(session);
        }
        if let Some(session) = &bastion.open {
            return Ok(Arc::clone(session));
        }
        let opened = if bastion.made > AGAIN {
            Err(ConnectError::BastionBreaks {
                bastion: target.to_string(),
                times: bastion.made,
            })
        } else {
            opening.await
        };
        bastion.made += 1;
        match opened {
            Ok(session) => {
                let session = Arc::new(session);
                bastion.open = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(error) => {
                let error = Arc::new(error);
                bastion.failed = Some(Arc::clone(&error));
                Err(error)
            }
        }
    }
}
