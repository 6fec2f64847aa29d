//! A snapshot of etcd, from a member through its host's agent into whatever takes it, proven while it comes.

use std::io::{self, Write as _};
use std::time::Duration;

use bundle::AtomicFile;
use cli::chain;

use crate::carrier::{AskError, Hosts};
use crate::protocol::{EtcdProof, EtcdSnapshot, SnapshotFacts};
use crate::site::{Role, Site};
use crate::suite::{Coming, Giver, NotCome, endpoints, etcd_status, etcd_tls, givers, take_snapshot};

/// How long members may take to say how they are.
const ANSWER: Duration = Duration::from_secs(5);

/// A snapshot that came.
#[derive(Debug)]
pub struct Saved {
    /// Who gave it.
    pub giver: Giver,
    /// What it is: whole.
    pub facts: SnapshotFacts,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Nobody runs etcd.
    #[error("no host of the site file has the role etcd")]
    NoHost,
    /// No member answers.
    #[error("no member of etcd answers{}", why(.reasons))]
    NoMember {
        /// Why hosts could not be asked.
        reasons: Vec<String>,
    },
    /// The member gave none.
    #[error("the member {member} on {host} gives no snapshot")]
    Refused {
        /// The member.
        member: String,
        /// Its host.
        host: String,
        /// Why.
        source: AskError,
    },
    /// It ended early.
    #[error("the snapshot of {member} on {host} ended early")]
    Broken {
        /// The member.
        member: String,
        /// Its host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// It came, and is not whole.
    #[error("what came of {member} on {host} is no whole snapshot")]
    NotWhole {
        /// The member.
        member: String,
        /// Its host.
        host: String,
        /// What it is.
        facts: Box<SnapshotFacts>,
    },
    /// It cannot be kept.
    #[error("the snapshot cannot be written")]
    Write(#[source] io::Error),
}

fn why(reasons: &[String]) -> String {
    if reasons.is_empty() {
        String::new()
    } else {
        format!(": {}", reasons.join("; "))
    }
}

/// What is told while a snapshot comes.
#[derive(Debug)]
pub enum Saving<'a> {
    /// It begins, and will have so many bytes.
    Begun(&'a Giver, u64),
    /// So many bytes came.
    Came(u64),
    /// This member gave none; the next one is asked.
    Failed(&'a SaveError),
}

/// Takes a snapshot from the best member that gives one: where the best cannot, from the next one.
///
/// # Errors
/// When none gives one, it is not whole, or it cannot be written. What was written then is to be thrown away.
pub async fn save(
    site: &Site,
    hosts: &Hosts,
    file: &mut AtomicFile,
    told: &(dyn Fn(Saving<'_>) + Sync),
) -> Result<Saved, SaveError> {
    let (givers, reasons) = all_givers(site, hosts).await?;
    let mut first = None;
    for giver in givers {
        let error = match from(&giver, site, hosts, file, told).await {
            Ok(facts) => return Ok(Saved { giver, facts }),
            // Another member changes nothing about our own disk.
            Err(error @ SaveError::Write(_)) => return Err(error),
            Err(error) => error,
        };
        told(Saving::Failed(&error));
        let emptied = file.restart().map_err(io::Error::other);
        emptied.map_err(SaveError::Write)?;
        // The best member's reason is the one to mend.
        first = first.or(Some(error));
    }
    Err(first.unwrap_or(SaveError::NoMember { reasons }))
}

/// Takes a snapshot from a member.
async fn from(
    giver: &Giver,
    site: &Site,
    hosts: &Hosts,
    file: &mut AtomicFile,
    told: &(dyn Fn(Saving<'_>) + Sync),
) -> Result<SnapshotFacts, SaveError> {
    let refused = |source| SaveError::Refused {
        member: giver.member.clone(),
        host: giver.host.clone(),
        source,
    };
    let Some(Ok(agent)) = hosts.get(&giver.host) else {
        return Err(refused(AskError::Gone));
    };
    let ask = EtcdProof {
        source: EtcdSnapshot {
            endpoints: vec![giver.endpoint.clone()],
            tls: etcd_tls(&site.etcd),
        },
        prefix: site.etcd.prefix.clone(),
        keys: Vec::new(),
        most: u64::MAX,
    };
    let mut taker = |coming: Coming<'_>| {
        match coming {
            Coming::Begins(bytes) => told(Saving::Begun(giver, bytes)),
            Coming::Piece(piece) => {
                file.write_all(piece)?;
                told(Saving::Came(piece.len() as u64));
            }
        }
        Ok(())
    };
    let come = take_snapshot(agent, &ask, &mut taker).await;
    let reply = come.map_err(|not| match not {
        NotCome::Refused(source) => refused(source),
        NotCome::Untaken(source) => SaveError::Write(source),
        NotCome::Broken(source) => SaveError::Broken {
            member: giver.member.clone(),
            host: giver.host.clone(),
            source,
        },
    })?;
    let facts = reply.facts.unwrap_or_default();
    if facts.is_whole() {
        return Ok(facts);
    }
    Err(SaveError::NotWhole {
        member: giver.member.clone(),
        host: giver.host.clone(),
        facts: Box::new(facts),
    })
}

/// Returns the members that can give it, the best first, and why hosts could not be asked. All are asked beside one another.
async fn all_givers(site: &Site, hosts: &Hosts) -> Result<(Vec<Giver>, Vec<String>), SaveError> {
    let asked = site.with_role(Role::Etcd).map(|host| async move {
        let agent = match hosts.get(&host.name) {
            Some(Ok(agent)) => agent,
            Some(Err(error)) => return Err(format!("{}: {}", host.name, chain(error))),
            None => return Err(format!("{}: it was not connected", host.name)),
        };
        let ask = etcd_status(&site.etcd, endpoints(&site.etcd, host).1, ANSWER);
        let answers = agent.ask(ask, ANSWER * 2).await;
        let answers = answers.map_err(|error| format!("{}: {}", host.name, chain(&error)))?;
        Ok((host.name.clone(), answers))
    });
    let asked = futures::future::join_all(asked).await;
    if asked.is_empty() {
        return Err(SaveError::NoHost);
    }
    let (mut answers, mut reasons) = (Vec::new(), Vec::new());
    for one in asked {
        match one {
            Ok(answer) => answers.push(answer),
            Err(reason) => reasons.push(reason),
        }
    }
    Ok((givers(&answers), reasons))
}
