//! Names that fall together on a file system that ignores case or Unicode form.
//!
//! Every name is folded once, and in sorted order only neighbours are compared: memory and time follow the index's
//! length, however deep its directories are.

use super::IndexError;
use crate::index::Member;
use crate::{order, path};

/// A name, and the form in which it meets others: folded, with NUL for `/`. NUL sorts before whatever a name may
/// have, so that a directory's members follow a file of the directory's name at once.
struct Name<'a> {
    key: String,
    name: &'a str,
}

impl<'a> Name<'a> {
    fn new(name: &'a str) -> Self {
        let key = path::folded(name).replace('/', "\0");
        Self { key, name }
    }
}

/// Checks that no two members, nor their directories, meet, and that no file would have to be a directory too.
pub(super) fn check(members: &[Member]) -> Result<(), IndexError> {
    let own = [order::INDEX, order::SIGNATURE, order::SUMS].map(Name::new);
    let members = members.iter().map(|member| Name::new(member.path.as_str()));
    let mut names: Vec<Name<'_>> = own.into_iter().chain(members).collect();
    // Stable: of twins the one that comes first in the archive stays first.
    names.sort_by(|one, two| one.key.cmp(&two.key));
    names.windows(2).try_for_each(|pair| meet(&pair[0], &pair[1]))
}

/// Compares two neighbours of the sorted order.
fn meet(one: &Name<'_>, two: &Name<'_>) -> Result<(), IndexError> {
    if one.key == two.key {
        return Err(IndexError::Twin {
            member: two.name.to_owned(),
            other: one.name.to_owned(),
        });
    }
    if two
        .key
        .strip_prefix(&one.key)
        .is_some_and(|rest| rest.starts_with('\0'))
    {
        return Err(IndexError::FileAndDirectory {
            member: one.name.to_owned(),
            other: two.name.to_owned(),
        });
    }
    // Folding keeps every `/` where it is, so that the components of both forms correspond.
    let folded = one.key.split('\0').zip(two.key.split('\0'));
    let shared = folded.take_while(|(one, two)| one == two).count();
    let differ = |depth: &usize| one.name.split('/').nth(*depth) != two.name.split('/').nth(*depth);
    match (0..shared).find(differ) {
        Some(depth) => Err(IndexError::Twin {
            member: directory(two.name, depth),
            other: directory(one.name, depth),
        }),
        None => Ok(()),
    }
}

/// Returns the first components of a name, `depth` and one.
fn directory(name: &str, depth: usize) -> String {
    let parts: Vec<&str> = name.split('/').take(depth + 1).collect();
    parts.join("/")
}
