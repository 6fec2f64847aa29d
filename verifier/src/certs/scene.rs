//! What a host has: every certificate where it stands, and who uses it there for what.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::layouts::by_name;
use super::{Certificate, Part, Purpose, key_of, part, purpose};
use crate::protocol::{
    ASKED, CertificateFile, CertificateUser, CertificatesReply, Der, FileUse, ItemFacts, KeyFacts,
    KubeconfigParts,
};

/// What a host has.
pub struct Scene<'a> {
    /// What the host said.
    pub reply: &'a CertificatesReply,
    certificates: Vec<Option<Certificate>>,
    /// Every certificate where it stands.
    pub places: Vec<Place>,
}

/// A certificate where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path, and where in it: `/a.crt`, `/a.crt[2]`, `/kubeconfig#users/admin`.
    pub name: String,
    /// The file, by its number.
    pub file: usize,
    /// Where in the file.
    pub at: Option<String>,
    /// Which of the certificates there it is, from 0.
    pub nth: usize,
    /// Which certificate it is.
    pub certificate: usize,
    /// Who uses it.
    pub uses: Vec<Use>,
}

/// A use of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The program, by its number.
    pub program: usize,
    /// The setting that names it.
    pub setting: String,
    /// What it is for.
    pub purpose: Purpose,
}

/// Where the key to a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAt<'a> {
    /// There.
    Found {
        /// The key.
        key: &'a KeyFacts,
        /// The file that holds it.
        file: &'a CertificateFile,
    },
    /// A file that holds none, or is not there.
    Missing {
        /// The path.
        path: &'a str,
    },
    /// A file that could not be read.
    Unread {
        /// The path.
        path: &'a str,
    },
    /// Nothing names one.
    Unnamed,
}

/// Reads a certificate as it travels.
pub fn read(der: &Der) -> Option<Certificate> {
    Certificate::parse(&STANDARD.decode(&der.der).ok()?)
}

/// Reads certificates.
pub(super) fn parsed(certificates: &[Der]) -> Vec<Option<Certificate>> {
    certificates.iter().map(read).collect()
}

impl<'a> Scene<'a> {
    /// Puts together what a host said.
    pub fn of(reply: &'a CertificatesReply) -> Self {
        let mut scene = Self {
            reply,
            certificates: parsed(&reply.certificates),
            places: Vec::new(),
        };
        for (number, file) in reply.files.iter().enumerate() {
            scene.stand(number, file);
        }
        for (number, program) in reply.programs.iter().enumerate() {
            for given in &program.files {
                scene.give(number, program, given);
            }
        }
        scene
    }

    fn stand(&mut self, number: usize, file: &CertificateFile) {
        let mut before: Vec<(&Option<String>, usize)> = Vec::new();
        for item in &file.items {
            let ItemFacts::Certificate(certificate) = item.what else {
                continue;
            };
            let nth = before.iter().filter(|(at, _)| *at == &item.at).count();
            before.push((&item.at, certificate));
            let mut name = file.path.clone();
            if let Some(at) = &item.at {
                name = format!("{name}#{at}");
            }
            if nth > 0 {
                name = format!("{name}[{}]", nth + 1);
            }
            self.places.push(Place {
                name,
                file: number,
                at: item.at.clone(),
                nth,
                certificate,
                uses: Vec::new(),
            });
        }
    }

    /// Notes what a program was given.
    fn give(&mut self, number: usize, program: &CertificateUser, given: &FileUse) {
        let Some(file) = given.file else { return };
        // A kubeconfig for the first minutes of a node's life, and configurations that were read for what they name.
        if given.setting == "bootstrap-kubeconfig" || !is_in_context(self.reply, program, &given.setting) {
            return;
        }
        let Some(found) = self.reply.files.get(file) else {
            return;
        };
        let asked = program.program == ASKED;
        let parts = found.kubeconfig.as_ref().map(|parts| in_use(parts, asked));
        let certificates = &self.certificates;
        let read = |place: &Place| certificates.get(place.certificate).and_then(Option::as_ref);
        let is_leaf = |place: &Place| place.nth == 0 && read(place).is_some_and(|first| !first.is_ca);
        let leaves: Vec<Option<String>> = self
            .places
            .iter()
            .filter(|place| place.file == file && is_leaf(place))
            .map(|place| place.at.clone())
            .collect();
        for place in self.places.iter_mut().filter(|place| place.file == file) {
            let setting = match (&place.at, &parts) {
                (Some(at), Some(parts)) if parts.contains(at) => format!("{}/{at}", given.setting),
                (Some(at), _) if at != "data" => continue,
                _ => given.setting.clone(),
            };
            let by_name = if asked && part(&setting).is_none() {
                by_name(&found.path).or_else(|| read(place).map(Certificate::purpose))
            } else {
                purpose(&setting)
            };
            let Some(purpose) = by_name else {
                continue;
            };
            let behind = asked && leaves.contains(&place.at);
            let purpose = if place.nth > 0 && (behind || purpose.has_key()) {
                Purpose::Chain
            } else {
                purpose
            };
            let known = |used: &Use| used.program == number && used.setting == setting;
            if !place.uses.iter().any(known) {
                place.uses.push(Use {
                    program: number,
                    setting,
                    purpose,
                });
            }
        }
    }

    /// Returns the certificate at a place; none where it cannot be read.
    pub fn certificate(&self, place: &Place) -> Option<&Certificate> {
        self.certificates.get(place.certificate)?.as_ref()
    }

    /// Returns the file of a place.
    pub fn file(&self, place: &Place) -> &'a CertificateFile {
        &self.reply.files[place.file]
    }

    /// Returns a program.
    pub fn program(&self, used: &Use) -> &'a CertificateUser {
        &self.reply.programs[used.program]
    }

    /// Returns who uses it so, in words: `kube-apiserver client-ca-file`; what it is for where a person named it.
    pub fn user(&self, used: &Use) -> String {
        let program = &self.program(used).program;
        if program != ASKED {
            return format!("{program} {}", used.setting);
        }
        let of_kubeconfig = used.setting.split_once(":kubeconfig/");
        of_kubeconfig.map_or_else(
            || used.purpose.word().to_owned(),
            |(_, part)| format!("kubeconfig {part}"),
        )
    }

    /// Returns the other certificates that stand with one.
    pub fn beside(&self, place: &Place) -> Vec<&Certificate> {
        let with =
            |other: &&Place| other.file == place.file && other.at == place.at && other.nth != place.nth;
        self.places
            .iter()
            .filter(with)
            .filter_map(|other| self.certificate(other))
            .collect()
    }

    /// Returns the certificates that programs of this name use so.
    pub fn used<'s>(
        &'s self,
        program: &'s str,
        is: impl Fn(&Use) -> bool + 's,
    ) -> impl Iterator<Item = &'s Certificate> + 's {
        let used = move |place: &&Place| {
            place
                .uses
                .iter()
                .any(|used| self.program(used).program == program && is(used))
        };
        self.places
            .iter()
            .filter(used)
            .filter_map(|place| self.certificate(place))
    }

    /// Returns where the key to a certificate is, as who uses it so will look for it.
    pub fn key(&self, place: &Place, used: &Use) -> KeyAt<'a> {
        let program = self.program(used);
        let public = self.certificate(place).map(|certificate| &certificate.public);
        let named = key_of(&used.setting).and_then(|setting| {
            let files = program.files.iter().filter(|given| given.setting == setting);
            let key = |given: &FileUse| first_key(&self.reply.files[given.file?], None);
            // A setting that may stand there several times names several keys.
            let own = |given: &&FileUse| key(given).is_some_and(|key| key.public.as_ref() == public);
            let any = |given: &&FileUse| key(given).is_some();
            files
                .clone()
                .find(own)
                .or_else(|| files.clone().find(any))
                .or_else(|| files.clone().next())
        });
        let own = self.file(place);
        let beside = || first_key(own, place.at.as_deref()).map(|key| KeyAt::Found { key, file: own });
        match named {
            Some(given) => match given.file.map(|file| &self.reply.files[file]) {
                Some(file) => match first_key(file, None) {
                    Some(key) => KeyAt::Found { key, file },
                    None => beside().unwrap_or(KeyAt::Missing { path: &given.path }),
                },
                None if given.unread == Some(crate::protocol::RefusalKind::Denied) => {
                    KeyAt::Unread { path: &given.path }
                }
                None => beside().unwrap_or(KeyAt::Missing { path: &given.path }),
            },
            None => beside().unwrap_or(KeyAt::Unnamed),
        }
    }

    /// Returns who uses a file at all.
    pub fn users(&self, file: usize) -> impl Iterator<Item = (&'a CertificateUser, &'a FileUse)> {
        let programs = self.reply.programs.iter();
        programs.flat_map(move |program| {
            let given = program.files.iter().filter(move |given| given.file == Some(file));
            given.map(move |given| (program, given))
        })
    }
}

/// Returns the first private key of a file, at a place of it.
fn first_key<'a>(file: &'a CertificateFile, at: Option<&str>) -> Option<&'a KeyFacts> {
    let mut items = file
        .items
        .iter()
        .filter(|item| at.is_none() || item.at.as_deref() == at);
    items.find_map(|item| match &item.what {
        ItemFacts::Key(key) => Some(key),
        _ => None,
    })
}

/// Returns cluster and user of a kubeconfig's current context, as its items are called.
pub(super) fn current(parts: &KubeconfigParts) -> Option<(String, String)> {
    let current = parts.current.as_ref()?;
    let context = parts.contexts.iter().find(|context| &context.name == current)?;
    Some((
        format!("clusters/{}", context.cluster),
        format!("users/{}", context.user),
    ))
}

/// Returns the clusters and users of a kubeconfig that are in use: those of its current context. Where it has none and a
/// person named it, whoever calls with it says which: all count.
fn in_use(parts: &KubeconfigParts, asked: bool) -> Vec<String> {
    match current(parts) {
        Some((cluster, user)) => vec![cluster, user],
        None if asked => {
            let clusters = parts
                .clusters
                .iter()
                .map(|cluster| format!("clusters/{}", cluster.name));
            let users = parts.users.iter().map(|user| format!("users/{}", user.name));
            clusters.chain(users).collect()
        }
        None => Vec::new(),
    }
}

/// Returns whether what a kubeconfig names belongs to its current context; what no kubeconfig names always counts.
fn is_in_context(reply: &CertificatesReply, program: &CertificateUser, setting: &str) -> bool {
    let word = match part(setting) {
        None => return true,
        Some(Part::Cluster) => "/clusters/",
        Some(Part::User | Part::Key) => "/users/",
    };
    let Some((above, part)) = setting.rfind(word).map(|at| setting.split_at(at)) else {
        return true;
    };
    let part = part.trim_start_matches('/');
    let part = part.strip_suffix("/key").unwrap_or(part);
    let kubeconfigs = program.files.iter().filter(|given| given.setting == above);
    let parts = kubeconfigs.filter_map(|given| reply.files.get(given.file?)?.kubeconfig.as_ref());
    let asked = program.program == ASKED;
    parts
        .flat_map(|parts| in_use(parts, asked))
        .any(|in_use| in_use == part)
}
