//! `etcd.backup-age`: the newest file where the site keeps its backups is a whole snapshot, and young enough. It is read on the
//! host that has it.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::snapshot::problem;
use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::protocol::{Backup, BackupFile, BackupReply, RefusalKind};
use crate::site::BackupPlace;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

/// How much of the longest wait is left for the way of the answer.
const WAY: Duration = Duration::from_secs(5);
/// Two clocks may differ by so many seconds.
const SKEW: i64 = 60;

pub(super) const CHECK: Check = Check::of::<BackupAge>("etcd.backup-age", Scope::Cluster).confirmed();

struct BackupAge;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Facts {
    /// There is no such directory.
    Missing,
    /// It was looked at.
    Read(Box<BackupReply>),
}

impl Probe for BackupAge {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let place = place(&ctx.site)?;
        let wait = ctx.limits.timeout;
        let ask = Backup {
            directory: place.directory.clone(),
            prefix: ctx.site.etcd.prefix.clone(),
            millis: u64::try_from(wait.saturating_sub(WAY).max(wait / 2).as_millis()).unwrap_or(u64::MAX),
        };
        match ctx.ask(&place.host, ask).await {
            Ok(reply) => Ok(Facts::Read(Box::new(reply))),
            Err(failure) if failure.kind() == Some(RefusalKind::Absent) => Ok(Facts::Missing),
            Err(failure) => Err(failure.into()),
        }
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let place = place(expect.site)?;
        let (host, directory) = (&place.host, &place.directory);
        let reply = match facts {
            Facts::Missing => {
                return Ok(vec![Finding::fail(cause::BackupDirectoryMissing {
                    host,
                    directory,
                })]);
            }
            Facts::Read(reply) => reply,
        };
        let Some(newest) = &reply.newest else {
            return Ok(vec![Finding::fail(cause::BackupNone { host, directory })]);
        };
        let file = &format!("{directory}/{}", newest.name);
        let mut findings = whole(newest, host, file);
        findings.extend(age(newest, reply.now, place, file));
        Ok(findings.into_iter().map(|finding| finding.of(file)).collect())
    }

    fn evidence(facts: &Facts, expect: &Expect<'_>) -> Vec<Evidence> {
        let (Facts::Read(reply), Ok(place)) = (facts, place(expect.site)) else {
            return Vec::new();
        };
        let title = phrase::Backups {
            host: &place.host,
            directory: &place.directory,
        };
        let newest = reply.newest.iter().map(|file| {
            let time = jiff::Timestamp::from_second(file.modified).unwrap_or_default();
            Line::from(format!("{}  {time}  {} bytes", file.name, file.bytes))
        });
        let growing = reply
            .growing
            .iter()
            .map(|file| Line::said(phrase::BackupGrows { file }));
        Evidence::lines(title, newest.chain(growing))
            .into_iter()
            .collect()
    }
}

fn place(site: &crate::site::Site) -> Result<&BackupPlace, Unjudged> {
    let named = site.expect.backup.as_ref();
    named.ok_or_else(|| Unjudged::skip(cause::BackupNotNamed))
}

fn whole(newest: &BackupFile, host: &str, file: &str) -> Vec<Finding> {
    let (host, file) = (&host, &file);
    match (&newest.facts, &newest.broken) {
        (Some(facts), _) if facts.is_whole() => Vec::new(),
        (Some(facts), _) if facts.unread => vec![Finding::error(cause::BackupUnread { host, file })],
        (Some(facts), _) if is_other(newest, facts.page_size) => {
            vec![Finding::error(cause::BackupPacked { host, file })]
        }
        (Some(facts), _) => {
            let problem = &problem(facts);
            vec![Finding::fail(cause::BackupDamaged { host, file, problem })]
        }
        (None, Some(problem)) => vec![Finding::fail(cause::BackupDamaged {
            host,
            file,
            problem: &problem.as_str(),
        })],
        (None, None) => vec![Finding::error(cause::BackupUnread { host, file })],
    }
}

/// Returns whether a file is packed in a way that is not unpacked here, by its name.
fn is_other(file: &BackupFile, page_size: u64) -> bool {
    let endings = [
        ".zip", ".tar", ".tgz", ".tar.gz", ".bz2", ".xz", ".lz4", ".gpg", ".age", ".enc",
    ];
    page_size == 0 && file.bytes > 0 && endings.iter().any(|end| file.name.ends_with(end))
}

/// Returns that a backup is too old: by its file's time, or by what is in it, which a copy does not renew.
fn age(newest: &BackupFile, now: i64, place: &BackupPlace, file: &str) -> Option<Finding> {
    let (host, file) = (&place.host, &file);
    let most = i64::try_from(place.max_age.as_secs()).unwrap_or(i64::MAX);
    let text = |seconds: i64| format!("{:#}", SignedDuration::from_secs(seconds));
    let since = now - newest.modified;
    let taken = newest.facts.as_ref().and_then(|facts| facts.renewed);
    if since < -SKEW {
        return Some(Finding::error(cause::BackupOfTomorrow { host, file }));
    }
    let most_text = &text(most);
    if since > most {
        return Some(Finding::fail(cause::BackupOld {
            host,
            file,
            most: most_text,
            age: &text(since),
        }));
    }
    let taken = now - taken?;
    (taken > most.saturating_add(SKEW)).then(|| {
        Finding::fail(cause::BackupContentOld {
            host,
            file,
            most: most_text,
            age: &text(taken),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};
    use crate::protocol::{SnapshotFacts, SnapshotHash, SnapshotPacked};
    use crate::site::Site;

    const NOW: i64 = 1_764_500_000;

    fn named() -> Site {
        let mut site = site();
        site.expect.backup = Some(BackupPlace {
            host: "server".to_owned(),
            directory: "/var/backups/etcd".to_owned(),
            max_age: Duration::from_hours(26),
        });
        site
    }

    fn file() -> BackupFile {
        BackupFile {
            name: "2026-11-30.db".to_owned(),
            modified: NOW - 3600,
            bytes: 4_000_032,
            packed: SnapshotPacked::No,
            facts: Some(SnapshotFacts {
                hash: SnapshotHash::Right,
                page_size: 4096,
                keys: 300,
                renewed: Some(NOW - 3600),
                ..SnapshotFacts::default()
            }),
            broken: None,
        }
    }

    fn outcome(change: impl FnOnce(&mut BackupReply)) -> (Outcome, Option<CauseId>) {
        let mut reply = BackupReply {
            now: NOW,
            files: 3,
            newest: Some(file()),
            growing: None,
        };
        change(&mut reply);
        judged::<BackupAge>(&Facts::Read(Box::new(reply)), &expect(&named(), "server"))
    }

    fn of_file(change: impl FnOnce(&mut BackupFile)) -> (Outcome, Option<CauseId>) {
        outcome(|reply| change(reply.newest.as_mut().unwrap()))
    }

    #[test]
    fn a_young_and_whole_backup_passes_and_others_fail() {
        assert_eq!(of_file(|_| {}), (Outcome::Pass, None));
        let fail = |cause| (Outcome::Fail, Some(cause));
        let hours = |hours: i64| NOW - hours * 3600;
        assert_eq!(
            of_file(|file| file.modified = hours(27)),
            fail(CauseId::BackupOld)
        );
        let content = |file: &mut BackupFile| file.facts.as_mut().unwrap().renewed = Some(hours(27));
        assert_eq!(of_file(content), fail(CauseId::BackupContentOld));
        let unknown = |file: &mut BackupFile| file.facts.as_mut().unwrap().renewed = None;
        assert_eq!(of_file(unknown).0, Outcome::Pass);
        let damaged = |file: &mut BackupFile| file.facts.as_mut().unwrap().hash = SnapshotHash::Wrong;
        assert_eq!(of_file(damaged), fail(CauseId::BackupDamaged));
        let broken = |file: &mut BackupFile| {
            file.facts = None;
            file.broken = Some("corrupt deflate stream".into());
        };
        assert_eq!(of_file(broken), fail(CauseId::BackupDamaged));
        assert_eq!(outcome(|reply| reply.newest = None), fail(CauseId::BackupNone));
        let missing = judged::<BackupAge>(&Facts::Missing, &expect(&named(), "server"));
        assert_eq!(missing, fail(CauseId::BackupDirectoryMissing));
    }

    #[test]
    fn what_is_not_known_never_passes() {
        let error = |cause| (Outcome::Error, Some(cause));
        assert_eq!(of_file(|file| file.facts = None), error(CauseId::BackupUnread));
        let large = |file: &mut BackupFile| file.facts.as_mut().unwrap().unread = true;
        assert_eq!(of_file(large), error(CauseId::BackupUnread));
        assert_eq!(
            of_file(|file| file.modified = NOW + 7200),
            error(CauseId::BackupOfTomorrow)
        );
        let zip = |file: &mut BackupFile| {
            file.name = "etcd-snapshot-server-1764500000.zip".to_owned();
            file.facts = Some(SnapshotFacts {
                hash: SnapshotHash::Wrong,
                ..SnapshotFacts::default()
            });
        };
        assert_eq!(of_file(zip), error(CauseId::BackupPacked));
        let not_named = judged::<BackupAge>(&Facts::Missing, &expect(&site(), "server"));
        assert_eq!(not_named, (Outcome::Skip, Some(CauseId::BackupNotNamed)));
    }
}
