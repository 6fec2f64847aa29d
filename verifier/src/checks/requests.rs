//! Which requests to agents the checks of a group may make, their fixtures and deeper looks included. A run compares what it asked
//! with this, and says what was not in it.

/// What is asked to find the way of a packet.
const WAY: &[&str] = &[
    "Routes",
    "RouteLookups",
    "Interfaces",
    "Sysctls",
    "Chains",
    "CriPods",
];
/// What is asked of a component: its process, where it listens, whether it answers, its journal.
const COMPONENT: &[&str] = &["Processes", "Listeners", "HttpProbe", "TlsProbe", "Journal"];
/// What is asked of the API servers of the control plane's hosts.
const SERVERS: &[&str] = &["Processes", "Listeners", "Dial"];

/// What the checks of a group ask, by its name.
const GROUPS: &[(&str, &[&[&str]])] = &[
    ("addons", &[]),
    ("api", &[SERVERS, WAY]),
    ("certs", &[&["Certificates", "TlsPeek"], SERVERS]),
    ("components", &[COMPONENT, SERVERS, &["Setting", "CriStatus"]]),
    (
        "etcd",
        &[
            // A Secret is written through each API server, to be looked for in the snapshot.
            SERVERS,
            &[
                "Setting",
                "EtcdStatus",
                "EtcdProof",
                "EtcdSnapshot",
                "Backup",
                "Journal",
            ],
        ],
    ),
    (
        "hosts",
        &[
            COMPONENT,
            &[
                "TimeSource",
                "Names",
                "Routes",
                "Interfaces",
                "Sysctls",
                "Disks",
                "Usage",
                "Persistence",
                "Restarts",
                "CriImages",
                "Cni",
            ],
        ],
    ),
    ("images", &[&["ImageStore", "CriStatus", "CriImageStatus"]]),
    ("kubectl", &[COMPONENT, WAY, &["Names"]]),
    (
        "network",
        &[
            WAY,
            &["HttpProbe", "Echo", "EchoServer", "Resolver", "Dns", "Cni"],
        ],
    ),
    ("nodes", &[COMPONENT, SERVERS, &["Headroom"]]),
    (
        "runtime",
        &[&["Processes", "Crictl", "CriPods", "CriStatus", "CriImageStatus"]],
    ),
    (
        "secrets",
        &[
            SERVERS,
            &["EtcdGet", "EncryptionRules", "EtcdObjects", "EtcdStatus"],
        ],
    ),
    (
        "service",
        &[
            COMPONENT,
            WAY,
            &["ContainerLog", "Echo", "EchoServer", "EchoSurvey"],
        ],
    ),
    ("storage", &[]),
    ("workload", &[&["Unpacked", "CriPods", "Cni"]]),
];

/// Returns which requests a check may make.
pub fn requests(check: &str) -> impl Iterator<Item = &'static str> {
    let group = check.split('.').next().unwrap_or_default();
    let found = GROUPS.iter().find(|(name, _)| *name == group);
    found
        .into_iter()
        .flat_map(|(_, lists)| lists.iter().copied().flatten().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;
    use crate::protocol::touches;

    #[test]
    fn every_group_is_known_and_asks_what_there_is() {
        for check in checks::all() {
            let group = check.id.split('.').next().unwrap();
            assert!(GROUPS.iter().any(|(name, _)| *name == group), "{}", check.id);
            for request in requests(check.id) {
                assert!(touches(request).is_some(), "{request}");
            }
        }
    }
}
