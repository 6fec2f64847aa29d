//! Files that have the same form on every host: kubeconfigs and the encryption configuration.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::pki::Certificates;
use crate::{Encryption, Error, Layout};

/// The API server as a server itself reaches it.
pub(super) const LOCAL_API: &str = "https://127.0.0.1:6443";

/// Returns the API server as all other hosts reach it: the page's own, or by the page's other name for it the balancer.
pub(super) fn api(layout: &Layout) -> &'static str {
    if layout.is_balanced() {
        "https://api-server.kubernetes.local:6443"
    } else {
        "https://server.kubernetes.local:6443"
    }
}

/// Returns the API server as the scheduler and the controllers of a server reach it: the page's way, or where there are
/// several each its own.
pub(super) fn own_api(layout: &Layout) -> &'static str {
    if layout.is_balanced() {
        LOCAL_API
    } else {
        api(layout)
    }
}

/// Returns a kubeconfig with everything embedded, for `user` with the certificate of this name.
pub(super) fn kubeconfig(
    certificates: &Certificates,
    certificate: &str,
    user: &str,
    server: &str,
) -> Result<String, Error> {
    let ca = STANDARD.encode(&certificates.get("ca")?.certificate);
    let issued = certificates.get(certificate)?;
    let (certificate, key) = (STANDARD.encode(&issued.certificate), STANDARD.encode(&issued.key));
    Ok(format!(
        "apiVersion: v1
kind: Config
clusters:
- name: kubernetes-the-hard-way
  cluster:
    certificate-authority-data: {ca}
    server: {server}
contexts:
- name: default
  context:
    cluster: kubernetes-the-hard-way
    user: {user}
current-context: default
preferences: {{}}
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"
    ))
}

/// Returns 32 random bytes as base64: a key for encryption at rest.
pub(super) fn encryption_key() -> Result<String, Error> {
    let mut key = [0; 32];
    let source = "/dev/urandom";
    std::fs::File::open(source)
        .and_then(|mut random| random.read_exact(&mut key))
        .map_err(Error::file("reading", source))?;
    Ok(STANDARD.encode(key))
}

/// Returns the API server's encryption configuration for Secrets, `key` under the page's name `key1`.
pub(super) fn encryption(provider: Encryption, key: &str) -> String {
    let first = match provider {
        Encryption::None => String::new(),
        _ => format!(
            "      - {}:
          keys:
            - name: key1
              secret: {key}
",
            provider.provider()
        ),
    };
    format!(
        "kind: EncryptionConfiguration
apiVersion: apiserver.config.k8s.io/v1
resources:
  - resources:
      - secrets
    providers:
{first}      - identity: {{}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_provider_comes_first_and_plaintext_last() {
        let text = encryption(Encryption::Secretbox, "a2V5");
        let (first, last) = (text.find("secretbox").unwrap(), text.find("identity").unwrap());
        assert!(first < last && text.contains("secret: a2V5"), "{text}");
        let text = encryption(Encryption::None, "a2V5");
        assert!(text.contains("identity") && !text.contains("a2V5"), "{text}");
    }

    #[test]
    fn keys_are_32_bytes_and_no_two_are_the_same() {
        let (one, two) = (encryption_key().unwrap(), encryption_key().unwrap());
        assert_ne!(one, two);
        assert_eq!(STANDARD.decode(one).unwrap().len(), 32);
    }
}
