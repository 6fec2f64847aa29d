//! A certificate as lists have it: tables, CSV, calendars.

use cli::Shown;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Certificate, Place, Scene, date};

/// A certificate where it stands, as lists have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Listed {
    /// The host that has it; null where it is none of a host's.
    #[schemars(with = "Option<String>")]
    pub host: Option<Shown>,
    /// Where it stands: a path and where in it, an address that serves it, an object of the API.
    #[schemars(with = "String")]
    pub place: Shown,
    /// Other names of the file.
    #[schemars(with = "Vec<String>")]
    pub names: Vec<Shown>,
    /// Whom it names.
    #[schemars(with = "String")]
    pub subject: Shown,
    /// Who signed it, as it says.
    #[schemars(with = "String")]
    pub issuer: Shown,
    /// Its serial number, as hexadecimal digits.
    #[schemars(with = "String")]
    pub serial: Shown,
    /// The names and addresses that it may serve.
    #[schemars(with = "Vec<String>")]
    pub sans: Vec<Shown>,
    /// What it is good for: `CA`, `server`, `client`.
    pub usages: Vec<String>,
    /// Its key, for example `RSA 2048`.
    pub key: String,
    /// The algorithm that it was signed with.
    #[schemars(with = "String")]
    pub signature: Shown,
    /// SHA-256 of it, as hexadecimal digits.
    pub sha256: String,
    /// When it begins to be good.
    #[schemars(with = "String")]
    pub not_before: Shown,
    /// When it ends to be.
    #[schemars(with = "String")]
    pub not_after: Shown,
    /// How many whole days are left; negative where it has ended.
    pub days_left: i64,
    /// Who uses it, and the setting that says so; empty: nobody that was found.
    #[schemars(with = "Vec<String>")]
    pub used_by: Vec<Shown>,
    /// How it stands.
    pub standing: Standing,
}

/// How a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Nothing is wrong with it.
    Good,
    /// Something is wrong with it, and nobody uses it.
    Note,
    /// It works, and deserves attention.
    Warn,
    /// It could not be judged.
    Error,
    /// It is in use and wrong.
    Fail,
}

impl Standing {
    /// Returns the word of the lists.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }
}

impl Listed {
    /// Returns a certificate as lists have it. `standing` says how it stands.
    pub fn of(certificate: &Certificate, place: &str, now: i64) -> Self {
        let shown = |texts: Vec<String>| texts.iter().map(Shown::new).collect();
        Self {
            host: None,
            place: Shown::new(place),
            names: Vec::new(),
            subject: Shown::new(&certificate.subject),
            issuer: Shown::new(&certificate.issuer),
            serial: Shown::new(&certificate.serial),
            sans: shown(certificate.names()),
            usages: certificate.usage_words(),
            key: certificate.key_text(),
            signature: Shown::new(&certificate.algorithm),
            sha256: certificate.fingerprint.clone(),
            not_before: Shown::new(&date(certificate.not_before)),
            not_after: Shown::new(&date(certificate.not_after)),
            days_left: certificate.days_left(now),
            used_by: Vec::new(),
            standing: Standing::Good,
        }
    }

    /// Returns a certificate of a host's file.
    pub fn of_place(scene: &Scene<'_>, place: &Place, host: Option<&str>, now: i64) -> Option<Self> {
        let listed = Self::of(scene.certificate(place)?, &place.name, now);
        let users = place.uses.iter().map(|used| Shown::new(&scene.user(used)));
        Some(Self {
            host: host.map(Shown::new),
            names: scene.file(place).names.iter().map(Shown::new).collect(),
            used_by: users.collect(),
            ..listed
        })
    }
}
