//! What of the stored objects is not as the API servers would write it now. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::resources::{Resource, has_group_wildcard, is_internal, writers};
use super::{Facts, Rules, Stored};
use crate::findings::{Finding, Judged, Unjudged, cause};
use crate::protocol::{
    EncryptionEntry, EncryptionRulesReply, EtcdObjectsReply, KMS_V2, StoredGroup, kms_key, kms_writers,
    writer_label,
};
use crate::site::{Encryption, Site};

/// Stands for no provider where a person reads it.
const IDENTITY: &str = "identity";
const SECRETS: &str = "secrets";

/// A host whose API server says what it encrypts.
type Server<'a> = (&'a str, &'a [EncryptionEntry]);

pub(super) fn judge(facts: &Facts, site: &Site) -> Judged {
    let mut findings = Vec::new();
    let mut servers: Vec<Server<'_>> = Vec::new();
    for (host, rules) in &facts.hosts {
        match rules {
            Rules::Stopped => {}
            Rules::Unasked(cause) => findings.push(Finding::error(cause.clone()).of(host)),
            Rules::Given(EncryptionRulesReply::Unread { reason }) => {
                findings.push(Finding::error(cause::EncryptionUnread { host, reason }).of(host));
            }
            Rules::Given(EncryptionRulesReply::Absent) => servers.push((host, &[])),
            Rules::Given(EncryptionRulesReply::Rules { entries }) => servers.push((host, entries)),
        }
    }
    if servers.is_empty() {
        return match (findings.is_empty(), facts.hosts.keys().next()) {
            (false, _) => Ok(findings),
            (true, Some(host)) => Err(Unjudged::skip(cause::ApiserverStopped { host })),
            (true, None) => Err(Unjudged::skip(cause::EncryptionNotConfigured)),
        };
    }
    match &facts.stored {
        // Nothing is told to be encrypted by those that could be asked.
        Stored::Unasked if findings.is_empty() => {
            return Err(Unjudged::skip(cause::EncryptionNotConfigured));
        }
        Stored::Unasked => {}
        Stored::Unreadable { host, message } => {
            findings.push(Finding::error(cause::EtcdUnreachable { host, message }));
        }
        Stored::Read(reply) => findings.extend(of_stored(reply, &servers, site)),
    }
    Ok(findings)
}

fn of_stored(reply: &EtcdObjectsReply, servers: &[Server<'_>], site: &Site) -> Vec<Finding> {
    let prefix = &site.etcd.prefix;
    if reply.total == 0 {
        // A cluster has namespaces at least.
        return vec![Finding::error(cause::EtcdHoldsNothing {
            prefix,
            endpoint: &reply.endpoint,
        })];
    }
    let mut findings = Vec::new();
    if !reply.whole {
        findings.push(Finding::error(cause::ObjectsUnread {
            looked_at: &reply.looked_at,
        }));
    }
    let named = servers.iter().flat_map(|(_, entries)| entries.iter());
    let named = named.flat_map(|entry| &entry.resources);
    let named = named.filter_map(|name| Resource::named(name).paths()).flatten();
    let found = reply.groups.iter().map(|group| group.path.clone());
    let paths: BTreeSet<String> = named.chain(found).filter(|path| !is_internal(path)).collect();
    // What a report has no room for is cut from the end: Secrets come first.
    let mut paths: Vec<String> = paths.into_iter().collect();
    paths.sort_by_key(|path| path != SECRETS);
    let kms = kms_writers(&reply.groups);
    for path in &paths {
        let wanted = Wanted::of(path, servers, site, &kms);
        findings.extend(wanted.configured(path));
        let groups = reply.groups.iter().filter(|group| group.path == *path);
        findings.extend(groups.flat_map(|group| wanted.judge(group)));
    }
    findings
}

/// What the API servers say of one resource.
struct Wanted<'a> {
    /// What each writes with, by its host.
    first: Vec<(&'a str, &'a str)>,
    /// What any can read.
    known: BTreeSet<&'a str>,
    /// What the site file expects of it.
    expected: Option<&'a Encryption>,
    /// Whether nobody knows which group it is of, and that matters.
    unknown: bool,
    /// What stands before values since each KMS used another key last, by what servers were told of it.
    kms: &'a BTreeMap<&'a str, &'a str>,
}

impl<'a> Wanted<'a> {
    fn of(path: &str, servers: &[Server<'a>], site: &'a Site, kms: &'a BTreeMap<&'a str, &'a str>) -> Self {
        let resource = Resource::at(path);
        let named = |entries: &[EncryptionEntry]| {
            let mut names = entries.iter().flat_map(|entry| &entry.resources);
            names.any(|name| {
                let paths = Resource::named(name).paths();
                paths.is_some_and(|paths| paths.iter().any(|own| own == path))
            })
        };
        let mut wanted = Self {
            first: Vec::new(),
            known: BTreeSet::new(),
            expected: site.expect.encryption.as_ref(),
            unknown: false,
            kms,
        };
        wanted.expected = wanted
            .expected
            .filter(|expected| path == SECRETS && expected.provider != "none");
        for (host, entries) in servers {
            let own = match resource {
                // A resource that is named and not known here lies where its name says.
                None if named(entries) => writers(entries, Some(Resource::named(path))),
                resource => {
                    wanted.unknown |= resource.is_none() && has_group_wildcard(entries);
                    writers(entries, resource)
                }
            };
            wanted
                .first
                .push((host, own.first().copied().unwrap_or_default()));
            wanted.known.extend(own);
        }
        wanted
    }

    /// Returns whether any server encrypts it, or could read it encrypted.
    fn is_encrypted(&self) -> bool {
        self.known.iter().any(|writer| !writer.is_empty())
    }

    /// Returns what is wrong with the configurations themselves.
    fn configured(&self, path: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.is_encrypted() {
            return findings;
        }
        let distinct: BTreeSet<&str> = self.first.iter().map(|(_, writer)| *writer).collect();
        if distinct.len() > 1 {
            let views = self.first.iter();
            let views: Vec<String> = views
                .map(|(host, writer)| format!("{host}: {}", writer_label(writer)))
                .collect();
            findings.push(
                Finding::fail(cause::EncryptionDiffers {
                    resource: &path,
                    views: &views.join(", "),
                })
                .of(path),
            );
        }
        for (host, _) in self.first.iter().filter(|(_, writer)| writer.is_empty()) {
            let identity = cause::EncryptionIdentityFirst {
                resource: &path,
                host,
            };
            findings.push(if path == SECRETS {
                Finding::fail(identity).of(path)
            } else {
                Finding::warn(identity).of(path)
            });
        }
        findings
    }

    /// Returns what is wrong with the objects of a group.
    fn judge(&self, group: &StoredGroup) -> Vec<Finding> {
        if self.unknown && !self.is_encrypted() {
            let path = &group.path;
            return vec![Finding::error(cause::StoredUnknownResource { path }).of(path)];
        }
        let (told, key) = kms_key(&group.writer);
        let is_written = self.is_current(told);
        let is_last = !told.starts_with(KMS_V2) || self.kms.get(told) == Some(&group.writer.as_str());
        if !self.is_encrypted() || (is_written && is_last) {
            return Vec::new();
        }
        let (found, expected) = (writer_label(&group.writer), self.current());
        let (found, expected) = (&found, &expected);
        let is_unsaid = is_written && key.is_none();
        let named = group.named.iter().map(|object| {
            let finding = if is_unsaid {
                Finding::error(cause::StoredKeyUnsaid { object, found })
            } else if group.writer.is_empty() {
                Finding::fail(cause::StoredPlaintext { object, expected })
            } else if self.known.contains(told) {
                Finding::fail(cause::StoredOldKey {
                    object,
                    found,
                    expected,
                })
            } else {
                Finding::fail(cause::StoredUnknownKey {
                    object,
                    found,
                    expected,
                })
            };
            finding.of(object)
        });
        let mut findings: Vec<Finding> = named.collect();
        let more = group.count.saturating_sub(group.named.len() as u64);
        if more > 0 {
            let resource = &group.path;
            let of_all = cause::StoredMore {
                resource,
                found,
                expected,
                count: &group.count,
            };
            findings.insert(0, Finding::fail(of_all).of(resource));
        }
        findings
    }

    /// Returns whether this is how such an object is written now. What the site file expects of Secrets goes before what the
    /// API servers were told.
    fn is_current(&self, writer: &str) -> bool {
        let written = self.writes(writer);
        let Some(expected) = self.expected else {
            return written;
        };
        // What the site file leaves open is the API servers' to say: the key of a provider, the version of a KMS.
        let said = self.first.iter().any(|(_, first)| is(first, expected));
        is(writer, expected) && (written || !said)
    }

    fn writes(&self, writer: &str) -> bool {
        let first = self.first.iter().any(|(_, first)| *first == writer);
        // Where none encrypts any more, what is plaintext is as it is written now: the configuration is told instead.
        first && (!writer.is_empty() || self.first.iter().all(|(_, first)| first.is_empty()))
    }

    /// Returns what writes such an object now.
    fn current(&self) -> String {
        let written = self.first.iter().map(|(_, writer)| *writer);
        let fits = |writer: &&str| self.expected.is_none_or(|expected| is(writer, expected));
        let all: BTreeSet<String> = written
            .filter(|writer| !writer.is_empty())
            .filter(fits)
            .map(|writer| writer_label(self.kms.get(writer).unwrap_or(&writer)))
            .collect();
        match self.expected {
            Some(Encryption { provider, key }) if all.is_empty() => match key {
                Some(key) => format!("{provider}:{key}"),
                None => provider.clone(),
            },
            _ if all.is_empty() => IDENTITY.to_owned(),
            _ => all.into_iter().collect::<Vec<_>>().join(", "),
        }
    }
}

/// Returns whether a value's beginning is that of the expected provider and key.
fn is(writer: &str, expected: &Encryption) -> bool {
    let label = writer_label(writer);
    let (provider, key) = label.split_once(':').unwrap_or((&label, ""));
    provider == expected.provider && expected.key.as_ref().is_none_or(|own| own == key)
}

/// Returns what a person can look at: resource, provider and key, and how many objects.
pub(super) fn lines(facts: &Facts) -> Vec<String> {
    let Stored::Read(reply) = &facts.stored else {
        return Vec::new();
    };
    let line = |group: &StoredGroup| {
        let (path, writer) = (&group.path, writer_label(&group.writer));
        format!("{path:<40} {writer:<28} {:>8}", group.count)
    };
    reply.groups.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
