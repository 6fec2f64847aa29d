//! `build`: spec -> lock -> plan -> place -> finish, in this order and never back.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::{AtomicFile, Platform, UserFile};
use cli::Progress;
use tempfile::TempDir;
use yaml::Problems;

use crate::cache::{Cache, Note};
use crate::error::{BuildError, Reason};
use crate::inputs::{self, Inputs, Places, directory_of};
use crate::lock::{self, Lock, Update};
use crate::manifests::{self, Packed};
use crate::order::{Build, Built, Caching, Outcome, Planned, Stop};
use crate::outputs;
use crate::packing::{Along, Packing};
use crate::registry::{DockerConfig, Registries};
use crate::resolve::Resolver;
use crate::resolved::ResolvedImage;
use crate::spec::Spec;
use crate::workshop::Workshop;

/// As long as YAML may be.
const SPEC: UserFile = UserFile::new("a spec", yaml::SIZE_LIMIT as u64);
const LOCK: UserFile = UserFile::new("a lock file", 16 << 20);

/// A spec that was read, with its local files.
struct Read {
    spec: Spec,
    inputs: Inputs,
    base: PathBuf,
}

/// Builds an archive, or plans it. `progress` shows what happens; `stop` ends the writing from outside.
pub async fn build(build: &Build, progress: &Progress, stop: &Stop) -> Result<Outcome, BuildError> {
    Ok(run(build, progress, stop).await?)
}

async fn run(build: &Build, progress: &Progress, stop: &Stop) -> Result<Outcome, Reason> {
    let Read {
        spec,
        mut inputs,
        base,
    } = read(build)?;
    let platforms = sorted(if build.platforms.is_empty() {
        &spec.platforms
    } else {
        &build.platforms
    });
    let lock_path = build.lock.clone().unwrap_or_else(|| base.join("bundle.lock"));
    let old = read_lock(&lock_path)?;
    check_names(build, &spec, &old, &lock_path)?;
    outputs::check(build, &lock_path, &inputs)?;
    let workshop = workshop(build)?;
    let (cache, _until_the_end) = cache(build, workshop.as_deref())?;
    let registries = registries(build, &mut inputs, progress)?;
    let resolver = Resolver::new(&registries, &cache, &platforms, &base, (&old, &build.update));
    let resolved = resolver.images(&spec.images).await?;
    let (images, lock, archives) = (resolved.images, resolved.lock, resolved.spans);
    inputs.warnings.extend(resolved.warnings);
    check_manifests(&inputs, &images)?;
    keep_lock(build, &lock_path, &old, &lock)?;
    keep_note(build, &cache, &note(&lock_path, &images))?;
    let packing = Packing {
        build,
        spec: &spec,
        platforms: &platforms,
        images: &images,
        locals: &inputs.members,
        cache: &cache,
        archives: &archives,
    };
    let Some(workshop) = workshop else {
        return Ok(Outcome::Planned(Planned {
            members: packing.planned()?,
            warnings: inputs.warnings,
        }));
    };
    let along = Along {
        registries: &registries,
        progress,
        stop,
    };
    let packed = packing.pack(&workshop, along).await;
    let built = packed.inspect_err(|_| tell_what_stays(&workshop, progress))?;
    inputs.warnings.extend(built.warnings);
    Ok(Outcome::Built(Built {
        warnings: inputs.warnings,
        ..built
    }))
}

/// Opens the directory in which the archive is made; none where only the plan is wanted.
fn workshop(build: &Build) -> Result<Option<Arc<Workshop>>, Reason> {
    if build.dry_run {
        return Ok(None);
    }
    let workshop = Workshop::open(&build.output).map_err(|source| Reason::Workshop {
        path: build.output.clone(),
        source,
    })?;
    Ok(Some(Arc::new(workshop)))
}

/// Opens the cache. Without one, manifests and configurations lie in the workshop, or where only the plan is wanted in a
/// directory that goes with what is returned beside it.
fn cache(build: &Build, workshop: Option<&Workshop>) -> Result<(Cache, Option<TempDir>), Reason> {
    let (directory, temporary) = match (&build.cache, workshop) {
        (Caching::Directory(directory), _) => (directory.clone(), None),
        (Caching::None, Some(workshop)) => (workshop.documents(), None),
        (Caching::None, None) => {
            let made = tempfile::tempdir().map_err(Reason::read(&std::env::temp_dir()))?;
            (made.path().to_owned(), Some(made))
        }
    };
    Ok((Cache::open(&directory)?, temporary))
}

/// Says where the next build goes on.
fn tell_what_stays(workshop: &Workshop, progress: &Progress) {
    if let Some(left) = workshop.left() {
        progress.say(&format!(
            "what was pulled is kept in {}; the same command goes on from there",
            left.display()
        ));
    }
}

fn registries(build: &Build, inputs: &mut Inputs, progress: &Progress) -> Result<Registries, Reason> {
    let docker = DockerConfig::load(&build.docker_config).map_err(|source| Reason::Logins { source })?;
    let settings = std::mem::take(&mut inputs.registries);
    let notes = progress.clone();
    Ok(Registries::new(
        settings,
        docker,
        Box::new(move |note| notes.say(note)),
    ))
}

fn keep_note(build: &Build, cache: &Cache, note: &Note) -> Result<(), Reason> {
    if build.dry_run || build.cache == Caching::None {
        return Ok(());
    }
    match cache.note(note) {
        // Whose cache it is keeps his own notes.
        Err(error) if error.is_read_only() => Ok(()),
        noted => Ok(noted?),
    }
}

/// Returns what the cache must keep for the next build with this lock file.
fn note(lock: &Path, images: &[ResolvedImage]) -> Note {
    let blobs = images
        .iter()
        .flat_map(|image| image.blobs().chain([image.served]))
        .map(|blob| blob.digest);
    let names = images.iter().map(|image| image.name.clone()).collect();
    Note::new(lock, names, blobs.collect())
}

/// Reads the spec and the local files that it names; all problems come at once.
fn read(build: &Build) -> Result<Read, Reason> {
    let text = SPEC.read_text(&build.spec).map_err(Reason::read(&build.spec))?;
    let file = build.spec.display().to_string();
    let base = directory_of(&build.spec);
    let places = Places {
        file: &file,
        base: &base,
        verifier: &build.verifier,
    };
    let (spec, paths) = Spec::parse_with_paths(&file, &text);
    let mut problems = Problems::new(&file);
    inputs::missing(&paths, &places, &mut problems);
    let spec = match spec {
        Ok(spec) => Some(spec),
        Err(found) => {
            problems.append(found);
            None
        }
    };
    let spec = problems.into_result(spec).map_err(Reason::Spec)?;
    let mut inputs = inputs::load(&spec, &places).map_err(Reason::Spec)?;
    inputs
        .reads
        .extend(paths.iter().map(|path| base.join(&path.value)));
    Ok(Read { spec, inputs, base })
}

fn sorted(platforms: &[Platform]) -> Vec<Platform> {
    let mut platforms = platforms.to_vec();
    platforms.sort();
    // Two names of one platform are one.
    let mut seen = BTreeSet::new();
    platforms.retain(|platform| seen.insert(platform.normalized()));
    platforms
}

fn read_lock(path: &Path) -> Result<Lock, Reason> {
    match LOCK.read_text(path) {
        Ok(text) => Lock::parse(&text).map_err(|source| Reason::Lock {
            path: path.to_owned(),
            source,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lock::new(Vec::new())),
        Err(error) => Err(Reason::read(path)(error)),
    }
}

/// Refuses, before any network, what names alone show to be wrong.
fn check_names(build: &Build, spec: &Spec, old: &Lock, path: &Path) -> Result<(), Reason> {
    if let Update::Names(names) = &build.update {
        let known = |name: &String| {
            spec.images
                .iter()
                .any(|image| Update::Names(vec![name.clone()]).includes(image))
        };
        if let Some(name) = names.iter().find(|name| !known(name)) {
            return Err(Reason::Update { name: name.clone() });
        }
    }
    let mut changes = Vec::new();
    for image in spec.images.iter().filter(|image| old.entry(image).is_none()) {
        changes.push(format!(
            "{} from {} is not in it",
            image.name.value.name(),
            image.source.from()
        ));
    }
    let in_spec = |name: &str| spec.images.iter().any(|image| image.name.value.name() == name);
    let dropped = old.images().iter().filter(|image| !in_spec(&image.name));
    changes.extend(dropped.map(|image| format!("{} is no longer in the spec", image.name)));
    if build.locked && !changes.is_empty() {
        return Err(Reason::Locked {
            path: path.to_owned(),
            changes,
        });
    }
    Ok(())
}

/// Holds the user's manifests against the digests that are known now.
fn check_manifests(inputs: &Inputs, images: &[ResolvedImage]) -> Result<(), Reason> {
    let packed: Vec<Packed> = images
        .iter()
        .filter_map(|image| {
            Some(Packed {
                name: image.name.parse().ok()?,
                digest: Some(image.target.digest),
            })
        })
        .collect();
    let mut problems = Problems::new("");
    for (file, text) in &inputs.manifests {
        if let Err(found) = manifests::check(file, text, &packed) {
            problems.append(found);
        }
    }
    problems.into_result(Some(())).map_err(Reason::Spec)
}

fn keep_lock(build: &Build, path: &Path, old: &Lock, new: &Lock) -> Result<(), Reason> {
    let changes = lock::difference(old, new);
    if build.locked && !changes.is_empty() {
        return Err(Reason::Locked {
            path: path.to_owned(),
            changes,
        });
    }
    if build.dry_run || old == new {
        return Ok(());
    }
    // A lock that is a link stays one: several specs may share what it leads to.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    AtomicFile::write(target, new.text().as_bytes()).map_err(|source| Reason::Output {
        path: path.to_owned(),
        source,
    })
}
