//! A load on this host: blobs from a stream into containerd, layers unpacked as they come, records last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bundle::Digest;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::client::Containerd;
use super::documents::{Documents, check};
use super::error::Error;
use super::missing::need;
use super::on_disk::sync;
use super::records::records;
use super::redo::clear;
use super::room::Guard;
use super::runtime::{Runtime, runtime};
use super::snapshots::Snapshots;
use super::survey::{Survey, survey};
use super::unpack::{Unpacker, start};
use super::{content, images, leases};
use crate::host::cri::Cri;
use crate::protocol::{Blob, COMMIT, LoadPlan, LoadReply, PlannedImage};

/// Blobs that containerd hashes to the end and syncs while the next ones come.
const COMMITS: usize = 4;
/// How long the CRI may take to notice new images.
const NOTICE: Duration = Duration::from_secs(20);
/// How long it may take to notice that an image is pinned. Versions before the label never do.
const PIN: Duration = Duration::from_secs(1);
/// How often it is asked meanwhile.
const POLL: Duration = Duration::from_millis(50);
/// How long the sender may take to read the rest of its archive.
const CONFIRMATION: Duration = Duration::from_hours(24);

/// Loads `plan` from the bytes of `send`, blob after blob in this order, and the byte [`COMMIT`] behind them.
///
/// What is there already is not written again. Whatever goes wrong, nothing is kept.
pub async fn load<R: AsyncRead + Unpin>(
    plan: &LoadPlan,
    send: &[Blob],
    input: &mut R,
) -> Result<LoadReply, Error> {
    let containerd = Containerd::connect(plan.socket.as_deref()).await?;
    let runtime = runtime(&containerd).await?;
    let mut abandoned = Vec::new();
    for lease in leases::abandoned(&containerd).await? {
        if lease.of_another_boot {
            // What it unpacked is there by its records alone; nothing is built on that.
            leases::delete(&containerd, &lease.id).await?;
        } else {
            abandoned.push(lease.id);
        }
    }
    let lease = leases::create(&containerd).await?;
    let mut hold = Hold {
        containerd: containerd.clone(),
        lease: Some(lease.clone()),
    };
    let job = Job {
        plan,
        send,
        snapshots: Snapshots {
            containerd: containerd.leased(&lease),
            snapshotter: runtime.snapshotter.clone(),
        },
        runtime,
        lease: lease.clone(),
    };
    let done = job.run(input).await;
    hold.lease = None;
    let mut ended = Ok(());
    for lease in abandoned.iter().chain([&lease]) {
        ended = ended.and(leases::delete(&containerd, lease).await);
    }
    let reply = done?;
    ended?;
    Ok(reply)
}

/// Ends the lease of a load that is dropped in the middle.
struct Hold {
    containerd: Containerd,
    lease: Option<String>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let containerd = self.containerd.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Nobody is left to tell; a lease that stays is ended by the next load or by its expiry.
            runtime.spawn(async move { leases::delete(&containerd, &lease).await });
        }
    }
}

struct Job<'a> {
    plan: &'a LoadPlan,
    send: &'a [Blob],
    snapshots: Snapshots,
    runtime: Runtime,
    lease: String,
}

impl Job<'_> {
    fn containerd(&self) -> &Containerd {
        &self.snapshots.containerd
    }

    async fn run<R: AsyncRead + Unpin>(&self, input: &mut R) -> Result<LoadReply, Error> {
        clear(self.plan, self.send, &self.snapshots).await?;
        let found = self.hold().await?;
        self.check_complete(&found)?;
        let gates: BTreeMap<_, _> = self
            .send
            .iter()
            .map(|blob| (blob.digest, watch::channel(false)))
            .collect();
        let receivers = gates
            .iter()
            .map(|(digest, (_, gate))| (*digest, gate.clone()))
            .collect();
        let unpacker = Unpacker {
            snapshots: self.snapshots.clone(),
            rebase: self.runtime.rebase,
            load: self.lease.clone(),
            guard: Guard::new(self.runtime.directory.as_deref(), need(self.plan, &found))?,
        };
        let mut layers = Layers::new(start(self.plan, &found, &receivers, unpacker));
        let senders = gates
            .into_iter()
            .map(|(digest, (sender, _))| (digest, sender))
            .collect();
        let received = self.receive(input, senders, &mut layers).await;
        let unpacked = match received {
            Ok(()) => layers.finish().await?,
            Err(error) => {
                layers.tasks.shutdown().await;
                return Err(error);
            }
        };
        let present = found
            .blobs
            .iter()
            .copied()
            .chain(self.send.iter().map(|blob| blob.digest));
        sync(self.runtime.directory.as_deref()).await?;
        self.record(&found, &present.collect()).await?;
        Ok(LoadReply {
            blobs_written: self.send.len(),
            bytes_written: self
                .send
                .iter()
                .map(|blob| blob.size)
                .fold(0, u64::saturating_add),
            layers_unpacked: unpacked,
            images_written: self.due(&found).map(|image| image.name.clone()).collect(),
            not_pinned: self.read_back().await?,
        })
    }

    fn due<'b>(&'b self, found: &'b Survey) -> impl Iterator<Item = &'b PlannedImage> {
        found.due.iter().map(|place| &self.plan.images[*place])
    }

    /// Looks what is there, and puts it under the lease, so that it still is when the records are made.
    async fn hold(&self) -> Result<Survey, Error> {
        let found = survey(self.plan, &self.snapshots).await?;
        let kind = format!("snapshots/{}", self.snapshots.snapshotter);
        for digest in &found.blobs {
            leases::add(self.containerd(), &self.lease, "content", digest.to_string()).await?;
        }
        for chain in &found.snapshots {
            leases::add(self.containerd(), &self.lease, &kind, chain.to_string()).await?;
        }
        // A collection may have come between the look and the lease.
        survey(self.plan, &self.snapshots).await
    }

    /// Checks that every blob that is needed is there or announced.
    fn check_complete(&self, found: &Survey) -> Result<(), Error> {
        let sent: BTreeSet<Digest> = self.send.iter().map(|blob| blob.digest).collect();
        let there = |digest: &Digest| sent.contains(digest) || found.blobs.contains(digest);
        for image in self.due(found) {
            let documents = [image.target, image.manifest, image.config].map(|blob| blob.digest);
            let chains = image.chain_ids().into_iter().zip(&image.layers);
            let layers = chains.filter(|(chain, _)| !found.snapshots.contains(chain));
            let layers = layers.map(|(_, layer)| layer.blob.digest);
            if let Some(digest) = documents.into_iter().chain(layers).find(|digest| !there(digest)) {
                return Err(Error::Absent {
                    digest,
                    image: image.name.clone(),
                });
            }
        }
        Ok(())
    }

    /// Takes all blobs and the confirmation behind them.
    async fn receive<R: AsyncRead + Unpin>(
        &self,
        input: &mut R,
        mut gates: BTreeMap<Digest, watch::Sender<bool>>,
        layers: &mut Layers,
    ) -> Result<(), Error> {
        let mut commits: JoinSet<Result<(), Error>> = JoinSet::new();
        for blob in self.send {
            if blob.size > 0 {
                let reference = format!("{}-{}", self.lease, blob.digest);
                let written = content::write(self.containerd(), &reference, *blob, input).await?;
                let gate = gates.remove(&blob.digest);
                commits.spawn(async move {
                    written.committed().await?;
                    gate.map(|gate| gate.send_replace(true));
                    Ok(())
                });
            }
            while commits.len() >= COMMITS {
                join(&mut commits).await?;
            }
            while let Some(ended) = layers.tasks.try_join_next() {
                layers.note(ended)?;
            }
        }
        while !commits.is_empty() {
            join(&mut commits).await?;
        }
        let confirmation = tokio::time::timeout(CONFIRMATION, input.read_u8()).await;
        match confirmation {
            Ok(Ok(COMMIT)) => Ok(()),
            _ => Err(Error::NotConfirmed),
        }
    }

    /// Labels the documents and makes the records.
    async fn record(&self, found: &Survey, present: &BTreeSet<Digest>) -> Result<(), Error> {
        for image in self.due(found) {
            self.check_documents(image).await?;
            for (digest, labels) in references(image, present, &self.snapshots.snapshotter) {
                content::label(self.containerd(), digest, labels).await?;
            }
        }
        for image in self.due(found) {
            for name in records(image) {
                images::put(self.containerd(), &name, image, self.plan).await?;
            }
        }
        Ok(())
    }

    async fn check_documents(&self, image: &PlannedImage) -> Result<(), Error> {
        let containerd = self.containerd();
        let index = if image.target.digest == image.manifest.digest {
            None
        } else {
            Some(content::document(containerd, image.target).await?)
        };
        let documents = Documents {
            index,
            manifest: content::document(containerd, image.manifest).await?,
            config: content::document(containerd, image.config).await?,
        };
        check(image, &documents)
    }

    /// Asks the CRI for every image by all its names, and returns those that it does not hold as pinned.
    async fn read_back(&self) -> Result<Vec<String>, Error> {
        let containerd = self.containerd();
        let cri = Cri::new(containerd.socket.clone(), containerd.channel.clone());
        let mut not_pinned = Vec::new();
        for image in &self.plan.images {
            let mut pinned = true;
            for reference in records(image) {
                // A runtime that did not pin one image knows no pins: the others need no waiting.
                let expect = self.plan.pin && pinned && not_pinned.is_empty();
                pinned &= found_by(&cri, &reference, image, expect).await?;
            }
            if self.plan.pin && !pinned {
                not_pinned.push(image.name.clone());
            }
        }
        Ok(not_pinned)
    }
}

/// Waits until the CRI finds an image by a name; returns whether it is pinned, for which it is waited only shortly.
async fn found_by(cri: &Cri, reference: &str, image: &PlannedImage, expect_pin: bool) -> Result<bool, Error> {
    let id = image.config.digest.to_string();
    let started = tokio::time::Instant::now();
    loop {
        let status = cri.image_status(reference).await.map_err(|source| Error::Cri {
            source: Box::new(source),
        })?;
        let waited = started.elapsed();
        let found = match status {
            Some(found) if found.id == id && (found.pinned || !expect_pin || waited > PIN) => {
                return Ok(found.pinned);
            }
            Some(found) => format!("it has {}", found.id),
            None => "no such image".to_owned(),
        };
        if waited > NOTICE {
            return Err(Error::NotFound {
                reference: reference.to_owned(),
                found,
            });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What keeps what alive in containerd's garbage collection (docs/garbage-collection.md): only what is there.
fn references(
    image: &PlannedImage,
    present: &BTreeSet<Digest>,
    snapshotter: &str,
) -> Vec<(Digest, HashMap<String, String>)> {
    const CONTENT: &str = "containerd.io/gc.ref.content";
    let layers = image.layers.iter().map(|layer| layer.blob.digest).enumerate();
    let layers = layers.filter(|(_, digest)| present.contains(digest));
    let mut manifest: HashMap<_, _> = layers
        .map(|(place, digest)| (format!("{CONTENT}.l.{place}"), digest.to_string()))
        .collect();
    manifest.insert(format!("{CONTENT}.config"), image.config.digest.to_string());
    let mut references = vec![(image.manifest.digest, manifest)];
    if let Some(top) = image.chain_ids().last() {
        let label = format!("containerd.io/gc.ref.snapshot.{snapshotter}");
        references.push((image.config.digest, [(label, top.to_string())].into()));
    }
    if image.target.digest != image.manifest.digest {
        let label = format!("{CONTENT}.m.0");
        references.push((
            image.target.digest,
            [(label, image.manifest.digest.to_string())].into(),
        ));
    }
    references
}

async fn join(commits: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    match commits.join_next().await {
        Some(ended) => ended.unwrap_or(Err(Error::Stopped)),
        None => Ok(()),
    }
}

/// The layers that are being unpacked.
struct Layers {
    tasks: JoinSet<Result<bool, Error>>,
    unpacked: usize,
    /// Tasks that ended because another failed.
    given_up: Option<Error>,
}

impl Layers {
    fn new(tasks: JoinSet<Result<bool, Error>>) -> Self {
        Self {
            tasks,
            unpacked: 0,
            given_up: None,
        }
    }

    /// Takes the end of a task. The error of one that only gave up waits for the error that made it do so.
    fn note(&mut self, ended: Result<Result<bool, Error>, JoinError>) -> Result<(), Error> {
        match ended.unwrap_or(Err(Error::Stopped)) {
            Ok(did) => self.unpacked += usize::from(did),
            Err(error @ Error::GivenUp { .. }) => self.given_up = Some(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits for all and returns how many were unpacked.
    async fn finish(mut self) -> Result<usize, Error> {
        while let Some(ended) = self.tasks.join_next().await {
            self.note(ended)?;
        }
        self.given_up.map_or(Ok(self.unpacked), Err)
    }
}
