//! `bundler cache`: what the cache of blobs holds, and the end of what is no longer used.

use std::env;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use clap::Subcommand;
use cli::{Failure, Form, Kind, exit};
use serde::Serialize;

use crate::cache::{Cache, Contents, Pruned};
use crate::error::{BuildError, Reason};

const DAY: u64 = 24 * 60 * 60;

/// The arguments of `cache`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which lock files use how much of it
    #[command(after_help = "Example:\n  bundler cache list")]
    List(Place),
    /// Remove every blob that no lock file of the last days names
    #[command(after_help = "Example:\n  bundler cache prune --days 30")]
    Prune {
        #[command(flatten)]
        place: Place,
        /// A lock file counts for so many days after its last build
        #[arg(long, value_name = "N", default_value_t = 30)]
        days: u32,
    },
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The cache of blobs [default: $XDG_CACHE_HOME/bundler or ~/.cache/bundler]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What the cache holds as JSON, version 1.
#[derive(Serialize)]
struct Listing {
    version: u32,
    directory: String,
    blobs: usize,
    bytes: u64,
    begun: Amount,
    unused: Amount,
    locks: Vec<LockUse>,
}

#[derive(Serialize)]
struct Amount {
    blobs: usize,
    bytes: u64,
}

/// What one lock file uses; blobs that several use are counted with each.
#[derive(Serialize)]
struct LockUse {
    lock: String,
    /// Full days since the last build with it.
    days: u64,
    images: Vec<String>,
    blobs: usize,
    bytes: u64,
}

/// What was removed as JSON, version 1.
#[derive(Serialize)]
struct Report {
    version: u32,
    directory: String,
    removed: Amount,
    left: Amount,
}

impl From<(usize, u64)> for Amount {
    fn from((blobs, bytes): (usize, u64)) -> Self {
        Self { blobs, bytes }
    }
}

/// Returns the directory of the cache: the one that is named, else the user's.
pub(super) fn directory(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    // A relative path is to be ignored (XDG base directory specification).
    let xdg = || {
        env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let own = || Some(xdg().or_else(home)?.join("bundler"));
    named.or_else(own).ok_or_else(|| {
        Failure::new(
            Kind::Usage,
            "no place for the cache: neither XDG_CACHE_HOME nor HOME is set",
        )
        .hint("name one with --cache DIR")
    })
}

pub(super) fn run(arguments: Arguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let now = SystemTime::now();
    match arguments.command {
        Command::List(place) => list(place, now, out),
        Command::Prune { place, days } => prune(place, Duration::from_secs(u64::from(days) * DAY), now, out),
    }
}

fn list(place: Place, now: SystemTime, out: &mut dyn Write) -> Result<u8, Failure> {
    let directory = directory(place.cache)?;
    let cache = Cache::open(&directory).map_err(failure)?;
    let listing = listing(directory.display().to_string(), &cache.contents(), now);
    match Form::from_flag(place.json) {
        Form::Json => cli::write_json(out, &listing)?,
        Form::Text => cli::write_text(out, &text(&listing))?,
    }
    Ok(exit::PASS)
}

fn prune(place: Place, age: Duration, now: SystemTime, out: &mut dyn Write) -> Result<u8, Failure> {
    let directory = directory(place.cache)?;
    let (cache, _alone) = Cache::open_alone(&directory).map_err(failure)?;
    let Pruned { blobs, bytes, left } = cache.prune(age, now).map_err(failure)?;
    let directory = directory.display().to_string();
    match Form::from_flag(place.json) {
        Form::Json => cli::write_json(
            out,
            &Report {
                version: 1,
                directory,
                removed: (blobs, bytes).into(),
                left: left.into(),
            },
        )?,
        Form::Text => {
            let (removed, kept) = (ByteSize(bytes), ByteSize(left.1));
            let text = format!(
                "{}: {blobs} blobs removed, {removed}; {} left, {kept}\n",
                cli::shown(&directory),
                left.0
            );
            cli::write_text(out, &text)?;
        }
    }
    Ok(exit::PASS)
}

fn failure(source: crate::cache_error::CacheError) -> Failure {
    BuildError::from(Reason::from(source)).into_failure()
}

fn listing(directory: String, contents: &Contents, now: SystemTime) -> Listing {
    let (blobs, bytes) = contents.of(contents.blobs.keys());
    let locks = contents.notes.iter().map(|(note, written)| {
        let (blobs, bytes) = contents.of(&note.blobs);
        LockUse {
            lock: note.lock.clone(),
            days: now.duration_since(*written).unwrap_or_default().as_secs() / DAY,
            images: note.images.clone(),
            blobs,
            bytes,
        }
    });
    Listing {
        version: 1,
        directory,
        blobs,
        bytes,
        begun: contents.begun.into(),
        unused: contents.of(&contents.unused()).into(),
        locks: locks.collect(),
    }
}

fn text(listing: &Listing) -> String {
    let mut text = format!(
        "{}: {} blobs, {}; {} begun, {}\n",
        cli::shown(&listing.directory),
        listing.blobs,
        ByteSize(listing.bytes),
        listing.begun.blobs,
        ByteSize(listing.begun.bytes)
    );
    // Writing to a String cannot fail.
    for one in &listing.locks {
        let (size, images) = (ByteSize(one.bytes).to_string(), one.images.len());
        let age = match one.days {
            0 => "today".to_owned(),
            1 => "1 day ago".to_owned(),
            days => format!("{days} days ago"),
        };
        let _ = writeln!(
            text,
            "{size:>10}  {age:>14}  {images:>4} images  {}",
            cli::shown(&one.lock)
        );
    }
    let _ = writeln!(
        text,
        "{:>10}  in use by no lock file",
        ByteSize(listing.unused.bytes).to_string()
    );
    text
}
