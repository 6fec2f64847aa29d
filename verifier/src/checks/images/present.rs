//! `images.present`: every image of the bundle is in the node's CRI by tag, by digest and by id, and pinned.

use std::collections::BTreeMap;

use bundle::{Image, Platform};
use serde::{Deserialize, Serialize};

use crate::findings::{Cause, CauseId, Evidence, Finding, Outcome, Trouble, Verdict};
use crate::protocol::{CriImage, CriImageStatus, CriStatus, CriStatusReply, Hello};
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<ImagesPresent>(About {
    id: "images.present",
    scope: Scope::Worker,
    needs: &[],
    permissions: &[],
    summary: "every image of the bundle is there by tag, digest and id, and pinned",
    explain: "Asks the node's container runtime, over CRI, for every image of the bundle by its tag, by its digest and \
by its image id, and compares the id with the bundle's: the same name may stand for another content. Each must be \
pinned, so that the kubelet does not delete it when the disk fills: in a closed network nobody could bring it back.\n\n\
Usual causes of failure, in order: the bundle was not loaded on this node, or an older one was; somebody removed the \
image; the kubelet's garbage collection did; the image was loaded under the same name from elsewhere.\n\nWhere to \
look: `crictl images --digests` on the node; `verifier load` brings what is missing and writes nothing else.",
    by_hand: "ssh {host} crictl images --digests",
});

struct ImagesPresent;

#[derive(Serialize, Deserialize)]
struct Facts {
    runtime: CriStatusReply,
    /// The node's platform.
    platform: Platform,
    /// What the runtime finds under each reference that was asked for.
    found: BTreeMap<String, Option<CriImage>>,
}

impl Probe for ImagesPresent {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Trouble> {
        let host = ctx.host(member)?;
        let index = ctx
            .suite
            .as_ref()
            .and_then(|suite| suite.index.as_ref())
            .ok_or_else(|| Trouble::skip(Cause::new(CauseId::NoBundle)))?;
        let socket = host.runtime.clone();
        let runtime = ctx
            .ask_runtime(
                &host.name,
                CriStatus {
                    socket: socket.clone(),
                },
            )
            .await?;
        let hello = ctx.ask(&host.name, Hello {}).await?;
        let platform: Platform = hello
            .platform
            .parse()
            .map_err(|error| Trouble::internal(&error))?;
        let references = index.images.iter().flat_map(|image| references(image, &platform));
        let asks = references.map(|reference| async {
            let ask = CriImageStatus {
                socket: socket.clone(),
                reference: reference.clone(),
            };
            Ok::<_, Trouble>((reference, ctx.ask_runtime(&host.name, ask).await?))
        });
        let found = futures::future::try_join_all(asks).await?.into_iter().collect();
        Ok(Facts {
            runtime,
            platform,
            found,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Verdict {
        let Some(index) = expect.index else {
            return Trouble::skip(Cause::new(CauseId::NoBundle)).into();
        };
        let findings = index.images.iter().flat_map(|image| facts.image(image)).collect();
        let lines: Vec<String> = facts
            .found
            .iter()
            .map(|(reference, image)| match image {
                Some(image) => format!(
                    "{reference} -> {}{}",
                    image.id,
                    if image.pinned { ", pinned" } else { "" }
                ),
                None => format!("{reference} -> not there"),
            })
            .collect();
        let title = format!("{} {}", facts.runtime.runtime, facts.runtime.version);
        Verdict::of(findings).with(Evidence::lines(title, &lines))
    }
}

/// Returns tag, digest and id of an image: the id is that of the node's platform.
fn references(image: &Image, platform: &Platform) -> Vec<String> {
    let mut references = vec![image.name.clone(), by_digest(image)];
    references.extend(id(image, platform));
    references.sort();
    references.dedup();
    references
}

/// Returns `REPOSITORY@DIGEST`.
fn by_digest(image: &Image) -> String {
    let name = image.name.split('@').next().unwrap_or(&image.name);
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let repository = name[slash..].find(':').map_or(name, |at| &name[..slash + at]);
    format!("{repository}@{}", image.digest)
}

/// Returns the image id for a platform.
pub(in crate::checks) fn id(image: &Image, platform: &Platform) -> Option<String> {
    let fits = |other: &Platform| other.os == platform.os && other.architecture == platform.architecture;
    let exact = image.platforms.iter().find(|other| other.platform == *platform);
    let image = exact.or_else(|| image.platforms.iter().find(|other| fits(&other.platform)))?;
    Some(image.config.to_string())
}

impl Facts {
    fn image(&self, image: &Image) -> Vec<Finding> {
        let of = |id| Cause::new(id).with("image", &image.name);
        let Some(id) = id(image, &self.platform) else {
            return vec![Finding::fail(
                of(CauseId::ImagePlatform).with("platform", &self.platform),
            )];
        };
        let get = |reference: &str| self.found.get(reference).and_then(Option::as_ref);
        let digest = by_digest(image);
        let Some(tagged) = get(&image.name) else {
            let other = get(&digest).or_else(|| get(&id));
            let cause = match other {
                Some(_) => of(CauseId::ImageNameMissing).with("reference", &image.name),
                None => of(CauseId::ImageMissing),
            };
            return vec![Finding::fail(cause)];
        };
        if tagged.id != id {
            let cause = of(CauseId::ImageWrong)
                .with("found", &tagged.id)
                .with("expected", &id);
            return vec![Finding::fail(cause)];
        }
        let mut findings = Vec::new();
        for reference in [&digest, &id] {
            if get(reference).is_none_or(|found| found.id != id) {
                findings.push(Finding::fail(
                    of(CauseId::ImageNameMissing).with("reference", reference),
                ));
            }
        }
        if !tagged.pinned {
            findings.push(if knows_pins(&self.runtime) {
                Finding::fail(of(CauseId::ImageUnpinned))
            } else {
                let cause = of(CauseId::PinsUnknown).with("runtime", &self.runtime.runtime);
                Finding {
                    outcome: Outcome::Warn,
                    cause: cause.with("version", &self.runtime.version),
                }
            });
        }
        findings
    }
}

/// Returns whether a runtime knows pinned images: containerd from 1.6.22 and 1.7.3 on; others are taken at their
/// word.
pub(in crate::checks) fn knows_pins(runtime: &CriStatusReply) -> bool {
    if runtime.runtime != "containerd" {
        return true;
    }
    let numbers: Vec<u32> = runtime
        .version
        .trim_start_matches('v')
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse().ok())
        .take(3)
        .collect();
    match numbers.as_slice() {
        [1, 6, patch] => *patch >= 22,
        [1, 7, patch] => *patch >= 3,
        [1, minor, ..] => *minor > 7,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{seen, site};
    use bundle::{Digest, Index, PlatformImage};

    fn image() -> Image {
        let amd64: Platform = "linux/amd64".parse().unwrap();
        Image {
            name: "docker.io/library/nginx:1.29".to_owned(),
            from: "registry.example:5000/nginx:1.29".to_owned(),
            digest: Digest::of("index"),
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            platforms: vec![PlatformImage {
                platform: amd64,
                manifest: Digest::of("manifest"),
                config: Digest::of("config"),
                layers: Vec::new(),
            }],
        }
    }

    fn index() -> Index {
        Index {
            format: 1,
            name: "smoke".to_owned(),
            tool: "bundler 0.1.0".to_owned(),
            platforms: vec!["linux/amd64".parse().unwrap()],
            requires: Vec::new(),
            smoke: None,
            images: vec![image()],
            members: Vec::new(),
        }
    }

    fn healthy() -> Facts {
        let platform: Platform = "linux/amd64".parse().unwrap();
        let found = CriImage {
            id: Digest::of("config").to_string(),
            tags: vec![image().name],
            digests: vec![by_digest(&image())],
            size: 1,
            pinned: true,
            platform: None,
        };
        Facts {
            runtime: CriStatusReply {
                socket: "/run/containerd/containerd.sock".to_owned(),
                runtime: "containerd".to_owned(),
                version: "v2.4.2".to_owned(),
                sandbox_image: None,
                snapshotter: None,
            },
            found: references(&image(), &platform)
                .into_iter()
                .map(|name| (name, Some(found.clone())))
                .collect(),
            platform,
        }
    }

    fn judge(change: impl FnOnce(&mut Facts)) -> (Outcome, Option<CauseId>) {
        let mut facts = healthy();
        change(&mut facts);
        let (site, index) = (site(), index());
        let expect = Expect {
            site: &site,
            index: Some(&index),
            host: site.host("node-0"),
        };
        seen(&ImagesPresent::judge(&facts, &expect))
    }

    fn tag(facts: &mut Facts) -> &mut Option<CriImage> {
        facts.found.get_mut("docker.io/library/nginx:1.29").unwrap()
    }

    #[test]
    fn an_image_found_by_all_its_names_and_pinned_passes() {
        assert_eq!(judge(|_| {}), (Outcome::Pass, None));
    }

    #[test]
    fn an_image_that_is_missing_or_another_fails() {
        let missing = |facts: &mut Facts| facts.found.values_mut().for_each(|found| *found = None);
        assert_eq!(judge(missing), (Outcome::Fail, Some(CauseId::ImageMissing)));
        assert_eq!(
            judge(|facts| *tag(facts) = None),
            (Outcome::Fail, Some(CauseId::ImageNameMissing))
        );
        let wrong = |facts: &mut Facts| tag(facts).as_mut().unwrap().id = Digest::of("other").to_string();
        assert_eq!(judge(wrong), (Outcome::Fail, Some(CauseId::ImageWrong)));
        let digest = |facts: &mut Facts| *facts.found.get_mut(&by_digest(&image())).unwrap() = None;
        assert_eq!(judge(digest), (Outcome::Fail, Some(CauseId::ImageNameMissing)));
    }

    #[test]
    fn an_image_that_is_not_pinned_fails_and_where_nobody_knows_pins_it_warns() {
        let unpinned = |facts: &mut Facts| tag(facts).as_mut().unwrap().pinned = false;
        assert_eq!(judge(unpinned), (Outcome::Fail, Some(CauseId::ImageUnpinned)));
        let old = |facts: &mut Facts| {
            unpinned(facts);
            facts.runtime.version = "1.6.20~ds1".to_owned();
        };
        assert_eq!(judge(old), (Outcome::Warn, Some(CauseId::PinsUnknown)));
    }

    #[test]
    fn an_image_that_the_bundle_has_not_for_this_platform_fails() {
        let arm = |facts: &mut Facts| facts.platform = "linux/arm64".parse().unwrap();
        assert_eq!(judge(arm), (Outcome::Fail, Some(CauseId::ImagePlatform)));
    }

    #[test]
    fn references_by_digest_keep_the_registrys_port() {
        let mut image = image();
        image.name = "registry.example:5000/a/b:1".to_owned();
        assert!(by_digest(&image).starts_with("registry.example:5000/a/b@sha256:"));
        image.name = "registry.example:5000/a/b".to_owned();
        assert!(by_digest(&image).starts_with("registry.example:5000/a/b@sha256:"));
    }
}
