//! What a setting of a program makes of the certificate that it names.

use super::Certificate;

/// What a program does with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// It shows it to who calls.
    Serve,
    /// It shows it to whom it calls.
    Client,
    /// Both: members of etcd among themselves.
    Peer,
    /// It believes clients that show one signed by it.
    TrustClients,
    /// It believes servers that show one signed by it.
    TrustServers,
    /// Both.
    TrustPeers,
    /// It signs others with it.
    Sign,
    /// It takes the public key out of it; dates and names do not count.
    PublicKey,
    /// It is sent along, so that others find the way to the CA.
    Chain,
    /// It was given it, for what is not known here.
    Named,
}

impl Purpose {
    /// Returns whether the program proves with a private key that the certificate is its own.
    pub const fn has_key(self) -> bool {
        matches!(self, Self::Serve | Self::Client | Self::Peer | Self::Sign)
    }

    /// Returns it in a word or two of the field.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Serve => "server",
            Self::Client => "client",
            Self::Peer => "server, client",
            Self::TrustClients | Self::TrustServers | Self::TrustPeers | Self::Sign => "CA",
            Self::PublicKey => "public key",
            Self::Chain => "chain",
            Self::Named => "-",
        }
    }

    /// Returns whether others are checked against it.
    pub const fn is_trust(self) -> bool {
        matches!(self, Self::TrustClients | Self::TrustServers | Self::TrustPeers)
    }

    /// Returns whether servers are checked against it.
    pub const fn trusts_servers(self) -> bool {
        matches!(self, Self::TrustServers | Self::TrustPeers)
    }

    /// Returns whether clients are checked against it.
    pub const fn trusts_clients(self) -> bool {
        matches!(self, Self::TrustClients | Self::TrustPeers)
    }
}

/// Returns what a setting makes of a certificate; none where it names a key.
pub fn purpose(setting: &str) -> Option<Purpose> {
    let purpose = match setting {
        "tls-cert-file"
        | "tlsCertFile"
        | "cert-file"
        | "cert-dir/server"
        | "cert-dir/self-signed"
        | "tls-sni-cert-key" => Purpose::Serve,
        "cert-dir/client"
        | "kubelet-client-certificate"
        | "etcd-certfile"
        | "proxy-client-cert-file"
        | "client-cert-file" => Purpose::Client,
        "peer-cert-file" => Purpose::Peer,
        "client-ca-file" | "clientCAFile" | "requestheader-client-ca-file" | "trusted-ca-file" => {
            Purpose::TrustClients
        }
        "peer-trusted-ca-file" => Purpose::TrustPeers,
        "kubelet-certificate-authority" | "etcd-cafile" | "root-ca-file" | "oidc-ca-file" => {
            Purpose::TrustServers
        }
        "service-account-key-file" => Purpose::PublicKey,
        _ if setting.starts_with("cluster-signing-") && setting.ends_with("cert-file") => Purpose::Sign,
        _ if part(setting) == Some(Part::Key) => return None,
        _ if part(setting) == Some(Part::User) => Purpose::Client,
        _ if part(setting) == Some(Part::Cluster) => Purpose::TrustServers,
        _ if ends(setting, ".crt") || ends(setting, "-cert.json") => of_rancher(setting),
        _ if ["/key", "key-file", ".key"]
            .iter()
            .any(|ending| ends(setting, ending)) =>
        {
            return None;
        }
        _ => Purpose::Named,
    };
    Some(purpose)
}

/// What a setting names of a kubeconfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate of a user.
    User,
    /// The key of a user.
    Key,
    /// The authority of a cluster.
    Cluster,
}

/// Returns what a setting names of a kubeconfig; none where it is none of one. A setting that is a path may have any folders.
pub fn part(setting: &str) -> Option<Part> {
    let inside = match setting.rsplit_once(":kubeconfig/") {
        Some((_, inside)) => format!("/{inside}"),
        None if setting.starts_with('/') => return None,
        None => setting.to_owned(),
    };
    match (inside.find("/users/"), inside.find("/clusters/")) {
        (Some(user), cluster) if cluster.is_none_or(|cluster| user < cluster) => {
            Some(if inside.ends_with("/key") {
                Part::Key
            } else {
                Part::User
            })
        }
        (_, Some(_)) => Some(Part::Cluster),
        _ => None,
    }
}

/// Settings that are paths are compared as their programs write them.
fn ends(setting: &str, ending: &str) -> bool {
    setting.ends_with(ending)
}

impl Certificate {
    /// Returns what a certificate is for by what itself says, where nobody was found who uses it.
    pub fn purpose(&self) -> Purpose {
        let may = self.usages.map(|usages| (usages.server, usages.client));
        match may {
            _ if self.is_ca => Purpose::TrustPeers,
            Some((true, true)) => Purpose::Peer,
            Some((false, true)) => Purpose::Client,
            // For mail, for code, for time stamps.
            Some((false, false)) => Purpose::Named,
            _ => Purpose::Serve,
        }
    }
}

/// The files of k3s and RKE2 are named by what they are for (pkg/daemons/control/deps of k3s).
fn of_rancher(path: &str) -> Purpose {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_ca = name.ends_with("-ca.crt") || name.ends_with("-ca.nochain.crt");
    let of_etcd = path.contains("/etcd/");
    match name {
        _ if is_ca && of_etcd && name.starts_with("peer") => Purpose::TrustPeers,
        _ if is_ca && (name.starts_with("client") || name.starts_with("request-header")) => {
            Purpose::TrustClients
        }
        _ if is_ca => Purpose::TrustServers,
        "peer-server-client.crt" => Purpose::Peer,
        "server-client.crt" => Purpose::Serve,
        _ if name.starts_with("serving") || name.ends_with("-cert.json") => Purpose::Serve,
        _ if name.starts_with("client") => Purpose::Client,
        _ => Purpose::Named,
    }
}

/// Returns the setting that names the key to a certificate.
pub fn key_of(setting: &str) -> Option<String> {
    let key = match setting {
        "tls-cert-file" => "tls-private-key-file",
        "tlsCertFile" => "tlsPrivateKeyFile",
        "kubelet-client-certificate" => "kubelet-client-key",
        "etcd-certfile" => "etcd-keyfile",
        "proxy-client-cert-file" => "proxy-client-key-file",
        "cert-file" => "key-file",
        "peer-cert-file" => "peer-key-file",
        "client-cert-file" => "client-key-file",
        "cert-dir/self-signed" => "cert-dir/self-signed-key",
        "tls-sni-cert-key" => "tls-sni-cert-key",
        _ if setting.starts_with("cluster-signing-") => {
            return Some(setting.replace("cert-file", "key-file"));
        }
        _ if part(setting) == Some(Part::User) => return Some(format!("{setting}/key")),
        _ => return beside(setting),
    };
    Some(key.to_owned())
}

/// Returns the path of the key to a certificate by the names that tools give both.
fn beside(path: &str) -> Option<String> {
    const ENDINGS: [(&str, &str); 8] = [
        ("/cert.pem", "/key.pem"),
        ("/fullchain.pem", "/privkey.pem"),
        ("-cert.pem", "-key.pem"),
        (".cert.pem", ".key.pem"),
        (".crt.pem", ".key.pem"),
        (".crt", ".key"),
        (".cert", ".key"),
        (".cer", ".key"),
    ];
    let renamed = |(from, to): &(&str, &str)| path.strip_suffix(from).map(|stem| format!("{stem}{to}"));
    let known = ENDINGS.iter().find_map(renamed);
    known.or_else(|| path.strip_suffix(".pem").map(|stem| format!("{stem}-key.pem")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_a_certificate_is_for() {
        for (setting, expected) in [
            ("tls-cert-file", Some(Purpose::Serve)),
            ("tls-private-key-file", None),
            ("kubeconfig/users/a", Some(Purpose::Client)),
            ("kubeconfig/users/a/key", None),
            ("cluster-signing-kubelet-client-cert-file", Some(Purpose::Sign)),
            ("server/tls/etcd/peer-ca.crt", Some(Purpose::TrustPeers)),
            ("server/tls/client-ca.crt", Some(Purpose::TrustClients)),
            ("server/tls/serving-kube-apiserver.crt", Some(Purpose::Serve)),
            ("server/tls/client-admin.crt", Some(Purpose::Client)),
            ("server/tls/client-admin.key", None),
            ("agent/server-ca.crt", Some(Purpose::TrustServers)),
            ("experimental-pki", Some(Purpose::Named)),
            (
                "/data/users/me/admin.conf:kubeconfig/clusters/c",
                Some(Purpose::TrustServers),
            ),
            (
                "/clusters/one/admin.conf:kubeconfig/users/u",
                Some(Purpose::Client),
            ),
            ("/data/users/me/admin.conf:kubeconfig/users/u/key", None),
        ] {
            assert_eq!(purpose(setting), expected, "{setting}");
        }
    }

    #[test]
    fn every_certificate_has_its_key_s_setting() {
        for (setting, key) in [
            ("cluster-signing-cert-file", "cluster-signing-key-file"),
            ("kubeconfig/users/a", "kubeconfig/users/a/key"),
            ("agent/client-kubelet.crt", "agent/client-kubelet.key"),
            ("/data/users/me/a.crt", "/data/users/me/a.key"),
            ("/etc/x/cert.pem", "/etc/x/key.pem"),
            ("/etc/x/node.pem", "/etc/x/node-key.pem"),
            ("/etc/x/server-cert.pem", "/etc/x/server-key.pem"),
        ] {
            assert_eq!(key_of(setting).as_deref(), Some(key));
        }
        assert_eq!(key_of("client-ca-file"), None);
    }
}
