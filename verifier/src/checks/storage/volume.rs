//! `storage.volume`: a claim of the site's `StorageClass` is bound, written, and read back on another node.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::cluster::{EventFacts, Permission};
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::suite::fixtures::why::why;
use crate::suite::fixtures::{Claimed, Fixture, Worked, claim};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Volume>("storage.volume", Scope::Cluster)
    .needs(&[Fixture::Pods])
    .permissions(&[
        Permission::across("get", "storage.k8s.io", "storageclasses"),
        Permission::within("create", "", "persistentvolumeclaims"),
        Permission::within("get", "", "persistentvolumeclaims"),
        Permission::within("create", "", "pods/exec"),
        Permission::within("get", "", "pods/exec"),
    ]);

struct Volume;

/// What became of a claim.
#[derive(Serialize, Deserialize)]
struct Facts {
    /// The name of the class.
    class: String,
    claimed: Claimed,
}

impl Probe for Volume {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let class = ctx.site.expect.storage_class.clone();
        let class = class.ok_or_else(|| Unjudged::skip(cause::NoStorageClass))?;
        let claimed = claim(ctx, &class).await?;
        Ok(Facts { class, claimed })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let Facts { class, claimed } = facts;
        let Some(found) = &claimed.class else {
            return Ok(vec![Finding::fail(cause::StorageClassMissing { class })]);
        };
        if !claimed.is_to_be_tried() {
            // What it would leave behind nobody asked for.
            let reclaims = &found.reclaims;
            return Err(Unjudged::skip(cause::StorageClassRetains { class, reclaims }));
        }
        let internal = || Unjudged::internal(&"no pod has the volume");
        let writer = claimed.writer.as_ref().ok_or_else(internal)?;
        let Some(written) = writer.node().filter(|_| writer.said().is_some()) else {
            return Ok(vec![facts.unworked(writer)]);
        };
        let reader = claimed.reader.as_ref().ok_or_else(internal)?;
        let Some((read, said)) = reader.node().zip(reader.said()) else {
            return Ok(vec![facts.unworked(reader)]);
        };
        if said != claimed.wrote {
            #[rustfmt::skip]
            let cause = cause::VolumeOther { class, written: &written, read: &read };
            return Ok(vec![Finding::fail(cause)]);
        }
        if claimed.nodes > 1 && read == written {
            let cause = cause::VolumeOneNode { class, node: &read };
            return Ok(vec![Finding::warn(cause)]);
        }
        Ok(Vec::new())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let worked = [&facts.claimed.writer, &facts.claimed.reader];
        let lines = worked.into_iter().flatten().map(|worked| {
            let pod = worked.pod.as_ref().map_or("-", |pod| &pod.name);
            format!("{} {pod}: {}", worked.node().unwrap_or("-"), worked.output())
        });
        let events = facts.claimed.events.iter().map(EventFacts::line);
        let evidence = [
            Evidence::lines(phrase::Answers, lines),
            Evidence::lines(phrase::Events, events),
        ];
        evidence.into_iter().flatten().collect()
    }
}

impl Facts {
    /// Returns why a pod did not do its part.
    fn unworked(&self, worked: &Worked) -> Finding {
        let class = &self.class;
        let claim = self.claimed.claim.as_ref();
        let bound = claim.is_some_and(|claim| claim.phase == "Bound");
        let seconds = &self.claimed.waited_millis.div_ceil(1000);
        let pod = worked.pod.as_ref();
        if let Some(pod) = pod.filter(|pod| pod.is_up()) {
            let (node, output) = (&worked.node().unwrap_or("-"), &worked.output());
            return Finding::fail(cause::VolumeUnusable { class, node, output }).of(&pod.name);
        }
        if !bound {
            let message = &self.last_of("PersistentVolumeClaim/");
            return Finding::fail(cause::ClaimUnbound {
                class,
                message,
                seconds,
            });
        }
        let placed = pod.filter(|pod| pod.node.is_some());
        let volume = ["FailedMount", "FailedAttachVolume"];
        let unmounted = self.claimed.events.iter().rev();
        let unmounted = unmounted
            .clone()
            .find(|event| volume.contains(&event.reason.as_str()));
        if let (Some(pod), Some(event)) = (placed, unmounted) {
            let node = &worked.node().unwrap_or("-");
            let message = &event.message;
            let cause = cause::VolumeUnmounted {
                class,
                node,
                message,
                seconds,
            };
            return Finding::fail(cause).of(&pod.name);
        }
        let reason = pod.and_then(|pod| why(pod, &self.claimed.events, &BTreeSet::new()));
        let unknown = || cause::VolumePodMissing { class, seconds }.into();
        Finding::fail(reason.unwrap_or_else(unknown))
    }

    /// Returns the last warning of an object of this kind.
    fn last_of(&self, kind: &str) -> String {
        let of = |event: &&EventFacts| event.object.starts_with(kind);
        let last = self.claimed.events.iter().rev().find(of);
        last.map_or_else(|| "-".to_owned(), |event| event.message.clone())
    }
}

impl Worked {
    /// Returns what its command put out, and its code.
    fn output(&self) -> String {
        let Some(ended) = &self.ended else {
            return "-".to_owned();
        };
        let words = [
            ended.stdout.trim(),
            ended.stderr.trim(),
            ended.message.as_deref().unwrap_or_default(),
        ];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let code = ended.code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        format!("{} ({code})", words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::cluster::{ClaimFacts, ClassFacts, Executed};
    use crate::findings::{CauseId, Outcome};
    use crate::suite::fixtures::why::tests::{pod, waiting};

    const CANARY: &str = "verifier 0000000000000001";

    fn worked(node: &str, stdout: &str) -> Worked {
        let ended = Executed {
            stdout: format!("{stdout}\n"),
            stderr: String::new(),
            code: Some(0),
            message: None,
        };
        Worked {
            pod: Some(pod("volume-a", node, "10.200.0.9")),
            ended: Some(ended),
        }
    }

    fn judge(change: impl FnOnce(&mut Claimed)) -> (Outcome, Option<CauseId>) {
        let mut claimed = Claimed {
            class: Some(ClassFacts {
                provisioner: "example.com/disk".to_owned(),
                reclaims: "Delete".to_owned(),
            }),
            claim: Some(ClaimFacts {
                phase: "Bound".to_owned(),
                volume: Some("pvc-1".to_owned()),
            }),
            wrote: CANARY.to_owned(),
            writer: Some(worked("node-0", "")),
            reader: Some(worked("node-1", CANARY)),
            nodes: 2,
            events: Vec::new(),
            waited_millis: 60_000,
        };
        change(&mut claimed);
        let class = "fast".to_owned();
        judged::<Volume>(&Facts { class, claimed }, &expect(&site(), "node-0"))
    }

    fn event(object: &str, reason: &str) -> EventFacts {
        EventFacts {
            r#type: "Warning".to_owned(),
            object: object.to_owned(),
            reason: reason.to_owned(),
            message: "because".to_owned(),
            last: None,
        }
    }

    #[test]
    fn what_is_read_back_elsewhere_passes_and_on_the_same_node_alone_warns() {
        assert_eq!(judge(|_| {}), (Outcome::Pass, None));
        let same = judge(|claimed| claimed.reader = Some(worked("node-0", CANARY)));
        assert_eq!(same, (Outcome::Warn, Some(CauseId::VolumeOneNode)));
        let one = judge(|claimed| {
            claimed.reader = Some(worked("node-0", CANARY));
            claimed.nodes = 1;
        });
        assert_eq!(one, (Outcome::Pass, None));
    }

    #[test]
    fn what_is_not_bound_mounted_written_or_read_fails_with_its_own_cause() {
        let missing = judge(|claimed| claimed.class = None);
        assert_eq!(missing, (Outcome::Fail, Some(CauseId::StorageClassMissing)));
        let retains = judge(|claimed| claimed.class.as_mut().unwrap().reclaims = "Retain".to_owned());
        assert_eq!(retains, (Outcome::Skip, Some(CauseId::StorageClassRetains)));
        let late = |claimed: &mut Claimed| {
            claimed.writer = Some(Worked {
                pod: Some(waiting("volume-a", "node-0", "ContainerCreating")),
                ended: None,
            });
            claimed.reader = None;
        };
        let unbound = judge(|claimed| {
            late(claimed);
            claimed.claim.as_mut().unwrap().phase = "Pending".to_owned();
            claimed.events = vec![event("PersistentVolumeClaim/volume", "ProvisioningFailed")];
        });
        assert_eq!(unbound, (Outcome::Fail, Some(CauseId::ClaimUnbound)));
        let unmounted = judge(|claimed| {
            late(claimed);
            claimed.events = vec![event("Pod/volume-a", "FailedMount")];
        });
        assert_eq!(unmounted, (Outcome::Fail, Some(CauseId::VolumeUnmounted)));
        let unwritten = judge(|claimed| {
            let ended = claimed.writer.as_mut().unwrap().ended.as_mut().unwrap();
            ended.code = Some(1);
            ended.stderr = "Read-only file system".to_owned();
        });
        assert_eq!(unwritten, (Outcome::Fail, Some(CauseId::VolumeUnusable)));
        let other = judge(|claimed| claimed.reader = Some(worked("node-1", "verifier 0000000000000002")));
        assert_eq!(other, (Outcome::Fail, Some(CauseId::VolumeOther)));
    }
}
