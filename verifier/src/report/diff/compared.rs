//! The comparison itself: each kind of thing by what makes it the same thing in both reports.

use std::collections::{BTreeMap, BTreeSet};

use cli::Shown;

use super::{
    CertificateChange, CertificateSide, Change, DiffSide, FieldChange, FindingChange, ReportDiff,
    ResultChange, change, why,
};
use crate::certs::Listed;
use crate::findings::{CauseId, Severity};
use crate::report::{CauseEntry, ClusterEntry, HostEntry, Report, ResultEntry, Stored, held};

/// Compares two reports.
pub(in crate::report) fn compare(before: &Stored, after: &Stored) -> ReportDiff {
    let (one, other) = (&before.report, &after.report);
    let uid = |report: &Report| report.cluster.as_ref().and_then(|cluster| cluster.uid.clone());
    let mut hosts = clusters(one, other);
    hosts.extend(all_hosts(one, other));
    let mut all = ReportDiff {
        version: 1,
        before: side(before),
        after: side(after),
        same_cluster: uid(one).zip(uid(other)).map(|(one, other)| one == other),
        results: results(one, other),
        findings: findings(one, other),
        hosts,
        certificates: certificates(one, other),
        images: images(one, other),
    };
    // The worst first; among equals the order of the reports.
    all.results.sort_by_key(|changed| changed.change);
    all.findings.sort_by_key(|changed| changed.change);
    all.certificates.sort_by_key(|changed| changed.change);
    all
}

fn side(stored: &Stored) -> DiffSide {
    let report = &stored.report;
    DiffSide {
        run: report.run.clone(),
        started: report.started.to_string(),
        tool: report.tool.clone(),
        bundle: report.bundle.clone(),
        outcome: report.outcome,
        report: stored.digest.to_string(),
    }
}

/// Puts things of both sides beside each other by their keys, in the order of the later side, then what is gone.
fn beside<'a, K: Ord + Clone, V>(
    before: Vec<(K, &'a V)>,
    after: Vec<(K, &'a V)>,
) -> Vec<(K, Option<&'a V>, Option<&'a V>)> {
    let old: BTreeMap<K, &V> = before.iter().cloned().collect();
    let new: BTreeSet<K> = after.iter().map(|(key, _)| key.clone()).collect();
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for (key, value) in after {
        if seen.insert(key.clone()) {
            let was = old.get(&key).copied();
            all.push((key, was, Some(value)));
        }
    }
    let gone = before.into_iter().filter(|(key, _)| !new.contains(key));
    for (key, value) in gone {
        if seen.insert(key.clone()) {
            all.push((key, Some(value), None));
        }
    }
    all
}

type Of<'a> = (&'a str, Option<&'a str>);

fn of(result: &ResultEntry) -> Of<'_> {
    (&result.id, result.host.as_deref())
}

fn results(before: &Report, after: &Report) -> Vec<ResultChange> {
    let (before, after) = (keyed_results(before), keyed_results(after));
    let changed = |((id, host), was, is): (Of<'_>, Option<&ResultEntry>, Option<&ResultEntry>)| {
        let (one, other) = (was.map(|was| was.outcome), is.map(|is| is.outcome));
        Some(ResultChange {
            change: change(one, other)?,
            id: id.to_owned(),
            host: host.map(str::to_owned),
            before: one,
            after: other,
            text: is.and_then(why).or_else(|| was.and_then(why)),
        })
    };
    beside(before, after).into_iter().filter_map(changed).collect()
}

fn keyed_results(report: &Report) -> Vec<(Of<'_>, &ResultEntry)> {
    report.results.iter().map(|result| (of(result), result)).collect()
}

/// What makes a finding the same in both: figures may differ.
type About<'a> = (Of<'a>, Option<&'a str>, &'a str, Vec<(&'a str, &'a str)>);

/// Checks that look at what the run itself made: its pods and Services have other names and addresses each time.
const OF_THE_RUN: [&str; 5] = ["network.", "service.", "workload.", "kubectl.", "secrets."];
/// What their causes call those.
const MADE: [&str; 8] = [
    "pod", "address", "url", "service", "sandbox", "reason", "secret", "port",
];

fn about<'a>(result: &'a ResultEntry, subject: Option<&'a Shown>, cause: &'a CauseEntry) -> About<'a> {
    let known = CauseId::ALL.iter().find(|id| id.name() == cause.id);
    let figures = known.map_or(&[][..], |id| id.figures());
    let of_the_run = OF_THE_RUN.iter().any(|group| result.id.starts_with(group));
    let made = |name: &str| of_the_run && MADE.contains(&name);
    let own: Vec<&Shown> = cause
        .args
        .iter()
        .filter(|(name, _)| made(name))
        .map(|(_, value)| value)
        .collect();
    let args = cause
        .args
        .iter()
        .filter(|(name, _)| !figures.contains(&name.as_str()) && !made(name));
    let args = args.map(|(name, value)| (name.as_str(), value.as_str()));
    let subject = subject.filter(|subject| !own.contains(subject));
    (of(result), subject.map(Shown::as_str), &cause.id, args.collect())
}

fn findings(before: &Report, after: &Report) -> Vec<FindingChange> {
    let (before, after) = (keyed_findings(before), keyed_findings(after));
    let changed = |(key, was, is): (About<'_>, Option<&Found>, Option<&Found>)| {
        let ((check, host), subject, cause, _) = key;
        let change = match (was, is) {
            (Some(was), Some(is)) if rank(is.0) > rank(was.0) => Change::Worse,
            (Some(was), Some(is)) if rank(is.0) < rank(was.0) => Change::Better,
            (None, Some(_)) => Change::New,
            (Some(_), None) => Change::Gone,
            _ => return None,
        };
        Some(FindingChange {
            change,
            check: check.to_owned(),
            host: host.map(str::to_owned),
            subject: subject.map(str::to_owned),
            cause: cause.to_owned(),
            before: was.map(|was| was.0),
            after: is.map(|is| is.0),
            text: is.or(was).map(|found| found.1.clone()).unwrap_or_default(),
        })
    };
    let one: Vec<_> = before.iter().map(|(key, found)| (key.clone(), found)).collect();
    let other: Vec<_> = after.iter().map(|(key, found)| (key.clone(), found)).collect();
    beside(one, other).into_iter().filter_map(changed).collect()
}

type Found = (Severity, String);

/// Failures come before what could not be looked at, and that before warnings.
const fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Warn => 0,
        Severity::Error => 1,
        Severity::Fail => 2,
    }
}

fn keyed_findings(report: &Report) -> Vec<(About<'_>, Found)> {
    let mut all = Vec::new();
    for result in &report.results {
        for finding in &result.findings {
            let key = about(result, finding.subject.as_ref(), &finding.cause);
            all.push((key, (finding.severity, finding.cause.text.clone())));
        }
    }
    all
}

/// Returns the fields that differ.
fn fields(host: Option<&str>, all: &[(&str, Option<String>, Option<String>)]) -> Vec<FieldChange> {
    let differ = all.iter().filter(|(_, before, after)| before != after);
    let changed = differ.map(|(field, before, after)| FieldChange {
        change: match (before, after) {
            (None, Some(_)) => Change::New,
            (Some(_), None) => Change::Gone,
            _ => Change::Changed,
        },
        host: host.map(str::to_owned),
        field: (*field).to_owned(),
        before: before.clone(),
        after: after.clone(),
    });
    changed.collect()
}

fn clusters(before: &Report, after: &Report) -> Vec<FieldChange> {
    let pair = |name, field: fn(&ClusterEntry) -> Option<String>| {
        let get = |report: &Report| report.cluster.as_ref().and_then(field);
        (name, get(before), get(after))
    };
    fields(
        None,
        &[
            pair("server", |cluster| Some(cluster.server.to_string())),
            pair("version", |cluster| {
                cluster.version.as_ref().map(ToString::to_string)
            }),
            pair("uid", |cluster| cluster.uid.as_ref().map(ToString::to_string)),
            pair("ca", |cluster| cluster.ca.clone()),
            ("bundle", before.bundle.clone(), after.bundle.clone()),
            ("tool", Some(before.tool.clone()), Some(after.tool.clone())),
        ],
    )
}

fn all_hosts(before: &Report, after: &Report) -> Vec<FieldChange> {
    let (one, other) = (keyed_hosts(before), keyed_hosts(after));
    let mut all = Vec::new();
    for (name, was, is) in beside(one, other) {
        let (Some(was), Some(is)) = (was, is) else {
            let address = |host: Option<&HostEntry>| host.map(|host| host.address.to_string());
            all.extend(fields(Some(name), &[("host", address(was), address(is))]));
            continue;
        };
        let text = |text: &Option<Shown>| text.as_ref().map(ToString::to_string);
        all.extend(fields(
            Some(name),
            &[
                (
                    "address",
                    Some(was.address.to_string()),
                    Some(is.address.to_string()),
                ),
                ("node", text(&was.node), text(&is.node)),
                ("roles", Some(was.roles.join(", ")), Some(is.roles.join(", "))),
                ("kubelet", text(&was.kubelet), text(&is.kubelet)),
                ("runtime", text(&was.runtime), text(&is.runtime)),
                ("kernel", text(&was.kernel), text(&is.kernel)),
                ("system", text(&was.system), text(&is.system)),
            ],
        ));
    }
    all
}

fn keyed_hosts(report: &Report) -> Vec<(&str, &HostEntry)> {
    report
        .hosts
        .iter()
        .map(|host| (host.name.as_str(), host))
        .collect()
}

fn certificates(before: &Report, after: &Report) -> Vec<CertificateChange> {
    let side = |listed: &Listed| CertificateSide {
        sha256: listed.sha256.clone(),
        not_after: listed.not_after.to_string(),
        standing: listed.standing,
    };
    let changed = |((place, host), was, is): (Of<'_>, Option<&Listed>, Option<&Listed>)| {
        let change = match (was, is) {
            (None, Some(_)) => Change::New,
            (Some(_), None) => Change::Gone,
            (Some(was), Some(is)) if is.standing > was.standing => Change::Worse,
            (Some(was), Some(is)) if was.sha256 != is.sha256 && later(was, is) => Change::Renewed,
            (Some(was), Some(is)) if was.sha256 != is.sha256 => Change::Changed,
            (Some(was), Some(is)) if is.standing < was.standing => Change::Better,
            _ => return None,
        };
        Some(CertificateChange {
            change,
            host: host.map(str::to_owned),
            place: place.to_owned(),
            subject: is
                .or(was)
                .map(|listed| listed.subject.to_string())
                .unwrap_or_default(),
            before: was.map(side),
            after: is.map(side),
        })
    };
    beside(keyed_certificates(before), keyed_certificates(after))
        .into_iter()
        .filter_map(changed)
        .collect()
}

/// Returns whether the second is a later certificate of the same name.
fn later(was: &Listed, is: &Listed) -> bool {
    was.subject == is.subject && is.not_after.as_str() > was.not_after.as_str()
}

fn keyed_certificates(report: &Report) -> Vec<(Of<'_>, &Listed)> {
    report
        .certificates
        .iter()
        .map(|listed| ((listed.place.as_str(), listed.host.as_deref()), listed))
        .collect()
}

fn images(before: &Report, after: &Report) -> Vec<FieldChange> {
    let all = |report: &Report| -> BTreeMap<(String, String), Option<String>> {
        let of = report.results.iter().filter(|result| result.id == held::CHECK);
        let each = of.flat_map(|result| {
            let host = result.host.as_deref().unwrap_or_default();
            held::held(result)
                .map(move |(name, id)| ((host.to_owned(), name.to_owned()), id.map(str::to_owned)))
        });
        each.collect()
    };
    let (one, other) = (all(before), all(after));
    let keys: BTreeSet<&(String, String)> = one.keys().chain(other.keys()).collect();
    let mut changed = Vec::new();
    for key in keys {
        let id = |all: &BTreeMap<(String, String), Option<String>>| all.get(key).cloned().flatten();
        changed.extend(fields(Some(&key.0), &[(key.1.as_str(), id(&one), id(&other))]));
    }
    changed.extend(audited_images(before, after));
    changed
}

/// Returns the images that an audit listed otherwise: their content, and how they stand. Where only one of the two is of an
/// audit of images there is nothing to compare.
fn audited_images(before: &Report, after: &Report) -> Vec<FieldChange> {
    if before.images.is_empty() || after.images.is_empty() {
        return Vec::new();
    }
    let (one, other) = (keyed_images(before), keyed_images(after));
    let keys: BTreeSet<&(String, String)> = one.keys().chain(other.keys()).collect();
    let changed = keys.into_iter().flat_map(|key| {
        let (was, is) = (one.get(key).cloned(), other.get(key).cloned());
        fields(Some(&key.0), &[(key.1.as_str(), was, is)])
    });
    changed.collect()
}

/// Returns what stands for each name on each host.
fn keyed_images(report: &Report) -> BTreeMap<(String, String), String> {
    let all = report.images.iter().flat_map(|listed| {
        let id = listed.id.as_deref().unwrap_or("-");
        let mut text = format!("{id} {}", listed.standing.word());
        for cause in &listed.causes {
            text = text + " " + cause;
        }
        // One without a tag is known by its digests, one without both by its id.
        let names: Vec<&Shown> = if listed.names.is_empty() {
            listed
                .digests
                .iter()
                .chain(listed.id.iter().filter(|_| listed.digests.is_empty()))
                .collect()
        } else {
            listed.names.iter().collect()
        };
        let namespace = listed.namespace.as_deref().filter(|name| *name != "k8s.io");
        let keyed = names.into_iter().map(move |name| {
            let name = namespace.map_or_else(|| name.to_string(), |namespace| format!("{namespace}: {name}"));
            ((listed.host.to_string(), name), text.clone())
        });
        keyed.collect::<Vec<_>>()
    });
    all.collect()
}
