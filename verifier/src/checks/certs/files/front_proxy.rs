//! The authority of the front proxy: it is to sign nobody else.

use super::super::view::{View, about};
use crate::certs::{Certificate, Place};
use crate::findings::{Finding, cause};
use crate::protocol::ASKED;

/// Judges the authority of the front proxy beside that of all clients.
pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let found = [shared_front_proxy(view), shared_by_name(view)];
    found.into_iter().flatten().collect()
}

/// Names an authority of the front proxy that signs other clients too: those could call extension servers as anybody, unless
/// the API server names who may.
fn shared_front_proxy(view: &View<'_>) -> Option<Finding> {
    let of = |setting: &str| {
        view.in_use()
            .filter(move |(place, _)| {
                let mut uses = place.uses.iter();
                uses.any(|used| {
                    view.scene.program(used).program == "kube-apiserver" && used.setting == setting
                })
            })
            .collect::<Vec<_>>()
    };
    let clients = of("client-ca-file");
    let shared = |front: &Certificate| clients.iter().any(|(_, client)| client.public == front.public);
    let fronts = of("requestheader-client-ca-file");
    let (place, certificate) = fronts.iter().find(|(_, front)| shared(front))?;
    let found = cause::FrontProxyShared {
        path: &place.name,
        subject: &certificate.subject,
        host: &view.name,
    };
    let mut names = view.of_api_servers("requestheader-allowed-names");
    let limited = names.any(|names| names.split(',').any(|name| !name.trim().is_empty()));
    let finding = if limited {
        Finding::warn(found)
    } else {
        Finding::fail(found)
    };
    Some(about(place, finding))
}

/// Names the same among what a person named, by kubeadm's names.
fn shared_by_name(view: &View<'_>) -> Option<Finding> {
    let named = |place: &Place| {
        let mut programs = place.uses.iter().map(|used| view.scene.program(used));
        programs.any(|program| program.program == ASKED)
    };
    let all: Vec<(&Place, &Certificate)> = view.in_use().filter(|(place, _)| named(place)).collect();
    all.iter().find_map(|(place, front)| {
        let folder = view.scene.file(place).path.strip_suffix("/front-proxy-ca.crt")?;
        let path = format!("{folder}/ca.crt");
        let same = |(other, client): &&(&Place, &Certificate)| {
            view.scene.file(other).path == path && client.public == front.public
        };
        all.iter().find(same)?;
        let shared = cause::FrontProxyShared {
            path: &place.name,
            subject: &front.subject,
            host: &view.name,
        };
        Some(about(place, Finding::warn(shared)))
    })
}
