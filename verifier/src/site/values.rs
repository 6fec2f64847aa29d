//! The values of a site file: names, addresses, networks, roles, sockets, each with the words for what is wrong.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use yaml::{Node, Problems, list, parsed, text, unsigned};

use super::{Become, Images, Role};

pub(super) fn r#become(node: &Node, problems: &mut Problems) -> Option<Become> {
    match text(node, problems)?.as_str() {
        "none" => Some(Become::None),
        "sudo" => Some(Become::Sudo),
        _ => {
            problems.add_with_hint(
                node.place,
                "this way to become root is not known",
                "known are none and sudo",
            );
            None
        }
    }
}

pub(super) fn images(node: &Node, problems: &mut Problems) -> Option<Images> {
    match text(node, problems)?.as_str() {
        "any" => Some(Images::Any),
        "exact" => Some(Images::Exact),
        _ => {
            let hint = "known are any and exact";
            problems.add_with_hint(node.place, "this is not known of images", hint);
            None
        }
    }
}

pub(super) fn port(node: &Node, problems: &mut Problems) -> Option<u16> {
    let port = unsigned::<u16>(node, problems)?;
    if port == 0 {
        problems.add(node.place, "the port must be from 1 to 65535");
        return None;
    }
    Some(port)
}

/// Returns whether the text is an IP address or a name that DNS allows.
pub(crate) fn is_address(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if IpAddr::from_str(text).is_ok() {
        return true;
    }
    // Digits and dots alone are an IP address gone wrong, not a name.
    let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    !numeric && text.len() <= 253 && text.split('.').all(label)
}

pub(super) fn host_name(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = text(node, problems)?;
    if is_address(&name) && name != "local" && name != "direct" {
        return Some(name);
    }
    problems.add(node.place, "not the name of a host");
    None
}

pub(super) fn address(node: &Node, problems: &mut Problems) -> Option<String> {
    let Some(address) = node.scalar().filter(|_| !node.is_null()) else {
        return text(node, problems);
    };
    if is_address(address) {
        return Some(address.to_owned());
    }
    problems.add(node.place, "neither an IP address nor the name of a host");
    None
}

pub(super) fn roles(node: &Node, problems: &mut Problems) -> Option<Vec<Role>> {
    let mut roles = list(role)(node, problems)?;
    if roles.is_empty() {
        problems.add_with_hint(
            node.place,
            "the list of roles is empty",
            "known are control-plane, etcd and worker",
        );
    }
    roles.sort_unstable();
    roles.dedup();
    Some(roles)
}

pub(super) fn role(node: &Node, problems: &mut Problems) -> Option<Role> {
    match text(node, problems)?.as_str() {
        "control-plane" => Some(Role::ControlPlane),
        "etcd" => Some(Role::Etcd),
        "worker" => Some(Role::Worker),
        _ => {
            problems.add_with_hint(
                node.place,
                "this role is not known",
                "known are control-plane, etcd and worker",
            );
            None
        }
    }
}

pub(super) fn network(node: &Node, problems: &mut Problems) -> Option<IpNet> {
    let Some(text) = node.scalar() else {
        return parsed(node, problems);
    };
    let Ok(network) = text.parse::<IpNet>() else {
        problems.add_with_hint(node.place, "not a network", "for example 10.200.0.0/24");
        return None;
    };
    if network.trunc() != network {
        problems.add_with_hint(
            node.place,
            "an address in a network, not a network",
            format!("the network is {}", network.trunc()),
        );
        return None;
    }
    Some(network)
}

pub(super) fn runtime(node: &Node, problems: &mut Problems) -> Option<String> {
    let socket = text(node, problems)?;
    let path = socket.strip_prefix("unix://").unwrap_or(&socket).to_owned();
    if !path.starts_with('/') {
        problems.add(node.place, "not the absolute path of a socket");
    }
    Some(path)
}

pub(super) fn endpoint(node: &Node, problems: &mut Problems) -> Option<String> {
    let url = text(node, problems)?;
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    // etcd takes no login in a URL, and the URL is shown.
    if rest.is_none_or(|rest| rest.is_empty() || rest.contains('@')) {
        problems.add_with_hint(
            node.place,
            "not a URL of etcd",
            "for example https://127.0.0.1:2379",
        );
        return None;
    }
    Some(url)
}
