//! Why a container of the suite ended: its own last words, and whether its image still is what the bundle has. Looked at only
//! once one did not run.

use std::time::Duration;

use bundle::Image;
use secrets::Masked;
use serde::{Deserialize, Serialize};

use crate::cluster::PodFacts;
use crate::findings::{Cause, CauseId, Evidence, Finding, cause, phrase};
use crate::protocol::{Proof, Unpacked, UnpackedReply};
use crate::suite::Ctx;

/// How many last lines of a container are kept.
const LINES: u32 = 20;
/// How long an agent may take to compare an image with its layers.
const COMPARE: Duration = Duration::from_mins(1);

/// The containers that ended.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Crashes {
    crashes: Vec<Crash>,
}

#[derive(Serialize, Deserialize)]
struct Crash {
    pod: String,
    node: String,
    image: String,
    /// What it wrote last.
    last: Vec<Masked>,
    /// What its node has of the image; absent where nobody could compare.
    unpacked: Option<UnpackedReply>,
}

impl Crashes {
    /// Looks at each pod that one of the findings says did not run.
    pub(super) async fn look(ctx: &Ctx, pods: &[PodFacts], image: &str, found: &[Finding]) -> Self {
        let crashed = |pod: &&PodFacts| found.iter().any(|finding| is_of(&finding.cause, &pod.name));
        let looks = pods.iter().filter(crashed).map(|pod| look(ctx, pod, image));
        Self {
            crashes: futures::future::join_all(looks).await,
        }
    }

    /// Puts what was seen into the causes: an image that lacks some of its layers in the place of the crash, else the
    /// container's own words in the place of the kubelet's.
    pub(super) fn explain(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let explain = |finding: Finding| {
            let mut crashes = self.crashes.iter();
            match crashes.find(|crash| is_of(&finding.cause, &crash.pod)) {
                Some(crash) => Finding {
                    cause: crash.cause(&finding.cause).unwrap_or(finding.cause),
                    ..finding
                },
                None => finding,
            }
        };
        findings.into_iter().map(explain).collect()
    }

    /// Returns the last words, and what was compared.
    pub(super) fn evidence(&self) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        for crash in &self.crashes {
            let title = phrase::LastWords { pod: &crash.pod };
            evidence.extend(Evidence::lines(title, crash.last.iter().map(ToString::to_string)));
            let hollow = crash.unpacked.iter().flat_map(|reply| &reply.hollow);
            let lines = hollow.map(|layer| format!("{} {} ({})", layer.layer, layer.first, layer.files));
            let title = phrase::HollowLayers {
                image: &crash.image,
                host: &crash.node,
            };
            evidence.extend(Evidence::lines(title, lines));
        }
        evidence
    }
}

/// Returns whether a cause is that the container of this pod does not run.
fn is_of(cause: &Cause, pod: &str) -> bool {
    cause.id() == CauseId::PodCrashed && cause.args()["pod"] == *pod
}

impl Crash {
    fn cause(&self, found: &Cause) -> Option<Cause> {
        let hollow = self.unpacked.iter().flat_map(|reply| &reply.hollow);
        let files: u64 = hollow.clone().map(|layer| layer.files).sum();
        if let Some(layer) = hollow.clone().next() {
            let cause = cause::ImageHollow {
                image: &self.image,
                node: &self.node,
                layer: &layer.layer,
                file: &layer.first,
                files: &files,
            };
            return Some(cause.into());
        }
        let last = self.last.iter().rfind(|line| !line.trim().is_empty())?;
        let cause = cause::PodCrashed {
            pod: &self.pod,
            node: &self.node,
            reason: &found.args()["reason"],
            exit: &found.args()["exit"],
            message: last,
        };
        Some(cause.into())
    }
}

async fn look(ctx: &Ctx, pod: &PodFacts, image: &str) -> Crash {
    let node = pod.node.clone().unwrap_or_default();
    let (last, unpacked) = futures::join!(last(ctx, pod), unpacked(ctx, &node, image));
    Crash {
        pod: pod.name.clone(),
        node,
        image: image.to_owned(),
        last,
        unpacked,
    }
}

/// Returns the last lines of a pod's container; none where nobody tells.
async fn last(ctx: &Ctx, pod: &PodFacts) -> Vec<Masked> {
    let log = async {
        let namespace = ctx.fixtures().namespace(ctx).await.ok()?;
        let container = pod.containers.first()?;
        let api = ctx.api().ok()?;
        api.log(&namespace, &pod.name, &container.name, LINES).await.ok()
    };
    let log = log.await.unwrap_or_default();
    log.lines().map(Masked::from).collect()
}

/// Compares what a node has of an image with the layers of the platform that is there.
async fn unpacked(ctx: &Ctx, node: &str, image: &str) -> Option<UnpackedReply> {
    let host = ctx.site.host_of_node(node)?;
    let index = ctx.suite.as_ref()?.index.as_ref()?;
    let image: &Image = index.images.iter().find(|other| other.name == image)?;
    for platform in &image.platforms {
        let ask = Unpacked {
            socket: host.runtime.clone(),
            layers: platform.layers.clone(),
            proof: Proof::Lengths,
        };
        let reply = ctx.ask_within(&host.name, ask, COMPARE).await.ok()?;
        if reply.present {
            return Some(reply);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::HollowLayer;

    fn crashed() -> Finding {
        Finding::fail(cause::PodCrashed {
            pod: &"nginx-a",
            node: &"node-0",
            reason: &"CrashLoopBackOff",
            exit: &"127",
            message: &"back-off 10s restarting failed container",
        })
    }

    fn crashes(hollow: Vec<HollowLayer>, last: &[&str]) -> Crashes {
        Crashes {
            crashes: vec![Crash {
                pod: "nginx-a".to_owned(),
                node: "node-0".to_owned(),
                image: "docker.io/library/nginx:1.29".to_owned(),
                last: last.iter().map(|line| Masked::from(*line)).collect(),
                unpacked: Some(UnpackedReply {
                    present: true,
                    compared: 9,
                    hollow,
                    unproven: Vec::new(),
                    spoilt: Vec::new(),
                }),
            }],
        }
    }

    #[test]
    fn an_image_that_lacks_some_of_its_layers_is_the_cause_of_a_crash() {
        let hollow = vec![HollowLayer {
            layer: bundle::Digest::of("layer"),
            files: 3,
            first: "/usr/sbin/nginx".into(),
        }];
        let found = crashes(hollow, &["sh: nginx: not found"]).explain(vec![crashed()]);
        assert_eq!(found[0].cause.id(), CauseId::ImageHollow);
        assert_eq!(found[0].cause.args()["file"], "/usr/sbin/nginx");
    }

    #[test]
    fn else_the_container_s_own_last_words_stand_in_the_cause() {
        let found = crashes(Vec::new(), &["first", "no such file", ""]).explain(vec![crashed()]);
        assert_eq!(found[0].cause.id(), CauseId::PodCrashed);
        assert_eq!(found[0].cause.args()["message"], "no such file");
        assert_eq!(found[0].cause.args()["exit"], "127");
        let silent = crashes(Vec::new(), &[]).explain(vec![crashed()]);
        assert_eq!(silent, [crashed()]);
    }
}
