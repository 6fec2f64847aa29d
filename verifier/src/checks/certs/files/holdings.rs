//! What is not there, cannot be read or makes no sense.

use super::super::view::View;
use crate::certs::{Purpose, key_of, part, purpose};
use crate::findings::{Finding, cause};
use crate::protocol::{ASKED, CertificateFile, CertificateUser, DER, FileUse, ItemFacts, RefusalKind};
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
    let (path, host) = (&given.path, &view.name);
    let named = program.program == ASKED;
    // Of what a person named only a kubeconfig names other files.
    let of_kubeconfig = given.setting.split_once(":kubeconfig/").filter(|_| named);
    let (program, setting) = &of_kubeconfig.unwrap_or((&program.program, &given.setting));
    let finding = match (given.file, given.unread) {
        (Some(number), _) => {
            let file = view.scene.reply.files.get(number)?;
            let what = &lacks(file, &given.setting).filter(|_| !named || of_kubeconfig.is_some())?;
            let used = &format!("{program} {setting}");
            Finding::fail(cause::CertFileBroken {
                path,
                what,
                used,
                host,
            })
        }
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

/// Returns what a file is to hold for a setting, and does not. What is broken in it is named for itself.
fn lacks(file: &CertificateFile, setting: &str) -> Option<&'static str> {
    let holds = |is: fn(&ItemFacts) -> bool| file.items.iter().any(|item| is(&item.what));
    if holds(|what| matches!(what, ItemFacts::Broken(_))) {
        return None;
    }
    let der = holds(|what| matches!(what, ItemFacts::Other(form) if form == DER));
    let certificate = holds(|what| matches!(what, ItemFacts::Certificate(_)));
    let key = holds(|what| matches!(what, ItemFacts::Key(_) | ItemFacts::PublicKey(_)));
    match purpose(setting) {
        _ if setting.ends_with("kubeconfig") && part(setting).is_none() => {
            file.kubeconfig.is_none().then_some("kubeconfig")
        }
        None | Some(Purpose::Named) => None,
        Some(_) if der => Some("PEM"),
        Some(Purpose::PublicKey) => (!certificate && !key).then_some("PUBLIC KEY"),
        // This one names keys too.
        Some(_) if setting == "tls-sni-cert-key" => None,
        Some(_) => (!certificate).then_some("CERTIFICATE"),
    }
}

/// Returns whether the name of a file says that it holds a certificate, and none is there, nor what is left of one.
fn is_none_by_name(view: &View<'_>, number: usize, file: &CertificateFile) -> bool {
    let named = [".crt", ".cert", ".cer"]
        .iter()
        .any(|end| file.path.ends_with(end));
    let broken = |what: &ItemFacts| matches!(what, ItemFacts::Broken(_) | ItemFacts::Certificate(_));
    named
        && !file.items.iter().any(|item| broken(&item.what))
        && !view.scene.places.iter().any(|place| place.file == number)
}

/// Names what is in use and cannot be read as what it says it is.
fn broken(view: &View<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, file) in view.scene.reply.files.iter().enumerate() {
        let Some((program, given)) = view
            .scene
            .users(number)
            .find(|(program, given)| is_plain(&given.setting) || program.program == ASKED)
        else {
            continue;
        };
        let asked = program.program == ASKED;
        let used = &if asked {
            program.program.clone()
        } else {
            format!("{} {}", program.program, given.setting)
        };
        // An empty file without its key or certificate is nobody's, and a key may be one of another sort.
        let may_be_none = |label: &str| ["EMPTY", "PEM"].contains(&label);
        let counts = |label: &str| !(asked && may_be_none(label) && !has_other_beside(view, &file.path));
        let labels = file.items.iter().filter_map(|item| match &item.what {
            ItemFacts::Broken(label) if counts(label) => Some(label.clone()),
            _ => None,
        });
        let none = (asked && is_none_by_name(view, number, file)).then(|| "CERTIFICATE".to_owned());
        let labels = labels.chain(none);
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

/// Returns whether the key to a file of certificates, or the certificate to one of a key, lies where its name says.
fn has_other_beside(view: &View<'_>, path: &str) -> bool {
    let key = key_of(path);
    let mut files = view.scene.reply.files.iter();
    files.any(|file| key.as_ref() == Some(&file.path) || key_of(&file.path).as_deref() == Some(path))
}
