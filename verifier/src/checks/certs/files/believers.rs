//! To whom each certificate is shown, and whom those believe. Of several each counts: what one believes another may refuse.

use std::net::IpAddr;

use super::super::view::{Believer, View};
use super::names::{is_loopback, leads_here};
use crate::certs::{Distant, Part, Purpose, Use, host_of, part};
use crate::protocol::ASKED;

/// Programs that serve the API.
const API: [&str; 2] = ["kube-apiserver", "k3s"];
/// Programs that are kubelets.
const KUBELETS: [&str; 2] = ["kubelet", "k3s"];
/// Programs that are etcd.
const ETCD: [&str; 2] = ["etcd", "k3s"];

/// Returns those to whom a certificate is shown, with what each of them believes; nobody where that is not known.
pub(super) fn believers<'v>(view: &'v View<'_>, used: &Use) -> Vec<Believer<'v>> {
    let setting = used.setting.as_str();
    let own = |names: &'static [&'static str]| {
        let believed = view.believed_by(used, move |setting| {
            names.iter().any(|name| setting.ends_with(name))
        });
        vec![Believer {
            host: view.name,
            believed,
        }]
    };
    let all = |programs: &[&'static str], is| view.believers(programs, is, |_| true);
    let program = view.scene.program(used).program.as_str();
    let mut found = match used.purpose {
        Purpose::Client
            if setting == "proxy-client-cert-file" || setting.ends_with("client-auth-proxy.crt") =>
        {
            own(&["requestheader-client-ca-file", "request-header-ca.crt"])
        }
        Purpose::Client if setting == "etcd-certfile" || setting == "client-cert-file" => {
            members(view, used, |setting, _| setting == "trusted-ca-file")
        }
        Purpose::Client if setting.ends_with("etcd/client.crt") => own(&["etcd/server-ca.crt"]),
        Purpose::Client if setting == "kubelet-client-certificate" => all(&KUBELETS, of_clients),
        // In kubeconfigs, and those of k3s. Of what a person named only kubeconfigs are shown to the API server.
        Purpose::Client if program == ASKED && part(setting) != Some(Part::User) => Vec::new(),
        Purpose::Client => all(&API, of_clients),
        Purpose::Peer if program == "etcd" => {
            members(view, used, |setting, _| setting == "peer-trusted-ca-file")
        }
        Purpose::Peer => own(&["etcd/peer-ca.crt"]),
        Purpose::Serve if program == "etcd" && is_of_cluster(view, used) => {
            all(&API, |setting, _| setting == "etcd-cafile")
        }
        Purpose::Serve if program == "kubelet" => {
            all(&API, |setting, _| setting == "kubelet-certificate-authority")
        }
        Purpose::Sign if signs_clients(view, used) => all(&API, of_clients),
        _ => Vec::new(),
    };
    found.retain(|believer| !believer.believed.is_empty());
    found
}

/// Returns the members of etcd to whom a certificate is shown: those that an API server is told, those of a member's own cluster.
/// Where nobody says whom an API server calls, one that believes it is enough.
fn members<'v>(view: &'v View<'_>, used: &Use, is: fn(&str, Purpose) -> bool) -> Vec<Believer<'v>> {
    let told = |name: &str| view.scene.program(used).settings.get(name);
    let called: Option<Vec<&str>> = told("etcd-servers").map(|urls| hosts(urls).collect());
    let own = told("initial-advertise-peer-urls");
    let counts = |distant: &Distant| match (&called, own) {
        (Some(called), _) => ["advertise-client-urls", "listen-client-urls"]
            .iter()
            .filter_map(|name| distant.settings.get(*name))
            .flat_map(|urls| hosts(urls))
            .any(|host| called.contains(&host) && !is_loopback(host)),
        (None, Some(own)) => {
            // NAME=URL,NAME=URL
            let cluster = distant.settings.get("initial-cluster");
            cluster.is_some_and(|cluster| own.split(',').any(|url| cluster.contains(url.trim())))
        }
        (None, None) => false,
    };
    let mut each = view.believers(&ETCD, is, counts);
    // Another etcd may stand beside an API server.
    let is_called = called.is_none_or(|called| called.into_iter().any(|host| leads_here(view, host)));
    each.retain(|believer| is_called || believer.host != view.name);
    if each.is_empty() && used.purpose == Purpose::Client {
        let all = view.believers(&ETCD, is, |_| true);
        let believed = all.into_iter().flat_map(|one| one.believed).collect();
        each.push(Believer {
            host: view.name,
            believed,
        });
    }
    each
}

/// Returns the hosts of a list of URLs.
fn hosts(urls: &str) -> impl Iterator<Item = &str> {
    urls.split(',').map(|url| host_of(url.trim()))
}

/// Returns whether API servers call this etcd. Others keep their own beside it: a network's, a database's.
fn is_of_cluster(view: &View<'_>, used: &Use) -> bool {
    let settings = &view.scene.program(used).settings;
    let own = ["listen-client-urls", "advertise-client-urls"];
    let own: Vec<&str> = own
        .iter()
        .filter_map(|name| settings.get(*name))
        .flat_map(|urls| urls.split(','))
        .collect();
    let port =
        |url: &str| -> Option<u16> { url.trim().trim_end_matches('/').rsplit(':').next()?.parse().ok() };
    let leads = |url: &str| {
        let host = host_of(url.trim());
        let is_name = host.parse::<IpAddr>().is_err();
        own.iter().any(|own| port(own) == port(url))
            && (is_name || leads_here(view, host) || own.iter().any(|own| host_of(own.trim()) == host))
    };
    let mut called = view
        .of_api_servers("etcd-servers")
        .flat_map(|urls| urls.split(','))
        .peekable();
    own.is_empty() || called.peek().is_none() || called.any(leads)
}

/// Returns whether what a controller manager signs with signs clients of the API server.
fn signs_clients(view: &View<'_>, used: &Use) -> bool {
    let of_its_own = "cluster-signing-kubelet-client-cert-file";
    let given = &view.scene.program(used).files;
    match used.setting.as_str() {
        "cluster-signing-cert-file" => given.iter().all(|given| given.setting != of_its_own),
        setting => setting == of_its_own,
    }
}

/// Returns whether a setting names what clients are believed by; of the front proxy and of etcd there are others.
fn of_clients(setting: &str, purpose: Purpose) -> bool {
    purpose.trusts_clients() && !setting.contains("request") && !setting.contains("/etcd/")
}
