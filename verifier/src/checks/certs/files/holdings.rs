//! What is not there, cannot be read or makes no sense.

use super::super::view::View;
use crate::certs::{Purpose, purpose};
use crate::findings::{Finding, cause};
use crate::protocol::{CertificateUser, FileUse, ItemFacts, RefusalKind};
use crate::site::Role;

/// Programs of which one runs on a host of each role.
const BY_ROLE: [(Role, &[&str]); 3] = [
    (Role::ControlPlane, &["kube-apiserver", "k3s"]),
    (Role::Worker, &["kubelet", "k3s"]),
    (Role::Etcd, &["etcd", "k3s", "kube-apiserver"]),
];

/// Judges what could not be looked at, and what is in use and no certificate or key.
pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let host = &view.name;
    let mut found = Vec::new();
    for program in &view.scene.reply.programs {
        found.extend(
            program
                .files
                .iter()
                .filter_map(|given| of_use(view, program, given)),
        );
    }
    for unread in &view.scene.reply.unread {
        // Where the administrator keeps his own kubeconfig is his own affair.
        if !unread.path.starts_with("/root") {
            let unreadable = cause::CertPlaceUnreadable {
                path: &unread.path,
                reason: &unread.text,
                host,
            };
            found.push(Finding::error(unreadable).of(&unread.path));
        }
    }
    found.extend(broken(view));
    for (role, programs) in BY_ROLE {
        let has_role = view.host.is_some_and(|host| host.roles.contains(&role));
        let runs = |program: &CertificateUser| programs.contains(&program.program.as_str());
        if has_role && !view.scene.reply.programs.iter().any(runs) {
            let program = &programs[0];
            found.push(Finding::error(cause::CertUserUnknown { program, host }).of(program));
        }
    }
    if view.scene.reply.more {
        found.push(Finding::error(cause::CertsMore { host }));
    }
    found
}

/// Returns whether a setting names what is a certificate, a key or a kubeconfig and nothing else.
fn is_plain(setting: &str) -> bool {
    let known = purpose(setting) != Some(Purpose::Named) || setting.ends_with("kubeconfig");
    // A kubelet that is new to its cluster has none of these yet.
    known && !setting.starts_with("cert-dir/") && setting != "bootstrap-kubeconfig"
}

fn of_use(view: &View<'_>, program: &CertificateUser, given: &FileUse) -> Option<Finding> {
    if !is_plain(&given.setting) {
        return None;
    }
    let (path, setting, host) = (&given.path, &given.setting, &view.name);
    let program = &program.program;
    let finding = match (given.file, given.unread) {
        (Some(_), _) => return None,
        (None, None) => {
            let used = &format!("{program} {setting}");
            Finding::fail(cause::CertFileBroken {
                path,
                what: &"-",
                used,
                host,
            })
        }
        (None, Some(RefusalKind::Absent)) => {
            let missing = cause::CertFileMissing {
                path,
                program,
                setting,
                host,
            };
            // Without it the controller manager signs nothing, and all else goes on.
            if setting.starts_with("cluster-signing") {
                Finding::warn(missing)
            } else {
                Finding::fail(missing)
            }
        }
        (None, Some(_)) => Finding::error(cause::CertFileUnreadable {
            path,
            program,
            setting,
            host,
        }),
    };
    Some(finding.of(path))
}

/// Names what is in use and cannot be read as what it says it is.
fn broken(view: &View<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, file) in view.scene.reply.files.iter().enumerate() {
        let Some((program, given)) = view
            .scene
            .users(number)
            .find(|(_, given)| is_plain(&given.setting))
        else {
            continue;
        };
        let used = &format!("{} {}", program.program, given.setting);
        let labels = file.items.iter().filter_map(|item| match &item.what {
            ItemFacts::Broken(label) => Some(label.clone()),
            _ => None,
        });
        let unread = view
            .scene
            .places
            .iter()
            .filter(|place| place.file == number && view.scene.certificate(place).is_none());
        for what in labels.chain(unread.map(|_| "CERTIFICATE".to_owned())) {
            let broken = cause::CertFileBroken {
                path: &file.path,
                what: &what,
                used,
                host: &view.name,
            };
            found.push(Finding::fail(broken).of(&file.path));
        }
    }
    found
}
