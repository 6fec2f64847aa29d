//! `runtime.sandbox-image`: the pause image that the node's runtime is configured with is there, and pinned.

use serde::{Deserialize, Serialize};

use crate::checks::images::present::{knows_pins, line, pins_unknown};
use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::protocol::{CriImage, CriImageStatus, CriStatus, CriStatusReply};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<SandboxImage>("runtime.sandbox-image", Scope::Worker);

struct SandboxImage;

#[derive(Serialize, Deserialize)]
struct Facts {
    runtime: CriStatusReply,
    found: Option<CriImage>,
}

impl Probe for SandboxImage {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
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

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let Some(image) = &facts.runtime.sandbox_image else {
            return Ok(vec![Finding::warn(cause::SandboxImageUnknown)]);
        };
        let finding = match &facts.found {
            Some(found) if found.pinned => return Ok(Vec::new()),
            Some(_) if knows_pins(&facts.runtime) => Finding::fail(cause::SandboxImageUnpinned { image }),
            Some(_) => pins_unknown(&facts.runtime),
            None => Finding::fail(cause::SandboxImageMissing { image }),
        };
        Ok(vec![finding.of(image)])
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let CriStatusReply {
            socket,
            runtime,
            version,
            sandbox_image,
            ..
        } = &facts.runtime;
        let image = sandbox_image
            .as_ref()
            .map(|image| line(image, facts.found.as_ref()));
        let lines = [Line::from(format!("{runtime} {version} {socket}"))];
        Evidence::lines(phrase::SandboxImage, lines.into_iter().chain(image))
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn judge(image: Option<&str>, pinned: Option<bool>, version: &str) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            runtime: CriStatusReply {
                socket: "/run/containerd/containerd.sock".to_owned(),
                runtime: "containerd".to_owned(),
                version: version.to_owned(),
                sandbox_image: image.map(str::to_owned),
                snapshotter: None,
                conditions: Vec::new(),
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
        judged::<SandboxImage>(&facts, &expect(&site(), "node-0"))
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
