//! What programs on other hosts believe and call: a certificate is right or wrong only beside that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::scene::{current, parsed};
use super::{Certificate, Purpose, Scene, purpose};
use crate::protocol::{CertificateUser, CertificatesReply, Der, KubeconfigParts};

/// Settings of the API server that say how others must look, and those of etcd that say who belongs to whom.
const KEPT: [(&str, &str); 7] = [
    ("kube-apiserver", "kubelet-preferred-address-types"),
    ("kube-apiserver", "requestheader-allowed-names"),
    ("kube-apiserver", "service-cluster-ip-range"),
    ("kube-apiserver", "etcd-servers"),
    ("etcd", "advertise-client-urls"),
    ("etcd", "listen-client-urls"),
    ("etcd", "initial-cluster"),
];

/// What programs on other hosts believe and call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The certificates that they believe, each once.
    pub certificates: Vec<Der>,
    /// The programs. Those of several hosts that are alike in all of this stand once.
    pub programs: Vec<Distant>,
}

/// A program on another host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distant {
    /// The host.
    pub host: String,
    /// The program.
    pub program: String,
    /// Its settings that say how others must look.
    pub settings: BTreeMap<String, String>,
    /// What it believes.
    pub trusts: Vec<Trusted>,
    /// What it serves: the certificate, then those that are sent along.
    #[serde(default)]
    pub serves: Vec<Vec<usize>>,
    /// The URLs of API servers that its kubeconfigs name, with the name that their certificate must have.
    pub servers: Vec<String>,
}

/// What a program believes, by a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// The setting.
    pub setting: String,
    /// Certificates of [`Elsewhere::certificates`].
    pub certificates: Vec<usize>,
}

impl Elsewhere {
    /// Adds what the programs of a host believe and call.
    pub fn add(&mut self, host: &str, reply: &CertificatesReply) {
        let scene = Scene::of(reply);
        for (number, program) in reply.programs.iter().enumerate() {
            let mut trusts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for place in &scene.places {
                for used in place
                    .uses
                    .iter()
                    .filter(|used| used.program == number && used.purpose.is_trust())
                {
                    let der = &reply.certificates[place.certificate];
                    let place = self.certificate(der);
                    trusts.entry(used.setting.clone()).or_default().push(place);
                }
            }
            let serves = scene.places.iter().filter(|place| {
                place.nth == 0
                    && place
                        .uses
                        .iter()
                        .any(|used| used.program == number && used.purpose == Purpose::Serve)
            });
            let serves = serves.map(|leaf| {
                let chain = scene
                    .places
                    .iter()
                    .filter(|place| place.file == leaf.file && place.at == leaf.at);
                chain
                    .map(|place| self.certificate(&reply.certificates[place.certificate]))
                    .collect()
            });
            let serves = if program.program == "kube-apiserver" || program.program == "k3s" {
                serves.collect()
            } else {
                Vec::new()
            };
            let kept = KEPT.iter().filter_map(|(of, name)| {
                let value = program.settings.get(*name)?;
                (program.program == *of).then(|| ((*name).to_owned(), value.clone()))
            });
            let distant = Distant {
                host: host.to_owned(),
                program: program.program.clone(),
                settings: kept.collect(),
                trusts: trusts
                    .into_iter()
                    .map(|(setting, certificates)| Trusted {
                        setting,
                        certificates,
                    })
                    .collect(),
                serves,
                servers: servers(reply, program),
            };
            self.program(distant);
        }
    }

    /// Adds what was found on another host.
    pub fn join(&mut self, other: &Self) {
        for distant in &other.programs {
            let mut distant = distant.clone();
            for trusted in &mut distant.trusts {
                for place in &mut trusted.certificates {
                    *place = self.certificate(&other.certificates[*place]);
                }
            }
            for place in distant.serves.iter_mut().flatten() {
                *place = self.certificate(&other.certificates[*place]);
            }
            self.program(distant);
        }
    }

    fn program(&mut self, distant: Distant) {
        let alike = |other: &Distant| {
            (
                &other.program,
                &other.settings,
                &other.trusts,
                &other.serves,
                &other.servers,
            ) == (
                &distant.program,
                &distant.settings,
                &distant.trusts,
                &distant.serves,
                &distant.servers,
            )
        };
        if !self.programs.iter().any(alike) {
            self.programs.push(distant);
        }
    }

    fn certificate(&mut self, der: &Der) -> usize {
        let known = self.certificates.iter().position(|known| known == der);
        known.unwrap_or_else(|| {
            self.certificates.push(der.clone());
            self.certificates.len() - 1
        })
    }

    /// Reads its certificates.
    pub fn read(&self) -> Vec<Option<Certificate>> {
        parsed(&self.certificates)
    }
}

impl Distant {
    /// Returns what it believes for a purpose, by settings that `is` names.
    pub fn trusted<'a>(
        &'a self,
        read: &'a [Option<Certificate>],
        is: fn(&str, Purpose) -> bool,
    ) -> impl Iterator<Item = &'a Certificate> + 'a {
        let trusts = self
            .trusts
            .iter()
            .filter(move |trusted| purpose(&trusted.setting).is_some_and(|what| is(&trusted.setting, what)));
        trusts
            .flat_map(|trusted| &trusted.certificates)
            .filter_map(|place| read.get(*place)?.as_ref())
    }
}

/// Returns the API servers that a program's kubeconfigs lead to: their URLs, or the names that their certificates must have.
pub fn servers(reply: &CertificatesReply, program: &CertificateUser) -> Vec<String> {
    let files = program
        .files
        .iter()
        .filter_map(|given| reply.files.get(given.file?));
    let parts = files.filter_map(|file| file.kubeconfig.as_ref());
    let mut servers: Vec<String> = parts.filter_map(server).collect();
    servers.sort();
    servers.dedup();
    servers
}

/// Returns the API server that a kubeconfig leads to: its URL, or the name that its certificate must have.
pub fn server(parts: &KubeconfigParts) -> Option<String> {
    let (name, _) = current(parts)?;
    let cluster = parts
        .clusters
        .iter()
        .find(|cluster| format!("clusters/{}", cluster.name) == name)?;
    (!cluster.insecure).then(|| {
        cluster
            .server_name
            .clone()
            .unwrap_or_else(|| cluster.server.clone())
    })
}

/// Returns the host of a URL, or the name that it is.
pub fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    match authority.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or(inner),
        None if authority.matches(':').count() == 1 => authority.split(':').next().unwrap_or(authority),
        None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url_is_what_a_certificate_must_name() {
        for (url, host) in [
            ("https://server.kubernetes.local:6443", "server.kubernetes.local"),
            ("https://[fd00::1]:6443/path", "fd00::1"),
            ("https://10.0.0.1", "10.0.0.1"),
            ("name", "name"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }
}
