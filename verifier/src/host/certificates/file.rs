//! What a file holds: PEM with one thing or several, DER, a kubeconfig, or a Secret as k3s keeps its own.

use yaml::Node;

use super::kubeconfig;
use crate::certs::{Contents, Found, of_pem};
use crate::protocol::{DER, ItemFacts};

/// How the names of files end that are to hold certificates and nothing else.
const CERTIFICATES: [&str; 3] = [".crt", ".cert", ".cer"];
/// How the names of files end that are PEM or DER throughout.
const ALONE: [&str; 6] = [".crt", ".cert", ".cer", ".pem", ".key", ".pub"];

/// Reads a file. Empty where it holds nothing of interest.
pub(super) fn contents(name: &str, bytes: &[u8]) -> Contents {
    let is = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let found = of_pem(bytes, is(&ALONE));
    if !found.is_empty() {
        return of(found);
    }
    // Keys, requests, PKCS#12 and lists of revoked ones begin like a certificate.
    if bytes.starts_with(&[0x30]) && x509_parser::parse_x509_certificate(bytes).is_ok() {
        let form = Found::Item(ItemFacts::Other(DER.to_owned()));
        return of(vec![Found::Certificate(bytes.to_vec()), form]);
    }
    if is(&CERTIFICATES) {
        let label = if bytes.is_empty() { "EMPTY" } else { "CERTIFICATE" };
        return of(vec![Found::Item(ItemFacts::Broken(label.to_owned()))]);
    }
    // DER: nothing of Kubernetes reads a key so. Keys of other sorts are called so too.
    if is(&[".key"]) {
        let label = match bytes {
            [] => "EMPTY",
            [0x30, 0x82, ..] => "PRIVATE KEY",
            _ => "PEM",
        };
        return of(vec![Found::Item(ItemFacts::Broken(label.to_owned()))]);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Contents::default();
    };
    // Most files of a configuration are none of ours: the names of a kubeconfig's parts, or of a Secret's, tell.
    let ours = |names: &[&str]| names.iter().all(|name| text.contains(name));
    let is_kubeconfig = ours(&["clusters", "users"]);
    if !is_kubeconfig && !ours(&["tls.crt"]) {
        return Contents::default();
    }
    let Ok(documents) = yaml::documents(name, text) else {
        let broken = is_kubeconfig && ours(&["current-context", "contexts"]);
        let items = broken.then(|| Found::Item(ItemFacts::Broken("kubeconfig".to_owned())));
        return of(items.into_iter().collect());
    };
    let kubeconfig = documents.iter().find_map(kubeconfig::contents);
    kubeconfig.unwrap_or_else(|| {
        let secrets = documents.iter().map(secret);
        secrets
            .into_iter()
            .find(|secret| !secret.is_empty())
            .unwrap_or_default()
    })
}

fn of(found: Vec<Found>) -> Contents {
    Contents {
        found: found.into_iter().map(|found| (None, found)).collect(),
        kubeconfig: None,
    }
}

/// Reads an object like a Secret: k3s keeps what its listener serves in one.
fn secret(document: &Node) -> Contents {
    let mut contents = Contents::default();
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        let text = document
            .get("data")
            .and_then(|data| data.get(name))
            .and_then(Node::scalar);
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            contents.embedded("data", name, text);
        }
    }
    contents
}

/// Whatever stands in a file, it is read to its end, and no private part of a key is told.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let contents = contents("file", bytes);
    for (_, found) in &contents.found {
        if let Found::Item(ItemFacts::Key(key)) = found {
            assert!(key.public.as_ref().is_none_or(|digest| digest.len() == 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn what_is_none_of_ours_is_empty_and_der_is_a_certificate() {
        assert!(contents("a", b"address: 0.0.0.0\n").is_empty());
        assert!(contents("a", &[0xff, 0xfe]).is_empty());
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let found = contents("a", &der).found;
        let form = Found::Item(ItemFacts::Other(DER.to_owned()));
        assert_eq!(found, [(None, Found::Certificate(der)), (None, form)]);
        // PKCS#12, a key, a request: they begin like a certificate.
        assert!(contents("a.p12", &[0x30, 0x82, 1, 2]).is_empty());
        assert!(contents("a.der", &key.serialize_der()).is_empty());
    }

    #[test]
    fn what_is_to_be_a_certificate_by_its_name_and_is_none_is_broken() {
        let broken = |name: &str, bytes: &[u8]| match &contents(name, bytes).found[..] {
            [(None, Found::Item(ItemFacts::Broken(label)))] => label.clone(),
            other => panic!("{other:?}"),
        };
        let indented = "  -----BEGIN CERTIFICATE-----\n  AQID\n  -----END CERTIFICATE-----\n";
        assert_eq!(broken("a.crt", b""), "EMPTY");
        assert_eq!(broken("a.key", b""), "EMPTY");
        assert_eq!(broken("a.key", b"see elsewhere"), "PEM");
        assert_eq!(broken("a.key", &[0x30, 0x82, 1]), "PRIVATE KEY");
        assert_eq!(broken("a.crt", b"see elsewhere"), "CERTIFICATE");
        assert_eq!(broken("a.pem", indented.as_bytes()), "CERTIFICATE");
        let trusted = indented.trim_start().replace("CERT", "TRUSTED CERT");
        assert_eq!(broken("a.pem", trusted.as_bytes()), "TRUSTED CERTIFICATE");
        assert_eq!(
            contents("a.yaml", indented.as_bytes()).found,
            [(None, Found::Certificate(vec![1, 2, 3]))]
        );
    }

    #[test]
    fn a_kubeconfig_that_is_no_yaml_is_broken_and_one_behind_another_document_is_read() {
        let text = "contexts: []\ncurrent-context: x\nclusters: []\nusers:\n\t- {\n";
        let broken = Found::Item(ItemFacts::Broken("kubeconfig".to_owned()));
        assert_eq!(contents("a", text.as_bytes()).found, [(None, broken)]);
        let second = contents("a", b"---\nkind: Note\n---\nclusters: []\nusers: []\n");
        assert!(second.kubeconfig.is_some());
    }

    #[test]
    fn the_listener_of_k3s_keeps_its_certificate_in_a_secret() {
        let certificate = STANDARD.encode("-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n");
        let text = format!(r#"{{"kind":"Secret","data":{{"tls.crt":"{certificate}","tls.key":"!"}}}}"#);
        let found = contents("dynamic-cert.json", text.as_bytes()).found;
        let at = Some("data".to_owned());
        let broken = Found::Item(ItemFacts::Broken("tls.key".to_owned()));
        assert_eq!(
            found,
            [(at.clone(), Found::Certificate(vec![1, 2, 3])), (at, broken)]
        );
    }
}
