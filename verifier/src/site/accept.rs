//! What the site has decided to live with for a while: findings, each by its check or cause, its host and its subject. Values
//! only.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use yaml::{Node, Place, Problems, placed, text};

/// A finding that somebody answers for until a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// A check, a cause, or `CHECK/CAUSE`, as reports name them.
    pub id: String,
    /// The host whose result it is; absent: of the cluster's alone.
    pub host: Option<String>,
    /// What it is about; absent: only what is about nothing in particular.
    pub subject: Option<String>,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub by: String,
    /// The last day, UTC, the day itself included.
    pub until: Date,
    /// Whether its day has not passed. Nothing is accepted before somebody who has a clock says so.
    #[serde(default)]
    pub live: bool,
    /// Its line in the site file.
    #[serde(default)]
    pub line: usize,
}

impl Acceptance {
    /// Returns the check that it names, where it names one.
    pub fn check(&self) -> Option<&str> {
        match self.id.split_once('/') {
            Some((check, _)) => Some(check),
            None => Some(self.id.as_str()).filter(|id| id.contains('.')),
        }
    }

    /// Returns the cause that it names, where it names one.
    pub fn cause(&self) -> Option<&str> {
        match self.id.split_once('/') {
            Some((_, cause)) => Some(cause),
            None => Some(self.id.as_str()).filter(|id| !id.contains('.')),
        }
    }

    /// Returns it as a person names it.
    pub fn name(&self) -> String {
        let parts = [Some(&self.id), self.host.as_ref(), self.subject.as_ref()];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        parts.join(" ")
    }
}

/// Decodes one, and the place of its host's name.
pub(super) fn acceptance(
    node: &Node,
    problems: &mut Problems,
) -> Option<(Acceptance, Option<(Place, String)>)> {
    let mut map = node.map(problems)?;
    let id = map.required("id", id);
    let host = map.optional("host", placed(text));
    let subject = map.optional("subject", text);
    let reason = map.required("reason", said);
    let by = map.required("by", said);
    let until = map.required("until", day);
    map.finish();
    let place = host.as_ref().map(|host| (host.place, host.value.clone()));
    let acceptance = Acceptance {
        id: id?,
        host: host.map(|host| host.value),
        subject,
        reason: reason?,
        by: by?,
        until: until?,
        live: false,
        line: node.place.line,
    };
    Some((acceptance, place))
}

fn id(node: &Node, problems: &mut Problems) -> Option<String> {
    let said = text(node, problems)?;
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
    };
    let is_id = match said.split_once('/') {
        Some((check, cause)) => plain(check) && check.contains('.') && plain(cause) && !cause.contains('.'),
        None => plain(&said),
    };
    if is_id {
        return Some(said);
    }
    problems.add_with_hint(
        node.place,
        "this is no id of a check or cause; there are no patterns here",
        "write it as reports do: certs.files/cert-expired, cert-expired or certs.files",
    );
    None
}

/// Decodes a text that says something.
fn said(node: &Node, problems: &mut Problems) -> Option<String> {
    let said = text(node, problems)?;
    let said = said.trim();
    if said.is_empty() {
        problems.add(
            node.place,
            "this must say something: whoever reads the report will ask",
        );
        return None;
    }
    Some(said.to_owned())
}

fn day(node: &Node, problems: &mut Problems) -> Option<Date> {
    let said = node.scalar().unwrap_or_default();
    let day: Option<Date> = said.parse().ok();
    // Nothing but YYYY-MM-DD: everybody reads that alike.
    let day = day.filter(|day| day.to_string() == said);
    if day.is_none() {
        problems.add_with_hint(
            node.place,
            "this is no day",
            "write the last day as YYYY-MM-DD, for example 2027-03-31",
        );
    }
    day
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::site::{Site, parse};

    fn site(accept: &str) -> Result<Site, String> {
        let text = format!(
            "apiVersion: site/v1\nkubeconfig: k\nhosts:\n- {{name: a, address: 10.0.0.1, roles: [worker]}}\naccept:\n- {accept}\n"
        );
        parse("site.yaml", &text, Path::new("")).map_err(|error| error.to_string())
    }

    #[test]
    fn all_three_ways_to_name_a_finding_are_read() {
        for (id, check, cause) in [
            (
                "certs.files/cert-expired",
                Some("certs.files"),
                Some("cert-expired"),
            ),
            ("cert-expired", None, Some("cert-expired")),
            ("certs.files", Some("certs.files"), None),
        ] {
            let one = format!("{{id: {id}, host: a, reason: why, by: me, until: 2027-03-31}}");
            let site = site(&one).unwrap();
            let read = &site.accept[0];
            assert_eq!((read.check(), read.cause()), (check, cause));
            assert!(!read.live && read.line == 6, "{read:?}");
        }
    }

    #[test]
    fn nothing_is_accepted_without_a_reason_a_name_and_a_day_nor_by_a_pattern() {
        for (accept, part) in [
            (
                "{id: a.b, host: a, by: me, until: 2027-03-31}",
                "\"reason\" is missing",
            ),
            (
                "{id: a.b, host: a, reason: x, until: 2027-03-31}",
                "\"by\" is missing",
            ),
            ("{id: a.b, host: a, reason: x, by: me}", "\"until\" is missing"),
            (
                "{id: a.b, host: a, reason: ' ', by: me, until: 2027-03-31}",
                "must say something",
            ),
            (
                "{id: 'a.*', host: a, reason: x, by: me, until: 2027-03-31}",
                "no patterns",
            ),
            (
                "{id: a.b, host: '*', reason: x, by: me, until: 2027-03-31}",
                "no host of this file",
            ),
            (
                "{id: a.b, host: a, reason: x, by: me, until: 2027-02-30}",
                "this is no day",
            ),
            (
                "{id: a.b, host: a, reason: x, by: me, until: 20270331}",
                "this is no day",
            ),
            (
                "{id: a.b, host: a, reason: x, by: me, until: never}",
                "this is no day",
            ),
        ] {
            let error = site(accept).unwrap_err();
            assert!(error.contains(part), "{accept}: {error}");
        }
    }
}
