//! What a host holds beside what the bundles have: which image is whose, who uses it, what is to be said of it.

use std::collections::{BTreeMap, BTreeSet};

use bundle::{Image, Index, Platform};

use crate::findings::{Evidence, Finding, Outcome, Unjudged, phrase};
use crate::images::{full, same_id};
use crate::protocol::{CriImage, ImageStoreReply, StoredImage, repository, split_digest};
use crate::site::Images;
use crate::suite::{Ctx, Expect, Member};

/// The users of the image that sandboxes are made of.
const SANDBOX: &str = "sandbox";

/// What a host holds.
pub(super) struct Held<'a> {
    pub(super) reply: &'a ImageStoreReply,
    pub(super) index: Option<&'a Index>,
    pub(super) platform: Option<Platform>,
    expect: &'a Expect<'a>,
}

/// Something that is to be said of an image.
pub(super) struct Said {
    pub(super) finding: Finding,
    /// Whether it is only worth knowing, unless the site says otherwise.
    note: Note,
}

/// When something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// Always.
    Never,
    /// Where the site wants its images to be exactly those of the bundles.
    UnlessExact,
    /// It is worth knowing, whatever the site says.
    Always,
}

impl Said {
    pub(super) fn of(image: &str, note: Note, finding: Finding) -> Self {
        Self {
            finding: finding.of(image),
            note,
        }
    }

    /// Returns whether it counts.
    pub(super) fn counts(&self, expect: &Expect<'_>) -> bool {
        match self.note {
            Note::Never => true,
            Note::UnlessExact => expect.site.expect.images == Images::Exact,
            Note::Always => false,
        }
    }

    /// Returns the id of its cause.
    pub(super) fn cause(&self) -> &'static str {
        self.finding.cause.id().name()
    }

    /// Returns how bad it is, where it counts.
    pub(super) fn outcome(&self, expect: &Expect<'_>) -> Option<Outcome> {
        self.counts(expect).then(|| self.finding.severity.outcome())
    }
}

/// Asks a worker what it holds; each is asked once a run.
pub(super) async fn gather(ctx: &Ctx, member: &Member) -> Result<ImageStoreReply, Unjudged> {
    let host = &ctx.host(member)?.name;
    let stores = ctx.fixtures().image_stores(ctx).await;
    Ok(stores.of(host)?.as_ref().clone())
}

/// Returns what counts as findings.
pub(super) fn counting(said: Vec<Said>, expect: &Expect<'_>) -> Vec<Finding> {
    let counting = said.into_iter().filter(|said| said.counts(expect));
    counting.map(|said| said.finding).collect()
}

/// Returns what is only worth knowing as evidence.
pub(super) fn notes(said: &[Said], expect: &Expect<'_>) -> Option<Evidence> {
    let notes = said.iter().filter(|said| !said.counts(expect)).map(|said| {
        let subject = said.finding.subject.as_deref().unwrap_or_default();
        format!("{}: {subject}", said.cause())
    });
    Evidence::lines(phrase::ImageNotes, notes)
}

impl<'a> Held<'a> {
    pub(super) fn new(reply: &'a ImageStoreReply, expect: &'a Expect<'a>) -> Self {
        Self {
            reply,
            index: expect.index,
            platform: reply.platform.parse().ok(),
            expect,
        }
    }

    /// Returns the images of the bundles that are for this host, by name: several bundles may have one under a name.
    pub(super) fn wanted(&self) -> BTreeMap<&'a str, Vec<&'a Image>> {
        let mut wanted: BTreeMap<&str, Vec<&Image>> = BTreeMap::new();
        let images = self.index.into_iter().flat_map(|index| &index.images);
        let (host, nodes) = (self.expect.host, self.expect.nodes);
        for image in images.filter(|image| host.is_none_or(|host| host.takes(&image.name, nodes))) {
            wanted.entry(&image.name).or_default().push(image);
        }
        wanted
    }

    /// Returns whether a bundle has this very content, for whatever node.
    pub(super) fn is_bundled(&self, id: &str, digests: &[&str]) -> bool {
        let is = |image: &Image| {
            let target = image.digest.to_string();
            let mut own = image.platforms.iter();
            digests.contains(&target.as_str())
                || own.any(|one| {
                    same_id(&one.config.to_string(), id)
                        || digests.contains(&one.manifest.to_string().as_str())
                })
        };
        self.index.is_some_and(|index| index.images.iter().any(is))
    }

    /// Returns whether a bundle has the content of an image of the CRI.
    pub(super) fn has_bundled(&self, image: &CriImage) -> bool {
        let digests: Vec<&str> = image
            .digests
            .iter()
            .filter_map(|name| split_digest(name).1)
            .collect();
        self.is_bundled(&image.id, &digests)
    }

    /// Returns who uses an image: `namespace/pod/container`.
    pub(super) fn users(&self, image: &CriImage) -> Vec<String> {
        let running = self.reply.running.iter();
        let mut users: Vec<String> = running
            .filter(|running| refers(image, &running.image))
            .map(|running| format!("{}/{}", running.pod, running.container))
            .collect();
        if self
            .reply
            .sandbox_image
            .as_deref()
            .is_some_and(|name| refers(image, name))
        {
            users.push(SANDBOX.to_owned());
        }
        users.sort();
        users.dedup();
        users
    }

    /// Returns the image that the CRI finds by a name of a bundle.
    pub(super) fn named(&self, name: &str) -> Option<&'a CriImage> {
        let mut images = self.reply.images.iter();
        match tagged(name) {
            Some(tagged) => images.find(|image| image.tags.iter().any(|tag| tag == tagged)),
            None => images.find(|image| image.digests.iter().any(|digest| digest == name)),
        }
    }

    /// Returns what containerd has of an image of the CRI: its places in the store.
    pub(super) fn stored(&self, image: &CriImage) -> BTreeSet<usize> {
        let store = self.reply.store.iter();
        let images = store.flat_map(|store| store.images.iter().enumerate());
        let is = |stored: &StoredImage| stored.id.as_deref().is_some_and(|id| same_id(id, &image.id));
        images
            .filter(|(_, stored)| is(stored))
            .map(|(place, _)| place)
            .collect()
    }

    /// Returns the image of the CRI that a stored one is.
    pub(super) fn listed(&self, stored: &StoredImage) -> Option<&'a CriImage> {
        let id = stored.id.as_deref()?;
        self.reply.images.iter().find(|image| same_id(&image.id, id))
    }

    /// Returns what containerd has under a name in the CRI's namespace.
    pub(super) fn recorded(&self, name: &str) -> Option<&'a StoredImage> {
        let name = tagged(name).unwrap_or(name);
        let store = self.reply.store.as_ref()?;
        store
            .images
            .iter()
            .find(|stored| stored.names.iter().any(|other| other == name))
    }

    /// Returns the other namespace that has an image of a bundle, by name or by content.
    pub(super) fn elsewhere(&self, image: &Image) -> Option<&'a str> {
        let store = self.reply.store.as_ref()?;
        let name = tagged(&image.name).unwrap_or(&image.name);
        let mut digests = vec![image.digest.to_string()];
        digests.extend(image.platforms.iter().map(|one| one.manifest.to_string()));
        let has = |records: &[(String, String)]| {
            records
                .iter()
                .any(|(other, digest)| other == name || digests.contains(digest))
        };
        let mut others = store.others.iter();
        others
            .find(|(_, records)| has(records))
            .map(|(namespace, _)| namespace.as_str())
    }
}

/// Returns the reference without a digest, if it has a tag.
fn tagged(name: &str) -> Option<&str> {
    let (tagged, _) = split_digest(name);
    (tagged != repository(name)).then_some(tagged)
}

/// Returns whether a runtime means this image by a reference.
pub(super) fn refers(image: &CriImage, reference: &str) -> bool {
    let reference = reference.strip_prefix("docker-pullable://").unwrap_or(reference);
    if same_id(reference, &image.id) {
        return true;
    }
    let name = full(reference);
    let (bare, digest) = split_digest(&name);
    match digest {
        // A tag beside a digest says nothing.
        Some(digest) => {
            let by_digest = format!("{}@{digest}", repository(bare));
            image.digests.contains(&by_digest)
        }
        None => image.tags.contains(&name),
    }
}

/// Returns how an image is called: by tag, else by digest, else by id.
pub(super) fn name_of(image: &CriImage) -> &str {
    let names = image.tags.iter().chain(&image.digests);
    names.map(String::as_str).next().unwrap_or(&image.id)
}

/// Returns how a stored image is called.
pub(super) fn stored_name(image: &StoredImage) -> &str {
    let rank = |name: &&String| (name.starts_with("sha256:"), name.contains('@'));
    let names = image.names.iter().min_by_key(rank);
    names.map_or(image.target.as_str(), String::as_str)
}
