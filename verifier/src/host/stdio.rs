//! `verifier agent`: serves one connection on stdin and stdout, and leaves nothing on the disk.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, unlinkat};
use tokio_io_timeout::TimeoutReader;

/// How the directory of an agent that was brought to a host begins.
pub(crate) const DIRECTORY: &str = ".verifier-";
/// The agent's file in it.
pub(crate) const PROGRAM: &str = "verifier";

/// An upload takes minutes at most.
const STALE: Duration = Duration::from_hours(1);

/// Serves stdin and stdout until stdin ends, or nothing came for as long as `silence`: where the network was cut, sshd does
/// not tell us that nobody is there any more. An agent that was brought to this host (its directory tells) removes its own
/// file and directory first.
///
/// # Errors
/// When no verifier greets, or stdout is closed.
pub fn serve_stdio(silence: Duration) -> io::Result<()> {
    vanish();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        let mut stdin = TimeoutReader::new(tokio::io::stdin());
        stdin.set_timeout(Some(silence));
        super::serve(Box::pin(stdin), tokio::io::stdout()).await
    });
    // A read of stdin that still blocks is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    served
}

/// Removes the program's own file and directory, if the directory is one that was made for it, and those beside it
/// that a power cut or a lost network left.
fn vanish() {
    // Without /proc (a chroot) the way that we were called is what we know.
    let called = || {
        std::env::args_os()
            .next()
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let Some(program) = std::env::current_exe().ok().or_else(called) else {
        return;
    };
    let Some(directory) = program.parent().filter(|directory| is_ours(directory)) else {
        return;
    };
    sweep(directory);
    // What cannot be removed here the shell that made the directory removes when it is told that we run.
    let _ = fs::remove_file(&program);
    let _ = fs::remove_dir(directory);
    let _ = std::env::set_current_dir("/");
}

fn is_ours(directory: &Path) -> bool {
    let name = directory.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(DIRECTORY))
}

/// Removes directories like `own` of the same owner that are older than an upload can be. Each is opened once and looked
/// at and emptied by that: whoever puts another in its place meanwhile gains nothing.
fn sweep(own: &Path) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (Some(parent), Ok(ours)) = (own.parent(), fs::symlink_metadata(own)) else {
        return;
    };
    let Ok(parent) = rustix::fs::open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
        return;
    };
    let Ok(entries) = Dir::read_from(&parent) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().to_bytes().starts_with(DIRECTORY.as_bytes()) {
            continue;
        }
        let Ok(directory) = openat(&parent, entry.file_name(), flags, Mode::empty()) else {
            continue;
        };
        let directory = File::from(directory);
        let Ok(metadata) = directory.metadata() else {
            continue;
        };
        let age = metadata
            .modified()
            .ok()
            .and_then(|modified| modified.elapsed().ok());
        if metadata.uid() == ours.uid() && age.is_some_and(|age| age > STALE) {
            let _ = unlinkat(&directory, PROGRAM, AtFlags::empty());
            // Only an empty directory goes, whatever has the name now.
            let _ = unlinkat(&parent, entry.file_name(), AtFlags::REMOVEDIR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_agents_left_is_swept_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let make = |name: &str, hours: u64| {
            let directory = place.path().join(name);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join(PROGRAM), "x").unwrap();
            let then = std::time::SystemTime::now() - Duration::from_hours(hours);
            File::open(&directory).unwrap().set_modified(then).unwrap();
            directory
        };
        let own = make(".verifier-own", 0);
        let dead = make(".verifier-dead", 2);
        let young = make(".verifier-young", 0);
        let other = make("other", 2);
        let outside = make("outside", 2);
        let link = place.path().join(".verifier-link");
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        sweep(&own);
        assert!(!dead.exists());
        assert!(young.join(PROGRAM).exists() && other.join(PROGRAM).exists());
        assert!(outside.join(PROGRAM).exists(), "a link was followed");
        assert!(own.join(PROGRAM).exists());
    }
}
