//! Many objects, counted by where they lie and by what encrypted them. Some are named; how many is bounded.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::{KMS_V2, StoredGroup, kms_writers};

/// So many objects of a group are named where something is wrong with it.
const NAMED: usize = 200;
/// So many are where it is as it should be.
const USUAL: usize = 3;
/// More names than these are kept of no group.
const ALL_NAMES: usize = 4000;
/// More groups than these are not told apart.
const GROUPS: usize = 2000;
/// A longer name is cut. Kubernetes has none: a namespace and a name are 63 and 253 bytes.
const LONGEST: usize = 1024;

/// Counts objects.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    groups: BTreeMap<(String, String), StoredGroup>,
    names: usize,
    looked_at: u64,
    too_many: bool,
}

impl Tally {
    /// Counts an object by its key below the API server's prefix, and by what stands before its value, as it is since a revision.
    pub(crate) fn add(&mut self, key: &str, writer: &str, revision: u64, is_usual: bool) {
        self.looked_at += 1;
        let group = (storage_path(key).to_owned(), writer.to_owned());
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&group) {
            self.too_many = true;
            return;
        }
        let own = self
            .groups
            .entry(group)
            .or_insert_with_key(|(path, writer)| StoredGroup {
                path: path.clone(),
                writer: writer.clone(),
                usual: is_usual,
                newest: 0,
                count: 0,
                named: Vec::new(),
            });
        own.count += 1;
        own.newest = own.newest.max(revision);
        // Only the last object of all says which key a KMS uses now.
        let may_be_old = writer.starts_with(KMS_V2);
        let most = if is_usual && !may_be_old { USUAL } else { NAMED };
        if own.named.len() < most && self.names < ALL_NAMES {
            self.names += 1;
            own.named.push(key[..key.floor_char_boundary(LONGEST)].to_owned());
        }
    }

    /// Returns how many objects were counted.
    pub(crate) const fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// Returns whether there were more groups than are told apart.
    pub(crate) const fn is_over(&self) -> bool {
        self.too_many
    }

    /// Returns the groups in order.
    pub(crate) fn groups(self) -> Vec<StoredGroup> {
        let mut groups: Vec<StoredGroup> = self.groups.into_values().collect();
        let current: BTreeSet<String> = kms_writers(&groups).into_values().map(str::to_owned).collect();
        for group in groups.iter_mut().filter(|group| group.writer.starts_with(KMS_V2)) {
            group.usual &= current.contains(&group.writer);
            if group.usual {
                group.named.truncate(USUAL);
            }
        }
        groups
    }
}

/// Returns where the resource of a key lies. Resources of a custom group, and those that extend the API, lie below their
/// group, which has a dot (k8s.io/apiextensions-apiserver); of others a few have a path of two parts
/// (`pkg/kubeapiserver/default_storage_factory_builder.go` of Kubernetes).
pub(crate) fn storage_path(key: &str) -> &str {
    let first = key.split('/').next().unwrap_or_default();
    let two = first.contains('.') || ["services", "ranges"].contains(&first);
    let parts = if two { 2 } else { 1 };
    let end = key.match_indices('/').nth(parts - 1);
    end.map_or(key, |(at, _)| &key[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lies_below_its_resource() {
        assert_eq!(storage_path("secrets/default/a"), "secrets");
        assert_eq!(storage_path("services/specs/default/a"), "services/specs");
        assert_eq!(storage_path("ranges/serviceips"), "ranges/serviceips");
        assert_eq!(
            storage_path("example.com/widgets/default/a"),
            "example.com/widgets"
        );
        assert_eq!(storage_path("odd"), "odd");
    }

    #[test]
    fn all_are_counted_and_a_bounded_number_is_named() {
        let mut tally = Tally::default();
        for at in 0..10_000 {
            let key = format!("secrets/a/{at:05}");
            tally.add(&key, "k8s:enc:aescbc:v1:key1:", 7, true);
        }
        for at in 0..300 {
            tally.add(&format!("secrets/b/{at:05}"), "", 7, false);
        }
        assert_eq!((tally.looked_at(), tally.is_over()), (10_300, false));
        let groups = tally.groups();
        let counts: Vec<(u64, usize)> = groups
            .iter()
            .map(|group| (group.count, group.named.len()))
            .collect();
        assert_eq!(counts, [(300, NAMED), (10_000, USUAL)]);
        assert_eq!(groups[0].named[0], "secrets/b/00000");
    }

    #[test]
    fn the_key_that_a_kms_used_last_is_the_usual_one_and_what_others_encrypted_is_named() {
        let mut tally = Tally::default();
        let kms = |id: &str| format!("k8s:enc:kms:v2:lab:{id}");
        for at in 0..100 {
            let key = format!("secrets/a/{at:05}");
            tally.add(&key, &kms(if at < 90 { "old" } else { "new" }), 100 + at, true);
        }
        tally.add("configmaps/a/x", &kms("old"), 50, true);
        tally.add("secrets/b/odd", &kms(""), 300, true);
        let groups = tally.groups();
        let told: Vec<(&str, &str, bool, usize)> = groups
            .iter()
            .map(|group| {
                (
                    group.path.as_str(),
                    group.writer.as_str(),
                    group.usual,
                    group.named.len(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("configmaps", "k8s:enc:kms:v2:lab:old", false, 1),
                ("secrets", "k8s:enc:kms:v2:lab:", false, 1),
                ("secrets", "k8s:enc:kms:v2:lab:new", true, USUAL),
                ("secrets", "k8s:enc:kms:v2:lab:old", false, 90),
            ]
        );
    }

    #[test]
    fn groups_without_number_take_no_memory_and_are_told() {
        let mut tally = Tally::default();
        for at in 0..10_000 {
            tally.add(&format!("group{at}/a"), "", 7, false);
        }
        assert!(tally.is_over());
        let groups = tally.groups();
        assert_eq!(groups.len(), GROUPS);
        assert!(groups.iter().map(|group| group.named.len()).sum::<usize>() <= ALL_NAMES);
    }
}
