//! `certs.files`: every certificate and key that lies on a host, and every relation between them.

mod believers;
mod chains;
mod dates;
mod front_proxy;
mod holdings;
mod keys;
mod kubeconfigs;
mod names;
#[cfg(test)]
mod tests;
mod tokens;

use std::time::Duration;

use super::view::{Facts, View};
use crate::certs::{Age, Days, Elsewhere, Listed, Moment, Standing};
use crate::distribution::Distribution;
use crate::findings::{Evidence, Finding, Judged, Outcome, Phrase, Unjudged, Verdict, cause, phrase};
use crate::images::HostImages;
use crate::protocol::{CertificateFile, CertificatesReply};
use crate::suite::{Check, Ctx, Expect, Lists, Member, Probe, Row, Scope};

pub(super) const CHECK: Check = Check::of::<Files>("certs.files", Scope::Host).listed::<Files>();

/// More certificates of one host are not listed.
const LISTED: usize = 4096;

struct Files;

impl Probe for Files {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = &ctx.host(member)?.name;
        let inventory = ctx.fixtures().certificates(ctx).await;
        let own = inventory.of(host)?.as_ref().clone();
        Ok(Facts::at(ctx.now(), ctx.days, own, inventory.elsewhere(host)))
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = expect.host()?;
        let view = facts.view(&host.name, Some(host));
        if facts.own.files.is_empty() && facts.own.programs.is_empty() && facts.own.unread.is_empty() {
            return Err(Unjudged::error(cause::CertsNone { host: &host.name }));
        }
        Ok(findings(&view))
    }

    fn evidence(facts: &Facts, expect: &Expect<'_>) -> Vec<Evidence> {
        shown(&Self::list(facts, expect))
    }
}

impl Lists for Files {
    fn list(facts: &Facts, expect: &Expect<'_>) -> Vec<Listed> {
        let Some(host) = expect.host else {
            return Vec::new();
        };
        listed(&facts.view(&host.name, Some(host)))
    }
}

/// Returns the row of files that somebody named, all of which are taken for used but for what is old by its name.
pub fn named(reply: &CertificatesReply, path: &str, now: i64, days: Days) -> Row {
    let elsewhere = Elsewhere::default();
    let view = View::new(reply, &elsewhere, path, None, Moment { now, days });
    let judged = if reply.files.is_empty() && reply.unread.is_empty() {
        Err(Unjudged::error(cause::CertsNotThere { path: &path }))
    } else {
        Ok(findings(&view))
    };
    let certificates = listed(&view);
    Row {
        id: CHECK.id,
        host: None,
        took: Duration::ZERO,
        verdict: Verdict::of(judged, shown(&certificates)),
        seen: None,
        distribution: Distribution::default(),
        by_hand: Some(by_hand(reply, path)),
        certificates,
        images: HostImages::default(),
    }
}

/// Returns how a person looks at what was named.
fn by_hand(reply: &CertificatesReply, path: &str) -> Phrase {
    let is_kubeconfig = |file: &CertificateFile| file.path == path && file.kubeconfig.is_some();
    if reply.files.iter().any(is_kubeconfig) {
        phrase::ByHandKubeconfig { path: &path }.into()
    } else {
        phrase::ByHandBelow { path: &path }.into()
    }
}

/// Returns what is wrong with what a host has.
pub(super) fn findings(view: &View<'_>) -> Vec<Finding> {
    let mut found = holdings::judge(view);
    found.extend(dates::judge(view));
    found.extend(keys::judge(view));
    found.extend(chains::judge(view));
    found.extend(names::judge(view));
    found.extend(front_proxy::judge(view));
    found.extend(kubeconfigs::judge(view));
    found.extend(tokens::judge(view));
    found
}

/// Returns every certificate that a host has, each with how it stands.
pub(super) fn listed(view: &View<'_>) -> Vec<Listed> {
    let found = findings(view);
    let host = view.host.map(|host| host.name.as_str());
    let of_place = |place| {
        let mut listed = Listed::of_place(&view.scene, place, host, view.now)?;
        let own = found
            .iter()
            .filter(|finding| finding.subject.as_ref() == Some(&listed.place));
        let worst = own.map(|finding| finding.severity.outcome()).max();
        let age = view
            .scene
            .certificate(place)
            .map(|certificate| view.days.age(certificate, view.now, false));
        listed.standing = match worst {
            Some(Outcome::Fail) => Standing::Fail,
            Some(Outcome::Error) => Standing::Error,
            Some(_) => Standing::Warn,
            None if place.uses.is_empty() && age != Some(Age::Good) => Standing::Note,
            None => Standing::Good,
        };
        Some(listed)
    };
    view.scene
        .places
        .iter()
        .take(LISTED)
        .filter_map(of_place)
        .collect()
}

/// Returns certificates as evidence, a line each.
pub(super) fn shown(certificates: &[Listed]) -> Vec<Evidence> {
    let lines = certificates.iter().map(line);
    Evidence::lines(phrase::CertificatesThere, lines)
        .into_iter()
        .collect()
}

fn line(listed: &Listed) -> String {
    let users: Vec<&str> = listed.used_by.iter().map(cli::Shown::as_str).collect();
    let users = if users.is_empty() {
        "-".to_owned()
    } else {
        users.join(", ")
    };
    format!(
        "{:5} {} {:>6} d  {}  {}  [{users}]",
        listed.standing.word(),
        listed.not_after,
        listed.days_left,
        listed.place,
        listed.subject
    )
}
