//! Archives made by hand, without the writer: what an attacker would make, or a broken program.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use bundle::{Kind, ReadError, Reader};

use crate::sample::Sample;

/// A member as it will stand in the archive, true or not.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) bytes: Vec<u8>,
    /// What the header says, where that is not the truth.
    pub(crate) size: Option<u64>,
    pub(crate) gnu: bool,
    pub(crate) link: &'static [u8],
}

impl Raw {
    pub(crate) fn file(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            kind: b'0',
            mode: 0o644,
            bytes: bytes.to_vec(),
            size: None,
            gnu: false,
            link: b"",
        }
    }

    pub(crate) fn of_kind(name: &str, kind: u8) -> Self {
        Self {
            kind,
            ..Self::file(name, b"")
        }
    }

    fn encode(&self, archive: &mut Vec<u8>) {
        let mut header = if self.gnu {
            tar::Header::new_gnu()
        } else {
            tar::Header::new_ustar()
        };
        header.as_old_mut().name[..self.name.len()].copy_from_slice(&self.name);
        header.as_old_mut().linkname[..self.link.len()].copy_from_slice(self.link);
        header.as_old_mut().linkflag = [self.kind];
        header.set_size(self.size.unwrap_or(self.bytes.len() as u64));
        header.set_mode(self.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(&self.bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
}

/// Returns an honest bundle's members, to be tampered with. Its names are short enough for ustar.
pub(crate) fn honest() -> (Sample, Vec<Raw>) {
    let mut sample = Sample::full();
    sample
        .index
        .members
        .retain(|member| member.path.as_str().len() < 90 && member.path.as_str().is_ascii());
    sample.put("files/note.txt", Kind::File, 0o644, b"");
    let sample = sample.sealed();
    let members = members(&sample);
    (sample, members)
}

/// Returns the members of a bundle as its index says them, whether that makes sense or not.
pub(crate) fn members(sample: &Sample) -> Vec<Raw> {
    let json = sample.index.to_json();
    let mut members = vec![
        Raw::file("bundle.json", &json),
        Raw::file("SHA256SUMS", sample.index.sha256sums().as_bytes()),
    ];
    members.extend(sample.index.members.iter().map(|member| Raw {
        mode: member.mode,
        ..Raw::file(member.path.as_str(), &sample.bytes[&member.path])
    }));
    members
}

pub(crate) fn archive(members: &[Raw]) -> Vec<u8> {
    let mut archive = Vec::new();
    for member in members {
        member.encode(&mut archive);
    }
    archive.extend_from_slice(&[0; 1024]);
    archive
}

/// Reads an archive in all ways there are: each must refuse it for the same reason, which is returned. Unpacking
/// must leave nothing, neither in the target nor beside it.
pub(crate) fn refused(archive: &[u8]) -> ReadError {
    let outside = tempfile::tempdir().unwrap();
    let inside = outside.path().join("a/b");
    fs::create_dir_all(&inside).unwrap();
    let file = inside.join("site.tar");
    fs::write(&file, archive).unwrap();
    let before = listing(outside.path());
    let streamed = crate::reader(Cursor::new(archive.to_vec())).and_then(Reader::finish);
    let unpacked = crate::unpack(&file, &inside.join("target"), &mut |_| ());
    let checked = crate::check(&file, &mut |_| ()).unwrap_err();
    assert_eq!(listing(outside.path()), before, "something was left behind");
    assert!(checked.is_contents(), "{checked}");
    for (error, way) in [
        (streamed.unwrap_err(), "stream"),
        (unpacked.unwrap_err(), "unpack"),
    ] {
        assert!(error.is_contents(), "{way}: {error}");
        assert_eq!(error.to_string(), checked.problems()[0].to_string(), "{way}");
    }
    checked
}

/// Checks that the archive is refused, and that the error names the member and the reason.
pub(crate) fn assert_refused(members: &[Raw], member: &str, reason: &str) {
    let error = refused(&archive(members));
    assert_eq!(error.member(), Some(member), "{error}");
    let text = error.to_string();
    assert!(text.contains(reason), "{text:?} does not say {reason:?}");
    assert!(
        text.contains(&format!("{member:?}")),
        "{text:?} does not name {member:?}"
    );
}

pub(crate) fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = vec![root.to_owned()];
    while let Some(path) = rest.pop() {
        found.push(path.display().to_string());
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            rest.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}
