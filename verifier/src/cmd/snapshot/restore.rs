//! `verifier snapshot restore`: the data of a member is made of a snapshot by etcd's own program, in a directory that has nothing
//! yet, and held against the snapshot afterwards. Nothing of a running etcd is touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _, TrustArgs};

use super::etcdutl::{self, Etcdutl};
use super::inspect;
use crate::cmd::lang::LangArg;
use crate::findings::{catalogue, phrase};
use crate::protocol::SnapshotFacts;
use crate::stored::Form;

/// Where a member keeps its database.
const DATABASE: &str = "member/snap/db";

#[derive(Debug, Args)]
pub(in crate::cmd) struct RestoreArgs {
    /// The snapshot
    file: PathBuf,
    /// The directory of the new member's data, which must not exist yet or be empty
    directory: PathBuf,
    /// The bundle that carries etcdutl among its files
    #[arg(long, value_name = "FILE", required_unless_present = "etcdutl")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// The etcdutl to use
    #[arg(long, value_name = "PATH", conflicts_with = "bundle")]
    etcdutl: Option<PathBuf>,
    #[command(flatten)]
    member: Member,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lang: LangArg,
}

/// What the new member is called; as etcd itself has it where nothing is said.
#[derive(Debug, Args)]
struct Member {
    /// The member's --name
    #[arg(long)]
    name: Option<String>,
    /// All members: --initial-cluster of etcd
    #[arg(long, value_name = "NAME=URL,...")]
    initial_cluster: Option<String>,
    /// --initial-advertise-peer-urls of etcd
    #[arg(long, value_name = "URL,...")]
    initial_advertise_peer_urls: Option<String>,
    /// --initial-cluster-token of etcd
    #[arg(long, value_name = "TOKEN")]
    initial_cluster_token: Option<String>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error("{} is not empty", path.display())]
    NotEmpty { path: PathBuf },
    #[error("cannot make {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("{} is no whole snapshot", path.display())]
    NotWhole { path: PathBuf },
    #[error("{} is packed", path.display())]
    Packed { path: PathBuf },
    #[error(
        "what was restored differs from the snapshot: {found} keys at revision {at}, not {keys} at {revision}"
    )]
    Differs {
        found: u64,
        at: u64,
        keys: u64,
        revision: u64,
    },
}

/// Restores a snapshot.
pub(super) fn run(args: &RestoreArgs) -> Result<u8, Failure> {
    let lang = args.lang.get();
    let progress = Progress::stderr(args.json);
    let parent = empty(&args.directory).kind(Kind::Usage).map_err(|failure| {
        failure.hint("name a directory that does not exist yet: nothing is ever overwritten")
    })?;
    let (facts, _) = inspect::facts(&args.file, "/registry", Form::Snapshot, &progress).kind(Kind::Error)?;
    usable(&args.file, &facts)?;
    let program = match (&args.bundle, &args.etcdutl) {
        (Some(bundle), _) => Etcdutl::of_bundle(bundle, &args.trust.trust()?)?,
        (None, path) => Etcdutl::at(path.clone().unwrap_or_default())?,
    };
    // Beside its place: it gets its name when it is proven.
    let staging = tempfile::Builder::new()
        .prefix(".verifier-restore-")
        .tempdir_in(&parent)
        .map_err(|source| RestoreError::Directory { path: parent, source })
        .kind(Kind::Error)?;
    let data = staging.path().join("data");
    program.restore(&args.file, &data, &args.member.flags())?;
    let (restored, _) =
        inspect::facts(&data.join(DATABASE), "/registry", Form::Database, &progress).kind(Kind::Error)?;
    same(&facts, &restored).kind(Kind::Error).map_err(|failure| {
        failure.hint("nothing was kept; use the etcdutl of the release that the cluster runs")
    })?;
    fs::rename(&data, &args.directory)
        .map_err(|source| RestoreError::Directory {
            path: args.directory.clone(),
            source,
        })
        .kind(Kind::Error)?;
    tell(args, &facts, &program, lang);
    Ok(cli::exit::PASS)
}

impl Member {
    fn flags(&self) -> Vec<String> {
        let flags = [
            ("name", &self.name),
            ("initial-cluster", &self.initial_cluster),
            ("initial-advertise-peer-urls", &self.initial_advertise_peer_urls),
            ("initial-cluster-token", &self.initial_cluster_token),
        ];
        let given = flags
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        given.map(|(name, value)| format!("--{name}={value}")).collect()
    }
}

/// Returns the directory in which another is to be made, whole and not a link, or is empty.
fn empty(directory: &Path) -> Result<PathBuf, RestoreError> {
    let failed = |source| RestoreError::Directory {
        path: directory.to_owned(),
        source,
    };
    match fs::read_dir(directory).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => {
            return Err(RestoreError::NotEmpty {
                path: directory.to_owned(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::canonicalize(parent.unwrap_or_else(|| Path::new("."))).map_err(failed)
}

fn usable(file: &Path, facts: &SnapshotFacts) -> Result<(), Failure> {
    let path = file.to_owned();
    let packed = fs::metadata(file).is_ok_and(|metadata| metadata.len() != facts.bytes);
    if packed {
        let failure = Failure::new(Kind::Usage, RestoreError::Packed { path });
        return Err(failure.hint("unpack it first: `gunzip`, `unzstd`"));
    }
    if facts.is_whole() {
        return Ok(());
    }
    let failure = Failure::new(Kind::Error, RestoreError::NotWhole { path });
    Err(failure.hint("`verifier snapshot inspect` says what is wrong with it; nothing was made"))
}

fn same(facts: &SnapshotFacts, restored: &SnapshotFacts) -> Result<(), RestoreError> {
    if restored.is_whole() && restored.digest == facts.digest && restored.revision == facts.revision {
        return Ok(());
    }
    Err(RestoreError::Differs {
        found: restored.keys,
        at: restored.revision,
        keys: facts.keys,
        revision: facts.revision,
    })
}

fn tell(args: &RestoreArgs, facts: &SnapshotFacts, program: &Etcdutl, lang: crate::findings::Lang) {
    if args.json {
        let value = serde_json::json!({
            "version": 1, "directory": cli::Shown::new(&args.directory.display()), "keys": facts.keys,
            "revision": facts.revision, "etcdutl": etcdutl::sha256(program),
        });
        cli::tell_json(&mut io::stdout(), &value);
        return;
    }
    let directory = &args.directory.display();
    let (keys, revision) = (&facts.keys, &facts.revision);
    let done = phrase::SnapshotRestored {
        directory,
        keys,
        revision,
    };
    let steps = catalogue::say(phrase::SnapshotSwap { directory }, lang);
    let text = format!("{}\n{}\n", catalogue::say(done, lang), steps.trim_end());
    cli::tell_text(&mut io::stdout(), &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_that_has_nothing_is_taken() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let parent = place.path().canonicalize().unwrap();
        assert_eq!(empty(&at("new")).unwrap(), parent);
        fs::create_dir(at("empty")).unwrap();
        assert_eq!(empty(&at("empty")).unwrap(), parent);
        fs::create_dir(at("full")).unwrap();
        fs::write(at("full/file"), "x").unwrap();
        assert!(matches!(empty(&at("full")), Err(RestoreError::NotEmpty { .. })));
        assert!(matches!(
            empty(&at("full/file")),
            Err(RestoreError::Directory { .. })
        ));
        assert!(matches!(
            empty(&at("none/new")),
            Err(RestoreError::Directory { .. })
        ));
    }

    #[test]
    fn what_was_restored_must_hold_the_same() {
        let whole = |keys, digest: &str| SnapshotFacts {
            hash: crate::protocol::SnapshotHash::None,
            keys,
            revision: 9,
            digest: digest.to_owned(),
            ..SnapshotFacts::default()
        };
        assert!(same(&whole(3, "a"), &whole(3, "a")).is_ok());
        assert!(same(&whole(3, "a"), &whole(3, "b")).is_err());
        let broken = SnapshotFacts {
            problem_count: 1,
            ..whole(3, "a")
        };
        assert!(same(&whole(3, "a"), &broken).is_err());
    }
}
