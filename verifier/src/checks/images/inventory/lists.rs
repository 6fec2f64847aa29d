//! The images of a host as lists have them.

use std::collections::BTreeSet;

use cli::Shown;

use super::super::held::{Held, Said, name_of, stored_name};
use super::all;
use crate::certs::Standing;
use crate::findings::{Evidence, Line, Outcome, phrase};
use crate::images::{HostImages, Listed, Totals, bytes, freed, sizes};
use crate::protocol::{CriImage, StoredImage};
use crate::suite::Expect;

/// The namespace of containerd that the CRI uses.
const NAMESPACE: &str = "k8s.io";
/// More images of one host are not listed.
const LISTED: usize = 4096;

/// Lists what a host holds, and what it should hold and does not.
pub(super) fn list(held: &Held<'_>, expect: &Expect<'_>) -> HostImages {
    let host = expect.host.map(|host| host.name.as_str()).unwrap_or_default();
    let lister = Lister {
        held,
        expect,
        host,
        said: all(held),
    };
    let mut images: Vec<Listed> = held
        .reply
        .images
        .iter()
        .map(|image| lister.listed(image))
        .collect();
    images.extend(lister.unlisted());
    images.extend(lister.absent());
    images.extend(lister.others());
    images.truncate(LISTED);
    HostImages {
        totals: lister.totals(),
        images,
    }
}

struct Lister<'a> {
    held: &'a Held<'a>,
    expect: &'a Expect<'a>,
    host: &'a str,
    said: Vec<Said>,
}

impl Lister<'_> {
    /// Returns an image of which only the name is known.
    fn bare(&self, names: &[&str]) -> Listed {
        let own = |said: &&Said| {
            let subject = said.finding.subject.as_deref();
            subject.is_some_and(|subject| names.contains(&subject))
        };
        let own: Vec<&Said> = self.said.iter().filter(own).collect();
        let worst = own.iter().filter_map(|said| said.outcome(self.expect)).max();
        let mut causes: Vec<String> = own.iter().map(|said| said.cause().to_owned()).collect();
        causes.sort();
        causes.dedup();
        Listed {
            host: Shown::new(self.host),
            namespace: self.held.reply.store.as_ref().map(|_| Shown::new(NAMESPACE)),
            names: names.iter().map(Shown::new).collect(),
            digests: Vec::new(),
            id: None,
            platform: None,
            pinned: false,
            bundled: None,
            blobs: None,
            snapshots: None,
            own: None,
            used_by: Vec::new(),
            standing: match worst {
                Some(Outcome::Fail) => Standing::Fail,
                Some(Outcome::Error) => Standing::Error,
                Some(_) => Standing::Warn,
                None if causes.is_empty() => Standing::Good,
                None => Standing::Note,
            },
            causes,
        }
    }

    /// Returns an image that the CRI lists.
    fn listed(&self, image: &CriImage) -> Listed {
        let names: Vec<&str> = image.tags.iter().map(String::as_str).collect();
        let subjects: Vec<&str> = names.iter().copied().chain([name_of(image)]).collect();
        let places = self.held.stored(image);
        let store = self.held.reply.store.as_ref();
        let first = places.first().copied();
        let stored = store
            .zip(first)
            .and_then(|(store, place)| store.images.get(place));
        let sizes = store.zip(first).map(|(store, place)| sizes(store, place));
        let platform = image
            .platform
            .as_ref()
            .or_else(|| stored.and_then(|stored| stored.platform.as_ref()));
        Listed {
            names: names.iter().map(Shown::new).collect(),
            digests: image.digests.iter().map(Shown::new).collect(),
            id: Some(Shown::new(&image.id)),
            platform: platform.map(Shown::new),
            pinned: image.pinned,
            bundled: self.held.index.map(|_| self.held.has_bundled(image)),
            blobs: sizes.map(|sizes| sizes.blobs).or(Some(image.size)),
            snapshots: sizes.map(|sizes| sizes.snapshots),
            own: store.map(|store| freed(store, &places)),
            used_by: self.held.users(image).iter().map(Shown::new).collect(),
            ..self.bare(&subjects)
        }
    }

    /// Returns what containerd has in the CRI's namespace and the CRI does not list.
    fn unlisted(&self) -> Vec<Listed> {
        let Some(store) = &self.held.reply.store else {
            return Vec::new();
        };
        let images = store.images.iter().enumerate();
        let unlisted = images.filter(|(_, stored)| self.held.listed(stored).is_none());
        let listed = unlisted.map(|(place, stored): (usize, &StoredImage)| {
            let sizes = sizes(store, place);
            Listed {
                digests: vec![Shown::new(&stored.target)],
                id: stored.id.as_ref().map(Shown::new),
                platform: stored.platform.as_ref().map(Shown::new),
                blobs: Some(sizes.blobs),
                snapshots: Some(sizes.snapshots),
                own: Some(sizes.own),
                ..self.bare(&[stored_name(stored)])
            }
        });
        listed.collect()
    }

    /// Returns what the bundles have for this host and what it has in no form in the CRI's namespace.
    fn absent(&self) -> Vec<Listed> {
        let wanted = self.held.wanted().into_keys();
        let absent =
            wanted.filter(|name| self.held.named(name).is_none() && self.held.recorded(name).is_none());
        let listed = absent.map(|name| Listed {
            bundled: Some(true),
            ..self.bare(&[name])
        });
        listed.collect()
    }

    /// Returns the records of other namespaces: whose they are is not ours to judge.
    fn others(&self) -> Vec<Listed> {
        let store = self.held.reply.store.iter();
        let others = store.flat_map(|store| &store.others);
        let records = others.flat_map(|(namespace, records)| {
            records.iter().map(move |(name, digest)| Listed {
                namespace: Some(Shown::new(namespace)),
                names: vec![Shown::new(name)],
                digests: vec![Shown::new(digest)],
                standing: Standing::Good,
                causes: Vec::new(),
                ..self.bare(&[])
            })
        });
        records.collect()
    }

    fn totals(&self) -> Option<Totals> {
        let store = self.held.reply.store.as_ref()?;
        let images = self.held.reply.images.iter();
        let removable = images.filter(|image| {
            let kept = match self.held.index {
                Some(_) => self.held.has_bundled(image),
                None => image.pinned,
            };
            !kept && self.held.users(image).is_empty()
        });
        let removable: Vec<BTreeSet<usize>> = removable.map(|image| self.held.stored(image)).collect();
        Some(Totals {
            host: Shown::new(self.host),
            blobs: store.blobs,
            snapshots: store.snapshots,
            removable: removable.len(),
            freed: freed(store, &removable.into_iter().flatten().collect()),
        })
    }
}

/// Returns an image as a line of evidence.
pub(super) fn line(listed: &Listed) -> Line {
    let names = listed.names.iter().chain(&listed.digests);
    let name = names.map(Shown::as_str).next().unwrap_or_default();
    let id = listed.id.as_deref().unwrap_or("-");
    let users: Vec<&str> = listed.used_by.iter().map(Shown::as_str).collect();
    let pinned = if listed.pinned { "pinned" } else { "-" };
    format!(
        "{:5} {name} {id} {pinned} [{}]",
        listed.standing.word(),
        users.join(", ")
    )
    .into()
}

/// Returns what the images take as a piece of evidence.
pub(super) fn room(totals: &Totals) -> Option<Evidence> {
    let line = phrase::ImageRoomLine {
        blobs: &bytes(totals.blobs),
        snapshots: &bytes(totals.snapshots),
        images: &totals.removable,
        freed: &bytes(totals.freed),
    };
    Evidence::lines(phrase::ImageRoom, [Line::said(line)])
}
