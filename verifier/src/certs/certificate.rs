//! What a certificate says (RFC 5280), as values of ours.

use std::fmt::Write as _;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, KeyUsage, ParsedExtension};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Name;

use super::limits::Limits;
use super::refused::Refused;

/// How many names of a certificate are read.
const NAMES: usize = 1024;

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of its DER, as hexadecimal digits.
    pub fingerprint: String,
    /// Its serial number, as hexadecimal digits.
    pub serial: String,
    /// Whom it names, for example `O=system:masters, CN=admin`.
    pub subject: String,
    /// Who says that it signed it.
    pub issuer: String,
    /// CN.
    pub common_name: String,
    /// Every O.
    pub organizations: Vec<String>,
    /// When it begins to be good, in seconds since the epoch.
    pub not_before: i64,
    /// When it ends to be.
    pub not_after: i64,
    /// The DNS names that it may serve.
    pub dns: Vec<String>,
    /// The addresses that it may serve.
    pub addresses: Vec<IpAddr>,
    /// Its version: 1 or 3.
    pub version: u32,
    /// Whether basic constraints make it a CA.
    pub is_ca: bool,
    /// Whether it may sign certificates: absent where it does not say.
    pub may_sign: Option<bool>,
    /// How many authorities may stand between it and a leaf: absent where it does not say.
    pub path_length: Option<u32>,
    /// The names that what it signs may have: absent where it does not say.
    pub limits: Option<Limits>,
    /// What keeps everything that is written in Go from using it, in the words of its fields.
    pub refused: Option<Refused>,
    /// What it is good for: absent where it does not say, and then for all.
    pub usages: Option<Usages>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub public: String,
    /// The key.
    pub key: KeyKind,
    /// The key's length in bits, or that of its curve.
    pub bits: usize,
    /// The name of the algorithm that it was signed with, or its number.
    pub algorithm: String,
    /// The name of its key.
    pub key_id: Option<Vec<u8>>,
    /// The name of the key that signed it.
    pub issuer_key_id: Option<Vec<u8>>,
    pub(super) raw: Raw,
}

/// What a signature is checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) signed: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// What a certificate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usages {
    /// A server.
    pub server: bool,
    /// A client.
    pub client: bool,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// On a curve of NIST.
    Ec,
    /// Ed25519.
    Ed25519,
    /// DSA and others that TLS does not use.
    Other,
}

impl Certificate {
    /// Reads a certificate; none where it cannot be read.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let (rest, read) = x509_parser::parse_x509_certificate(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let (key, bits) = key(&read);
        let mut certificate = Self {
            fingerprint: hex(&Sha256::digest(der)),
            serial: hex(read.raw_serial()),
            subject: name(read.subject()),
            issuer: name(read.issuer()),
            common_name: attributes(read.subject(), "CN").pop().unwrap_or_default(),
            organizations: attributes(read.subject(), "O"),
            not_before: read.validity().not_before.timestamp(),
            not_after: read.validity().not_after.timestamp(),
            dns: Vec::new(),
            addresses: Vec::new(),
            version: read.version().0 + 1,
            is_ca: false,
            may_sign: None,
            path_length: None,
            limits: None,
            refused: Refused::of(&read),
            usages: None,
            public: hex(&Sha256::digest(read.public_key().raw)),
            key,
            bits,
            algorithm: algorithm(&read.signature_algorithm.algorithm.to_id_string()),
            key_id: None,
            issuer_key_id: None,
            raw: Raw {
                subject: read.subject().as_raw().to_vec(),
                issuer: read.issuer().as_raw().to_vec(),
                signed: read.tbs_certificate.as_ref().to_vec(),
                signature: read.signature_value.data.to_vec(),
                key: read.public_key().subject_public_key.data.to_vec(),
            },
        };
        for extension in read.extensions() {
            certificate.extension(extension.parsed_extension());
        }
        Some(certificate)
    }

    fn extension(&mut self, extension: &ParsedExtension<'_>) {
        match extension {
            ParsedExtension::BasicConstraints(constraints) => {
                self.is_ca = constraints.ca;
                self.path_length = constraints.path_len_constraint;
            }
            ParsedExtension::NameConstraints(constraints) => self.limits = Some(Limits::of(constraints)),
            ParsedExtension::KeyUsage(usage) => self.may_sign = Some(KeyUsage::key_cert_sign(usage)),
            ParsedExtension::ExtendedKeyUsage(usage) => self.usages = Some(usages(usage)),
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in names.general_names.iter().take(NAMES) {
                    match name {
                        GeneralName::DNSName(name) => self.dns.push((*name).to_owned()),
                        GeneralName::IPAddress(bytes) => self.addresses.extend(address(bytes)),
                        _ => {}
                    }
                }
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.issuer_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            _ => {}
        }
    }

    /// Returns whether Go takes it for an issuer (crypto/x509, isValid): before version 3 nothing says that it is none.
    pub fn is_issuer(&self) -> bool {
        (self.is_ca || self.version < 3) && self.may_sign != Some(false)
    }

    /// Returns whether it may be used so: for all that is wanted of these.
    pub fn is_for(&self, server: bool, client: bool) -> bool {
        self.usages
            .is_none_or(|usages| (usages.server || !server) && (usages.client || !client))
    }

    /// Returns the addresses that stand among its DNS names, where nobody who calls by an address looks for them.
    pub fn addresses_as_names(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let addresses = self.dns.iter().filter_map(|name| name.parse().ok());
        addresses.filter(|address| !self.addresses.contains(address))
    }

    /// Returns whether it names itself as its issuer.
    pub fn is_own_issuer(&self) -> bool {
        self.raw.subject == self.raw.issuer
    }

    /// Returns whether `other` has the name of this one's issuer.
    pub fn names_as_issuer(&self, other: &Self) -> bool {
        self.raw.issuer == other.raw.subject
    }

    /// Returns whether both have one name.
    pub fn has_name_of(&self, other: &Self) -> bool {
        self.raw.subject == other.raw.subject
    }

    /// Returns whether it may serve a host: a name or an address (RFC 6125: a star stands for the first label).
    pub fn serves(&self, host: &str) -> bool {
        let host = host
            .trim_matches(['[', ']'])
            .trim_end_matches('.')
            .to_ascii_lowercase();
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        self.dns.iter().any(|name| {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            match name.strip_prefix("*.") {
                Some(parent) => host
                    .split_once('.')
                    .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
                None => name == host,
            }
        })
    }

    /// Returns the names and addresses that it may serve.
    pub fn names(&self) -> Vec<String> {
        let addresses = self.addresses.iter().map(ToString::to_string);
        self.dns.iter().cloned().chain(addresses).collect()
    }

    /// Returns the key in words: `RSA 2048`, `EC 256`.
    pub fn key_text(&self) -> String {
        match self.key {
            KeyKind::Rsa => format!("RSA {}", self.bits),
            KeyKind::Ec => format!("EC {}", self.bits),
            KeyKind::Ed25519 => "Ed25519".to_owned(),
            KeyKind::Other => "?".to_owned(),
        }
    }

    /// Returns what it is good for, in the words of its fields.
    pub fn usage_words(&self) -> Vec<String> {
        let (server, client) = self
            .usages
            .map_or((true, true), |usages| (usages.server, usages.client));
        let words = [
            ("CA", self.is_ca),
            ("server", server && !self.is_ca),
            ("client", client && !self.is_ca),
        ];
        words
            .iter()
            .filter(|(_, is)| *is)
            .map(|(word, _)| (*word).to_owned())
            .collect()
    }

    /// Returns whether Go's TLS refuses its key (crypto/tls, crypto/x509 of Go 1.24).
    pub const fn has_weak_key(&self) -> bool {
        match self.key {
            KeyKind::Rsa => self.bits < 2048,
            KeyKind::Ec => self.bits < 256,
            KeyKind::Ed25519 => false,
            KeyKind::Other => true,
        }
    }

    /// Returns whether Go refuses its signature: MD5, SHA-1.
    pub fn has_weak_signature(&self) -> bool {
        let small = self.algorithm.to_ascii_lowercase();
        ["md2", "md5", "sha1"].iter().any(|hash| small.contains(hash))
    }
}

/// Returns bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    // Writing to a String cannot fail.
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn usages(usage: &ExtendedKeyUsage<'_>) -> Usages {
    Usages {
        server: usage.any || usage.server_auth,
        client: usage.any || usage.client_auth,
    }
}

fn key(read: &X509Certificate<'_>) -> (KeyKind, usize) {
    match read.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => (KeyKind::Rsa, key.key_size()),
        // The length of a coordinate, in whole bytes: P-521 has 528.
        Ok(PublicKey::EC(point)) => (
            KeyKind::Ec,
            if point.key_size() == 528 {
                521
            } else {
                point.key_size()
            },
        ),
        _ if read.public_key().algorithm.algorithm.to_id_string() == "1.3.101.112" => (KeyKind::Ed25519, 256),
        _ => (KeyKind::Other, 0),
    }
}

/// Returns the name of an algorithm of signatures, as RFC 8017, 5758 and 8410 call them.
fn algorithm(id: &str) -> String {
    let name = match id {
        "1.2.840.113549.1.1.2" => "md2WithRSAEncryption",
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "Ed25519",
        other => other,
    };
    name.to_owned()
}

/// Returns the short name of an attribute, as RFC 4514 has them.
fn attribute(id: &str) -> &str {
    match id {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        other => other,
    }
}

fn pairs<'a>(name: &'a X509Name<'_>) -> impl Iterator<Item = (String, String)> + 'a {
    name.iter_attributes().map(|found| {
        let id = found.attr_type().to_id_string();
        let text = found
            .as_str()
            .map_or_else(|_| hex(found.as_slice()), str::to_owned);
        (attribute(&id).to_owned(), text)
    })
}

/// Returns a name in one line. Commas in its parts are written as in RFC 4514, so that nobody can pretend to be two.
fn name(name: &X509Name<'_>) -> String {
    let parts =
        pairs(name).map(|(id, text)| format!("{id}={}", text.replace('\\', "\\\\").replace(',', "\\,")));
    parts.collect::<Vec<_>>().join(", ")
}

fn attributes(name: &X509Name<'_>, wanted: &str) -> Vec<String> {
    pairs(name)
        .filter(|(id, _)| id == wanted)
        .map(|(_, text)| text)
        .collect()
}
