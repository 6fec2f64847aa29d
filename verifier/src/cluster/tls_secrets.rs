//! TLS Secrets. A key comes along with its list: the API has no request that leaves it out. It is looked at where it was
//! decoded, its bytes are overwritten, and nothing of it is kept but the digest of its public half.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::ListParams;
use secrets::Wiped;
use serde::{Deserialize, Serialize};

use super::resource::resource;
use super::{Cluster, ClusterError};
use crate::certs::{Found, of_pem};
use crate::protocol::{Der, ItemFacts, KeyFacts};

/// A Secret of the type `kubernetes.io/tls`, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSecretFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The certificates of `tls.crt`, in their order; none where it holds no certificate that can be read.
    pub certificates: Vec<Der>,
    /// What there is of `tls.key`.
    pub key: SecretKey,
}

/// What a Secret has for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKey {
    /// Nothing.
    Absent,
    /// Something that is no private key.
    Broken,
    /// A private key.
    Found(KeyFacts),
}

/// The object, as far as it is read.
#[derive(Deserialize)]
struct TlsSecret {
    metadata: ObjectMeta,
    #[serde(default)]
    data: Data,
}

resource!(TlsSecret, NamespaceResourceScope, "", "Secret", "secrets");

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default, rename = "tls.crt")]
    certificates: String,
    /// In base64.
    #[serde(default, rename = "tls.key")]
    key: Base64,
}

/// Text that is overwritten when it is no longer needed.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Base64(String);

impl Base64 {
    fn decoded(self) -> Option<Wiped<Vec<u8>>> {
        let text = Wiped::new(self.0);
        STANDARD.decode(text.as_bytes()).ok().map(Wiped::new)
    }
}

impl Cluster {
    /// Returns the TLS Secrets of all namespaces. Needs the right to list Secrets.
    pub async fn tls_secrets(&self) -> Result<Vec<TlsSecretFacts>, ClusterError> {
        self.kept("tls-secrets", self.tls_secrets_now()).await
    }

    async fn tls_secrets_now(&self) -> Result<Vec<TlsSecretFacts>, ClusterError> {
        let api: Api<TlsSecret> = Api::all(self.client.clone());
        let of_tls = ListParams::default().fields("type=kubernetes.io/tls");
        self.list("list secrets", &api, of_tls, facts).await
    }
}

fn facts(object: TlsSecret) -> TlsSecretFacts {
    let Data { certificates, key } = object.data;
    let blocks = STANDARD
        .decode(certificates)
        .map(|pem| of_pem(&pem, true))
        .unwrap_or_default();
    let certificates = blocks.into_iter().filter_map(|found| match found {
        Found::Certificate(der) => Some(Der {
            der: STANDARD.encode(der),
        }),
        Found::Item(_) => None,
    });
    TlsSecretFacts {
        namespace: object.metadata.namespace.unwrap_or_default(),
        name: object.metadata.name.unwrap_or_default(),
        certificates: certificates.collect(),
        key: key_of(key),
    }
}

fn key_of(key: Base64) -> SecretKey {
    if key.0.is_empty() {
        return SecretKey::Absent;
    }
    let items = key.decoded().map(|pem| of_pem(&pem, true)).unwrap_or_default();
    let key = items.into_iter().find_map(|found| match found {
        Found::Item(ItemFacts::Key(key)) => Some(key),
        _ => None,
    });
    key.map_or(SecretKey::Broken, SecretKey::Found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_key_only_the_public_half_is_kept() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["a.b".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        let secret = |crt: &str, key: &str| {
            let object = json!({"metadata": {"name": "s", "namespace": "n"},
                "data": {"tls.crt": STANDARD.encode(crt), "tls.key": STANDARD.encode(key)}});
            facts(serde_json::from_value(object).unwrap())
        };
        let good = secret(&certificate.pem(), &key.serialize_pem());
        let SecretKey::Found(found) = &good.key else {
            panic!("{:?}", good.key);
        };
        let leaf = crate::certs::read(&good.certificates[0]).unwrap();
        assert_eq!(found.public.as_deref(), Some(&*leaf.public));
        let text = serde_json::to_string(&good).unwrap();
        let private = key.serialize_pem();
        let body = private.lines().nth(1).unwrap();
        assert!(!text.contains(&body[..24]), "{text}");
        assert_eq!(secret("", "").key, SecretKey::Absent);
        assert_eq!(secret("x", "no key").key, SecretKey::Broken);
        assert!(secret("x", "").certificates.is_empty());
    }
}
