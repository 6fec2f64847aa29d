//! Certificates as the page makes them: one CA, a certificate for each component, under the page's own names.
//!
//! Pure but for the keys' randomness: times are arguments, files are values. ECDSA P-256, because ring makes no RSA keys.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use crate::{Error, Host, Layout};

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: SystemTime,
    /// Not after.
    pub until: SystemTime,
}

const DAY: Duration = Duration::from_hours(24);

impl Validity {
    /// Returns the page's ten years, begun an hour ago.
    pub fn around(now: SystemTime) -> Self {
        Self {
            from: now - DAY / 24,
            until: now + DAY * 3653,
        }
    }

    /// Returns a validity that ends in twenty days, after most of a year.
    pub fn ending(now: SystemTime) -> Self {
        Self {
            from: now - DAY * 345,
            until: now + DAY * 20,
        }
    }

    /// Returns a validity that begins tomorrow.
    pub fn early(now: SystemTime) -> Self {
        Self {
            from: now + DAY,
            until: now + DAY * 366,
        }
    }

    /// Returns a validity that ended an hour ago.
    pub fn expired(now: SystemTime) -> Self {
        Self {
            from: now - DAY * 30,
            until: now - DAY / 24,
        }
    }
}

/// Whom a certificate names, and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// CN: the user, to the API server.
    pub common_name: String,
    /// O: the group.
    pub organization: Option<String>,
    /// DNS names and addresses that it may serve.
    pub names: Vec<String>,
    /// Whether it may serve; every one may be a client.
    pub serves: Serves,
}

/// Whether a certificate is a server's too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// Client alone.
    No,
    /// Client and server.
    Yes,
}

impl Subject {
    /// Returns the subject of a server that answers to `names`.
    pub fn server(common_name: &str, names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            common_name: common_name.to_owned(),
            organization: None,
            names,
            serves: Serves::Yes,
        }
    }

    /// Returns the subject of a client.
    pub fn client(common_name: &str, organization: Option<&str>) -> Self {
        let organization = organization.map(str::to_owned);
        Self {
            common_name: common_name.to_owned(),
            organization,
            names: Vec::new(),
            serves: Serves::No,
        }
    }

    /// Returns the subject of a node's kubelet. The page gives it the node's name and loopback, not its address.
    pub fn kubelet(node: &str) -> Self {
        Self {
            organization: Some("system:nodes".to_owned()),
            ..Self::server(&format!("system:node:{node}"), &[node, "127.0.0.1"])
        }
    }
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS#8.
    pub key: String,
}

/// A certificate authority.
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    /// Returns a new authority with its own certificate.
    pub fn new(common_name: &str, validity: Validity) -> Result<(Self, Issued), Error> {
        let failed = |source| failed(common_name, source);
        let authority = Self {
            params: authority(common_name),
            key: KeyPair::generate().map_err(failed)?,
        };
        let mut params = authority.params.clone();
        params.not_before = validity.from.into();
        params.not_after = validity.until.into();
        let certificate = params.self_signed(&authority.key).map_err(failed)?.pem();
        let issued = Issued {
            certificate,
            key: authority.key.serialize_pem(),
        };
        Ok((authority, issued))
    }

    /// Returns the authority `common_name` that an earlier run made, from its private key.
    pub fn reopen(common_name: &str, key: &str) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key).map_err(|source| failed(common_name, source))?;
        Ok(Self {
            params: authority(common_name),
            key,
        })
    }

    /// Issues a certificate with a key of its own.
    pub fn issue(&self, subject: &Subject, validity: Validity) -> Result<Issued, Error> {
        let failed = |source| failed(&subject.common_name, source);
        let mut params = CertificateParams::new(subject.names.clone()).map_err(failed)?;
        params.distinguished_name = name(&subject.common_name, subject.organization.as_deref());
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if subject.serves == Serves::Yes {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.not_before = validity.from.into();
        params.not_after = validity.until.into();
        let key = KeyPair::generate().map_err(failed)?;
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?.pem();
        Ok(Issued {
            certificate,
            key: key.serialize_pem(),
        })
    }
}

/// Everything that the page's step "Provisioning a CA and Generating TLS Certificates" leaves.
pub struct Certificates {
    /// Certificates and keys by the page's names: `ca`, `admin`, `node-0`, `kube-proxy` ...
    pub issued: BTreeMap<String, Issued>,
}

/// CN of the page's CA.
pub const CA: &str = "CA";

impl Certificates {
    /// Makes the certificates of a cluster.
    pub fn make(layout: &Layout, validity: Validity) -> Result<Self, Error> {
        let (authority, own) = Authority::new(CA, validity)?;
        let mut issued = BTreeMap::from([("ca".to_owned(), own)]);
        for (name, subject) in subjects(layout) {
            issued.insert(name, authority.issue(&subject, validity)?);
        }
        Ok(Self { issued })
    }

    /// Returns the certificate and key of this name.
    pub fn get(&self, name: &str) -> Result<&Issued, Error> {
        self.issued.get(name).ok_or_else(|| Error::Missing {
            what: format!("certificate {name}"),
            hint: format!(
                "there are {}",
                self.issued.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
        })
    }
}

/// Returns the page's certificates (its ca.conf), with its typo in the scheduler's O.
fn subjects(layout: &Layout) -> Vec<(String, Subject)> {
    let component = |name: &str, organization: &str| Subject {
        organization: Some(organization.to_owned()),
        ..Subject::server(&format!("system:{name}"), &[name, "127.0.0.1"])
    };
    let mut subjects = vec![
        (
            "admin".to_owned(),
            Subject::client("admin", Some("system:masters")),
        ),
        (
            "kube-proxy".to_owned(),
            component("kube-proxy", "system:node-proxier"),
        ),
        (
            "kube-scheduler".to_owned(),
            component("kube-scheduler", "system:system:kube-scheduler"),
        ),
        (
            "kube-controller-manager".to_owned(),
            component("kube-controller-manager", "system:kube-controller-manager"),
        ),
        ("kube-api-server".to_owned(), api_server(layout)),
        (
            "service-accounts".to_owned(),
            Subject::client("service-accounts", None),
        ),
    ];
    subjects.extend(
        layout
            .nodes()
            .map(|node| (node.name.clone(), Subject::kubelet(&node.name))),
    );
    subjects
}

/// Returns the subject of what serves the API and, where there are several servers, etcd: each is reached at its own address
/// then, too.
fn api_server(layout: &Layout) -> Subject {
    let api = [
        "127.0.0.1",
        "10.32.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster",
        "kubernetes.svc.cluster.local",
        "server.kubernetes.local",
        "api-server.kubernetes.local",
    ];
    let mut subject = Subject::server("kubernetes", &api);
    if layout.is_balanced() {
        let own = |host: &Host| [host.fqdn(), host.address.to_string()];
        subject.names.extend(layout.servers().flat_map(own));
        subject.names.dedup();
    }
    subject
}

fn authority(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common_name, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Returns a distinguished name with the page's country, state and city.
fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "US");
    name.push(DnType::StateOrProvinceName, "Washington");
    name.push(DnType::LocalityName, "Seattle");
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

fn failed(name: &str, source: rcgen::Error) -> Error {
    Error::Certificate {
        name: name.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::run;

    fn openssl(arguments: &[&str], input: &str) -> String {
        let output = run::feed(Command::new("openssl").args(arguments), input.as_bytes()).unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_certificates_are_those_of_the_page() {
        let all = Certificates::make(&Layout::new(2), Validity::around(SystemTime::now())).unwrap();
        let names: Vec<_> = all.issued.keys().map(String::as_str).collect();
        let expected = [
            "admin",
            "ca",
            "kube-api-server",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "node-0",
            "node-1",
            "service-accounts",
        ];
        assert_eq!(names, expected);
        let text = |name: &str| openssl(&["x509", "-noout", "-text"], &all.get(name).unwrap().certificate);
        assert!(text("admin").contains("O = system:masters, CN = admin"));
        let node = text("node-1");
        assert!(
            node.contains("O = system:nodes, CN = system:node:node-1"),
            "{node}"
        );
        assert!(node.contains("DNS:node-1, IP Address:127.0.0.1"), "{node}");
        let api = text("kube-api-server");
        assert!(
            api.contains("IP Address:10.32.0.1") && api.contains("DNS:server.kubernetes.local"),
            "{api}"
        );
        assert!(text("ca").contains("CA:TRUE"));
    }

    #[test]
    fn openssl_accepts_the_chain_and_refuses_what_expired() {
        let now = SystemTime::now();
        let (ca, own) = Authority::new(CA, Validity::around(now)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.crt");
        std::fs::write(&path, &own.certificate).unwrap();
        let verify = |issued: &Issued| {
            let mut command = Command::new("openssl");
            run::feed(
                command.arg("verify").arg("-CAfile").arg(&path),
                issued.certificate.as_bytes(),
            )
        };
        let subject = Subject::kubelet("node-0");
        verify(&ca.issue(&subject, Validity::around(now)).unwrap()).unwrap();
        // The same authority, opened again from its key, as a fault does.
        let again = Authority::reopen(CA, &own.key).unwrap();
        verify(&again.issue(&subject, Validity::around(now)).unwrap()).unwrap();
        let error = verify(&again.issue(&subject, Validity::expired(now)).unwrap()).unwrap_err();
        assert!(error.to_string().contains("expired"), "{error}");
    }
}
