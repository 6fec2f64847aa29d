//! Bills of materials (CycloneDX, JSON) that lie beside the programs of a bundle, as `cargo xtask dist` puts them there.
//!
//! One is carried only where it names the very program by its hash: a bill of another build says what is not true.

use std::io;
use std::path::{Path, PathBuf};

use bundle::{Digest, Kind, MemberPath, UserFile};
use serde::Deserialize;

use crate::json::{self, JsonError};
use crate::plan::Local;

/// The bill of a program of 1,000 crates has about 1 MiB.
const BILL: UserFile = UserFile::new("a bill of materials", 8 << 20);

/// A bill that is there and is not carried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BillError {
    #[error("{}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no CycloneDX document", path.display())]
    Json { path: PathBuf, source: JsonError },
    #[error("{} is of another program than the one beside it", path.display())]
    Other { path: PathBuf },
}

#[derive(Deserialize)]
struct Bill {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    component: Component,
}

#[derive(Deserialize)]
struct Component {
    #[serde(default)]
    hashes: Vec<Hash>,
}

#[derive(Deserialize)]
struct Hash {
    content: String,
}

/// Returns the bill of the program `name`, which lies at `program`; none where there is none.
pub(crate) fn beside(program: &Path, name: &str, sha256: &Digest) -> Result<Option<Local>, BillError> {
    let mut path = program.as_os_str().to_owned();
    path.push(".cdx.json");
    let path = PathBuf::from(path);
    let bytes = match BILL.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(BillError::Read { path, source }),
    };
    let bill: Bill = match json::read(&bytes) {
        Ok(bill) => bill,
        Err(source) => return Err(BillError::Json { path, source }),
    };
    let hex = sha256.hex();
    if !bill
        .metadata
        .component
        .hashes
        .iter()
        .any(|hash| hash.content == hex)
    {
        return Err(BillError::Other { path });
    }
    let member = MemberPath::new(format!("files/sbom/{name}.cdx.json")).ok();
    Ok(member.map(|member| Local::bytes(member, Kind::File, bytes)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_bill_is_carried_with_its_own_program_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("verifier");
        let sha256 = Digest::of(b"a program");
        let look = || beside(&program, "verifier-linux-amd64", &sha256);
        assert!(look().unwrap().is_none());
        let bill = |digest: &Digest| {
            format!(
                r#"{{"metadata": {{"component": {{"hashes": [{{"alg": "SHA-256", "content": "{}"}}]}}}}}}"#,
                digest.hex()
            )
        };
        let path = directory.path().join("verifier.cdx.json");
        fs::write(&path, bill(&sha256)).unwrap();
        let carried = look().unwrap().unwrap();
        assert_eq!(carried.path.as_str(), "files/sbom/verifier-linux-amd64.cdx.json");
        fs::write(&path, bill(&Digest::of(b"another"))).unwrap();
        assert!(matches!(look(), Err(BillError::Other { .. })));
        fs::write(&path, "{}").unwrap();
        assert!(matches!(look(), Err(BillError::Json { .. })));
    }
}
