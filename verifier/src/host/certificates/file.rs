//! What a file holds: PEM with one thing or several, DER, a kubeconfig, or a Secret as k3s keeps its own.

use yaml::Node;

use super::kubeconfig;
use crate::certs::{Contents, Found, of_pem};
#[cfg(any(test, feature = "fuzzing"))]
use crate::protocol::ItemFacts;

/// Reads a file. Empty where it holds nothing of interest.
pub(super) fn contents(name: &str, bytes: &[u8]) -> Contents {
    let found = of_pem(bytes);
    if !found.is_empty() {
        let found = found.into_iter().map(|found| (None, found)).collect();
        return Contents {
            found,
            kubeconfig: None,
        };
    }
    if bytes.starts_with(&[0x30, 0x82]) {
        let certificate = Found::Certificate(bytes.to_vec());
        return Contents {
            found: vec![(None, certificate)],
            kubeconfig: None,
        };
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Contents::default();
    };
    // Most files of a configuration are none of ours: the names of a kubeconfig's parts, or of a Secret's, tell.
    let ours = |names: &[&str]| names.iter().all(|name| text.contains(name));
    if !ours(&["clusters", "users"]) && !ours(&["tls.crt"]) {
        return Contents::default();
    }
    let documents = yaml::documents(name, text).unwrap_or_default();
    let Some(document) = documents.first() else {
        return Contents::default();
    };
    kubeconfig::contents(document).unwrap_or_else(|| secret(document))
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
        let der = [0x30, 0x82, 1, 2];
        let found = contents("a", &der).found;
        assert_eq!(found, [(None, Found::Certificate(der.to_vec()))]);
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
