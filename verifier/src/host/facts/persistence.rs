//! What of this host is still so when it starts again, from its files: nothing is started and nobody is asked. It knows
//! systemd's places and those of the usual tools for networks.

mod inputs;
mod mounts;
mod obstacles;
mod sysctl;
mod units;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::protocol::{HostnameFacts, ModuleFacts, Persistence, PersistenceReply, SysctlFacts};
use mounts::Mount;
use units::Boot;

/// The most of a file that is read, in bytes.
const FILE: u64 = 256 * 1024;
/// The most files of a directory that are looked at.
const ENTRIES: usize = 4096;

/// Directories with files that name modules to load.
const MODULES: [&str; 4] = [
    "etc/modules-load.d",
    "usr/local/lib/modules-load.d",
    "usr/lib/modules-load.d",
    "lib/modules-load.d",
];
/// Directories with files that say how modules are loaded.
const MODPROBE: [&str; 4] = [
    "etc/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
];
/// Files and directories in which tools for networks keep routes.
const NETWORK: [&str; 14] = [
    "etc/network/interfaces",
    "etc/network/interfaces.d",
    "etc/network/if-up.d",
    "etc/netplan",
    "etc/systemd/network",
    "etc/NetworkManager/system-connections",
    "etc/NetworkManager/dispatcher.d",
    "etc/sysconfig/network-scripts",
    "etc/sysconfig/network",
    "etc/sysconfig/static-routes",
    "etc/conf.d/net",
    "etc/local.d",
    "etc/frr",
    "etc/bird",
];
/// Units that set a packet filter up.
const FIREWALLS: [&str; 6] = [
    "firewalld.service",
    "ufw.service",
    "nftables.service",
    "netfilter-persistent.service",
    "iptables.service",
    "ip6tables.service",
];
/// Where systemd-networkd is told to forward.
const NETWORKD: [&str; 3] = [
    "etc/systemd/networkd.conf",
    "etc/systemd/networkd.conf.d",
    "etc/systemd/network",
];

/// Returns what comes back. `live` are the kernel's values of the keys, `daemons` the routes that a routing daemon or DHCP set.
pub(crate) fn persistence(
    ask: &Persistence,
    live: &BTreeMap<String, Option<String>>,
    daemons: &BTreeMap<IpNet, String>,
) -> PersistenceReply {
    within(Path::new("/"), ask, live, daemons)
}

fn within(
    root: &Path,
    ask: &Persistence,
    live: &BTreeMap<String, Option<String>>,
    daemons: &BTreeMap<IpNet, String>,
) -> PersistenceReply {
    let systemd = root.join("run/systemd/system").is_dir();
    let boot = Boot::of(root);
    let units = ask.units.iter().take(Persistence::MOST);
    let keys = ask.keys.iter().take(Persistence::MOST);
    let modules = ask.modules.iter().take(Persistence::MOST);
    let networks = ask.networks.iter().take(Persistence::MOST);
    let settings = sysctl::settings(root, systemd);
    let loaded = text(&root.join("proc/modules")).unwrap_or_default();
    PersistenceReply {
        systemd,
        units: units.map(|name| (name.clone(), boot.unit(name))).collect(),
        sysctls: keys
            .map(|key| {
                let now = live.get(key).cloned().flatten();
                (key.clone(), setting(root, &boot, &settings, key, now))
            })
            .collect(),
        modules: modules
            .map(|name| {
                let facts = ModuleFacts {
                    loaded: loaded.lines().any(|line| line.split(' ').next() == Some(name)),
                    loaded_by: loads(root, &boot, name),
                    barred_by: bars(root, name),
                };
                (name.clone(), facts)
            })
            .collect(),
        swaps: swaps(root),
        swaps_at_boot: swaps_at_boot(root, &boot),
        routes: networks
            .map(|network| {
                (
                    *network,
                    daemons
                        .get(network)
                        .cloned()
                        .or_else(|| routes(root, &boot, *network)),
                )
            })
            .collect(),
        inputs: inputs::changed(root, &ask.inputs),
        hostname: hostname(root),
        mounts: mounts::mounts(root, &ask.directories),
        firewalls: firewalls(root, &boot),
    }
}

/// Returns the host's name. A file that names none or only this host's loopback leaves it to DHCP or a cloud.
fn hostname(root: &Path) -> HostnameFacts {
    let line = |path: &str| {
        let text = text(&root.join(path))?;
        let mut lines = text.lines().map(str::trim);
        let name = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
        name.map(str::to_owned)
    };
    HostnameFacts {
        now: line("proc/sys/kernel/hostname").unwrap_or_default(),
        at_boot: line("etc/hostname").filter(|name| !name.starts_with("localhost")),
    }
}

/// Returns the packet filters that are started at boot and are not now. systemd notes there what runs.
fn firewalls(root: &Path, boot: &Boot) -> Vec<String> {
    let noted = root.join("run/systemd/units");
    if !noted.is_dir() {
        return Vec::new();
    }
    let runs = |unit: &str| fs::symlink_metadata(noted.join(format!("invocation:{unit}"))).is_ok();
    let is_off = |unit: &str| {
        let off = |line: &str| line.trim().eq_ignore_ascii_case("enabled=no");
        unit == "ufw.service" && find_line(root, &["etc/ufw/ufw.conf"], off).is_some()
    };
    let stopped = FIREWALLS
        .iter()
        .filter(|unit| boot.starts(unit) && !runs(unit) && !is_off(unit));
    stopped.map(|unit| (*unit).to_owned()).collect()
}

fn setting(
    root: &Path,
    boot: &Boot,
    settings: &BTreeMap<String, (String, String)>,
    key: &str,
    now: Option<String>,
) -> SysctlFacts {
    if let Some((value, file)) = settings.get(key) {
        return SysctlFacts {
            now,
            at_boot: Some(value.clone()),
            file: Some(file.clone()),
        };
    }
    let slashes = key.replace('.', "/");
    let by_unit = boot
        .runs
        .iter()
        .find(|run| {
            run.text
                .lines()
                .any(|line| line.contains(key) || line.contains(&slashes))
        })
        .map(|run| run.source.clone());
    let by_networkd = || {
        let is_on = key == "net.ipv4.ip_forward" && boot.starts("systemd-networkd.service");
        is_on.then(|| find_line(root, &NETWORKD, forwards)).flatten()
    };
    SysctlFacts {
        file: by_unit.or_else(by_networkd),
        at_boot: None,
        now,
    }
}

/// Returns whether a line of systemd-networkd's turns forwarding on.
fn forwards(line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else {
        return false;
    };
    let value = value.trim().to_ascii_lowercase();
    matches!(key.trim(), "IPForward" | "IPv4Forwarding")
        && matches!(value.as_str(), "yes" | "true" | "1" | "on" | "ipv4")
}

/// Returns what loads a module at boot.
fn loads(root: &Path, boot: &Boot, module: &str) -> Option<String> {
    let same = |name: &str| name.replace('-', "_") == module.replace('-', "_");
    let names = |line: &str| same(line.trim());
    let listed = find_line(root, &MODULES, names).or_else(|| find_line(root, &["etc/modules"], names));
    let by_unit = || {
        let probes =
            |line: &str| line.contains("modprobe") && line.split([' ', '\t', '\'', '"', ';']).any(same);
        let run = boot.runs.iter().find(|run| run.text.lines().any(probes))?;
        Some(run.source.clone())
    };
    listed.or_else(by_unit)
}

/// Returns the file that keeps everybody from loading a module: another command in its place. A blacklist keeps the kernel alone
/// from loading it by an alias, and systemd-modules-load, which a unit's modprobe does not mind.
fn bars(root: &Path, module: &str) -> Option<String> {
    let bars = |line: &str| {
        let mut words = line.split_whitespace();
        let (command, name, by) = (words.next(), words.next(), words.next());
        let same = name.is_some_and(|name| name.replace('-', "_") == module.replace('-', "_"));
        let is_none = by.is_some_and(|by| matches!(by.rsplit('/').next(), Some("true" | "false" | ":")));
        command == Some("install") && same && is_none
    };
    find_line(root, &MODPROBE, bars)
}

pub(super) fn swaps(root: &Path) -> Vec<String> {
    let text = text(&root.join("proc/swaps")).unwrap_or_default();
    let names = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next());
    names.take(64).map(str::to_owned).collect()
}

/// Returns the swap of fstab(5) that is turned on at boot.
fn swaps_at_boot(root: &Path, boot: &Boot) -> Vec<String> {
    if boot.unit("swap.target").masked {
        return Vec::new();
    }
    let comes_back = |swap: &Mount| {
        let on = swap.kind == "swap" && !swap.has("noauto");
        on && !boot.unit(&swap_unit(&swap.source)).masked
    };
    let swaps = mounts::fstab(root).into_iter().filter(comes_back);
    swaps.map(|swap| swap.source).take(64).collect()
}

/// Returns the unit of a swap device (systemd.unit(5), "String Escaping for Inclusion in Unit Names").
fn swap_unit(device: &str) -> String {
    let path = mounts::device(device);
    let mut name = String::new();
    for byte in path.trim_matches('/').bytes() {
        match byte {
            b'/' => name.push('-'),
            b if b.is_ascii_alphanumeric() || b"_.:".contains(&b) => name.push(char::from(b)),
            // Writing to a String cannot fail.
            other => _ = write!(name, "\\x{other:02x}"),
        }
    }
    name + ".swap"
}

/// Returns what sets a route at boot.
fn routes(root: &Path, boot: &Boot, network: IpNet) -> Option<String> {
    let address = network.network().to_string();
    let names = |line: &str| !line.trim_start().starts_with('#') && holds(line, &address);
    let by_unit = || {
        let run = boot.runs.iter().find(|run| run.text.lines().any(names))?;
        Some(run.source.clone())
    };
    find_line(root, &NETWORK, names).or_else(by_unit)
}

/// Returns whether a line holds an address, and not as a part of a longer one.
fn holds(line: &str, address: &str) -> bool {
    let part = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    line.match_indices(address).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part);
        let after = line[at + address.len()..].chars().next().is_some_and(part);
        !before && !after
    })
}

/// Returns the first of the files, those of directories by name, that has such a line.
fn find_line(root: &Path, places: &[&str], is_it: impl Fn(&str) -> bool) -> Option<String> {
    let files = places.iter().flat_map(|place| files(&root.join(place)));
    let mut found = files.filter(|file| text(file).is_some_and(|text| text.lines().any(&is_it)));
    found.next().map(|file| shown(root, &file))
}

/// Returns a file's path as the host has it.
fn shown(root: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(root).unwrap_or(file);
    format!("/{}", relative.display())
}

/// Returns a path itself where it is no directory; else the files in it and in the directories in it, by name.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    entries(path)
        .into_iter()
        .flat_map(|entry| {
            if entry.is_dir() {
                entries(&entry)
            } else {
                vec![entry]
            }
        })
        .take(ENTRIES)
        .collect()
}

/// Returns what is in a directory, by name.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .take(ENTRIES);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Returns the text of a plain file, as far as one is read; nothing where it cannot be.
fn text(path: &Path) -> Option<String> {
    // Whatever else stands there may never end.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .ok()?
        .take(FILE)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of files below a directory of its own.
    pub(super) struct Tree(pub(super) tempfile::TempDir);

    impl Tree {
        pub(super) fn new(files: &[(&str, &str)]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                let path = tree.0.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                match text.strip_prefix("-> ") {
                    Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
                    None => fs::write(path, text).unwrap(),
                }
            }
            tree
        }
    }

    fn ask() -> Persistence {
        Persistence {
            units: vec!["kubelet.service".to_owned()],
            keys: vec!["net.ipv4.ip_forward".to_owned()],
            modules: vec!["br_netfilter".to_owned()],
            networks: vec!["10.200.1.0/24".parse().unwrap()],
            inputs: Vec::new(),
            directories: Vec::new(),
        }
    }

    fn look(files: &[(&str, &str)]) -> PersistenceReply {
        let live = BTreeMap::from([("net.ipv4.ip_forward".to_owned(), Some("1".to_owned()))]);
        within(Tree::new(files).0.path(), &ask(), &live, &BTreeMap::new())
    }

    const TARGET: (&str, &str) = ("usr/lib/systemd/system/default.target", "[Unit]\n");

    #[test]
    fn a_host_without_any_file_keeps_nothing() {
        let reply = look(&[("proc/modules", "br_netfilter 32768 0 - Live 0x0\n")]);
        assert!(!reply.systemd);
        assert!(reply.modules["br_netfilter"].loaded);
        assert_eq!(reply.modules["br_netfilter"].loaded_by, None);
        assert_eq!(reply.sysctls["net.ipv4.ip_forward"].now.as_deref(), Some("1"));
        assert_eq!(reply.sysctls["net.ipv4.ip_forward"].file, None);
        assert_eq!(reply.routes.values().next().unwrap(), &None);
    }

    #[test]
    fn the_files_that_set_things_at_boot_are_named() {
        let reply = look(&[
            ("etc/modules-load.d/k8s.conf", "overlay\nbr-netfilter\n"),
            ("etc/sysctl.d/99-k8s.conf", "net.ipv4.ip_forward = 1\n"),
            (
                "etc/netplan/01.yaml",
                "routes:\n  - to: 10.200.1.0/24\n    via: 192.168.10.102\n",
            ),
        ]);
        assert_eq!(
            reply.modules["br_netfilter"].loaded_by.as_deref(),
            Some("/etc/modules-load.d/k8s.conf")
        );
        let forward = &reply.sysctls["net.ipv4.ip_forward"];
        assert_eq!(forward.file.as_deref(), Some("/etc/sysctl.d/99-k8s.conf"));
        assert_eq!(forward.at_boot.as_deref(), Some("1"));
        assert_eq!(
            reply.routes.values().next().unwrap().as_deref(),
            Some("/etc/netplan/01.yaml")
        );
    }

    #[test]
    fn what_a_unit_runs_at_boot_counts_and_so_does_the_script_that_it_runs() {
        let reply = look(&[
            TARGET,
            (
                "etc/systemd/system/default.target.wants/net.service",
                "-> ../net.service",
            ),
            (
                "etc/systemd/system/net.service",
                "[Service]\nExecStartPre=-/sbin/modprobe br_netfilter\nExecStart=/usr/local/bin/routes.sh\n",
            ),
            (
                "usr/local/bin/routes.sh",
                "#!/bin/sh\nip route replace 10.200.1.0/24 via 192.168.10.102\nsysctl -w net.ipv4.ip_forward=1\n",
            ),
        ]);
        assert_eq!(
            reply.modules["br_netfilter"].loaded_by.as_deref(),
            Some("net.service")
        );
        assert_eq!(
            reply.routes.values().next().unwrap().as_deref(),
            Some("/usr/local/bin/routes.sh")
        );
        let forward = &reply.sysctls["net.ipv4.ip_forward"];
        assert_eq!(forward.file.as_deref(), Some("/usr/local/bin/routes.sh"));
    }

    #[test]
    fn swap_of_fstab_comes_back_unless_it_is_noauto_a_comment_or_masked() {
        let fstab = "/dev/sda1 / ext4 defaults 0 1\n#/dev/sda2 none swap sw 0 0\nUUID=a-b none swap sw 0 0\n\
            /dev/sdb none swap noauto 0 0\n/swap.img none swap sw\n";
        let reply = look(&[("etc/fstab", fstab)]);
        assert_eq!(reply.swaps_at_boot, ["UUID=a-b", "/swap.img"]);
        let masked = ("etc/systemd/system/swap.img.swap", "-> /dev/null");
        assert_eq!(look(&[("etc/fstab", fstab), masked]).swaps_at_boot, ["UUID=a-b"]);
        let all = ("etc/systemd/system/swap.target", "-> /dev/null");
        assert!(look(&[("etc/fstab", fstab), all]).swaps_at_boot.is_empty());
        assert_eq!(swap_unit("UUID=a-b"), "dev-disk-by\\x2duuid-a\\x2db.swap");
    }

    #[test]
    fn a_name_that_a_file_changes_and_a_filter_that_comes_back_are_told() {
        let name = |text: &str| {
            let files = [("etc/hostname", text), ("proc/sys/kernel/hostname", "node-0\n")];
            look(&files).hostname
        };
        assert_eq!(
            name("# set by hand\nworker-7\n").at_boot.as_deref(),
            Some("worker-7")
        );
        assert_eq!(name("localhost.localdomain\n").at_boot, None);
        let filter = (
            "etc/systemd/system/nftables.service",
            "[Service]\nExecStart=/usr/sbin/nft -f x\n",
        );
        let wants = (
            "etc/systemd/system/default.target.wants/nftables.service",
            "-> ../nftables.service",
        );
        let other = ("run/systemd/units/invocation:kubelet.service", "");
        assert_eq!(
            look(&[TARGET, filter, wants, other]).firewalls,
            ["nftables.service"]
        );
        let runs = ("run/systemd/units/invocation:nftables.service", "");
        assert!(look(&[TARGET, filter, wants, runs]).firewalls.is_empty());
        assert!(look(&[TARGET, filter, wants]).firewalls.is_empty());
    }

    #[test]
    fn a_module_in_whose_place_nothing_is_run_is_barred() {
        let bars = |line: &str| {
            look(&[("etc/modprobe.d/cis.conf", line)]).modules["br_netfilter"]
                .barred_by
                .clone()
        };
        let file = || Some("/etc/modprobe.d/cis.conf".to_owned());
        assert_eq!(bars("install br-netfilter /bin/true\n"), file());
        assert_eq!(bars("# install br_netfilter /bin/false\n"), None);
        assert_eq!(
            bars("install br_netfilter /sbin/modprobe --ignore-install br_netfilter\n"),
            None
        );
        assert_eq!(
            bars("install squashfs /bin/false\nblacklist br_netfilter\n"),
            None
        );
    }

    #[test]
    fn a_longer_address_is_another_one() {
        assert!(holds("ip route add 10.200.1.0/24 via x", "10.200.1.0"));
        assert!(!holds("ip route add 110.200.1.0/24 via x", "10.200.1.0"));
        assert!(!holds("ip route add 10.200.1.01/24 via x", "10.200.1.0"));
    }
}
