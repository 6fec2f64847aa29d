//! `images.inventory`: what images each node holds and runs beside what the bundles have.

mod lists;
#[cfg(test)]
mod tests;

use bundle::{Image, Platform};

use super::complete;
use super::held::{self, Held, Note, Said, name_of, refers};
use super::present::{id, knows, pins_unknown_of};
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::images::{HostImages, bytes, is_mutable, same_id};
use crate::protocol::{CriImage, ImageStoreReply, repository};
use crate::suite::{Check, Ctx, Expect, ListsImages, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Inventory>("images.inventory", Scope::Worker)
    .listed_images::<Inventory>()
    .on_demand();

struct Inventory;

impl Probe for Inventory {
    type Facts = ImageStoreReply;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<ImageStoreReply, Unjudged> {
        held::gather(ctx, member).await
    }

    fn judge(facts: &ImageStoreReply, expect: &Expect<'_>) -> Judged {
        Ok(held::counting(said(&Held::new(facts, expect)), expect))
    }

    fn evidence(facts: &ImageStoreReply, expect: &Expect<'_>) -> Vec<Evidence> {
        let held = Held::new(facts, expect);
        let notes = held::notes(&said(&held), expect);
        let title = phrase::ImagesOf {
            runtime: &facts.runtime,
            version: &facts.version,
        };
        let listed = lists::list(&held, expect);
        let all = Evidence::lines(title, listed.images.iter().map(lists::line));
        let room = listed.totals.as_ref().map(lists::room);
        notes.into_iter().chain(all).chain(room.flatten()).collect()
    }
}

impl ListsImages for Inventory {
    fn images(facts: &ImageStoreReply, expect: &Expect<'_>) -> HostImages {
        lists::list(&Held::new(facts, expect), expect)
    }
}

/// Returns all that is to be said of what a host holds, but for whether it is whole.
fn said(held: &Held<'_>) -> Vec<Said> {
    let mut said: Vec<Said> = pins(held).into_iter().collect();
    for (name, images) in held.wanted() {
        let findings = wanted(held, name, &images).into_iter();
        said.extend(findings.map(|finding| Said::of(name, Note::Never, finding)));
    }
    for image in &held.reply.images {
        said.extend(others(held, image));
    }
    said.extend(unheld(held));
    said
}

/// Returns that the runtime knows no pins: once a host.
fn pins(held: &Held<'_>) -> Option<Said> {
    let unknown = !knows(&held.reply.runtime, &held.reply.version);
    let finding = pins_unknown_of(&held.reply.runtime, &held.reply.version);
    (unknown && held.index.is_some()).then(|| Said::of(&held.reply.runtime, Note::Never, finding))
}

/// Returns what is wrong with the images that are to have a name: any of them will do.
fn wanted(held: &Held<'_>, name: &str, images: &[&Image]) -> Vec<Finding> {
    let Some(platform) = &held.platform else {
        return vec![Finding::error(cause::Internal {
            message: &held.reply.platform,
        })];
    };
    let ids: Vec<String> = images.iter().filter_map(|image| id(image, platform)).collect();
    let Some(expected) = ids.first() else {
        let image = &name;
        return vec![Finding::fail(cause::ImagePlatformMissing { image, platform })];
    };
    let Some(found) = held.named(name) else {
        return vec![absent(held, name, images, &ids)];
    };
    let right = images
        .iter()
        .filter(|image| id(image, platform).is_some_and(|id| same_id(&id, &found.id)));
    let right: Vec<&&Image> = right.collect();
    if right.is_empty() {
        return vec![other(held, name, images, found, expected)];
    }
    let mut findings = Vec::new();
    let digests: Vec<String> = right
        .iter()
        .map(|image| format!("{}@{}", repository(&image.name), image.digest))
        .collect();
    if !digests.iter().any(|digest| found.digests.contains(digest)) {
        let reference = &digests.first().map(String::as_str).unwrap_or_default();
        findings.push(Finding::fail(cause::ImageNameMissing {
            image: &name,
            reference,
        }));
    }
    if !found.pinned && knows(&held.reply.runtime, &held.reply.version) {
        findings.push(Finding::fail(cause::ImageUnpinned { image: &name }));
    }
    findings
}

/// Returns why nothing is found by a name.
fn absent(held: &Held<'_>, name: &str, images: &[&Image], ids: &[String]) -> Finding {
    let image = &name;
    if let Some(stored) = held.recorded(name) {
        if !stored.offers.is_empty() {
            return Finding::fail(cause::ImageOtherPlatform {
                image,
                found: &stored.offers.join(", "),
                platform: &held.reply.platform,
            });
        }
        return Finding::fail(cause::ImageUnlisted { image });
    }
    let digests: Vec<String> = images.iter().map(|image| image.digest.to_string()).collect();
    let is = |other: &CriImage| {
        let by_digest = |name: &String| digests.iter().any(|digest| name.ends_with(digest.as_str()));
        ids.iter().any(|id| same_id(id, &other.id)) || other.digests.iter().any(by_digest)
    };
    if held.reply.images.iter().any(is) {
        return Finding::fail(cause::ImageNameMissing {
            image,
            reference: image,
        });
    }
    match images.iter().find_map(|image| held.elsewhere(image)) {
        Some(namespace) => Finding::fail(cause::ImageOtherNamespace {
            image,
            namespace: &namespace,
        }),
        None => Finding::fail(cause::ImageMissing { image }),
    }
}

/// Returns what stands under a right name instead.
fn other(held: &Held<'_>, name: &str, images: &[&Image], found: &CriImage, expected: &str) -> Finding {
    let image = &name;
    let all = images.iter().flat_map(|image| &image.platforms);
    let mut own = all.filter(|one| same_id(&one.config.to_string(), &found.id));
    let platform = own.next().map(|one| one.platform.to_string());
    let platform = platform.or_else(|| foreign(held, found).map(str::to_owned));
    match platform {
        Some(platform) => Finding::fail(cause::ImageOtherPlatform {
            image,
            found: &platform,
            platform: &held.reply.platform,
        }),
        None => Finding::fail(cause::ImageWrong {
            image,
            found: &found.id,
            expected: &expected,
        }),
    }
}

/// Returns the platform of an image, where the host does not run it.
fn foreign<'a>(held: &Held<'a>, image: &CriImage) -> Option<&'a str> {
    let host = held.platform.as_ref()?;
    let store = held.reply.store.as_ref()?;
    let mut own = held.stored(image).into_iter().filter_map(|place| {
        let text = store.images.get(place)?.platform.as_deref()?;
        let platform: Platform = text.parse().ok()?;
        host.runs(&platform).is_none().then_some(text)
    });
    own.next()
}

/// Returns what is to be said of an image that is there, whatever the bundles have.
fn others(held: &Held<'_>, image: &CriImage) -> Vec<Said> {
    let name = name_of(image);
    let mut said = Vec::new();
    let users = held.users(image);
    let bundled = held.index.is_none() || held.has_bundled(image);
    // Another content under a name of a bundle is told as such.
    let told = held
        .wanted()
        .keys()
        .any(|wanted| held.named(wanted).is_some_and(|found| std::ptr::eq(found, image)));
    let note = |finding: Finding| Said::of(name, Note::UnlessExact, finding);
    if !bundled && !told {
        said.push(note(if users.is_empty() {
            Finding::fail(cause::ImageExtra {
                image: &name,
                bytes: &bytes(image.size),
            })
        } else {
            Finding::fail(cause::ImageUnbundled {
                image: &name,
                users: &shortened(&users),
            })
        }));
    }
    if let (Some(found), false) = (foreign(held, image), told) {
        let note = if users.is_empty() {
            Note::Always
        } else {
            Note::Never
        };
        let finding = Finding::fail(cause::ImageOtherPlatform {
            image: &name,
            found: &found,
            platform: &held.reply.platform,
        });
        said.push(Said::of(name, note, finding));
    }
    for tag in image.tags.iter().filter(|tag| is_mutable(tag)) {
        let finding = Finding::fail(cause::ImageMutableTag { image: tag });
        said.push(Said::of(tag, Note::UnlessExact, finding));
    }
    said
}

/// Returns what is to be said of containers whose image the host does not hold any more. Only an id says that for sure; what
/// is wrong with the bundles' own is told by their names.
fn unheld(held: &Held<'_>) -> Vec<Said> {
    let mut gone: Vec<&str> = held
        .reply
        .running
        .iter()
        .map(|running| running.image.as_str())
        .filter(|image| same_id(image, image))
        .filter(|image| !held.reply.images.iter().any(|other| refers(other, image)))
        .filter(|image| !held.is_bundled(image, &[]))
        .collect();
    gone.sort_unstable();
    gone.dedup();
    let said = gone.into_iter().map(|image| {
        let running = held.reply.running.iter().filter(|running| running.image == image);
        let users: Vec<String> = running
            .map(|running| format!("{}/{}", running.pod, running.container))
            .collect();
        let finding = Finding::fail(cause::ImageUnheld {
            image: &image,
            users: &shortened(&users),
        });
        Said::of(image, Note::Never, finding)
    });
    said.collect()
}

/// Returns the first users, and how many more there are.
fn shortened(users: &[String]) -> String {
    let shown: Vec<&str> = users.iter().take(3).map(String::as_str).collect();
    match users.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{}, +{more}", shown.join(", ")),
    }
}

/// Returns all that is to be said of what a host holds.
fn all(held: &Held<'_>) -> Vec<Said> {
    let mut all = said(held);
    all.extend(complete::said(held));
    all
}
