//! Who signed whom: each certificate beside what those believe to whom it is shown.

use super::super::view::{Believer, View, about};
use super::believers::believers;
use crate::certs::{Certificate, Chain, Part, Place, Purpose, Rule, Use, Wanted, chain, part};
use crate::findings::{Finding, cause};
use crate::protocol::ASKED;

/// Judges who signed what is in use.
pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for (place, used, certificate) in view.shown() {
        if let Some(finding) = of_leaf(view, place, used, certificate)
            && !found.contains(&finding)
        {
            found.push(finding);
        }
    }
    for (place, certificate) in view.in_use() {
        found.extend(no_authority(view, place, certificate));
        found.extend(signs_though_none(view, place, certificate));
        found.extend(of_servers(view, place));
    }
    found.extend(twins(view));
    found
}

fn of_leaf(view: &View<'_>, place: &Place, used: &Use, certificate: &Certificate) -> Option<Finding> {
    let mut believers = believers(view, used);
    let asked = view.scene.program(used).program == ASKED;
    if asked && believers.is_empty() {
        // Of what a person named only the authorities count that stand there too, and what is to be one.
        let mut believed = view.believed_by(used, |_| true);
        believed.extend(view.in_use().map(|(_, other)| other).filter(|other| {
            !other.is_ca && other.is_own_issuer() && other.fingerprint != certificate.fingerprint
        }));
        if !believed.is_empty() {
            let host = view.name;
            believers.push(Believer { host, believed });
        }
    }
    if believers.is_empty() {
        let (path, host) = (&place.name, &view.name);
        let own = used.setting == "cert-dir/self-signed" && certificate.is_own_issuer();
        return own.then(|| about(place, Finding::warn(cause::KubeletSelfSigned { path, host })));
    }
    let several = believers.len() > 1;
    believers.iter().find_map(|believer| {
        let shown = view.user(used);
        // Of several it matters who it is.
        let shown = if several && believer.host != view.name {
            format!("{shown} → {}", believer.host)
        } else {
            shown
        };
        distrusted(view, place, used, &believer.believed, &shown)
    })
}

/// Returns that one who is shown a certificate does not believe it; `shown` says what for, and to whom.
fn distrusted(
    view: &View<'_>,
    place: &Place,
    used: &Use,
    believed: &[&Certificate],
    shown: &str,
) -> Option<Finding> {
    let certificate = view.scene.certificate(place)?;
    let (path, subject, host) = (&place.name, &certificate.subject, &view.name);
    let asked = view.scene.program(used).program == ASKED;
    let beside = view.scene.beside(place);
    let finding = match chain(certificate, &beside, believed, wanted(used.purpose)) {
        Chain::Whole | Chain::Unchecked => return None,
        // The judge of what is believed names that.
        Chain::Refused(authority, Rule::NoAuthority | Rule::MaySignNone)
            if believed
                .iter()
                .any(|one| one.fingerprint == authority.fingerprint)
                && !asked =>
        {
            return None;
        }
        Chain::Refused(authority, rule) => Finding::fail(cause::CertChainRefused {
            path,
            subject,
            issuer: &authority.subject,
            rule: &rule.word(),
            used: &shown,
            host,
        }),
        Chain::OtherKey(authority) => {
            let issuer = &authority.subject;
            Finding::fail(cause::CertIssuerKey {
                path,
                subject,
                issuer,
                used: &shown,
                host,
            })
        }
        Chain::Unknown(_) if asked && view.elsewhere.programs.is_empty() => return None,
        Chain::Unknown(last) => {
            let issuer = &last.issuer;
            let mut names: Vec<&str> = believed
                .iter()
                .map(|authority| authority.subject.as_str())
                .collect();
            names.sort_unstable();
            names.dedup();
            let believed = &names.join("; ");
            Finding::fail(cause::CertIssuerUnknown {
                path,
                subject,
                issuer,
                believed,
                used: &shown,
                host,
            })
        }
    };
    Some(about(place, finding))
}

/// Returns what a certificate must be issued for that is used so, with all that signed it.
const fn wanted(purpose: Purpose) -> Wanted {
    let (server, client) = match purpose {
        Purpose::Serve => (true, false),
        Purpose::Client => (false, true),
        Purpose::Peer => (true, true),
        _ => (false, false),
    };
    Wanted { server, client }
}

/// Names what is no authority to anybody here, was signed by one, and could be one by what itself says.
fn signs_though_none(view: &View<'_>, place: &Place, certificate: &Certificate) -> Option<Finding> {
    let shows = |used: &Use| matches!(used.purpose, Purpose::Serve | Purpose::Client | Purpose::Peer);
    let may = certificate.is_ca && certificate.may_sign != Some(false) && !certificate.is_own_issuer();
    if !may || !place.uses.iter().all(shows) {
        return None;
    }
    let may = cause::CertMaySign {
        path: &place.name,
        subject: &certificate.subject,
        used: &view.users(place),
        host: &view.name,
    };
    Some(about(place, Finding::warn(may)))
}

/// Names what is believed as an authority and may sign nothing.
fn no_authority(view: &View<'_>, place: &Place, certificate: &Certificate) -> Option<Finding> {
    let believes = |used: &Use| used.purpose.is_trust() || used.purpose == Purpose::Sign;
    if !place.uses.iter().any(believes) || certificate.is_issuer() {
        return None;
    }
    let used = &view.users(place);
    let none = cause::CertNotCa {
        path: &place.name,
        subject: &certificate.subject,
        used,
        host: &view.name,
    };
    let others = view.scene.beside(place).into_iter().any(Certificate::is_issuer);
    Some(about(
        place,
        if others {
            Finding::warn(none)
        } else {
            Finding::fail(none)
        },
    ))
}

/// Judges the authority of a kubeconfig, and that which pods are given, beside what API servers serve: it must be that of one of
/// them at least.
fn of_servers(view: &View<'_>, place: &Place) -> Option<Finding> {
    let for_pods = |used: &Use| used.setting == "root-ca-file";
    let is = |used: &&Use| part(&used.setting) == Some(Part::Cluster) || for_pods(used);
    let used = place.uses.iter().find(is)?;
    if place.nth > 0 {
        return None;
    }
    let served = view.served_by_api(kubeconfig_of(used));
    let own = view.scene.certificate(place)?;
    let mut trusted = view.scene.beside(place);
    trusted.push(own);
    let is_whole = |served: &Vec<&Certificate>| {
        let (leaf, beside) = served.split_first()?;
        Some(matches!(
            chain(leaf, beside, &trusted, wanted(Purpose::Serve)),
            Chain::Whole | Chain::Unchecked
        ))
    };
    let verdicts: Vec<bool> = served.iter().filter_map(is_whole).collect();
    if verdicts.is_empty() || verdicts.contains(&true) {
        return None;
    }
    let issuer = served
        .iter()
        .find_map(|served| served.first())
        .map(|leaf| leaf.issuer.as_str());
    let (path, subject, issuer, host) = (&place.name, &own.subject, &issuer.unwrap_or_default(), &view.name);
    let found = if for_pods(used) {
        Finding::fail(cause::RootCaOther {
            path,
            subject,
            issuer,
            host,
        })
    } else {
        Finding::fail(cause::KubeconfigCa {
            path,
            subject,
            issuer,
            used: &view.user(used),
            host,
        })
    };
    Some(about(place, found))
}

/// Returns the path of the kubeconfig of a person that a setting is of; empty where it is a program's.
pub(super) fn kubeconfig_of(used: &Use) -> &str {
    used.setting
        .split_once(":kubeconfig/")
        .map_or("", |(path, _)| path)
}

/// Names authorities of one name and several keys, unless somebody believes both in one file: so a CA is renewed.
fn twins(view: &View<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let authorities = view.authorities();
    for (place, authority) in view.in_use().filter(|(_, certificate)| certificate.is_ca) {
        let is_twin = |other: &&&Certificate| {
            other.is_ca && other.has_name_of(authority) && other.public != authority.public
        };
        let Some(other) = authorities.iter().find(is_twin) else {
            continue;
        };
        let together = view.in_use().any(|(place, one)| {
            one.public == authority.public
                && view
                    .scene
                    .beside(place)
                    .iter()
                    .any(|two| two.public == other.public)
        });
        if !together {
            let twins = cause::CaTwins {
                path: &place.name,
                subject: &authority.subject,
                sha256: &&authority.fingerprint[..16],
                other: &&other.fingerprint[..16],
                host: &view.name,
            };
            found.push(about(place, Finding::warn(twins)));
        }
    }
    found
}
