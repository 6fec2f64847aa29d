//! What a certificate may be used for, whom it names, and whether that is how it is used and reached.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::super::view::{View, about};
use crate::certs::{Certificate, Part, Place, Purpose, Use, host_of, is_of_api, part, servers};
use crate::findings::{Finding, cause};
use crate::protocol::ASKED;

/// CNs that Kubernetes' own roles are bound to (bootstrappolicy of its RBAC).
const USERS: [(&str, &str); 3] = [
    ("kube-scheduler", "system:kube-scheduler"),
    ("kube-controller-manager", "system:kube-controller-manager"),
    ("kube-proxy", "system:kube-proxy"),
];
/// Whoever is in this group may do all.
const MASTERS: &str = "system:masters";
/// In which order API servers look for a kubelet's address, unless they are told otherwise.
const ADDRESSES: &str = "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP";

/// Judges usages and names of what is in use.
pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for (place, used, certificate) in view.shown() {
        let own = usage(view, place, used, certificate)
            .into_iter()
            .chain(nameless(view, place, used, certificate))
            .chain(identity(view, place, used, certificate))
            .chain(reached(view, place, used, certificate));
        for finding in own {
            if !found.contains(&finding) {
                found.push(finding);
            }
        }
    }
    for (place, certificate) in view.in_use() {
        found.extend(refused(view, place, certificate));
    }
    found
}

/// Names what Go takes for no certificate: all of Kubernetes and etcd is written in it.
fn refused(view: &View<'_>, place: &Place, certificate: &Certificate) -> Option<Finding> {
    let refused = certificate.refused.as_ref()?;
    let found = cause::CertRefused {
        path: &place.name,
        subject: &certificate.subject,
        rule: &refused.rule,
        used: &view.users(place),
        host: &view.name,
    };
    // A program of before still runs.
    let finding = if refused.lately {
        Finding::warn(found)
    } else {
        Finding::fail(found)
    };
    Some(about(place, finding))
}

/// Names what is served and has no name to be called by: a CN counts for none since Go 1.15. Addresses count only as addresses.
fn nameless(view: &View<'_>, place: &Place, used: &Use, certificate: &Certificate) -> Option<Finding> {
    let serves = used.purpose == Purpose::Serve && used.setting != "cert-dir/self-signed";
    let program = &view.scene.program(used).program;
    let asked = program == ASKED;
    // Of what a person named, those count that are issued for servers alone, or are called so.
    let alone = certificate.usages.is_some() || is_of_api(&used.setting);
    if !serves || asked && !alone {
        return None;
    }
    let (path, subject, host) = (&place.name, &certificate.subject, &view.name);
    let used = &view.user(used);
    if certificate.dns.is_empty() && certificate.addresses.is_empty() {
        let nameless = cause::CertNameless {
            path,
            subject,
            used,
            host,
        };
        // Of the others nobody is known who checks.
        let is_checked = match program.as_str() {
            "kube-apiserver" | "etcd" | ASKED => true,
            "kubelet" => view.api_checks_kubelets(),
            _ => false,
        };
        let finding = if is_checked {
            Finding::fail(nameless)
        } else {
            Finding::warn(nameless)
        };
        return Some(about(place, finding));
    }
    let address = &certificate.addresses_as_names().next()?.to_string();
    let misplaced = cause::CertAddressAsName {
        path,
        address,
        used,
        host,
    };
    Some(about(place, Finding::warn(misplaced)))
}

fn usage(view: &View<'_>, place: &Place, used: &Use, certificate: &Certificate) -> Option<Finding> {
    let usages = certificate.usages?;
    let (server, client) = match used.purpose {
        // What nobody checks may say what it likes.
        Purpose::Serve if used.setting == "cert-dir/self-signed" => return None,
        Purpose::Serve => (true, false),
        Purpose::Client => (false, true),
        Purpose::Peer => (true, true),
        _ => return None,
    };
    let missing = match (server && !usages.server, client && !usages.client) {
        (false, false) => return None,
        (true, true) => "serverAuth, clientAuth",
        (true, false) => "serverAuth",
        (false, true) => "clientAuth",
    };
    let (path, subject) = (&place.name, &certificate.subject);
    let user = &view.user(used);
    let wrong = cause::CertUsage {
        path,
        subject,
        missing: &missing,
        used: user,
        host: &view.name,
    };
    Some(about(place, Finding::fail(wrong)))
}

/// Judges CN and O beside what Kubernetes lets a program do.
fn identity(view: &View<'_>, place: &Place, used: &Use, certificate: &Certificate) -> Option<Finding> {
    let program = view.scene.program(used);
    let name = program.program.as_str();
    if used.setting == "proxy-client-cert-file" {
        return front_proxy(view, place, used, certificate);
    }
    let by_kubeconfig = part(&used.setting) == Some(Part::User) || used.setting == "cert-dir/client";
    if used.purpose != Purpose::Client || !by_kubeconfig {
        return None;
    }
    let (path, subject, host) = (&place.name, &certificate.subject, &view.name);
    let masters = certificate.organizations.iter().any(|group| group == MASTERS);
    if masters {
        // It works. Who administers may call with his own; a component of a cluster needs less.
        let is_component = name == "kubelet" || USERS.iter().any(|(program, _)| *program == name);
        let mighty = cause::CertMasters {
            path,
            subject,
            program: &name,
            host,
        };
        return is_component.then(|| about(place, Finding::warn(mighty)));
    }
    if name == "kubelet" {
        let named = program.settings.get("hostname-override").map(String::as_str);
        let own = named.or_else(|| view.host.map(crate::site::Host::node));
        let is_node = certificate
            .organizations
            .iter()
            .any(|group| group == "system:nodes");
        let node = certificate.common_name.strip_prefix("system:node:");
        return match (node, own) {
            (Some(node), Some(own)) if is_node && node != own => {
                let other = cause::CertNodeOther {
                    path,
                    node: &node,
                    expected: &own,
                    host,
                };
                Some(about(place, Finding::fail(other)))
            }
            (Some(_), _) if is_node => None,
            _ => {
                let expected = &format!("O=system:nodes, CN=system:node:{}", own.unwrap_or("NODE"));
                let wrong = cause::CertIdentity {
                    path,
                    subject,
                    expected,
                    program: &name,
                    host,
                };
                Some(about(place, Finding::fail(wrong)))
            }
        };
    }
    let (_, expected) = USERS.iter().find(|(program, _)| *program == name)?;
    let right = certificate.common_name == *expected;
    (!right).then(|| {
        // Somebody may have bound other names to these roles.
        let wrong = cause::CertIdentity {
            path,
            subject,
            expected: &format!("CN={expected}"),
            program: &name,
            host,
        };
        about(place, Finding::warn(wrong))
    })
}

/// Extension API servers take requests only from those whom the API server names.
fn front_proxy(view: &View<'_>, place: &Place, used: &Use, certificate: &Certificate) -> Option<Finding> {
    let allowed = view
        .scene
        .program(used)
        .settings
        .get("requestheader-allowed-names")?;
    let mut names = allowed
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .peekable();
    names.peek()?;
    if names.any(|name| name == certificate.common_name) {
        return None;
    }
    let expected = &format!("CN={allowed}");
    let wrong = cause::CertIdentity {
        path: &place.name,
        subject: &certificate.subject,
        expected,
        program: &"kube-apiserver",
        host: &view.name,
    };
    Some(about(place, Finding::fail(wrong)))
}

/// Judges the names that a certificate may serve beside those by which it is really reached.
fn reached(view: &View<'_>, place: &Place, used: &Use, certificate: &Certificate) -> Vec<Finding> {
    let program = view.scene.program(used).program.as_str();
    match (program, used.purpose) {
        ("kube-apiserver", Purpose::Serve) if used.setting != "tls-sni-cert-key" => {
            api(view, place, certificate)
        }
        ("kubelet", Purpose::Serve) => kubelet(view, place, certificate).into_iter().collect(),
        ("etcd", Purpose::Serve) => {
            let urls: Vec<&str> = view
                .of_api_servers("etcd-servers")
                .flat_map(|urls| urls.split(','))
                .collect();
            let urls: Vec<&str> = urls
                .into_iter()
                .filter(|url| leads_here(view, host_of(url)))
                .collect();
            etcd(view, place, certificate, &urls.join(","), "kube-apiserver")
        }
        ("etcd", Purpose::Peer) => {
            let settings = &view.scene.program(used).settings;
            let advertised = settings.get("initial-advertise-peer-urls");
            etcd(
                view,
                place,
                certificate,
                advertised.map(String::as_str).unwrap_or_default(),
                "etcd",
            )
        }
        _ => Vec::new(),
    }
}

fn missing(view: &View<'_>, place: &Place, certificate: &Certificate, name: &str, by: &str) -> Finding {
    let names = &certificate.names().join(", ");
    let missing = cause::CertNameMissing {
        path: &place.name,
        name: &name,
        by: &by,
        names,
        host: &view.name,
    };
    about(place, Finding::fail(missing))
}

/// The API server is called by kubeconfigs, and by pods at the first address of the service network.
fn api(view: &View<'_>, place: &Place, certificate: &Certificate) -> Vec<Finding> {
    let here = view.scene.reply.programs.iter().flat_map(|program| {
        let urls = servers(view.scene.reply, program);
        urls.into_iter()
            .map(|url| (url, program.program.clone(), view.name.to_owned()))
    });
    let distant = view.elsewhere.programs.iter().flat_map(|distant| {
        let urls = distant.servers.iter().cloned();
        urls.map(|url| (url, distant.program.clone(), distant.host.clone()))
    });
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (url, program, host) in here.chain(distant) {
        let name = host_of(&url).to_owned();
        let by_name = || {
            view.scene
                .used("kube-apiserver", |used| used.setting == "tls-sni-cert-key")
                .any(|other| other.serves(&name))
        };
        if name.is_empty() || certificate.serves(&name) || by_name() || !seen.insert(name.clone()) {
            continue;
        }
        found.push(missing(
            view,
            place,
            certificate,
            &name,
            &format!("{program} ({host})"),
        ));
    }
    let networks = view
        .of_api_servers("service-cluster-ip-range")
        .flat_map(|range| range.split(','));
    for network in networks
        .filter_map(|network| network.trim().parse::<IpNet>().ok())
        .take(1)
    {
        let Some(first) = first_address(network) else {
            continue;
        };
        let name = first.to_string();
        if !certificate.serves(&name)
            && !certificate.serves("kubernetes.default.svc")
            && seen.insert(name.clone())
        {
            found.push(missing(view, place, certificate, &name, "Service kubernetes"));
        }
    }
    found
}

/// Returns the address of the Service `kubernetes` (pkg/controlplane of Kubernetes: the first of the network).
fn first_address(network: IpNet) -> Option<IpAddr> {
    Some(match network.network() {
        IpAddr::V4(address) => u32::from(address)
            .checked_add(1)
            .map(std::net::Ipv4Addr::from)?
            .into(),
        IpAddr::V6(address) => u128::from(address)
            .checked_add(1)
            .map(std::net::Ipv6Addr::from)?
            .into(),
    })
}

/// API servers that check kubelets call them by name or address, in the order that they are told.
fn kubelet(view: &View<'_>, place: &Place, certificate: &Certificate) -> Option<Finding> {
    if !view.api_checks_kubelets() {
        return None;
    }
    let host = view.host?;
    let told: Vec<&str> = view.of_api_servers("kubelet-preferred-address-types").collect();
    let order = told.first().copied().unwrap_or(ADDRESSES);
    let mut ways = order.split(',').filter_map(|way| match way.trim() {
        "Hostname" => Some(host.node().to_owned()),
        "InternalIP" => host.ips().first().map(IpAddr::to_string),
        _ => None,
    });
    let name = ways.next()?;
    (!certificate.serves(&name)).then(|| missing(view, place, certificate, &name, "kube-apiserver"))
}

/// Returns whether a name or address is this host's own, as far as the site file tells. Of loopback it is where an API server
/// runs beside it.
pub(super) fn leads_here(view: &View<'_>, name: &str) -> bool {
    if is_loopback(name) {
        return view
            .scene
            .reply
            .programs
            .iter()
            .any(|program| program.program == "kube-apiserver");
    }
    view.host.is_some_and(|host| {
        let own = [host.name.as_str(), host.address.as_str(), host.node()];
        own.contains(&name) || host.ips().iter().any(|address| address.to_string() == name)
    })
}

/// Returns whether a name or address is of whoever asks for it.
pub(super) fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Members of etcd are called by the others where they say that they are, by API servers where those are told.
fn etcd(view: &View<'_>, place: &Place, certificate: &Certificate, urls: &str, by: &str) -> Vec<Finding> {
    let called = urls
        .split(',')
        .map(str::trim)
        .filter(|url| url.starts_with("https://"));
    let mut names: Vec<&str> = called.map(host_of).collect();
    names.dedup();
    let unserved = names.into_iter().filter(|name| !certificate.serves(name));
    unserved
        .map(|name| missing(view, place, certificate, name, by))
        .collect()
}
