//! Leases: what keeps a load's blobs and snapshots until its images have their records.
//!
//! A lease carries who holds it. Its holder ends it; a holder that was killed leaves it behind, and the next load on
//! the host ends it then, or else containerd does after a day.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use super::client::{Containerd, answer, within};
use super::error::Error;
use super::proto::leases::leases_client::LeasesClient;
use super::proto::leases::{AddResourceRequest, CreateRequest, DeleteRequest, ListRequest, Resource};
use crate::host::runtime_socket::MESSAGE_LIMIT;
use tonic::Code;
use tonic::transport::Channel;

/// After this time containerd drops a lease by itself.
const LIFE: Duration = Duration::from_hours(24);
/// How long the collection that follows the end of a lease may take.
const COLLECTION: Duration = Duration::from_mins(3);
/// How long a containerd that went away is waited for: a restart takes about a second.
const RETURN: Duration = Duration::from_secs(15);
/// How often it is asked meanwhile.
const POLL: Duration = Duration::from_millis(200);
/// The label by which a lease of ours is known; its value is the holder.
const HOLDER: &str = "verifier/holder";

fn client(containerd: &Containerd) -> LeasesClient<Channel> {
    LeasesClient::new(containerd.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
}

/// Makes a lease and returns its id.
pub(super) async fn create(containerd: &Containerd) -> Result<String, Error> {
    let expires = jiff::Timestamp::try_from(SystemTime::now() + LIFE).unwrap_or(jiff::Timestamp::MAX);
    let request = CreateRequest {
        id: format!("verifier-load-{}", unique()),
        labels: HashMap::from([
            ("containerd.io/gc.expire".to_owned(), format!("{expires:.0}")),
            (HOLDER.to_owned(), holder(std::process::id())),
        ]),
    };
    let mut client = client(containerd);
    let call = client.create(containerd.request(request));
    let reply = answer(|| "create a lease".into(), call).await?;
    Ok(reply.lease.map(|lease| lease.id).unwrap_or_default())
}

/// Ends a lease, and waits until what only it held is gone. A containerd that is being restarted is waited for.
pub(super) async fn delete(containerd: &Containerd, id: &str) -> Result<(), Error> {
    let begin = Instant::now();
    loop {
        match delete_once(containerd, id).await {
            Err(error) if error.is_gone() && begin.elapsed() < RETURN => tokio::time::sleep(POLL).await,
            done => return done,
        }
    }
}

async fn delete_once(containerd: &Containerd, id: &str) -> Result<(), Error> {
    let request = DeleteRequest {
        id: id.to_owned(),
        sync: true,
    };
    let mut client = client(containerd);
    let call = client.delete(containerd.request(request));
    match within(COLLECTION, || format!("delete lease {id}"), call).await {
        Err(error) if error.has_code(Code::NotFound) => Ok(()),
        other => other,
    }
}

/// The lease of a load whose process is gone.
pub(super) struct Abandoned {
    pub(super) id: String,
    /// Whether the host has started again since: what the load wrote may never have reached the disk.
    pub(super) of_another_boot: bool,
}

/// Returns the leases of loads whose process is gone.
pub(super) async fn abandoned(containerd: &Containerd) -> Result<Vec<Abandoned>, Error> {
    let mut client = client(containerd);
    let call = client.list(containerd.request(ListRequest { filters: Vec::new() }));
    let leases = answer(|| "list the leases".into(), call).await?.leases;
    let ours = leases.into_iter().filter_map(|lease| {
        let by = lease.labels.get(HOLDER).filter(|by| !is_alive(by))?;
        Some(Abandoned {
            of_another_boot: by.split(' ').next() != Some(boot().trim()),
            id: lease.id,
        })
    });
    Ok(ours.collect())
}

/// Puts something that is there already under the lease, so that no collection takes it meanwhile.
pub(super) async fn add(containerd: &Containerd, lease: &str, kind: &str, id: String) -> Result<(), Error> {
    let name = id.clone();
    let request = AddResourceRequest {
        id: lease.to_owned(),
        resource: Some(Resource {
            id,
            r#type: kind.to_owned(),
        }),
    };
    let mut client = client(containerd);
    let call = client.add_resource(containerd.request(request));
    answer(|| format!("put {name} under the lease"), call).await
}

/// Returns a name that no other load on this host has.
pub(super) fn unique() -> String {
    let nanos = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!("{}-{nanos:x}", std::process::id())
}

/// Names a process so that it cannot be mistaken for a later one: boot, id, start. Empty parts where /proc is silent.
fn holder(pid: u32) -> String {
    let boot = boot();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // proc(5): the name stands in parentheses and may hold any character; the start time is the 20th field after it.
    let start = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(19));
    format!("{} {pid} {}", boot.trim(), start.unwrap_or_default())
}

fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn is_alive(by: &str) -> bool {
    let pid = by.split(' ').nth(1).and_then(|pid| pid.parse().ok());
    pid.is_some_and(|pid| holder(pid) == by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_holds_its_lease_and_an_ended_one_does_not() {
        let mine = holder(std::process::id());
        assert!(is_alive(&mine));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let its = holder(child.id());
        child.wait().unwrap();
        assert!(!is_alive(&its));
        assert!(!is_alive("another-boot 1 1"));
        assert!(!is_alive(""));
    }
}
