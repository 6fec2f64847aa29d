//! `bundler build`.

use std::env;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bundle::{Compression, Created, Depth, Digest, Platform};
use bytesize::ByteSize;
use clap::ValueEnum;
use cli::{Failure, Form, Kind, Progress, Shown, exit};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::build::build;
use crate::error::{BuildError, Reason};
use crate::lock::Update;
use crate::order::{Build, Built, Caching, Outcome, Planned};
use crate::plan::total;
use crate::timings::Seconds;

/// The arguments of `build`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct Arguments {
    /// The spec
    #[arg(short, long, default_value = "bundle.yaml")]
    file: PathBuf,
    /// The archive to write; its checksum goes beside it as NAME.sha256
    #[arg(short, long)]
    output: PathBuf,
    /// The lock file [default: bundle.lock beside the spec]
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Refuse any change of the lock
    #[arg(long, conflicts_with = "update")]
    locked: bool,
    /// Resolve anew: this image (repeatable), or without a name all
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    update: Vec<String>,
    /// Pack these platforms instead of the spec's (repeatable)
    #[arg(long, value_name = "OS/ARCH")]
    platform: Vec<Platform>,
    /// Compress the archive; layers are compressed already
    #[arg(long, value_enum, default_value_t = Compress::None)]
    compress: Compress,
    /// The cache of blobs, filled beside the archive where its disk has room; none: every byte is written once
    /// [default: $XDG_CACHE_HOME/bundler or ~/.cache/bundler]
    #[arg(long, value_name = "DIR|none")]
    cache: Option<PathBuf>,
    /// Take from an earlier bundle what it has (repeatable); what has the output's name is one by itself
    #[arg(long, value_name = "OLD.tar")]
    from: Vec<PathBuf>,
    /// Unpack every layer, in memory, and refuse an image that no runtime could load
    #[arg(long, conflicts_with = "dry_run")]
    deep: bool,
    /// Sign the bundle with this key: a private key of OpenSSH (ed25519, ECDSA, RSA) or of minisign, or a public key whose private half your SSH agent has
    #[arg(long, value_name = "KEY", conflicts_with = "dry_run")]
    sign: Option<PathBuf>,
    /// Print the plan with its sizes and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print only errors
    #[arg(short, long)]
    quiet: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The variable that has the passphrase of a key, where no terminal is to be asked.
pub(super) const PASSPHRASE: &str = "BUNDLER_SIGN_PASSPHRASE";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compress {
    None,
    Gzip,
    Zstd,
}

/// The result of a build as JSON, version 1.
#[derive(Serialize)]
struct Report {
    version: u32,
    file: String,
    bundle: Digest,
    sha256: String,
    size: u64,
    images: usize,
    pulled: Pulled,
    seconds: Seconds,
    warnings: Vec<Shown>,
}

#[derive(Serialize)]
struct Pulled {
    blobs: usize,
    bytes: u64,
}

/// A plan as JSON, version 1.
#[derive(Serialize)]
struct PlanReport<'a> {
    version: u32,
    members: Vec<Member<'a>>,
    size: u64,
    pull: u64,
    warnings: Vec<Shown>,
}

#[derive(Serialize)]
struct Member<'a> {
    path: &'a str,
    size: u64,
    sha256: String,
    source: &'a str,
}

pub(super) fn run(arguments: Arguments, out: &mut dyn Write) -> Result<u8, Failure> {
    let (form, quiet) = (Form::from_flag(arguments.json), arguments.quiet);
    let output = arguments.output.display().to_string();
    let request = request(arguments)?;
    let progress = Progress::stderr(quiet);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Kind::Error, error))?;
    let outcome = runtime.block_on(interruptible(&request, &progress));
    // Waits until a writer that was told to stop has removed its temporary file.
    drop(runtime);
    progress.end();
    match outcome.map_err(BuildError::into_failure)? {
        Outcome::Built(built) => {
            warn(&progress, &built.warnings);
            match form {
                Form::Json => cli::tell_json(out, &report(&output, &built)),
                Form::Text if !quiet => cli::tell_text(out, &summary(&output, &built)),
                Form::Text => {}
            }
        }
        Outcome::Planned(planned) => {
            warn(&progress, &planned.warnings);
            match form {
                Form::Json => cli::write_json(out, &plan_report(&planned))?,
                Form::Text => cli::write_text(out, &table(&planned))?,
            }
        }
    }
    Ok(exit::PASS)
}

/// Builds until it is done or somebody wants it to end.
async fn interruptible(request: &Build, progress: &Progress) -> Result<Outcome, BuildError> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut terminate = signal(SignalKind::terminate()).map_err(|source| Reason::Signal { source })?;
    let ended = async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::select! {
        outcome = build(request, progress, &stop) => outcome,
        () = ended => {
            stop.store(true, Ordering::Relaxed);
            Err(Reason::Interrupted.into())
        }
    }
}

fn request(arguments: Arguments) -> Result<Build, Failure> {
    let home = env::var_os("HOME").map(PathBuf::from);
    let cache = match arguments.cache {
        Some(none) if none.as_os_str() == "none" => Caching::None,
        named => Caching::Directory(super::cache::directory(named)?),
    };
    let docker = env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let docker = docker.or_else(|| Some(home?.join(".docker"))).unwrap_or_default();
    let program = env::current_exe().unwrap_or_default();
    if arguments.output.as_os_str() == "-" {
        return Err(Failure::new(
            Kind::Usage,
            "an archive is not written to standard output: it is laid out in a file",
        )
        .hint("name a file with -o; `cat FILE` sends it on"));
    }
    // Opened now: a passphrase that is missing is known before the network is asked.
    let sign = arguments
        .sign
        .as_deref()
        .map(|path| cli::signing_key(path, PASSPHRASE));
    Ok(Build {
        spec: arguments.file,
        output: arguments.output,
        lock: arguments.lock,
        locked: arguments.locked,
        update: update(arguments.update),
        platforms: arguments.platform,
        compression: match arguments.compress {
            Compress::None => Compression::None,
            Compress::Gzip => Compression::Gzip,
            Compress::Zstd => Compression::Zstd,
        },
        cache,
        from: arguments.from,
        docker_config: docker.join("config.json"),
        verifier: program.with_file_name("verifier"),
        source_date: source_date()?,
        sign: sign.transpose()?.map(Arc::new),
        key: arguments.sign,
        depth: if arguments.deep {
            Depth::Layers
        } else {
            Depth::Bytes
        },
        dry_run: arguments.dry_run,
    })
}

fn update(names: Vec<String>) -> Update {
    match names.as_slice() {
        [] => Update::Nothing,
        names if names.iter().any(String::is_empty) => Update::All,
        _ => Update::Names(names),
    }
}

/// Reads SOURCE_DATE_EPOCH (reproducible-builds.org); none where it is not set.
fn source_date() -> Result<Option<Created>, Failure> {
    let text = match env::var("SOURCE_DATE_EPOCH") {
        Err(env::VarError::NotPresent) => return Ok(None),
        Ok(text) if text.is_empty() => return Ok(None),
        other => other.ok(),
    };
    let created = text.and_then(|text| Created::from_seconds(text.parse().ok()?));
    created.map(Some).ok_or_else(|| {
        Failure::new(
            Kind::Usage,
            "SOURCE_DATE_EPOCH is no whole number of seconds since 1970, or beyond the year 2242",
        )
        .hint("unset it, or set it with `export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`")
    })
}

fn warn(progress: &Progress, warnings: &[String]) {
    for warning in warnings {
        progress.say(&format!("warning: {warning}"));
    }
}

fn report(output: &str, built: &Built) -> Report {
    let (blobs, bytes) = built.pulled;
    Report {
        version: 1,
        file: output.to_owned(),
        bundle: built.bundle,
        sha256: built.sha256.hex(),
        size: built.size,
        images: built.images,
        pulled: Pulled { blobs, bytes },
        seconds: built.seconds,
        warnings: built.warnings.iter().map(Shown::new).collect(),
    }
}

fn summary(output: &str, built: &Built) -> String {
    let output = Shown::new(output);
    let (blobs, bytes) = built.pulled;
    let images = if built.images == 1 {
        "1 image".to_owned()
    } else {
        format!("{} images", built.images)
    };
    let pulled = match blobs {
        0 => "nothing pulled".to_owned(),
        _ => format!("{} pulled", ByteSize(bytes)),
    };
    format!(
        "{output}: {images}, {}, {pulled}\n  bundle  {}\n  sha256  {}  (also in {output}.sha256)\n",
        ByteSize(built.size),
        built.bundle,
        built.sha256.hex()
    )
}

fn plan_report(planned: &Planned) -> PlanReport<'_> {
    PlanReport {
        version: 1,
        members: planned
            .members
            .iter()
            .map(|member| Member {
                path: &member.path,
                size: member.size,
                sha256: member.sha256.hex(),
                source: &member.source,
            })
            .collect(),
        size: total(planned.members.iter().map(|member| member.size)),
        pull: to_pull(planned),
        warnings: planned.warnings.iter().map(Shown::new).collect(),
    }
}

/// Returns how many bytes the network would have to bring.
fn to_pull(planned: &Planned) -> u64 {
    let pulled = planned
        .members
        .iter()
        .filter(|member| member.source.starts_with("pull "));
    total(pulled.map(|member| member.size))
}

fn table(planned: &Planned) -> String {
    let width = planned
        .members
        .iter()
        .map(|member| member.path.len())
        .max()
        .unwrap_or(0);
    let mut text = format!("{:>10}  {:width$}  FROM\n", "SIZE", "MEMBER");
    // Writing to a String cannot fail.
    for member in &planned.members {
        let size = ByteSize(member.size).to_string();
        let _ = writeln!(
            text,
            "{size:>10}  {:width$}  {}",
            member.path,
            cli::shown(&member.source)
        );
    }
    let size = total(planned.members.iter().map(|member| member.size));
    let _ = writeln!(
        text,
        "{} members, {}, of which {} to pull; nothing was written",
        planned.members.len(),
        ByteSize(size),
        ByteSize(to_pull(planned))
    );
    text
}
