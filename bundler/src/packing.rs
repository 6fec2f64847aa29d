//! The second half of a build, once all names are resolved: plan, place, prove, finish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bundle::{
    AtomicFile, Compression, Created, Depth, Digest, Index, Kind, MemberPath, NAMESPACE, Places, Platform,
    Twin, WriteError, WriteOptions,
};
use bytesize::ByteSize;
use cli::Progress;

use crate::cache::{Cache, Held};
use crate::canvas::Canvas;
use crate::error::Reason;
use crate::finish::{finish, outdated};
use crate::front::{Followed, Front, FrontError};
use crate::image::ImageError;
use crate::order::{Build, Built, Caching, PlannedMember, Stop};
use crate::place::{Placing, Pulled, wrong_length};
use crate::plan::{self, Local, Parts, Plan, Pull};
use crate::prove::Claims;
use crate::registry::Registries;
use crate::render::{self, Readme};
use crate::resolved::ResolvedImage;
use crate::room::Room;
use crate::source::{Holder, Old, Sources, Span, told};
use crate::spec::Spec;
use crate::timings::Timings;
use crate::unpacked::{self, Unpacked};
use crate::workshop::Workshop;

const TOOL: &str = concat!("bundler ", env!("CARGO_PKG_VERSION"));
/// So often an archive is laid out anew because layers turned out to be other than was told. The second time all is known.
const LAYOUTS: usize = 3;

/// Everything that is known once all names are resolved.
pub(crate) struct Packing<'a> {
    pub(crate) build: &'a Build,
    pub(crate) spec: &'a Spec,
    pub(crate) platforms: &'a [Platform],
    pub(crate) images: &'a [ResolvedImage],
    pub(crate) locals: &'a [Local],
    pub(crate) cache: &'a Cache,
    /// Where layers lie in archives of images.
    pub(crate) archives: &'a BTreeMap<Digest, Span>,
}

/// What goes along with the work.
pub(crate) struct Along<'a> {
    pub(crate) registries: &'a Registries,
    pub(crate) progress: &'a Progress,
    pub(crate) stop: &'a Stop,
}

/// What stays the same however often the archive is laid out.
struct Work<'a> {
    pulls: BTreeMap<Digest, Pull>,
    old: Vec<Old>,
    claims: Claims,
    timings: Arc<Timings>,
    pulled: Pulled,
    warnings: Mutex<BTreeSet<String>>,
    along: Along<'a>,
}

impl Packing<'_> {
    /// Makes the archive in the workshop and gives it its name.
    pub(crate) async fn pack(&self, workshop: &Arc<Workshop>, along: Along<'_>) -> Result<Built, Reason> {
        let begun = Instant::now();
        let mut work = Work {
            pulls: self.pulls(),
            old: self.old()?,
            claims: Claims::of(self.images),
            timings: Arc::default(),
            pulled: Pulled::default(),
            warnings: Mutex::default(),
            along,
        };
        self.check_lengths(&work.pulls)?;
        let layers = plan::layers(self.images);
        let sources = self.sources(&work.old);
        let mut unpacked = unpacked::ask(&layers, &work.pulls, &sources, work.along.registries).await?;
        for left in (0..LAYOUTS).rev() {
            let (canvas, front) = self.place(workshop, &unpacked, &mut work).await?;
            let proven = self.proven(&work.claims, &canvas)?;
            let other = unpacked::check(&unpacked, &canvas, proven.as_ref());
            let other = other.map_err(|source| self.unmade(source))?;
            if other.is_empty() || left == 0 {
                return self.finish((canvas, front), work, begun).await;
            }
            // The index cannot say what was told of these layers. What is here serves the next layout.
            work.along
                .progress
                .say("layers are other than was told of them: laying the archive out anew");
            unpacked.extend(other);
        }
        Err(Reason::Moved {
            what: "a layer".to_owned(),
        })
    }

    /// Lays the archive out and places all members in it.
    async fn place(
        &self,
        workshop: &Arc<Workshop>,
        unpacked: &Unpacked,
        work: &mut Work<'_>,
    ) -> Result<(Arc<Canvas>, Front), Reason> {
        let plan = self.plan(&unpacked::lengths(unpacked))?;
        let options = WriteOptions {
            mtime: self.created().map_or(0, Created::seconds),
            compression: self.build.compression,
            signature: self.signature(&plan.index)?,
        };
        let places = Places::new(plan.index, options);
        let places = places.map_err(|source| self.unwritten(source))?;
        // A compressor takes only what is whole.
        let judges = self.build.compression == Compression::None && Twin::is_cheap();
        let canvas = Canvas::open(workshop, places, judges, &work.timings);
        let canvas = Arc::new(canvas.map_err(|source| self.unmade(source))?);
        if canvas.begun() > 0 {
            workshop.stay(true);
        }
        // What another plan had begun: from an earlier build, or from the layout before this.
        work.old.splice(0..0, Old::begun(workshop));
        let sources = self.sources(&work.old);
        let room = Room::beside(&canvas, &self.build.output)?;
        let front = Front::start(&canvas, self.compressed()?);
        let front = front.map_err(|source| Reason::Thread { source })?;
        let (progress, total) = (work.along.progress, canvas.places().index().total_size());
        progress.begin(doing(&work.pulls, &sources), total);
        let placing = Placing {
            output: &self.build.output,
            canvas: &canvas,
            contents: &plan.contents,
            pulls: &work.pulls,
            fill: self.fill(&work.pulls, &sources, &room, progress),
            sources: &sources,
            registries: work.along.registries,
            claims: (self.build.depth == Depth::Layers).then_some(&work.claims),
            progress,
            stop: work.along.stop,
            pulled: &work.pulled,
            warnings: &work.warnings,
        };
        match placing.all().await {
            Ok(()) => Ok((canvas, front)),
            // What ended the front is why the rest did not come.
            Err(_) if canvas.is_closed() => Err(self.fronts(front.finish().err())),
            Err(error) => Err(error),
        }
    }

    fn fronts(&self, error: Option<FrontError>) -> Reason {
        Reason::Front {
            path: self.build.output.clone(),
            source: error.unwrap_or(FrontError::Closed),
        }
    }

    /// Waits for the front, and gives the archive its name.
    async fn finish(
        &self,
        (canvas, front): (Arc<Canvas>, Front),
        work: Work<'_>,
        begun: Instant,
    ) -> Result<Built, Reason> {
        let output = self.build.output.clone();
        let id = canvas.places().id();
        let outdated = outdated(&output, id);
        let finishing = tokio::task::spawn_blocking(move || {
            let followed = front.finish().map_err(|source| Reason::Front {
                path: output.clone(),
                source,
            })?;
            let Followed { sha256, size, .. } = followed;
            finish(&canvas, &output, followed)?;
            Ok((sha256, size))
        });
        let finished: Result<(Digest, u64), Reason> =
            finishing.await.map_err(|source| Reason::Worker { source })?;
        let (sha256, size) = finished?;
        work.along.progress.end();
        let mut warnings = work.warnings.into_inner().unwrap_or_else(PoisonError::into_inner);
        warnings.extend(outdated);
        Ok(Built {
            bundle: id,
            sha256,
            size,
            images: self.images.len(),
            pulled: work.pulled.so_far(),
            warnings: warnings.into_iter().collect(),
            seconds: work.timings.so_far(begun),
        })
    }

    /// Opens the archives that blobs may be taken from: those named, and what has the output's name now.
    fn old(&self) -> Result<Vec<Old>, Reason> {
        let open = |path: &std::path::PathBuf| {
            Old::bundle(path).map_err(|source| Reason::From {
                path: path.clone(),
                source,
            })
        };
        let mut old = self.build.from.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        // It is there by chance: whatever is wrong with it is no fault of this build.
        old.extend(Old::bundle(&self.build.output));
        Ok(old)
    }

    fn sources<'s>(&'s self, old: &'s [Old]) -> Sources<'s> {
        Sources {
            cache: self.cache,
            old,
            archives: self.archives,
        }
    }

    fn pulls(&self) -> BTreeMap<Digest, Pull> {
        let pulls = plan::pulls(self.images).into_iter();
        pulls.map(|pull| (pull.blob.digest, pull)).collect()
    }

    /// Refuses a manifest that gives a blob a length that no file has, or another than it has, as far as the cache knows.
    fn check_lengths(&self, pulls: &BTreeMap<Digest, Pull>) -> Result<(), Reason> {
        for pull in pulls.values() {
            if pull.blob.size > i64::MAX.unsigned_abs() {
                return Err(Reason::Image {
                    image: pull.image.clone(),
                    source: ImageError::TooLong {
                        digest: pull.blob.digest,
                        claimed: pull.blob.size,
                    },
                });
            }
            if let Held::OtherLength(found) = self.cache.look(&pull.blob.digest, pull.blob.size) {
                return Err(wrong_length(pull, found));
            }
        }
        Ok(())
    }

    /// Returns the cache if what it lacks is to be kept in it. Where its disk is too short for that, says so.
    fn fill(
        &self,
        pulls: &BTreeMap<Digest, Pull>,
        sources: &Sources<'_>,
        room: &Room,
        progress: &Progress,
    ) -> Option<&Cache> {
        if self.build.cache == Caching::None {
            return None;
        }
        let lacks = |pull: &&Pull| {
            let spans = sources.spans(pull.blob);
            spans.iter().all(|span| span.holder != Holder::Cache)
        };
        let needed = plan::total(pulls.values().filter(lacks).map(|pull| pull.blob.size));
        let left = room.left(self.cache);
        if left.is_none_or(|left| left >= needed) {
            return Some(self.cache);
        }
        progress.say(&format!(
            "blobs are not kept in the cache, as with --cache none: they are {}, and its disk has {} left",
            ByteSize(needed),
            ByteSize(left.unwrap_or_default())
        ));
        None
    }

    /// Starts the file of a compressed archive, if that is wanted.
    fn compressed(&self) -> Result<Option<(AtomicFile, Compression)>, Reason> {
        let compression = self.build.compression;
        if compression == Compression::None {
            return Ok(None);
        }
        let file = AtomicFile::create(&self.build.output);
        let file = file.map_err(|source| Reason::Output {
            path: self.build.output.clone(),
            source,
        })?;
        Ok(Some((file, compression)))
    }

    /// Judges what layers unpacked to; none where they were not unpacked.
    fn proven(&self, claims: &Claims, canvas: &Canvas) -> Result<Option<BTreeMap<Digest, u64>>, Reason> {
        if self.build.depth != Depth::Layers {
            return Ok(None);
        }
        let mut proven = BTreeMap::new();
        for (digest, outcome) in canvas.take_proven() {
            proven.insert(digest, claims.judge(digest, outcome)?);
        }
        Ok(Some(proven))
    }

    fn unmade(&self, source: crate::workshop::WorkshopError) -> Reason {
        Reason::Workshop {
            path: self.build.output.clone(),
            source,
        }
    }

    fn unwritten(&self, source: WriteError) -> Reason {
        Reason::Write {
            path: self.build.output.clone(),
            source,
        }
    }

    fn plan(&self, unpacked: &BTreeMap<Digest, u64>) -> Result<Plan, Reason> {
        let mut locals = self.locals.to_vec();
        let readme = self.readme()?;
        let path = MemberPath::new("README.txt").map_err(|error| Reason::Moved { what: error.path })?;
        locals.push(Local::bytes(path, Kind::Readme, readme.into_bytes()));
        Ok(plan::plan(Parts {
            name: &self.spec.name,
            serial: self.spec.serial,
            created: self.created(),
            tool: TOOL,
            platforms: self.platforms,
            smoke: self.spec.smoke.as_ref().map(crate::Reference::name),
            images: self.images,
            locals,
            unpacked,
        }))
    }

    /// Returns when the bundle is made: SOURCE_DATE_EPOCH's time, else the spec's, never the clock's.
    fn created(&self) -> Option<Created> {
        self.build.source_date.or(self.spec.created)
    }

    /// Signs the index, where a key is given.
    fn signature(&self, index: &Index) -> Result<Option<Vec<u8>>, Reason> {
        let Some(key) = &self.build.sign else {
            return Ok(None);
        };
        let comment = format!("bundle {}", index.id());
        let signed = key.sign(NAMESPACE, &comment, &index.to_json());
        Ok(Some(
            signed.map_err(|source| Reason::Sign { source })?.into_bytes(),
        ))
    }

    fn readme(&self) -> Result<String, Reason> {
        let paths = |kind| {
            let of_kind = self.locals.iter().filter(move |local| local.kind == kind);
            let mut paths: Vec<&str> = of_kind.map(|local| local.path.as_str()).collect();
            paths.sort_unstable();
            paths
        };
        let images = plan::images(self.images, &BTreeMap::new());
        Ok(render::readme(&Readme {
            name: &self.spec.name,
            tool: TOOL,
            platforms: self.platforms.iter().map(ToString::to_string).collect(),
            images: &images,
            verifiers: paths(Kind::Verifier),
            manifests: paths(Kind::Manifest),
            files: paths(Kind::File),
        })?)
    }

    pub(crate) fn planned(&self) -> Result<Vec<PlannedMember>, Reason> {
        let plan = self.plan(&BTreeMap::new())?;
        let (pulls, old) = (self.pulls(), self.old()?);
        let sources = self.sources(&old);
        let source = |path: &MemberPath| match plan.contents.get(path) {
            Some(plan::Content::File(file)) => file.display().to_string(),
            Some(plan::Content::Blob(digest)) => pulls.get(digest).map_or_else(String::new, |pull| {
                match (sources.spans(pull.blob).first(), &pull.from) {
                    (Some(span), _) => told(span),
                    (None, Some(from)) => format!("pull from {}/{}", from.registry(), from.repository()),
                    (None, None) => pull.image.clone(),
                }
            }),
            _ => "made here".to_owned(),
        };
        let member = |member: &bundle::Member| PlannedMember {
            path: member.path.to_string(),
            size: member.size,
            sha256: member.sha256,
            source: source(&member.path),
        };
        Ok(plan.index.members.iter().map(member).collect())
    }
}

/// Says in a word what takes the time.
fn doing(pulls: &BTreeMap<Digest, Pull>, sources: &Sources<'_>) -> &'static str {
    let comes = |pull: &Pull| pull.from.is_some() && sources.spans(pull.blob).is_empty();
    if pulls.values().any(comes) {
        "pulling"
    } else {
        "writing"
    }
}
