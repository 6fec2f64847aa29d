//! `hosts.disk`: there is room where kubelet, container runtime, etcd and logs write, by the kubelet's own thresholds.

use std::collections::BTreeMap;
use std::fmt::Display;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{CriImages, DiskLimits, DiskPlace, Disks, DisksReply, Left, Purpose};
use crate::site::Role;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<HostsDisk>("hosts.disk", Scope::Host);

/// With less than two segments of its log etcd cannot go on (wal.SegmentSizeBytes is 64 MiB).
const ETCD: u64 = 128 << 20;
/// With less than this nothing that writes there goes on.
const FULL: u64 = 16 << 20;
/// So many percent away the kubelet's thresholds are near. No more: where images come and go, its collection of them keeps a disk
/// between 80 and 85 % full, and evicts from there on.
const NEAR: u64 = 2;
/// The most that is kept above a threshold, and where nobody has one: a busy node writes that in minutes.
const MARGIN: u64 = 5 << 30;
const RESERVE: u64 = 1 << 30;

struct HostsDisk;

#[derive(Serialize, Deserialize)]
struct Facts {
    disks: DisksReply,
    /// Images of the bundle that the kubelet may delete; looked for where it is about to delete some.
    unpinned: Vec<String>,
}

impl Probe for HostsDisk {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let socket = host.runtime.clone();
        let ask = Disks {
            socket: socket.clone(),
        };
        let disks = ctx.ask(&host.name, ask).await?;
        let mut facts = Facts {
            disks,
            unpinned: Vec::new(),
        };
        let index = ctx.suite.as_ref().and_then(|suite| suite.index.as_ref());
        if let (Some(index), Some(_)) = (index, facts.collected()) {
            let listed = ctx.ask_runtime(&host.name, CriImages { socket }).await?;
            let loose = |name: &&str| {
                let mut found = listed
                    .iter()
                    .filter(|image| image.tags.iter().any(|tag| tag == name));
                found.any(|image| !image.pinned)
            };
            let names = index.images.iter().map(|image| image.name.as_str());
            facts.unpinned = names.filter(loose).map(str::to_owned).collect();
        }
        Ok(facts)
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = expect.host()?;
        let name = &host.name;
        let mut findings: Vec<Finding> = facts
            .file_systems()
            .values()
            .flat_map(|places| {
                FileSystem {
                    places,
                    kubelet: facts.limits(),
                }
                .findings(name)
            })
            .collect();
        findings.extend(facts.collection(name));
        let unread = facts
            .disks
            .kubelet
            .as_ref()
            .and_then(|kubelet| kubelet.unread.as_ref());
        if let Some(file) = unread {
            findings.push(Finding::error(cause::DiskUnjudged { file, host: name }));
        }
        if findings.is_empty() && host.roles.contains(&Role::Worker) && facts.disks.kubelet.is_none() {
            // Its thresholds and its directory are what a worker's disks are measured by.
            return Err(Unjudged::skip(cause::Needs {
                what: &"components.workers",
            }));
        }
        Ok(findings)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let lines = facts.disks.places.iter().map(|place| {
            let read_only = if place.read_only { " ro" } else { "" };
            format!(
                "{} {}: {} / {}, inodes {} / {}; < {}, {}{read_only}",
                place.purpose.word(),
                place.path,
                size(place.bytes.available),
                size(place.bytes.capacity),
                place.inodes.available,
                place.inodes.capacity,
                size(place.evicts_bytes),
                place.evicts_inodes,
            )
        });
        let limits = facts.disks.kubelet.as_ref();
        let limits =
            limits.map(|limits| format!("image gc: {} % ({})", limits.image_gc_percent, limits.source));
        Evidence::lines(phrase::FileSystems, lines.chain(limits))
            .into_iter()
            .collect()
    }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

impl Facts {
    /// Returns the places by file system.
    fn file_systems(&self) -> BTreeMap<u64, Vec<&DiskPlace>> {
        let mut systems: BTreeMap<u64, Vec<&DiskPlace>> = BTreeMap::new();
        for place in &self.disks.places {
            systems.entry(place.device).or_default().push(place);
        }
        systems
    }

    /// Returns the kubelet's limits; nothing where a file of them could not be read, and they may be others.
    fn limits(&self) -> Option<&DiskLimits> {
        self.disks
            .kubelet
            .as_ref()
            .filter(|kubelet| kubelet.unread.is_none())
    }

    /// Returns the images' place and its use in percent, where the kubelet collects images or is about to.
    fn collected(&self) -> Option<(&DiskPlace, u64)> {
        let limit = self.limits()?.image_gc_percent;
        let images = |place: &&DiskPlace| place.purpose == Purpose::Images && place.bytes.capacity > 0;
        let place = self.disks.places.iter().find(images)?;
        // As the kubelet counts (pkg/kubelet/images/image_gc_manager.go). At 100 it never does.
        let left = u128::from(place.bytes.available) * 100 / u128::from(place.bytes.capacity);
        let used = 100 - u64::try_from(left).unwrap_or(100).min(100);
        (limit < 100 && used + NEAR >= limit).then_some((place, used))
    }

    /// Returns that images of the bundle are about to be deleted.
    fn collection(&self, host: &dyn Display) -> Option<Finding> {
        let (place, used) = self.collected()?;
        let limit = self.limits()?.image_gc_percent;
        let collected = || {
            let cause = cause::ImagesCollected {
                host,
                path: &place.path,
                images: &self.unpinned.join(", "),
                limit: &limit,
                used: &used,
            };
            Finding::warn(cause).of(&place.path)
        };
        (!self.unpinned.is_empty()).then(collected)
    }
}

/// The places that share a file system.
struct FileSystem<'a> {
    places: &'a [&'a DiskPlace],
    /// The kubelet's limits, where they are known.
    kubelet: Option<&'a DiskLimits>,
}

impl FileSystem<'_> {
    fn findings(&self, host: &dyn Display) -> Vec<Finding> {
        let Some(first) = self.places.first() else {
            return Vec::new();
        };
        let path: &dyn Display = &first.path;
        if let Some(place) = self.places.iter().find(|place| place.read_only) {
            let path = &place.path;
            return vec![Finding::fail(cause::DiskReadOnly { path, host }).of(path)];
        }
        let source: &dyn Display = self.kubelet.map_or(&"-", |kubelet| &kubelet.source);
        let found = [self.bytes(path, host, source), self.inodes(path, host, source)];
        found
            .into_iter()
            .flatten()
            .map(|finding| finding.of(&first.path))
            .collect()
    }

    /// Returns the highest threshold of its places; none where nobody knows what the kubelet was told.
    fn highest(&self, threshold: impl Fn(&DiskPlace) -> u64) -> u64 {
        let places = self.places.iter().filter(|_| self.kubelet.is_some());
        places.map(|place| threshold(place)).max().unwrap_or_default()
    }

    /// Returns what is wrong with the room of bytes.
    fn bytes(&self, path: &dyn Display, host: &dyn Display, source: &dyn Display) -> Option<Finding> {
        let Left { available, capacity } = self.places.first()?.bytes;
        let evicts = self.highest(|place| place.evicts_bytes);
        let (left, of): (&dyn Display, &dyn Display) = (&size(available), &size(capacity));
        let limit: &dyn Display = &size(evicts);
        if evicts > 0 && available < evicts {
            return Some(Finding::fail(cause::DiskEvicts {
                path,
                host,
                source,
                limit,
                left,
                of,
            }));
        }
        let is_etcd = self.places.iter().any(|place| place.purpose == Purpose::Etcd);
        if available < if is_etcd { ETCD } else { FULL } {
            return Some(Finding::fail(cause::DiskFull { path, host, left, of }));
        }
        let margin = if evicts > 0 {
            (capacity / 100 * NEAR).min(MARGIN)
        } else {
            (capacity / 20).min(RESERVE)
        };
        if available >= evicts + margin {
            return None;
        }
        Some(if evicts > 0 {
            Finding::warn(cause::DiskNear {
                path,
                host,
                source,
                limit,
                left,
                of,
            })
        } else {
            Finding::warn(cause::DiskLow { path, host, left, of })
        })
    }

    /// Returns what is wrong with the inodes. A file system that makes them as it needs them counts none.
    fn inodes(&self, path: &dyn Display, host: &dyn Display, source: &dyn Display) -> Option<Finding> {
        let Left { available, capacity } = self.places.first()?.inodes;
        if capacity == 0 {
            return None;
        }
        let evicts = self.highest(|place| place.evicts_inodes);
        let (left, of, limit): (&dyn Display, &dyn Display, &dyn Display) = (&available, &capacity, &evicts);
        let near = available < evicts + capacity / 100;
        if evicts == 0 {
            let low = cause::InodesLow { path, host, left, of };
            return near.then(|| {
                if available == 0 {
                    Finding::fail(low)
                } else {
                    Finding::warn(low)
                }
            });
        }
        if available < evicts {
            return Some(Finding::fail(cause::InodesEvict {
                path,
                host,
                source,
                limit,
                left,
                of,
            }));
        }
        near.then(|| {
            Finding::warn(cause::InodesNear {
                path,
                host,
                source,
                limit,
                left,
                of,
            })
        })
    }
}

#[cfg(test)]
mod tests;
