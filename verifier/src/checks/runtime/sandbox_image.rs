//! `runtime.sandbox-image`: the pause image that the node's runtime is configured with is there, and pinned.

use serde::{Deserialize, Serialize};

use crate::checks::images::present::knows_pins;
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::protocol::{CriImage, CriImageStatus, CriStatus, CriStatusReply};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<SandboxImage>(About {
    id: "runtime.sandbox-image",
    scope: Scope::Worker,
    needs: &[],
    permissions: &[],
    summary: "the sandbox image that the runtime is configured with is there and pinned",
    explain: "Every pod begins with a sandbox, which runs the pause image that the container runtime is configured \
with: not the kubelet's choice, and not the bundle's. Where it is missing, the runtime tries to pull it, and no pod \
ever starts: the commonest failure of closed networks. Asks the runtime, over CRI, which image it is configured with, \
and whether that one is there and pinned.\n\nUsual causes of failure, in order: the bundle carries another version of \
pause than this runtime wants; the bundle was not loaded here; the image was collected.\n\nWhere to look: \
sandbox_image or pinned_images in /etc/containerd/config.toml; the events of a pending pod say FailedCreatePodSandBox.",
    by_hand: "ssh {host} 'crictl info | grep -i sandboxImage; crictl images | grep pause'",
});

struct SandboxImage;

#[derive(Serialize, Deserialize)]
struct Facts {
    runtime: CriStatusReply,
    found: Option<CriImage>,
}

impl Probe for SandboxImage {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let socket = host.runtime.clone();
        let runtime = ctx
            .ask_runtime(
                &host.name,
                CriStatus {
                    socket: socket.clone(),
                },
            )
            .await?;
        let found = match &runtime.sandbox_image {
            Some(reference) => {
                ctx.ask_runtime(
                    &host.name,
                    CriImageStatus {
                        socket,
                        reference: reference.clone(),
                    },
                )
                .await?
            }
            None => None,
        };
        Ok(Facts { runtime, found })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Verdict {
        let Some(image) = &facts.runtime.sandbox_image else {
            return Verdict::of(vec![Finding::warn(Cause::new(CauseId::SandboxImageUnknown))]);
        };
        let of = |id| Cause::new(id).with("image", image);
        let mut findings = Vec::new();
        match &facts.found {
            None => findings.push(Finding::fail(of(CauseId::SandboxImageMissing))),
            Some(found) if !found.pinned && knows_pins(&facts.runtime) => {
                findings.push(Finding::fail(of(CauseId::SandboxImageUnpinned)));
            }
            Some(found) if !found.pinned => {
                let cause = of(CauseId::PinsUnknown).with("runtime", &facts.runtime.runtime);
                findings.push(Finding::warn(cause.with("version", &facts.runtime.version)));
            }
            Some(_) => {}
        }
        let id = facts
            .found
            .as_ref()
            .map_or("not there", |found| found.id.as_str());
        let runtime = &facts.runtime;
        let text = format!(
            "{} {} at {}: {image} -> {id}",
            runtime.runtime, runtime.version, runtime.socket
        );
        Verdict::of(findings).with([Evidence::new("sandbox image", text)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;

    fn judge(image: Option<&str>, pinned: Option<bool>, version: &str) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            runtime: CriStatusReply {
                socket: "/run/containerd/containerd.sock".to_owned(),
                runtime: "containerd".to_owned(),
                version: version.to_owned(),
                sandbox_image: image.map(str::to_owned),
                snapshotter: None,
            },
            found: pinned.map(|pinned| CriImage {
                id: "sha256:1".to_owned(),
                tags: Vec::new(),
                digests: Vec::new(),
                size: 1,
                pinned,
                platform: None,
            }),
        };
        seen(&SandboxImage::judge(&facts, &expect(&site(), "node-0")))
    }

    #[test]
    fn the_configured_image_must_be_there_and_pinned() {
        let pause = Some("registry.k8s.io/pause:3.10");
        assert_eq!(judge(pause, Some(true), "v2.4.2"), (Outcome::Pass, None));
        assert_eq!(
            judge(pause, None, "v2.4.2"),
            (Outcome::Fail, Some(CauseId::SandboxImageMissing))
        );
        assert_eq!(
            judge(pause, Some(false), "v2.4.2"),
            (Outcome::Fail, Some(CauseId::SandboxImageUnpinned))
        );
        assert_eq!(
            judge(pause, Some(false), "1.6.20"),
            (Outcome::Warn, Some(CauseId::PinsUnknown))
        );
        assert_eq!(
            judge(None, None, "v2.4.2"),
            (Outcome::Warn, Some(CauseId::SandboxImageUnknown))
        );
    }
}
