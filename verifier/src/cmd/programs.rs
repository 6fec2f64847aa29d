//! The verifier's programs for hosts of other platforms, taken out of the bundle.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bundle::{BundleFile, Kind as Member, MemberPath, Platform, ReadError};
use cli::{Failure, Kind, ResultExt as _};
use tempfile::TempDir;

use crate::carrier::ssh::{self, Programs};

/// How the members are named: `verifier-OS-ARCH`.
const PREFIX: &str = "verifier-";

/// Returns where the program for each platform is: the running one for its own, the bundle's for others. The
/// directory that holds those lives as long as the programs.
pub(super) fn programs(bundle: Option<&BundleFile>) -> Result<Programs, Failure> {
    let own = ssh::own_program();
    let Some(bundle) = bundle else {
        return Ok(own);
    };
    let foreign = foreign(bundle);
    if foreign.is_empty() {
        return Ok(own);
    }
    let home = tempfile::tempdir().kind(Kind::Error)?;
    let found = extract(bundle, &foreign, &home)?;
    Ok(Arc::new(move |platform| {
        let _alive = &home;
        own(platform).or_else(|| found.get(platform).cloned())
    }))
}

/// Returns the members that are programs for other platforms than ours.
fn foreign(bundle: &BundleFile) -> BTreeMap<MemberPath, Platform> {
    let members = bundle
        .index()
        .members
        .iter()
        .filter(|member| member.kind == Member::Verifier);
    let named = members.filter_map(|member| Some((member.path.clone(), platform(member.path.as_str())?)));
    named
        .filter(|(_, platform)| *platform != Platform::current())
        .collect()
}

/// Returns the platform in a member's name.
fn platform(path: &str) -> Option<Platform> {
    path.strip_prefix(PREFIX)?.replace('-', "/").parse().ok()
}

fn extract(
    bundle: &BundleFile,
    members: &BTreeMap<MemberPath, Platform>,
    home: &TempDir,
) -> Result<BTreeMap<Platform, PathBuf>, Failure> {
    let failed = |error| cli::bundle_failure(bundle.path(), error);
    let mut reader = bundle
        .reader()
        .map_err(failed)?
        .only(members.keys().cloned().collect());
    let mut found = BTreeMap::new();
    while let Some(mut entry) = reader.next_entry().map_err(failed)? {
        let name = entry.member().path.clone();
        let path = home.path().join(name.as_str());
        let mut file = std::fs::File::create(&path).kind(Kind::Error)?;
        io::copy(&mut entry, &mut file).map_err(|error| match ReadError::from_io(error) {
            Ok(error) => failed(error),
            Err(error) => Failure::new(Kind::Error, error),
        })?;
        if let Some(platform) = members.get(&name) {
            found.insert(platform.clone(), path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_name_tells_its_platform() {
        assert_eq!(
            platform("verifier-linux-arm64").unwrap().to_string(),
            "linux/arm64"
        );
        assert_eq!(
            platform("verifier-linux-arm-v7").unwrap().to_string(),
            "linux/arm/v7"
        );
        assert!(platform("verifier-").is_none() && platform("README.txt").is_none());
    }
}
