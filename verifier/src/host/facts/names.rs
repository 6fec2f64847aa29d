//! What names mean on this host: /etc/hosts, then DNS as resolv.conf has it. The look-up itself is the C library's of this very
//! program, which is told to ask these two and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::host::kubelet::kubelet;
use crate::protocol::{NameFound, Names, NamesReply, ResolverReply};

/// How long a name may take. The C library itself waits 5 s for a server, twice.
const NAME: Duration = Duration::from_secs(11);
/// So many are asked for at once.
const AT_ONCE: usize = 64;
/// Sources that files and DNS stand for, or that know only this host, its containers, or names that end in `.local`.
const ASKED: [&str; 8] = [
    "files",
    "dns",
    "myhostname",
    "mymachines",
    "mdns",
    "mdns4",
    "mdns_minimal",
    "mdns4_minimal",
];
/// Where systemd-resolved answers questions over DNS.
const STUB: [&str; 2] = ["127.0.0.53", "127.0.0.54"];

/// Looks all of them up.
pub(crate) async fn names(ask: Names) -> NamesReply {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let in_file = of_hosts(&text("/etc/hosts"));
    let servers = servers(&text("/etc/resolv.conf"));
    let api_server = api_server();
    let mut wanted = ask.names;
    if ask.of_file {
        wanted.extend(in_file.iter().cloned());
    }
    wanted.truncate(Names::MOST);
    wanted.extend(api_server.clone());
    wanted.sort();
    wanted.dedup();
    let looked = wanted.into_iter().map(|name| async {
        let of_file = in_file.contains(&name.to_ascii_lowercase());
        let found = look(&name, of_file).await;
        (name, found)
    });
    let found: BTreeMap<String, NameFound> = futures::stream::iter(looked)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    NamesReply {
        names: found,
        api_server,
        unasked: unasked(&text("/etc/nsswitch.conf"), &servers),
        servers,
    }
}

async fn look(name: &str, of_file: bool) -> NameFound {
    match timeout(NAME, lookup_host((name, 0))).await {
        Ok(Ok(found)) => {
            let mut seen = BTreeSet::new();
            let addresses = found.map(|address| address.ip());
            NameFound::Addresses {
                addresses: addresses.filter(|address| seen.insert(*address)).collect(),
                of_file,
            }
        }
        Ok(Err(error)) if !is_silence(&error) => NameFound::Unknown,
        Ok(Err(_)) | Err(_) => NameFound::Silent,
    }
}

/// `EAI_AGAIN`, whose words are glibc's or musl's: the standard library keeps no number of it.
fn is_silence(error: &io::Error) -> bool {
    let words = error.to_string();
    words.contains("Temporary failure") || words.contains("Try again")
}

/// Returns the names that hosts(5) has, in lower case.
fn of_hosts(text: &str) -> BTreeSet<String> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let named = lines.flat_map(|line| {
        let mut words = line.split_whitespace();
        let is_address = words.next().is_some_and(|word| word.parse::<IpAddr>().is_ok());
        words.filter(move |_| is_address)
    });
    named.map(str::to_ascii_lowercase).collect()
}

/// Returns the servers of resolv.conf(5).
fn servers(text: &str) -> Vec<String> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next().map(str::to_owned))?
    };
    text.lines().filter_map(server).take(8).collect()
}

/// Returns what resolv.conf(5) says: the last of several lists of domains counts.
pub(crate) fn resolver(text: &str) -> ResolverReply {
    let list = |line: &str| {
        let mut words = line.split_whitespace();
        let is_list = matches!(words.next()?, "search" | "domain");
        is_list.then(|| words.take(32).map(str::to_owned).collect::<Vec<_>>())
    };
    let servers = servers(text);
    ResolverReply {
        servers: servers.iter().filter_map(|server| server.parse().ok()).collect(),
        search: text.lines().filter_map(list).next_back().unwrap_or_default(),
    }
}

/// Returns the sources of nsswitch.conf(5) that cannot be asked from here.
fn unasked(text: &str, servers: &[String]) -> Vec<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("hosts:"));
    let sources = line.unwrap_or_default().split('#').next().unwrap_or_default();
    let sources = sources
        .split_whitespace()
        .filter(|word| !word.starts_with('[') && !word.ends_with(']'));
    let by_stub = servers.iter().any(|server| STUB.contains(&server.as_str()));
    sources
        .filter(|source| !ASKED.contains(source) && (*source != "resolve" || !by_stub))
        .map(str::to_owned)
        .collect()
}

/// Returns the API server's name, as the kubelet of this host has it.
fn api_server() -> Option<String> {
    let file = kubelet()?.kubeconfig?;
    let text = std::fs::read_to_string(&file).ok()?;
    name_of_server(&file.display().to_string(), &text)
}

fn name_of_server(file: &str, text: &str) -> Option<String> {
    let documents = yaml::documents(file, text).ok()?;
    let cluster = documents
        .first()?
        .get("clusters")?
        .items()
        .first()?
        .get("cluster")?;
    let url = cluster.get("server")?.scalar()?;
    let (_, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_address = host.starts_with('[') || name.parse::<IpAddr>().is_ok();
    (!is_address && !name.is_empty()).then(|| name.to_owned())
}

/// Reads a text as each of the files.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read(text: &str) {
    let servers = servers(text);
    assert!(servers.len() <= 8, "more servers than are taken");
    let resolver = resolver(text);
    assert!(
        resolver.servers.len() <= servers.len() && resolver.search.len() <= 32,
        "more than is taken"
    );
    let unasked = unasked(text, &servers);
    assert!(
        unasked.iter().all(|source| !source.contains(char::is_whitespace)),
        "a source of two words"
    );
    assert!(
        of_hosts(text).iter().all(|name| !name.is_empty()),
        "a name of nothing"
    );
    let api_server = name_of_server("kubeconfig", text);
    assert!(
        api_server.is_none_or(|name| name.parse::<IpAddr>().is_err()),
        "an address is no name"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_the_file_is_found_there_and_one_of_nobody_is_not() {
        let asked = Names {
            names: vec!["localhost".to_owned(), "no-such-host.invalid".to_owned()],
            of_file: false,
        };
        let reply = names(asked).await;
        let NameFound::Addresses { addresses, of_file } = &reply.names["localhost"] else {
            panic!("{reply:?}");
        };
        assert!(addresses.iter().all(IpAddr::is_loopback) && *of_file);
        assert!(reply.names["no-such-host.invalid"].addresses().is_empty());
    }

    #[test]
    fn hosts_and_resolv_conf_are_read_as_the_c_library_reads_them() {
        let hosts =
            of_hosts("127.0.0.1 localhost\n# 10.0.0.9 gone\n10.0.0.1 Node-1 node-1.lab # node-9\nx y\n");
        assert_eq!(
            hosts.iter().map(String::as_str).collect::<Vec<_>>(),
            ["localhost", "node-1", "node-1.lab"]
        );
        assert_eq!(
            servers("search lab\nnameserver 10.0.0.2\n#nameserver 10.0.0.3\n"),
            ["10.0.0.2"]
        );
    }

    #[test]
    fn a_pod_is_told_servers_and_domains() {
        let told = resolver(
            "search gone\nsearch x.svc.cluster.local svc.cluster.local cluster.local\n\
             nameserver 10.32.0.10\noptions ndots:5\nnameserver fe80::1%eth0\n",
        );
        assert_eq!(told.servers, ["10.32.0.10".parse::<IpAddr>().unwrap()]);
        assert_eq!(
            told.search,
            ["x.svc.cluster.local", "svc.cluster.local", "cluster.local"]
        );
        assert_eq!(resolver(""), ResolverReply::default());
    }

    #[test]
    fn sources_that_cannot_be_asked_are_named() {
        let stub = ["127.0.0.53".to_owned()];
        let of =
            |line: &str, servers: &[String]| unasked(&format!("passwd: files\nhosts: {line}\n"), servers);
        assert!(of("files mdns4_minimal [NOTFOUND=return] dns myhostname", &[]).is_empty());
        assert!(of("mymachines resolve [!UNAVAIL=return] files dns", &stub).is_empty());
        assert_eq!(of("resolve files", &["10.0.0.2".to_owned()]), ["resolve"]);
        assert_eq!(of("files sss dns", &stub), ["sss"]);
        assert!(unasked("", &[]).is_empty());
    }

    #[test]
    fn the_api_server_s_name_stands_in_the_kubeconfig_unless_it_is_an_address() {
        let of = |url: &str| {
            let text = format!("clusters:\n- cluster:\n    server: {url}\n  name: k\n");
            name_of_server("kubeconfig", &text)
        };
        assert_eq!(of("https://api.lab:6443").as_deref(), Some("api.lab"));
        assert_eq!(of("https://api.lab/x").as_deref(), Some("api.lab"));
        assert_eq!(of("https://10.0.0.1:6443"), None);
        assert_eq!(of("https://[fd00::1]:6443"), None);
        assert_eq!(of("nothing"), None);
    }
}
