//! Dates: what has ended, is about to, or has not begun; an authority that ends before what it signed; a host whose clock
//! sees it otherwise.

use super::super::view::{View, about};
use crate::certs::{Age, Certificate, Place, Purpose, Signed, date};
use crate::findings::{Cause, Finding, Severity, cause};

/// A clock that is off by less than this says the same of any date.
const SKEW: i64 = 5 * 60;
/// An authority that still has longer than this will be renewed before it matters.
const SOON: i64 = 366;
const DAY: i64 = 24 * 60 * 60;

/// Judges the dates of what is in use.
pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let dates = view
        .in_use()
        .filter_map(|(place, certificate)| of_place(view, place, certificate));
    let clocks = view
        .in_use()
        .filter_map(|(place, certificate)| by_the_host(view, place, certificate));
    dates.chain(clocks).chain(authorities(view)).collect()
}

fn of_place(view: &View<'_>, place: &Place, certificate: &Certificate) -> Option<Finding> {
    let age = view.days.age(certificate, view.now, rotates(view, place));
    let worst = worst(view, place);
    let (path, host) = (&place.name, &view.name);
    let (subject, used) = (&certificate.subject, &view.users(place));
    let program = &place
        .uses
        .first()
        .map(|used| view.scene.program(used).program.as_str())
        .unwrap_or_default();
    let days = &certificate.days_left(view.now);
    let until = &date(certificate.not_after);
    let (severity, found): (Severity, Cause) = match age {
        Age::Good => return None,
        Age::Over if is_stale_copy(view, place) => {
            let stale = cause::KubeletConfStale { path, until, host };
            (Severity::Warn, stale.into())
        }
        Age::Over => {
            let over = certificate.days_over(view.now);
            (
                worst,
                cause::CertExpired {
                    path,
                    subject,
                    until,
                    used,
                    program,
                    host,
                    days: &over,
                }
                .into(),
            )
        }
        Age::Early => {
            let from = &date(certificate.not_before);
            (
                worst,
                cause::CertNotYetValid {
                    path,
                    subject,
                    from,
                    used,
                    host,
                }
                .into(),
            )
        }
        Age::Near | Age::Close => {
            let severity = if age == Age::Close { worst } else { Severity::Warn };
            let soon = cause::CertExpiresSoon {
                path,
                subject,
                until,
                used,
                program,
                host,
                days,
            };
            (severity, soon.into())
        }
    };
    let finding = match severity {
        Severity::Fail | Severity::Error => Finding::fail(found),
        Severity::Warn => Finding::warn(found),
    };
    Some(about(place, finding))
}

/// Returns how bad an end is to who uses a certificate.
fn worst(view: &View<'_>, place: &Place) -> Severity {
    let matters = |purpose: Purpose, setting: &str| match purpose {
        // Dates of a public key do not count, and of what is unknown nobody knows.
        Purpose::PublicKey | Purpose::Named => false,
        // Nobody checks what a kubelet makes for itself, unless API servers do.
        Purpose::Serve if setting == "cert-dir/self-signed" => view.api_checks_kubelets(),
        // The old one of two that are believed while the CA is being renewed.
        _ if purpose.is_trust() => {
            let good = |other: &Certificate| {
                matches!(
                    view.days.age(other, view.now, false),
                    Age::Good | Age::Near | Age::Close
                )
            };
            !view.scene.beside(place).into_iter().any(good)
        }
        _ => true,
    };
    let fails = place.uses.iter().any(|used| matters(used.purpose, &used.setting));
    if fails { Severity::Fail } else { Severity::Warn }
}

/// Returns whether the kubelet renews a certificate by itself.
fn rotates(view: &View<'_>, place: &Place) -> bool {
    let file = view.scene.file(place);
    let mut names = file.names.iter().chain([&file.path]);
    names.any(|name| {
        name.ends_with("kubelet-client-current.pem") || name.ends_with("kubelet-server-current.pem")
    })
}

/// Returns whether a certificate in a kubelet's kubeconfig is the one that it began with: it uses the one that it rotates.
fn is_stale_copy(view: &View<'_>, place: &Place) -> bool {
    let rotates = |program: usize| {
        let files = &view.scene.reply.programs[program].files;
        files
            .iter()
            .any(|given| given.setting == "cert-dir/client" && given.file.is_some())
    };
    let by_kubelet = |program: usize| view.scene.reply.programs[program].program == "kubelet";
    let embedded = place.at.as_deref().is_some_and(|at| at.starts_with("users/"));
    embedded
        && place
            .uses
            .iter()
            .all(|used| by_kubelet(used.program) && rotates(used.program))
}

/// Judges by the host's own clock where that sees it otherwise.
fn by_the_host(view: &View<'_>, place: &Place, certificate: &Certificate) -> Option<Finding> {
    let clock = view.scene.reply.unix_seconds;
    if (clock - view.now).abs() < SKEW {
        return None;
    }
    let is_good = |now: i64| (certificate.not_before..=certificate.not_after).contains(&now);
    if is_good(clock) || !is_good(view.now) {
        return None;
    }
    let found = cause::CertByHostClock {
        path: &place.name,
        subject: &certificate.subject,
        from: &date(certificate.not_before),
        until: &date(certificate.not_after),
        host: &view.name,
        clock: &date(clock),
    };
    Some(about(place, Finding::fail(found)))
}

/// Returns whether an authority signed another; where that cannot be checked here, key ids say so.
fn signed(leaf: &Certificate, authority: &Certificate) -> bool {
    match leaf.signed_by(authority) {
        Signed::Yes => true,
        Signed::No => false,
        Signed::Unchecked => leaf.issuer_key_id.is_some() && leaf.issuer_key_id == authority.key_id,
    }
}

/// Names each authority that ends before something that it signed, where that comes soon.
fn authorities(view: &View<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (place, authority) in view.in_use().filter(|(_, certificate)| certificate.is_ca) {
        let left = authority.days_left(view.now);
        if !(0..=SOON).contains(&left) || seen.contains(&authority.fingerprint.as_str()) {
            continue;
        }
        let outlives = |leaf: &Certificate| {
            leaf.not_after > authority.not_after + DAY
                && leaf.fingerprint != authority.fingerprint
                && signed(leaf, authority)
        };
        let Some((leaf, certificate)) = view.in_use().find(|(_, leaf)| outlives(leaf)) else {
            continue;
        };
        seen.push(&authority.fingerprint);
        let ends = cause::CaEndsEarlier {
            ca: &place.name,
            subject: &authority.subject,
            until: &date(authority.not_after),
            path: &leaf.name,
            longer: &date(certificate.not_after),
            host: &view.name,
        };
        found.push(about(place, Finding::warn(ends)));
    }
    found
}
