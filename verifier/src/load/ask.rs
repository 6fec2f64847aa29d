//! Before the first byte: what each host lacks, and whether there is room for it.

use std::collections::BTreeSet;

use bundle::{Index, Kind, Platform};
use futures::StreamExt as _;

use super::plan::load_plan;
use super::{HostError, LoadEvent, LoadHost, LoadOptions};
use crate::protocol::{Blob, LoadPlan, Missing, MissingReply};

/// Hosts that are asked at once.
const PARALLEL: usize = 32;

/// A host that was asked, and what it will be sent.
pub(super) struct Due {
    pub(super) host: LoadHost,
    pub(super) plan: LoadPlan,
    /// In the order of the archive.
    pub(super) send: Vec<Blob>,
    pub(super) missing: MissingReply,
}

/// Asks all hosts.
pub(super) async fn ask(
    index: &Index,
    hosts: Vec<LoadHost>,
    options: &LoadOptions,
) -> Vec<(String, Result<Due, HostError>)> {
    let asking = hosts.into_iter().map(|host| async move {
        let name = host.name.clone();
        (name, ask_one(index, host, options).await)
    });
    futures::stream::iter(asking).buffered(PARALLEL).collect().await
}

/// Returns what a host should hold.
pub(super) fn plan_of(index: &Index, host: &LoadHost, options: &LoadOptions) -> Result<LoadPlan, HostError> {
    let text = &host.agent.hello().platform;
    let platform: Platform = text.parse().map_err(|_| HostError::Platform {
        platform: text.clone(),
    })?;
    let plan = load_plan(index, &platform, options.pin, &host.without)
        .map_err(|source| HostError::Plan { source })?;
    Ok(LoadPlan {
        socket: host.socket.clone(),
        ..plan
    })
}

async fn ask_one(index: &Index, host: LoadHost, options: &LoadOptions) -> Result<Due, HostError> {
    let plan = plan_of(index, &host, options)?;
    let request = Missing { plan: plan.clone() };
    let missing = host.agent.ask(request, options.patience.ask).await;
    let missing = missing.map_err(|source| HostError::Ask { source })?;
    let send = judge(index, &missing)?;
    (options.say)(LoadEvent::Asked {
        host: &host.name,
        missing: &missing,
    });
    Ok(Due {
        host,
        plan,
        send,
        missing,
    })
}

/// Returns what to send, in the order of the archive, or why the load is refused.
fn judge(index: &Index, missing: &MissingReply) -> Result<Vec<Blob>, HostError> {
    if missing.need > missing.room {
        return Err(HostError::Room {
            need: missing.need,
            room: missing.room,
            short: missing.need - missing.room,
            why: missing.room_why.clone(),
        });
    }
    let wanted: BTreeSet<_> = missing.blobs.iter().copied().collect();
    let members = index.members.iter().filter(|member| member.kind == Kind::Blob);
    let members = members.filter(|member| wanted.contains(&member.sha256));
    let send = members.map(|member| Blob {
        digest: member.sha256,
        size: member.size,
    });
    match wanted.iter().find(|digest| index.blob(digest).is_none()) {
        Some(digest) => Err(HostError::Base { digest: *digest }),
        None => Ok(send.collect()),
    }
}

#[cfg(test)]
mod tests {
    use bundle::{Digest, FORMAT, Member, MemberPath};

    use super::*;

    fn index(blobs: &[&str]) -> Index {
        let members = blobs.iter().map(|text| Member {
            path: MemberPath::blob(&Digest::of(text)),
            kind: Kind::Blob,
            size: text.len() as u64,
            sha256: Digest::of(text),
            mode: 0o644,
        });
        let mut index = Index {
            format: FORMAT,
            name: "test".to_owned(),
            serial: None,
            created: None,
            tool: "test".to_owned(),
            platforms: Vec::new(),
            requires: Vec::new(),
            smoke: None,
            images: Vec::new(),
            members: members.collect(),
        };
        index.sort();
        index
    }

    fn missing(blobs: &[&str]) -> MissingReply {
        MissingReply {
            blobs: blobs.iter().map(Digest::of).collect(),
            need: 10,
            room: 10,
            ..MissingReply::default()
        }
    }

    #[test]
    fn what_is_missing_is_sent_in_the_order_of_the_archive() {
        let index = index(&["a", "b", "c"]);
        let send = judge(&index, &missing(&["b", "c"])).unwrap();
        let sent: Vec<_> = send.iter().map(|blob| blob.digest).collect();
        let order = index.members.iter().map(|member| member.sha256);
        assert_eq!(
            sent,
            order
                .filter(|digest| *digest != Digest::of("a"))
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn too_little_room_is_refused_with_the_missing_bytes() {
        let mut reply = missing(&["a"]);
        reply.room = 7;
        let error = judge(&index(&["a"]), &reply).unwrap_err();
        assert!(matches!(error, HostError::Room { short: 3, .. }), "{error:?}");
    }

    #[test]
    fn a_blob_of_a_base_that_is_not_there_is_named() {
        let error = judge(&index(&["a"]), &missing(&["a", "b"])).unwrap_err();
        assert!(
            matches!(error, HostError::Base { digest } if digest == Digest::of("b")),
            "{error:?}"
        );
    }
}
