//! A snapshot of etcd, from a member through its host's agent into whatever takes it, proven while it comes.

use std::io::{self, Write};
use std::time::Duration;

use cli::chain;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::carrier::{AskError, Hosts};
use crate::protocol::{EtcdSnapshot, SnapshotFacts};
use crate::site::{Role, Site};
use crate::stored::{Form, Reader, Wanted};
use crate::suite::{Giver, endpoints, etcd_status, etcd_tls, givers};

/// How long members may take to say how they are.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a member may take to begin.
const BEGIN: Duration = Duration::from_secs(30);
/// A line on which nothing comes for so long is dead.
const SILENCE: Duration = Duration::from_mins(1);
const PIECE: usize = 256 * 1024;

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
}

/// Takes a snapshot from the best member that gives one.
///
/// # Errors
/// When none gives one, it is not whole, or it cannot be written. What was written then is to be thrown away.
pub async fn save(
    site: &Site,
    hosts: &Hosts,
    output: &mut (dyn Write + Send),
    told: &(dyn Fn(Saving<'_>) + Sync),
) -> Result<Saved, SaveError> {
    let giver = giver(site, hosts).await?;
    let refused = |source| SaveError::Refused {
        member: giver.member.clone(),
        host: giver.host.clone(),
        source,
    };
    let Some(Ok(agent)) = hosts.get(&giver.host) else {
        return Err(refused(AskError::Gone));
    };
    let ask = EtcdSnapshot {
        endpoints: vec![giver.endpoint.clone()],
        tls: etcd_tls(&site.etcd),
    };
    let (begun, mut stream) = agent.download(ask, BEGIN).await.map_err(refused)?;
    told(Saving::Begun(&giver, begun.bytes));
    let broken = |source| SaveError::Broken {
        member: giver.member.clone(),
        host: giver.host.clone(),
        source,
    };
    let mut reader = Reader::new(Wanted {
        form: Form::Snapshot,
        prefix: site.etcd.prefix.clone(),
        keys: Vec::new(),
    });
    let mut piece = vec![0; PIECE];
    loop {
        let read = timeout(SILENCE, stream.read(&mut piece)).await;
        let read = read
            .map_err(|_| broken(io::ErrorKind::TimedOut.into()))?
            .map_err(broken)?;
        if read == 0 {
            break;
        }
        output.write_all(&piece[..read]).map_err(SaveError::Write)?;
        reader.feed(&piece[..read]);
        told(Saving::Came(read as u64));
    }
    if reader.bytes() < begun.bytes {
        return Err(broken(io::ErrorKind::UnexpectedEof.into()));
    }
    let facts = reader.finish();
    if facts.is_whole() {
        return Ok(Saved { giver, facts });
    }
    Err(SaveError::NotWhole {
        member: giver.member,
        host: giver.host,
        facts: Box::new(facts),
    })
}

/// Returns the member that gives it.
async fn giver(site: &Site, hosts: &Hosts) -> Result<Giver, SaveError> {
    let mut reasons = Vec::new();
    let mut asked = Vec::new();
    let mut any = false;
    for host in site.with_role(Role::Etcd) {
        any = true;
        let name = &host.name;
        let agent = match hosts.get(name) {
            Some(Ok(agent)) => agent,
            Some(Err(error)) => {
                reasons.push(format!("{name}: {}", chain(error)));
                continue;
            }
            None => continue,
        };
        let ask = etcd_status(&site.etcd, endpoints(&site.etcd, host).1, ANSWER);
        match agent.ask(ask, ANSWER * 2).await {
            Ok(answers) => asked.push((name.clone(), answers)),
            Err(error) => reasons.push(format!("{name}: {}", chain(&error))),
        }
    }
    if !any {
        return Err(SaveError::NoHost);
    }
    let best = givers(&asked).into_iter().next();
    best.ok_or(SaveError::NoMember { reasons })
}
