//! Parts of the sentences of errors.

use super::ReadError;
use crate::digest::Digest;
use crate::path::MemberPath;
use signatures::SignatureError;

/// Says whose header it is.
pub(super) fn damaged(member: Option<&MemberPath>, behind: &str) -> String {
    member.map_or_else(
        || format!("the header behind {behind:?} is damaged"),
        |member| format!("member {member:?}: its header is damaged"),
    )
}

/// Names digests of which any will do.
pub(super) fn any(digests: &[Digest]) -> String {
    let names: Vec<String> = digests.iter().map(ToString::to_string).collect();
    names.join(" or ")
}

/// Says of each signature what is wrong with it.
pub(super) fn signatures(wrong: &[(String, SignatureError)]) -> String {
    let said: Vec<String> = wrong
        .iter()
        .map(|(place, error)| format!("{error} ({place})"))
        .collect();
    said.join("; ")
}

/// Says where.
pub(super) fn at(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at byte {offset}"))
}

/// How many problems are named one by one.
const LISTED: usize = 20;

/// Names the problems in one line.
pub(super) fn listed(problems: &[ReadError]) -> String {
    let said = |problem: &ReadError| match problem {
        // The reason is the whole of the news.
        ReadError::Layer { source, .. } => format!("{problem}: {source}"),
        ReadError::Read { source, .. } | ReadError::Open { source, .. } => format!("{problem}: {source}"),
        problem => problem.to_string(),
    };
    let mut text: Vec<String> = problems.iter().take(LISTED).map(said).collect();
    if problems.len() > LISTED {
        text.push(format!("and {} more", problems.len() - LISTED));
    }
    text.join("; ")
}
