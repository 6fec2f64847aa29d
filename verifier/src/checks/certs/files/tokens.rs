//! The keys of service accounts: whether what signs tokens is among what is believed.

use super::super::view::View;
use crate::findings::{Finding, cause};
use crate::protocol::{ASKED, CertificateFile, FileUse, ItemFacts};

/// What signs tokens, and for whom.
const SIGNERS: [(&str, &str); 2] = [
    ("kube-apiserver", "service-account-signing-key-file"),
    ("kube-controller-manager", "service-account-private-key-file"),
];

/// Judges what signs tokens beside what the API server of the host believes.
pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let given = |program: &str, setting: &str| -> Vec<&FileUse> {
        let programs = view.scene.reply.programs.iter();
        let files = programs
            .filter(|one| one.program == program)
            .flat_map(|one| &one.files);
        files.filter(|given| given.setting == setting).collect()
    };
    let believed = given("kube-apiserver", "service-account-key-file");
    let mut found = Vec::new();
    for (program, setting) in SIGNERS {
        for signer in given(program, setting) {
            found.extend(of_signer(view, signer, &believed, program));
        }
    }
    found.extend(of_named(view));
    found
}

fn of_signer(view: &View<'_>, signer: &FileUse, believed: &[&FileUse], program: &str) -> Option<Finding> {
    let file = |given: &FileUse| given.file.and_then(|file| view.scene.reply.files.get(file));
    // What cannot be read or is not there is named elsewhere.
    let files: Option<Vec<&CertificateFile>> = believed.iter().map(|given| file(given)).collect();
    let files = files.filter(|files| !files.is_empty())?;
    let signs = private(file(signer)?)?;
    let known = files.iter().flat_map(|file| public(view, file));
    if known.into_iter().any(|public| public == signs) {
        return None;
    }
    let paths: Vec<&str> = believed.iter().map(|given| given.path.as_str()).collect();
    Some(other(view, &signer.path, &paths.join(", "), program))
}

/// Of what a person named, kubeadm's pair counts.
fn of_named(view: &View<'_>) -> Vec<Finding> {
    let programs = view.scene.reply.programs.iter();
    let asked = programs.filter(|program| program.program == ASKED);
    let files = asked
        .flat_map(|program| &program.files)
        .filter_map(|given| given.file);
    let files: Vec<&CertificateFile> = files
        .filter_map(|file| view.scene.reply.files.get(file))
        .collect();
    let pair = |signer: &&&CertificateFile| {
        let stem = signer.path.strip_suffix("/sa.key")?;
        let path = format!("{stem}/sa.pub");
        let believed = files.iter().find(|file| file.path == path)?;
        let signs = private(signer)?;
        let known = public(view, believed);
        (!known.is_empty() && !known.contains(&signs))
            .then(|| other(view, &signer.path, &path, "kube-apiserver"))
    };
    files.iter().filter_map(|file| pair(&file)).collect()
}

fn other(view: &View<'_>, key: &str, believed: &str, program: &str) -> Finding {
    let other = cause::TokenKeyOther {
        key: &key,
        believed: &believed,
        program: &program,
        host: &view.name,
    };
    Finding::fail(other).of(key)
}

/// Returns the digest of the public half of the first private key of a file; none where that cannot be told.
fn private(file: &CertificateFile) -> Option<String> {
    file.items.iter().find_map(|item| match &item.what {
        ItemFacts::Key(key) => Some(key.public.clone()),
        _ => None,
    })?
}

/// Returns the digests of the public keys of a file, however it holds them.
fn public(view: &View<'_>, file: &CertificateFile) -> Vec<String> {
    let items = file.items.iter().filter_map(|item| match &item.what {
        ItemFacts::PublicKey(public) => Some(public.clone()),
        ItemFacts::Key(key) => key.public.clone(),
        _ => None,
    });
    let places = view
        .scene
        .places
        .iter()
        .filter(|place| view.scene.file(place).path == file.path);
    let certificates = places.filter_map(|place| Some(view.scene.certificate(place)?.public.clone()));
    items.chain(certificates).collect()
}
