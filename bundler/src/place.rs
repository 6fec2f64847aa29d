//! Every member to its place in the archive, several at once in the archive's order: from what an earlier build left, a file
//! that has it, or its registry.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bundle::{Digest, MemberPath};
use cli::Progress;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::archive_input::ArchiveError;
use crate::cache::Cache;
use crate::canvas::{Canvas, Piece};
use crate::error::Reason;
use crate::image::ImageError;
use crate::order::Stop;
use crate::plan::{Content, Pull};
use crate::prove::Claims;
use crate::reference::Reference;
use crate::registry::{BlobError, Registries, RegistryError};
use crate::sink::{Sink, SinkError, Vessel as _};
use crate::source::{Holder, Sources, Span};
use crate::timings::Stage;

/// So many members are on their way at the same time.
const AT_ONCE: usize = 4;
const BUFFER: usize = 1 << 20;

/// What came over the network.
#[derive(Debug, Default)]
pub(crate) struct Pulled {
    pub(crate) blobs: AtomicUsize,
    pub(crate) bytes: AtomicU64,
}

impl Pulled {
    /// Returns how many blobs came over the network, and their bytes.
    pub(crate) fn so_far(&self) -> (usize, u64) {
        (
            self.blobs.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }
}

/// All that is needed to place members.
pub(crate) struct Placing<'a> {
    /// For errors.
    pub(crate) output: &'a Path,
    pub(crate) canvas: &'a Arc<Canvas>,
    pub(crate) contents: &'a BTreeMap<MemberPath, Content>,
    pub(crate) pulls: &'a BTreeMap<Digest, Pull>,
    pub(crate) sources: &'a Sources<'a>,
    pub(crate) registries: &'a Registries,
    /// The cache that is filled beside; none where none is.
    pub(crate) fill: Option<&'a Cache>,
    /// Which layers are unpacked as they come; none where none is.
    pub(crate) claims: Option<&'a Claims>,
    pub(crate) progress: &'a Progress,
    pub(crate) stop: &'a Stop,
    pub(crate) pulled: &'a Pulled,
    pub(crate) warnings: &'a Mutex<BTreeSet<String>>,
}

/// How a file's bytes turned out.
enum Copied {
    Right,
    /// There are fewer, and they are in their place.
    Part,
    /// They have another hash.
    Wrong(Digest),
    Unreadable(io::Error),
}

impl Placing<'_> {
    /// Places all members.
    pub(crate) async fn all(&self) -> Result<(), Reason> {
        let members = self.canvas.places().index().members.len();
        futures::stream::iter(0..members)
            .map(|member| self.one(member))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    async fn one(&self, member: usize) -> Result<(), Reason> {
        let entry = &self.canvas.places().index().members[member];
        let proves = self.claims.is_some_and(|claims| claims.is_layer(&entry.sha256));
        let canvas = Arc::clone(self.canvas);
        let begun = blocking(move || begin(&canvas, member, proves)).await?;
        let (piece, written) = begun.map_err(|source| self.unplaced(source))?;
        self.progress.add(written);
        let Some(piece) = piece else {
            return Ok(());
        };
        match self.contents.get(&entry.path) {
            Some(Content::Bytes(bytes)) => self.bytes(piece, bytes.clone()).await,
            Some(Content::File(path)) => {
                let span = Span::new(Holder::File, path.clone(), 0, entry.size);
                self.copy(piece, span).await.map(|_| ())
            }
            Some(Content::Blob(digest)) => match self.pulls.get(digest) {
                Some(pull) => self.blob(piece, pull).await,
                None => Err(moved(entry.path.as_str())),
            },
            None => Err(moved(entry.path.as_str())),
        }
    }

    async fn bytes(&self, mut piece: Piece, bytes: Vec<u8>) -> Result<(), Reason> {
        let at = usize::try_from(piece.written()).unwrap_or_default();
        self.progress.add((bytes.len() - at) as u64);
        let placed = blocking(move || {
            piece.write(&bytes[at..])?;
            match piece.keep() {
                // What an earlier build left were other bytes.
                Err(SinkError::Mismatch { .. }) => {
                    piece.write(&bytes)?;
                    piece.keep()
                }
                kept => kept,
            }
        });
        placed.await?.map_err(|source| self.unplaced(source))
    }

    /// Takes a blob from the first that has it and has it right.
    async fn blob(&self, mut piece: Piece, pull: &Pull) -> Result<(), Reason> {
        let mut unreadable = None;
        for span in self.sources.spans(pull.blob) {
            if span.size != pull.blob.size {
                match span.holder {
                    Holder::Archive(_) => return Err(wrong_length(pull, span.size)),
                    // A beginning, from which the registry goes on.
                    Holder::Begun if span.size < pull.blob.size => {}
                    _ => continue,
                }
            }
            let (path, holder) = (span.path.clone(), span.holder.clone());
            let (again, copied) = self.copy(piece, span).await?;
            piece = again;
            match copied {
                Copied::Part => {}
                Copied::Right => {
                    if holder != Holder::Cache {
                        self.fill(piece.member()).await;
                    }
                    return Ok(());
                }
                Copied::Wrong(found) => self.wrong(pull, (&holder, &path), found)?,
                Copied::Unreadable(source) => {
                    if holder != Holder::Begun && source.kind() != ErrorKind::NotFound {
                        self.warn(format!("cannot read {}: {source}", path.display()));
                    }
                    unreadable = Some(Reason::Read { path, source });
                }
            }
        }
        match &pull.from {
            Some(from) => self.pull(piece, pull, from).await,
            None => Err(unreadable.unwrap_or_else(|| absent(pull))),
        }
    }

    /// Pulls a blob, from where the piece stands.
    async fn pull(&self, piece: Piece, pull: &Pull, from: &Reference) -> Result<(), Reason> {
        let member = piece.member();
        let item = self
            .progress
            .item(&title(&pull.image, &pull.blob.digest.hex()), pull.blob.size);
        let arrived = |count| {
            item.add(count);
            self.pulled.bytes.fetch_add(count, Ordering::Relaxed);
        };
        self.canvas.workshop().stay(true);
        self.pulled.blobs.fetch_add(1, Ordering::Relaxed);
        let mut sink = Sink::new(piece, arrived);
        let blob = (pull.blob.digest, pull.blob.size);
        let _pulling = self.canvas.timings().measure(Stage::Network);
        match self.registries.blob(from, blob, &mut sink).await {
            Err(BlobError::Registry(RegistryError::NotFound { .. })) if pull.nondistributable => {
                return Err(absent(pull));
            }
            Err(BlobError::Registry(error)) => return Err(error.into()),
            Err(BlobError::Sink(error)) => return Err(self.unplaced(error)),
            Ok(()) => {}
        }
        drop(sink);
        self.fill(member).await;
        Ok(())
    }

    /// Copies a file's bytes, hashing them on the way. The piece is given back as it was where they are not right.
    async fn copy(&self, mut piece: Piece, span: Span) -> Result<(Piece, Copied), Reason> {
        let (progress, stop) = (self.progress.clone(), Stop::clone(self.stop));
        let holder = span.holder.clone();
        let path = span.path.clone();
        let copied = blocking(move || {
            let copied = copy(&mut piece, &span, &progress, &stop);
            (piece, copied)
        });
        let (piece, copied) = copied.await?;
        match copied {
            Ok(copied) => match (copied, holder) {
                (Copied::Wrong(_), Holder::File) => Err(moved(&path.display().to_string())),
                (Copied::Unreadable(source), Holder::File) => Err(Reason::Read { path, source }),
                (copied, _) => Ok((piece, copied)),
            },
            Err(Broken::Interrupted) => Err(Reason::Interrupted),
            Err(Broken::Sink(error)) => Err(self.unplaced(error)),
        }
    }

    /// Says whose fault wrong bytes are, and goes on where they may be had elsewhere.
    fn wrong(&self, pull: &Pull, (holder, path): (&Holder, &Path), found: Digest) -> Result<(), Reason> {
        let digest = pull.blob.digest;
        match holder {
            Holder::Cache => {
                // So that the next build pulls it anew.
                self.sources.cache.recheck(&digest);
                self.progress
                    .say(&format!("{} is damaged in the cache", MemberPath::blob(&digest)));
            }
            Holder::Bundle => self.warn(format!(
                "{} is damaged: its {} has {found}, and is taken from elsewhere",
                path.display(),
                MemberPath::blob(&digest)
            )),
            Holder::Begun | Holder::File => {}
            Holder::Archive(name) => {
                return Err(Reason::Archive {
                    image: pull.image.clone(),
                    source: Box::new(ArchiveError::Mismatch {
                        path: path.to_owned(),
                        name: name.clone(),
                        found,
                    }),
                });
            }
        }
        Ok(())
    }

    fn warn(&self, warning: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.insert(warning);
    }

    /// Puts a member that is whole into the cache too. The archive does not need it there, so nothing fails for it.
    async fn fill(&self, member: usize) {
        let Some(cache) = self.fill.cloned() else {
            return;
        };
        let canvas = Arc::clone(self.canvas);
        let filled = blocking(move || {
            let places = canvas.places();
            let entry = &places.index().members[member];
            cache.fill(&entry.sha256, canvas.file(), (places.start(member), entry.size))
        });
        if let Ok(Err(error)) = filled.await {
            self.warn(format!("the cache is not filled: {error}"));
        }
    }

    fn unplaced(&self, source: SinkError) -> Reason {
        Reason::Place {
            path: self.output.to_owned(),
            source,
        }
    }
}

/// Why copying ended for good.
enum Broken {
    Interrupted,
    Sink(SinkError),
}

impl From<SinkError> for Broken {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

/// Takes a member up; returns it unless it is whole already, and how much of it is there.
fn begin(canvas: &Arc<Canvas>, member: usize, proves: bool) -> Result<(Option<Piece>, u64), SinkError> {
    let mut piece = Piece::begin(canvas, member, proves)?;
    let written = piece.written();
    if written > 0 && piece.is_full() {
        match piece.keep() {
            Ok(()) => return Ok((None, written)),
            // What an earlier build left there is no good, and it begins anew.
            Err(SinkError::Mismatch { .. }) => return Ok((Some(piece), 0)),
            Err(error) => return Err(error),
        }
    }
    Ok((Some(piece), written))
}

/// Copies from where the piece stands, and once more from the beginning if that was not right.
fn copy(piece: &mut Piece, span: &Span, progress: &Progress, stop: &Stop) -> Result<Copied, Broken> {
    let file = match span.open() {
        Ok(file) => file,
        Err(error) => return Ok(Copied::Unreadable(error)),
    };
    let mut buffer = vec![0; usize::try_from(span.size).map_or(BUFFER, |size| size.clamp(1, BUFFER))];
    loop {
        let joined = piece.written() > 0;
        while piece.written() < span.size {
            if stop.load(Ordering::Relaxed) {
                return Err(Broken::Interrupted);
            }
            let left = span.size - piece.written();
            let room = usize::try_from(left).map_or(BUFFER, |left| left.min(buffer.len()));
            let read = {
                let _reading = piece.timings().measure(Stage::Read);
                file.read_at(&mut buffer[..room], span.start + piece.written())
            };
            match read {
                Ok(0) => break,
                Ok(count) => {
                    piece.write(&buffer[..count])?;
                    progress.add(count as u64);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Ok(Copied::Unreadable(error)),
            }
        }
        if !piece.is_full() && span.holder == Holder::Begun {
            return Ok(Copied::Part);
        }
        match piece.keep() {
            Ok(()) => return Ok(Copied::Right),
            Err(SinkError::Mismatch { .. }) if joined => {}
            Err(SinkError::Mismatch { found, .. }) => return Ok(Copied::Wrong(found)),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Reason> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|source| Reason::Worker { source })
}

fn moved(what: &str) -> Reason {
    Reason::Moved {
        what: what.to_owned(),
    }
}

/// Says that a manifest gives a blob another length than it has.
pub(crate) fn wrong_length(pull: &Pull, found: u64) -> Reason {
    Reason::Image {
        image: pull.image.clone(),
        source: ImageError::Size {
            digest: pull.blob.digest,
            claimed: pull.blob.size,
            found,
        },
    }
}

/// Says that a blob is nowhere: of an archive it is the archive's fault, unless nobody was allowed to put it there.
fn absent(pull: &Pull) -> Reason {
    let (image, digest) = (pull.image.clone(), pull.blob.digest);
    if pull.nondistributable {
        return Reason::Nondistributable { image, digest };
    }
    Reason::Incomplete {
        image,
        missing: digest.to_string(),
    }
}

/// Returns a bar's title: the image's last words and the blob's first digits.
fn title(image: &str, hex: &str) -> String {
    let short = image.rsplit('/').next().unwrap_or(image);
    format!("{} {short}", &hex[..12])
}
