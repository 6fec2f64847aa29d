//! What was found so far: each certificate once, each file once by whatever names, within bounds.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::UserFile;

use super::file;
use super::programs::Program;
use crate::certs::Found;
use crate::protocol::{
    CertificateFile, CertificateUser, CertificatesReply, Der, FileItem, FileUse, ItemFacts, RefusalKind,
    UnreadFile,
};

/// Longer files are not read. The largest bundles of public CAs have 250 KiB, those of companies seldom a megabyte.
const FILE: UserFile = UserFile::new("a file of certificates", LONGEST);
const LONGEST: u64 = 4 << 20;
/// So many files are read, and so many certificates are kept, in so much time.
const FILES: usize = 8192;
const CERTIFICATES: usize = 8192;
const BYTES: usize = 8 << 20;
const TIME: Duration = Duration::from_secs(20);

/// What was found so far.
pub(super) struct Store {
    begun: Instant,
    reply: CertificatesReply,
    /// Places of certificates in the reply, by their bytes.
    certificates: HashMap<Vec<u8>, usize>,
    bytes: usize,
    /// Places of files in the reply, by device and inode; none where there is nothing of interest.
    files: HashMap<(u64, u64), Option<usize>>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            reply: CertificatesReply::default(),
            certificates: HashMap::new(),
            bytes: 0,
            files: HashMap::new(),
        }
    }
}

impl Store {
    /// Returns what was found.
    pub(super) fn reply(mut self, unix_seconds: i64) -> CertificatesReply {
        self.reply.unix_seconds = unix_seconds;
        self.reply
    }

    /// Returns whether more is looked at; where not, the reply says so.
    pub(super) fn has_room(&mut self) -> bool {
        let full =
            self.files.len() >= FILES || self.bytes >= BYTES || self.certificates.len() >= CERTIFICATES;
        self.reply.more |= full || self.begun.elapsed() > TIME;
        !self.reply.more
    }

    /// Reads a file, which is called `name` and lies at `path`; returns its place in the reply.
    pub(super) fn file(&mut self, name: &str, path: &Path) -> io::Result<Option<usize>> {
        let metadata = fs::metadata(path)?;
        let identity = (metadata.dev(), metadata.ino());
        if let Some(known) = self.files.get(&identity) {
            let known = *known;
            if let Some(place) = known {
                self.also(place, name);
            }
            return Ok(known);
        }
        if metadata.is_file() && metadata.len() > LONGEST {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        if !metadata.is_file() || !self.has_room() {
            return Ok(None);
        }
        let bytes = FILE.read(path)?;
        let contents = file::contents(name, &bytes);
        if contents.is_empty() {
            self.files.insert(identity, None);
            return Ok(None);
        }
        let items = contents.found.into_iter().filter_map(|(at, found)| {
            let what = match found {
                Found::Certificate(der) => ItemFacts::Certificate(self.certificate(der)?),
                Found::Item(item) => item,
            };
            Some(FileItem { at, what })
        });
        let items = items.collect();
        let place = self.reply.files.len();
        self.reply.files.push(CertificateFile {
            path: name.to_owned(),
            names: Vec::new(),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            sheltered: is_sheltered(path),
            items,
            kubeconfig: contents.kubeconfig,
        });
        self.files.insert(identity, Some(place));
        if let Ok(target) = fs::canonicalize(path)
            && target != path
        {
            self.also(place, &target.display().to_string());
        }
        Ok(Some(place))
    }

    /// Keeps another name of a file.
    fn also(&mut self, place: usize, name: &str) {
        let file = &mut self.reply.files[place];
        if file.path != name && file.names.len() < 16 && !file.names.iter().any(|known| known == name) {
            file.names.push(name.to_owned());
        }
    }

    fn certificate(&mut self, der: Vec<u8>) -> Option<usize> {
        if let Some(place) = self.certificates.get(&der) {
            return Some(*place);
        }
        if !self.has_room() {
            return None;
        }
        let place = self.reply.certificates.len();
        self.bytes += der.len();
        let text = STANDARD.encode(&der);
        self.reply.certificates.push(Der { der: text });
        self.certificates.insert(der, place);
        Some(place)
    }

    /// Notes whether some was left out.
    pub(super) const fn cut(&mut self, some: bool) {
        self.reply.more |= some;
    }

    /// Keeps a place that could not be looked at.
    pub(super) fn unread(&mut self, path: &Path, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound || self.reply.unread.len() >= 256 {
            return;
        }
        let path = path.display().to_string();
        if self.reply.unread.iter().any(|unread| unread.path == path) {
            return;
        }
        self.reply.unread.push(UnreadFile {
            kind: RefusalKind::of(error.kind()),
            text: format!("{path}: {error}").into(),
            path,
        });
    }

    /// Takes all that was read below `root` for used by whoever asked for it, but for what is old by its name.
    pub(super) fn asked(&mut self, root: &Path) {
        let program = Program::asked();
        let mut user = Self::user(&program);
        let places = 0..self.reply.files.len();
        let used: Vec<usize> = places
            .filter(|place| !is_old(&self.reply.files[*place], root))
            .collect();
        for place in used {
            let file = &self.reply.files[place];
            let path = file.path.clone();
            let setting = if file.kubeconfig.is_some() {
                format!("{path}:kubeconfig")
            } else {
                path.clone()
            };
            let named = named(file, &path);
            user.files.push(FileUse {
                setting: setting.clone(),
                path,
                file: Some(place),
                unread: None,
            });
            for (what, path) in named {
                self.given(&mut user, &program, &format!("{setting}/{what}"), &path);
            }
        }
        self.reply.programs.push(user);
    }

    /// Reads what a program was given.
    pub(super) fn program(&mut self, program: &Program) {
        let mut user = Self::user(program);
        for (setting, path) in &program.given.files {
            self.given(&mut user, program, setting, path);
        }
        self.reply.programs.push(user);
    }

    fn user(program: &Program) -> CertificateUser {
        CertificateUser {
            program: program.name.clone(),
            pid: program.pid,
            uid: program.uid,
            source: program.source.clone(),
            settings: program.given.settings.clone(),
            files: Vec::new(),
        }
    }

    fn given(&mut self, user: &mut CertificateUser, program: &Program, setting: &str, path: &str) {
        let is_known = |known: &FileUse| known.setting == setting && known.path == path;
        if user.files.iter().any(is_known) {
            return;
        }
        if user.files.len() >= FILES {
            return self.cut(true);
        }
        // Where a relative path begins was not shown to us.
        let read = if path.starts_with('/') {
            self.file(path, &program.seen(path))
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        };
        let (file, unread) = match read {
            Ok(file) => (file, None),
            // What another root directory has may not be shown to us.
            Err(error) if error.kind() == io::ErrorKind::NotFound && program.hidden => {
                (None, Some(RefusalKind::Denied))
            }
            Err(error) => (None, Some(RefusalKind::of(error.kind()))),
        };
        user.files.push(FileUse {
            setting: setting.to_owned(),
            path: path.to_owned(),
            file,
            unread,
        });
        let named = file
            .map(|file| named(&self.reply.files[file], path))
            .unwrap_or_default();
        for (what, path) in named {
            self.given(user, program, &format!("{setting}/{what}"), &path);
        }
    }
}

/// Words in the names of directories that keep what is no longer in use.
const KEPT: [&str; 9] = [
    "expired", "old", "archive", "archived", "bak", "backup", "backups", "orig", "obsolete",
];

/// Returns whether a file is one that all its names say is old: kept after a renewal, and what kubelets leave when they rotate.
/// What a person named, and all above it, is old by no name.
fn is_old(file: &CertificateFile, root: &Path) -> bool {
    let names = file.names.iter().chain([&file.path]);
    let below: Vec<&Path> = names
        .filter_map(|name| Path::new(name).strip_prefix(root).ok())
        .collect();
    !below.is_empty() && below.into_iter().all(is_old_name)
}

fn is_old_name(path: &Path) -> bool {
    let small = path.to_string_lossy().to_ascii_lowercase();
    let folders = small.split('/').rev().skip(1);
    // pki.bak, pki-old, backup_2025, kubeadm-backup-2025-01-01
    let kept = |folder: &str| {
        folder
            .split(|letter: char| !letter.is_ascii_alphabetic())
            .any(|word| KEPT.contains(&word) || word.contains("backup"))
    };
    let name = small.rsplit('/').next().unwrap_or_default();
    let rotated = ["kubelet-client-2", "kubelet-server-2"];
    folders.into_iter().any(kept)
        || [".bak", ".old", ".orig", "~"]
            .iter()
            .any(|end| name.ends_with(end))
        || rotated.iter().any(|begin| name.starts_with(begin))
}

/// Returns whether a directory above a file lets no others in.
fn is_sheltered(path: &Path) -> bool {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let above = real.ancestors().skip(1);
    above
        .filter_map(|directory| fs::metadata(directory).ok())
        .any(|metadata| metadata.mode() & 0o001 == 0)
}

/// Returns the files that a kubeconfig names, each with the place that names it.
fn named(file: &CertificateFile, path: &str) -> Vec<(String, String)> {
    let folder = Path::new(path).parent().unwrap_or_else(|| Path::new("/"));
    let Some(parts) = &file.kubeconfig else {
        return Vec::new();
    };
    let of_clusters = parts
        .clusters
        .iter()
        .map(|cluster| (format!("clusters/{}", cluster.name), &cluster.authority));
    let of_users = parts.users.iter().flat_map(|user| {
        let at = format!("users/{}", user.name);
        [(at.clone(), &user.certificate), (format!("{at}/key"), &user.key)]
    });
    let full = |path: &String| -> PathBuf { folder.join(path) };
    of_clusters
        .chain(of_users)
        .filter_map(|(at, path)| Some((at, full(path.as_ref()?).display().to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_old_at(path: &str) -> bool {
        let file = CertificateFile {
            path: path.to_owned(),
            ..CertificateFile::default()
        };
        is_old(&file, Path::new("/mnt/backup/pki"))
    }

    #[test]
    fn what_is_old_is_told_by_the_names_below_what_was_asked_for() {
        for old in [
            "expired/a.crt",
            "pki-old/a.crt",
            "pki.bak/a.crt",
            "tmp/kubeadm-backup-2025-01-01/a.crt",
            "Backups/a.crt",
            "a.crt.bak",
            "kubelet-client-2026-01-01-00-00-00.pem",
        ] {
            assert!(is_old_at(&format!("/mnt/backup/pki/{old}")), "{old}");
        }
        for used in ["a.crt", "golden/a.crt", "threshold/old-ca.crt", "folder/a.crt"] {
            assert!(!is_old_at(&format!("/mnt/backup/pki/{used}")), "{used}");
        }
        assert!(!is_old_at("/mnt/backup/pki"));
        // Let's Encrypt keeps all in `archive`, and links lead to what is in use.
        let linked = CertificateFile {
            path: "/mnt/backup/pki/archive/a1.pem".to_owned(),
            names: vec!["/mnt/backup/pki/live/a.pem".to_owned()],
            ..CertificateFile::default()
        };
        assert!(!is_old(&linked, Path::new("/mnt/backup/pki")));
    }
}
