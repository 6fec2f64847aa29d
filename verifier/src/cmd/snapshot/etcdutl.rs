//! etcd's own program for snapshots, out of a bundle or from a path. It gets a file and a directory, and nothing of this
//! program's environment.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bundle::{Digest, Kind as Member, ReadError, Trust};
use cli::{Failure, Kind, ResultExt as _, Shown};
use tempfile::TempDir;

/// What the member of a bundle is called, whatever directory it lies in.
const NAME: &str = "etcdutl";
/// More of its last words are not shown.
const WORDS: usize = 2000;

/// The program.
pub(super) struct Etcdutl {
    path: PathBuf,
    sha256: String,
    /// Where it lies while it is used.
    _home: Option<TempDir>,
}

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
enum ProgramError {
    #[error("{} carries no etcdutl among its files", path.display())]
    NotCarried { path: PathBuf },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot keep etcdutl of the bundle for its use")]
    Write(#[source] io::Error),
    #[error("cannot start {}", path.display())]
    Start { path: PathBuf, source: io::Error },
    #[error("etcdutl restored nothing: {words}")]
    Failed { words: Shown },
}

/// Returns which program it is.
pub(super) fn sha256(program: &Etcdutl) -> &str {
    &program.sha256
}

impl Etcdutl {
    /// Takes the program out of a bundle, as its index says it is.
    pub(super) fn of_bundle(path: &Path, trust: &Trust) -> Result<Self, Failure> {
        let bundle = cli::open_bundle(path, trust)?;
        let failed = |error| cli::bundle_failure(path, error);
        let members = bundle.index().members.iter();
        let mut own = members.filter(|member| {
            let name = member.path.as_str().rsplit('/').next();
            member.kind == Member::File && name == Some(NAME)
        });
        let Some(member) = own.next() else {
            let path = path.to_owned();
            let failure = Failure::new(Kind::Usage, ProgramError::NotCarried { path });
            return Err(failure.hint(
                "write files: [{from: etcdutl, to: etcdutl}] into bundle.yaml, with the program of the etcd release; or name one: --etcdutl PATH",
            ));
        };
        let home = tempfile::tempdir()
            .map_err(ProgramError::Write)
            .kind(Kind::Error)?;
        let target = home.path().join(NAME);
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o700);
        let mut file = options
            .open(&target)
            .map_err(ProgramError::Write)
            .kind(Kind::Error)?;
        let mut reader = bundle
            .reader()
            .map_err(failed)?
            .only([member.path.clone()].into_iter().collect());
        while let Some(mut entry) = reader.next_entry().map_err(failed)? {
            io::copy(&mut entry, &mut file).map_err(|error| match ReadError::from_io(error) {
                Ok(error) => failed(error),
                Err(error) => Failure::new(Kind::Error, ProgramError::Write(error)),
            })?;
        }
        drop(file);
        let program = Self::at(target)?;
        Ok(Self {
            _home: Some(home),
            ..program
        })
    }

    /// Takes a program that lies somewhere.
    pub(super) fn at(path: PathBuf) -> Result<Self, Failure> {
        let digest = |path: &Path| -> io::Result<Digest> {
            let mut bytes = Vec::new();
            File::open(path)?.take(1 << 30).read_to_end(&mut bytes)?;
            Ok(Digest::of(&bytes))
        };
        let absolute = fs::canonicalize(&path).and_then(|path| Ok((digest(&path)?, path)));
        let (digest, path) = absolute
            .map_err(|source| ProgramError::Read { path, source })
            .kind(Kind::Error)?;
        Ok(Self {
            path,
            sha256: digest.to_string(),
            _home: None,
        })
    }

    /// Makes the data of a member of a snapshot.
    pub(super) fn restore(&self, file: &Path, data: &Path, flags: &[String]) -> Result<(), Failure> {
        let output = Command::new(&self.path)
            .args(["snapshot", "restore"])
            .arg(file)
            .arg("--data-dir")
            .arg(data)
            .args(flags)
            .env_clear()
            .stdin(Stdio::null())
            .output();
        let path = self.path.clone();
        let output = output
            .map_err(|source| ProgramError::Start { path, source })
            .kind(Kind::Error)
            .map_err(|failure| {
                failure.hint("it must be the program of etcd's release for this platform, in a directory that lets programs run: TMPDIR names another")
            })?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr);
        let from = words.ceil_char_boundary(words.len().saturating_sub(WORDS));
        let words = Shown::line(&words[from..]);
        Err(Failure::new(Kind::Error, ProgramError::Failed { words })
            .hint("nothing was kept; use the etcdutl of the release that the cluster runs"))
    }
}
