//! Keys: whether each certificate's is there, is its own, can be used, and is read by nobody else; weak ones.

use super::super::view::{View, about};
use crate::certs::{Certificate, KeyAt, KeyKind, Place, Purpose, Use};
use crate::findings::{Finding, cause};
use crate::protocol::{ASKED, CertificateFile, ItemFacts, KeyProof};

/// Users from this id on are people, by every distribution's login.defs; below are the users of services.
const PEOPLE: u32 = 1000;

/// Judges the keys of what is in use.
pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for (place, used, certificate) in view.shown() {
        if let Some(finding) = of_certificate(view, place, used, certificate)
            && !found.contains(&finding)
        {
            found.push(finding);
        }
    }
    found.extend(
        view.in_use()
            .filter_map(|(place, certificate)| weak(view, place, certificate)),
    );
    let files = view.scene.reply.files.iter().enumerate();
    found.extend(files.filter_map(|(number, file)| readable(view, number, file)));
    found
}

fn of_certificate(view: &View<'_>, place: &Place, used: &Use, certificate: &Certificate) -> Option<Finding> {
    let (path, subject, host) = (&place.name, &certificate.subject, &view.name);
    let user = &view.user(used);
    let finding = match view.scene.key(place, used) {
        KeyAt::Found { key, file } => {
            let at = &file.path;
            match (key.proof, &key.public) {
                (KeyProof::Encrypted, _) => Finding::fail(cause::CertKeyEncrypted {
                    key: at,
                    used: user,
                    host,
                }),
                (KeyProof::Bad, _) => Finding::fail(cause::CertKeyBroken {
                    key: at,
                    used: user,
                    host,
                }),
                (_, None) => Finding::error(cause::CertKeyUnproven { key: at, path, host }),
                (_, Some(public)) if *public == certificate.public => return None,
                (_, Some(public)) => {
                    let beside = view.scene.beside(place);
                    if beside.iter().any(|other| other.public == *public) {
                        Finding::fail(cause::CertChainOrder {
                            path,
                            subject,
                            used: user,
                            host,
                        })
                    } else {
                        Finding::fail(cause::CertKeyMismatch {
                            path,
                            key: at,
                            subject,
                            used: user,
                            host,
                        })
                    }
                }
            }
        }
        KeyAt::Missing { path: key } => {
            let missing = cause::CertKeyMissing {
                path,
                key: &key,
                used: user,
                host,
            };
            if used.purpose == Purpose::Sign {
                Finding::warn(missing)
            } else {
                Finding::fail(missing)
            }
        }
        KeyAt::Unnamed if place.at.is_some() => {
            let key = &view.scene.file(place).path;
            Finding::fail(cause::CertKeyMissing {
                path,
                key,
                used: user,
                host,
            })
        }
        // The judge of what is there names a file that cannot be read.
        KeyAt::Unread { .. } | KeyAt::Unnamed => return None,
    };
    Some(about(place, finding))
}

fn weak(view: &View<'_>, place: &Place, certificate: &Certificate) -> Option<Finding> {
    let (path, subject, host) = (&place.name, &certificate.subject, &view.name);
    let used = &view.users(place);
    let finding = if certificate.has_weak_signature() && !certificate.is_own_issuer() {
        let algorithm = &certificate.algorithm;
        Finding::fail(cause::CertSignatureWeak {
            path,
            subject,
            algorithm,
            used,
            host,
        })
    } else if certificate.has_weak_key() {
        let key = &certificate.key_text();
        // Go takes RSA keys from 1024 bits on; its TLS has no curve below P-256, though what one signed is believed.
        let refused = match certificate.key {
            KeyKind::Rsa => certificate.bits < 1024,
            KeyKind::Ec => certificate.bits < 224 || !certificate.is_ca,
            KeyKind::Ed25519 | KeyKind::Other => certificate.bits < 224,
        };
        let weak = cause::CertKeyWeak {
            path,
            subject,
            key,
            used,
            host,
        };
        if refused {
            Finding::fail(weak)
        } else {
            Finding::warn(weak)
        }
    } else {
        return None;
    };
    Some(about(place, finding))
}

/// Names a private key in use that others than its owner may read or replace.
fn readable(view: &View<'_>, number: usize, file: &CertificateFile) -> Option<Finding> {
    let holds_key = file
        .items
        .iter()
        .any(|item| matches!(item.what, ItemFacts::Key(_)));
    let mut users = view.scene.users(number).peekable();
    users.peek()?;
    if !holds_key {
        return None;
    }
    let (key, host) = (&file.path, &view.name);
    let mode = &format!("{:04o}", file.mode);
    let finding = if file.mode & 0o006 != 0 && !file.sheltered {
        let readable = cause::CertKeyReadable { key, mode, host };
        // A copy that somebody looks at is not where it is used.
        if users.any(|(program, _)| program.program != ASKED) {
            Finding::fail(readable)
        } else {
            Finding::warn(readable)
        }
    } else if file.uid >= PEOPLE && !users.any(|(program, _)| program.uid.is_none_or(|uid| uid == file.uid)) {
        Finding::warn(cause::CertKeyOwner {
            key,
            uid: &file.uid,
            host,
        })
    } else {
        return None;
    };
    Some(finding.of(key))
}
