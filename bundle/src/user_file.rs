//! Files that a person names, or that one of his files names: opened only where they are what they should be, and read to
//! a bound. A FIFO would hold a program for ever, a device has no end, and a file may be longer than the memory.

use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{FsWord, OFlags};

/// The file system of pipes that have no name (Linux: include/uapi/linux/magic.h).
const PIPEFS_MAGIC: FsWord = 0x5049_5045;

/// A kind of file: what it is called in errors, and how many bytes of it are read.
#[derive(Clone, Copy, Debug)]
pub struct UserFile {
    what: &'static str,
    limit: u64,
    pipe: bool,
}

impl UserFile {
    /// Returns a kind of file, called for example "a site file", of at most `limit` bytes.
    pub const fn new(what: &'static str, limit: u64) -> Self {
        let pipe = false;
        Self { what, limit, pipe }
    }

    /// Allows a pipe without a name too: what a shell makes of `<(...)`, and `/dev/stdin` behind a `|`. Somebody writes to
    /// such a pipe, or it ends; a FIFO with a name may wait for ever, and is refused all the same.
    #[must_use]
    pub const fn or_pipe(self) -> Self {
        Self { pipe: true, ..self }
    }

    /// Reads a file; links are followed.
    ///
    /// # Errors
    /// The system's; `InvalidInput` where it is no regular file, `FileTooLarge` where it is longer than its kind may be. Both
    /// say what the kind is and what it may be, not the path.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let pipe = |kind: FileType| self.pipe && kind.is_fifo();
        let file = open(path, pipe).map_err(|error| self.name(error))?;
        let length = file.metadata()?.len();
        if length > self.limit {
            return Err(self.too_long());
        }
        // Room for all of it: a secret is not copied from place to place while it is read.
        let room = usize::try_from(length.saturating_add(1)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(room);
        file.take(self.limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > self.limit {
            return Err(self.too_long());
        }
        Ok(bytes)
    }

    /// Reads a file as text.
    ///
    /// # Errors
    /// As [`UserFile::read`], and `InvalidData` where it is not UTF-8.
    pub fn read_text(&self, path: &Path) -> io::Result<String> {
        String::from_utf8(self.read(path)?)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    }

    fn name(&self, error: io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::InvalidInput || error.raw_os_error().is_some() {
            return error;
        }
        let pipe = if self.pipe { " or a pipe of the shell" } else { "" };
        let reason = format!("{error}; {} is a regular file{pipe}", self.what);
        io::Error::new(io::ErrorKind::InvalidInput, reason)
    }

    fn too_long(&self) -> io::Error {
        let limit = match self.limit {
            limit if limit >= 1 << 20 => format!("{} MiB", limit >> 20),
            limit if limit >= 1 << 10 => format!("{} KiB", limit >> 10),
            limit => format!("{limit} bytes"),
        };
        let reason = format!("it is too long: {} has at most {limit}", self.what);
        io::Error::new(io::ErrorKind::FileTooLarge, reason)
    }
}

/// Opens a regular file of any length; links are followed, and nothing is waited for.
///
/// # Errors
/// The system's; `InvalidInput` where it is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    open(path, |_| false)
}

/// Returns the mode of a file that other users may read, its group or all; none where they may not, or where there is no such
/// file.
pub fn mode_for_others(path: &Path) -> Option<u32> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o044 != 0).then_some(mode)
}

/// Opens what an archive may lie on: a regular file, a disk without a file system, and a pipe, with a name too: a bundle is
/// read as it streams, and its writer is waited for.
pub(crate) fn open_medium(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.file_type().is_fifo() {
        return File::open(path);
    }
    open(path, |kind| kind.is_block_device())
}

/// Opens a regular file, or what else is taken; of FIFOs never one with a name.
fn open(path: &Path, takes: impl Fn(FileType) -> bool) -> io::Result<File> {
    // Asked before it is opened: opening alone makes some devices act, a watchdog's for example.
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_file() && !takes(kind) {
        return Err(irregular(kind));
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    // It may be another one by now.
    let kind = file.metadata()?.file_type();
    let good = kind.is_file() || takes(kind) && (!kind.is_fifo() || is_unnamed(&file)?);
    if !good {
        return Err(irregular(kind));
    }
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

fn is_unnamed(pipe: impl AsFd) -> io::Result<bool> {
    Ok(rustix::fs::fstatfs(pipe)?.f_type == PIPEFS_MAGIC)
}

fn irregular(kind: FileType) -> io::Error {
    let kind = match kind {
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a FIFO",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    };
    let reason = format!("it is no regular file but {kind}");
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use super::*;

    const KIND: UserFile = UserFile::new("a list", 2048);

    fn fifo(path: &Path) {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_a_longer_one_is_refused_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "x".repeat(2048)).unwrap();
        assert_eq!(KIND.read_text(&path).unwrap().len(), 2048);
        fs::write(&path, "x".repeat(2049)).unwrap();
        let error = KIND.read(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it is too long: a list has at most 2 KiB");
        fs::write(&path, b"\xff").unwrap();
        assert_eq!(
            KIND.read_text(&path).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn a_file_of_ten_gigabytes_is_refused_by_its_length() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(10 << 30).unwrap();
        assert_eq!(
            KIND.read(file.path()).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        fifo(&pipe);
        for (path, is) in [
            (pipe.as_path(), "a FIFO"),
            (directory.path(), "a directory"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let said = KIND.read(path).unwrap_err().to_string();
            assert_eq!(
                said,
                format!("it is no regular file but {is}; a list is a regular file")
            );
            let said = KIND.or_pipe().read(path).unwrap_err().to_string();
            assert!(
                said.ends_with("a list is a regular file or a pipe of the shell"),
                "{said}"
            );
            assert!(open_regular(path).is_err());
            assert!(is == "a FIFO" || open_medium(path).is_err());
        }
        assert_eq!(
            KIND.read(&directory.path().join("none")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_pipe_of_the_shell_is_read_to_its_end_where_the_kind_allows_it() {
        for length in [2048, 2049] {
            let (reader, mut writer) = io::pipe().unwrap();
            let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
            assert!(KIND.read(Path::new(&path)).is_err());
            let writer = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(20));
                writer.write_all(&vec![b'x'; length])
            });
            let read = KIND.or_pipe().read(Path::new(&path));
            assert_eq!(read.is_ok(), length == 2048);
            writer.join().unwrap().unwrap();
        }
    }
}
