//! Files of facts against a site: which host each one is of, which of them are judged, and what is wrong with the rest. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use cli::chain;
use jiff::{SignedDuration, Timestamp};

use crate::cluster::Identity;
use crate::findings::{Evidence, Finding, Line, cause, phrase};
use crate::gathered::{Gathered, GatheredError, Header};
use crate::site::{Host, Site};

/// Hosts that were looked at further apart than this are not in one state.
const APART: SignedDuration = SignedDuration::from_hours(1);
/// Who judges what is older than this is told.
const OLD: SignedDuration = SignedDuration::from_hours(24 * 7);
/// A clock may be so much ahead before its times are doubted.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// A file that was given.
pub struct FactsFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says, or why it says nothing.
    pub read: Result<Gathered, GatheredError>,
}

/// The files of a site.
pub(super) struct Past<'a> {
    /// The file of each host that has one, by the hosts' names.
    pub(super) of: BTreeMap<String, &'a FactsFile>,
    /// What is wrong with files, and with all of them together.
    pub(super) findings: Vec<Finding>,
    /// What is wrong with the file of a host.
    pub(super) of_hosts: BTreeMap<String, Vec<Finding>>,
}

/// Returns the host of a site that a file is of; none where it is of none.
pub(super) fn owner<'a>(header: &Header, site: &'a Site) -> Option<&'a Host> {
    let is = |host: &Host, name: &str| {
        host.name.eq_ignore_ascii_case(name) || host.node().eq_ignore_ascii_case(name)
    };
    if let Some(name) = &header.name {
        return site.hosts.iter().find(|host| is(host, name));
    }
    let hostname = header.host.hostname.as_str();
    let short = hostname.split('.').next().unwrap_or_default();
    let named = |name: &str| site.hosts.iter().find(|host| is(host, name));
    named(hostname).or_else(|| named(short)).or_else(|| {
        let mut there = site.hosts.iter().filter(|host| is_at(host, &header.addresses));
        let first = there.next();
        first.filter(|_| there.next().is_none())
    })
}

/// Returns whether a host is at one of these addresses.
fn is_at(host: &Host, addresses: &[IpAddr]) -> bool {
    let login: Option<IpAddr> = host.address.parse().ok();
    let mut own = host.ips().into_iter().chain(login);
    own.any(|ip| !ip.is_loopback() && addresses.contains(&ip))
}

/// Returns which files are judged, and what is wrong with the others. `now` is the time of who judges.
pub(super) fn sort<'a>(files: &'a [FactsFile], site: &Site, now: Timestamp) -> Past<'a> {
    let mut past = Past {
        of: BTreeMap::new(),
        findings: Vec::new(),
        of_hosts: BTreeMap::new(),
    };
    for file in files {
        let path = &file.path.display();
        match &file.read {
            Ok(gathered) => past.take(file, gathered, site),
            Err(error) => {
                let bad = cause::FactsBad {
                    file: path,
                    reason: &chain(error),
                };
                past.findings.push(Finding::error(bad).of(path));
            }
        }
    }
    for host in &site.hosts {
        if !past.of.contains_key(&host.name) {
            let missing = Finding::error(cause::FactsMissing { host: &host.name });
            past.of_hosts.entry(host.name.clone()).or_default().push(missing);
        }
    }
    past.of_times(now);
    past
}

impl<'a> Past<'a> {
    fn take(&mut self, file: &'a FactsFile, gathered: &'a Gathered, site: &Site) {
        let header = &gathered.header;
        let path = &file.path.display();
        let Some(host) = owner(header, site) else {
            let stranger = cause::FactsOfStranger {
                file: path,
                hostname: &header.name.as_ref().unwrap_or(&header.host.hostname),
            };
            return self.findings.push(Finding::error(stranger).of(path));
        };
        let known = host.address.parse::<IpAddr>().is_ok() || !host.node_ips.is_empty();
        let said = header.name.is_some();
        if known && !said && !header.addresses.is_empty() && !is_at(host, &header.addresses) {
            let addresses: Vec<String> = header
                .addresses
                .iter()
                .filter(|address| !address.is_loopback())
                .map(ToString::to_string)
                .collect();
            let other = cause::FactsOfAnotherHost {
                file: path,
                host: &host.name,
                address: &host.address,
                addresses: &addresses.join(", "),
            };
            return self.findings.push(Finding::error(other).of(path));
        }
        let Some(before) = self.of.insert(host.name.clone(), file) else {
            return;
        };
        let Ok(other) = &before.read else { return };
        if other.digest == gathered.digest {
            return;
        }
        // The younger one is judged.
        let (used, unused) = if other.ended > gathered.ended {
            self.of.insert(host.name.clone(), before);
            (before, file)
        } else {
            (file, before)
        };
        let twice = cause::FactsTwice {
            host: &host.name,
            used: &used.path.display(),
            other: &unused.path.display(),
        };
        let found = Finding::warn(twice).of(unused.path.display());
        self.of_hosts.entry(host.name.clone()).or_default().push(found);
    }

    /// Returns the files that are judged, by the hosts' names.
    pub(super) fn used(&self) -> impl Iterator<Item = (&str, &'a Gathered)> {
        self.of
            .iter()
            .filter_map(|(host, file)| Some((host.as_str(), file.read.as_ref().ok()?)))
    }

    /// Says what is wrong with the times of the files.
    fn of_times(&mut self, now: Timestamp) {
        let times: BTreeMap<Timestamp, String> = self
            .used()
            .map(|(host, gathered)| (gathered.ended, host.to_owned()))
            .collect();
        let (Some((first, early)), Some((last, late))) = (times.first_key_value(), times.last_key_value())
        else {
            return;
        };
        if last.duration_since(*first) > APART {
            self.findings.push(Finding::warn(cause::FactsApart {
                first: &shown(*first),
                early,
                last: &shown(*last),
                late,
            }));
        }
        for (at, host) in &times {
            let found = if at.duration_since(now) > AHEAD {
                Finding::warn(cause::FactsAhead {
                    host,
                    at: &shown(*at),
                    now: &shown(now),
                })
            } else if now.duration_since(*at) > OLD {
                let days = &(now.duration_since(*at).as_hours() / 24);
                Finding::warn(cause::FactsOld {
                    host,
                    at: &shown(*at),
                    days,
                })
            } else {
                continue;
            };
            self.of_hosts.entry(host.clone()).or_default().push(found);
        }
    }

    /// Returns the time of what is judged: that of the youngest file, but none to come.
    pub(super) fn time(&self, now: Timestamp) -> Timestamp {
        let last = self.used().map(|(_, gathered)| gathered.ended).max();
        last.map_or(now, |last| last.min(now))
    }
}

/// Returns the file whose API server is judged, and what is wrong where they tell of several clusters.
pub(super) fn api<'a>(
    asked: &[(&str, &'a Gathered, Option<Identity>)],
) -> Result<Option<&'a Gathered>, Box<Finding>> {
    let uids: BTreeSet<&str> = asked
        .iter()
        .filter_map(|(_, _, identity)| identity.as_ref()?.uid.as_deref())
        .collect();
    if uids.len() > 1 {
        let hosts: Vec<&str> = asked.iter().map(|(host, _, _)| *host).collect();
        let two = cause::FactsOfTwoClusters {
            hosts: &hosts.join(", "),
        };
        return Err(Box::new(Finding::error(two)));
    }
    // One that answered, and of these the youngest.
    let best = asked
        .iter()
        .max_by_key(|(_, gathered, identity)| (identity.is_some(), gathered.ended));
    Ok(best.map(|(_, gathered, _)| *gathered))
}

/// Returns what a person can look at: who gathered the file of a host, when and with what.
pub(super) fn evidence(file: &FactsFile) -> Option<Evidence> {
    let gathered = file.read.as_ref().ok()?;
    let Header {
        host,
        user,
        began,
        api,
        ..
    } = &gathered.header;
    let lines = [
        Line::said(phrase::FactsFileLine {
            file: &file.path.display(),
            digest: &gathered.digest,
        }),
        Line::said(phrase::FactsByLine {
            user,
            uid: &host.uid,
            hostname: &host.hostname,
            tool: &gathered.header.tool(),
        }),
        Line::said(phrase::FactsWhenLine {
            began: &shown(*began),
            ended: &shown(gathered.ended),
        }),
        Line::said(if *api {
            phrase::FactsWithApi.into()
        } else {
            crate::findings::Phrase::from(phrase::FactsWithoutApi)
        }),
    ];
    Evidence::lines(phrase::FactsFile, lines)
}

fn shown(time: Timestamp) -> String {
    time.strftime("%FT%TZ").to_string()
}
