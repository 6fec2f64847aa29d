//! `images.present`: every image of the bundle is in the node's CRI by tag, by digest and by id, and pinned.

use std::collections::BTreeMap;

use bundle::{Image, Platform};
use serde::{Deserialize, Serialize};

use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::protocol::{CriImage, CriImageStatus, CriStatus, CriStatusReply, Hello, repository};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<ImagesPresent>("images.present", Scope::Worker);

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

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let index = ctx
            .suite
            .as_ref()
            .and_then(|suite| suite.index.as_ref())
            .ok_or_else(|| Unjudged::skip(cause::NoBundle))?;
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
            .map_err(|error| Unjudged::internal(&error))?;
        let nodes = ctx.expect(member).nodes;
        let images = index.images.iter().filter(|image| host.takes(&image.name, nodes));
        let references = images.flat_map(|image| references(image, &platform));
        let asks = references.map(|reference| async {
            let ask = CriImageStatus {
                socket: socket.clone(),
                reference: reference.clone(),
            };
            Ok::<_, Unjudged>((reference, ctx.ask_runtime(&host.name, ask).await?))
        });
        let found = futures::future::try_join_all(asks).await?.into_iter().collect();
        Ok(Facts {
            runtime,
            platform,
            found,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let Some(index) = expect.index else {
            return Err(Unjudged::skip(cause::NoBundle));
        };
        let takes = |image: &&Image| {
            expect
                .host
                .is_none_or(|host| host.takes(&image.name, expect.nodes))
        };
        let images = index.images.iter().filter(takes);
        Ok(images.flat_map(|image| facts.image(image)).collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let title = phrase::ImagesOf {
            runtime: &facts.runtime.runtime,
            version: &facts.runtime.version,
        };
        let lines = facts
            .found
            .iter()
            .map(|(reference, found)| line(reference, found.as_ref()));
        Evidence::lines(title, lines).into_iter().collect()
    }
}

/// Returns what the runtime finds under a reference, as a line.
pub(in crate::checks) fn line(reference: &str, found: Option<&CriImage>) -> Line {
    let reference: &dyn std::fmt::Display = &reference;
    match found {
        Some(image) if image.pinned => {
            let id = &image.id;
            Line::said(phrase::ImagePinned { reference, id })
        }
        Some(image) => format!("{reference} -> {}", image.id).into(),
        None => Line::said(phrase::ImageAbsent { reference }),
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
    format!("{}@{}", repository(&image.name), image.digest)
}

/// Returns the image id for a platform.
pub(in crate::checks) fn id(image: &Image, platform: &Platform) -> Option<String> {
    let image = image.for_host(platform)?;
    Some(image.config.to_string())
}

impl Facts {
    /// Returns what is wrong with an image of the bundle.
    fn image(&self, image: &Image) -> Vec<Finding> {
        let findings = match id(image, &self.platform) {
            Some(id) => self.found_as(image, &id),
            None => vec![Finding::fail(cause::ImagePlatformMissing {
                image: &image.name,
                platform: &self.platform,
            })],
        };
        findings
            .into_iter()
            .map(|finding| finding.of(&image.name))
            .collect()
    }

    /// Returns what is wrong with an image that is to have this id here.
    fn found_as(&self, image: &Image, id: &str) -> Vec<Finding> {
        let name = &image.name;
        let get = |reference: &str| self.found.get(reference).and_then(Option::as_ref);
        let unnamed = |reference: &str| {
            Finding::fail(cause::ImageNameMissing {
                image: name,
                reference: &reference,
            })
        };
        let digest = by_digest(image);
        let Some(tagged) = get(name) else {
            return vec![match get(&digest).or_else(|| get(id)) {
                Some(_) => unnamed(name),
                None => Finding::fail(cause::ImageMissing { image: name }),
            }];
        };
        if tagged.id != id {
            return vec![Finding::fail(cause::ImageWrong {
                image: name,
                found: &tagged.id,
                expected: &id,
            })];
        }
        let other = |reference: &&str| get(reference).is_none_or(|found| found.id != id);
        let mut findings: Vec<Finding> = [digest.as_str(), id]
            .into_iter()
            .filter(other)
            .map(unnamed)
            .collect();
        if !tagged.pinned {
            findings.push(if knows_pins(&self.runtime) {
                Finding::fail(cause::ImageUnpinned { image: name })
            } else {
                pins_unknown(&self.runtime)
            });
        }
        findings
    }
}

/// Returns the finding of a runtime that knows no pinned images.
pub(in crate::checks) fn pins_unknown(runtime: &CriStatusReply) -> Finding {
    pins_unknown_of(&runtime.runtime, &runtime.version)
}

/// Returns the finding of a runtime of this version that knows no pinned images.
pub(super) fn pins_unknown_of(runtime: &str, version: &str) -> Finding {
    Finding::warn(cause::PinsUnknown {
        runtime: &runtime,
        version: &version,
    })
}

/// Returns whether a runtime knows pinned images: containerd from 1.6.22 and 1.7.3 on; others are taken at their
/// word.
pub(in crate::checks) fn knows_pins(runtime: &CriStatusReply) -> bool {
    knows(&runtime.runtime, &runtime.version)
}

/// Returns whether a runtime of this version knows pinned images.
pub(super) fn knows(runtime: &str, version: &str) -> bool {
    if runtime != "containerd" {
        return true;
    }
    let numbers: Vec<u32> = version
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
    use crate::checks::testing::{judged, site};
    use crate::findings::{CauseId, Outcome};
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
            serial: None,
            created: None,
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
                conditions: Vec::new(),
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
            nodes: &bundle::nodes::EVERYWHERE,
            host: site.host("node-0"),
        };
        judged::<ImagesPresent>(&facts, &expect)
    }

    #[test]
    fn an_image_that_is_for_other_nodes_is_not_missed() {
        let mut facts = healthy();
        facts.found.values_mut().for_each(|found| *found = None);
        let (site, index) = (site(), index());
        let only = |pattern: &str| {
            let patterns = vec![pattern.parse().unwrap()];
            bundle::nodes::ImageNodes::new([(image().name, patterns)].into())
        };
        let judge = |nodes: &bundle::nodes::ImageNodes| {
            let expect = Expect {
                site: &site,
                index: Some(&index),
                nodes,
                host: site.host("node-0"),
            };
            judged::<ImagesPresent>(&facts, &expect).0
        };
        assert_eq!(judge(&only("node-1")), Outcome::Pass);
        assert_eq!(judge(&only("role:control-plane")), Outcome::Pass);
        assert_eq!(judge(&only("node-*")), Outcome::Fail);
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
        assert_eq!(judge(arm), (Outcome::Fail, Some(CauseId::ImagePlatformMissing)));
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
