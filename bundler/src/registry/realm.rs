//! Where a registry may send us for a token. The address is the registry's own word, and a login goes there: so it has
//! TLS unless the registry has none, and is no machine that only we can reach. Pure but for looking names up.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why no login goes to a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has no TLS, and the registry has.
    Plain,
    /// It is no URL of a server.
    Url,
    /// It carries a login of its own.
    UserInfo,
    /// It is this machine, or one that no router reaches.
    Near(Kind),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("which has no TLS"),
            Self::Url => f.write_str("which is no http or https URL"),
            Self::UserInfo => f.write_str("which has a user in it"),
            Self::Near(kind) => write!(f, "which is {kind}, unlike the registry"),
        }
    }
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// This machine.
    Loopback,
    /// The same wire: also the metadata services of clouds.
    LinkLocal,
    /// No address of a machine: unspecified, multicast, broadcast.
    Nowhere,
    /// Anything else.
    Ordinary,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "this machine",
            Self::LinkLocal => "a link-local address",
            Self::Nowhere => "no address of a server",
            Self::Ordinary => "an ordinary address",
        })
    }
}

impl Kind {
    fn of(address: IpAddr) -> Self {
        // IPv4 in IPv6 is IPv4, however it is written.
        match address.to_canonical() {
            address if address.is_loopback() => Self::Loopback,
            address if address.is_unspecified() || address.is_multicast() => Self::Nowhere,
            IpAddr::V4(v4) if v4.is_link_local() => Self::LinkLocal,
            IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0 => Self::Nowhere,
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Self::LinkLocal,
            _ => Self::Ordinary,
        }
    }
}

/// The kinds of addresses that a registry itself has: a token server may have them too.
#[derive(Clone, Debug)]
pub(super) struct Neighbours(BTreeSet<Kind>);

impl Neighbours {
    /// Looks a registry up. One whose name only a proxy knows has ordinary addresses.
    pub(super) async fn of(host: &str) -> Self {
        let url = Url::parse(&format!("http://{host}/")).ok();
        let literal = url.as_ref().and_then(literal);
        let kinds = match (literal, url.as_ref().and_then(Url::host_str)) {
            (Some(address), _) => BTreeSet::from([Kind::of(address)]),
            (None, Some(name)) => look_up(name)
                .await
                .iter()
                .map(|found| Kind::of(found.ip()))
                .collect(),
            (None, None) => BTreeSet::new(),
        };
        Self(kinds)
    }

    fn allow(&self, address: IpAddr) -> Result<(), Fault> {
        match Kind::of(address) {
            Kind::Ordinary => Ok(()),
            kind if self.0.contains(&kind) => Ok(()),
            kind => Err(Fault::Near(kind)),
        }
    }

    /// Judges the URL of a realm, as far as that can be done without looking its name up.
    pub(super) fn judge(&self, realm: &str, plain_http: bool) -> Result<Url, Fault> {
        let mut url = Url::parse(realm).map_err(|_| Fault::Url)?;
        match url.scheme() {
            "https" => {}
            "http" if plain_http => {}
            "http" => return Err(Fault::Plain),
            _ => return Err(Fault::Url),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Fault::Url);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Fault::UserInfo);
        }
        if let Some(address) = literal(&url) {
            self.allow(address)?;
        }
        url.set_fragment(None);
        Ok(url)
    }
}

/// Returns the address of a URL that names no host but is one; in any spelling that browsers know.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

async fn look_up(name: &str) -> Vec<SocketAddr> {
    match tokio::net::lookup_host((name, 0)).await {
        Ok(found) => found.collect(),
        Err(_) => Vec::new(),
    }
}

/// Looks names up for a client, and gives none of a realm's addresses where one of them is not allowed. It judges what
/// the connection will really use, so that a name cannot mean one machine when it is judged and another a moment later.
pub(super) struct Guard {
    pub(super) neighbours: Neighbours,
    /// The realm's host; a proxy's may be any.
    pub(super) host: String,
}

/// A realm that leads where no login goes.
#[derive(Debug, thiserror::Error)]
#[error("{host} is an address, {fault}")]
pub(super) struct Refused {
    host: String,
    pub(super) fault: Fault,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (neighbours, guarded) = (
            self.neighbours.clone(),
            name.as_str().eq_ignore_ascii_case(&self.host),
        );
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if guarded {
                let judged = found
                    .iter()
                    .try_for_each(|address| neighbours.allow(address.ip()));
                judged.map_err(|fault| Refused { host: name, fault })?;
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

impl Guard {
    pub(super) fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(own: &str, realm: &str, plain_http: bool) -> Result<String, Fault> {
        let own = Neighbours(BTreeSet::from([Kind::of(own.parse().unwrap())]));
        own.judge(realm, plain_http).map(String::from)
    }

    #[test]
    fn a_registry_with_tls_sends_nobody_to_plain_http() {
        assert!(judge("10.0.0.1", "https://auth.example/token?x=1", false).is_ok());
        assert_eq!(
            judge("10.0.0.1", "http://auth.example/token", false),
            Err(Fault::Plain)
        );
        assert!(judge("10.0.0.1", "http://auth.example/token", true).is_ok());
        for realm in [
            "",
            "/token",
            "ftp://auth.example/",
            "file:///etc/passwd",
            "https://",
            "//auth.example/x",
        ] {
            assert_eq!(judge("10.0.0.1", realm, true), Err(Fault::Url), "{realm}");
        }
        assert_eq!(
            judge("10.0.0.1", "https://u:p@auth.example/", true),
            Err(Fault::UserInfo)
        );
    }

    #[test]
    fn nobody_is_sent_to_his_own_machine_in_whatever_spelling() {
        for realm in [
            "127.0.0.1",
            "127.9.9.9",
            "2130706433",
            "0x7f.1",
            "017700000001",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "127.0.0.1.",
        ] {
            let realm = format!("https://{realm}:99/token");
            assert_eq!(
                judge("10.0.0.1", &realm, false),
                Err(Fault::Near(Kind::Loopback)),
                "{realm}"
            );
            assert!(judge("127.0.0.1", &realm, false).is_ok(), "{realm}");
        }
        for (realm, kind) in [
            ("169.254.169.254", Kind::LinkLocal),
            ("[fe80::1]", Kind::LinkLocal),
            ("0.0.0.0", Kind::Nowhere),
            ("0", Kind::Nowhere),
            ("[::]", Kind::Nowhere),
            ("224.0.0.1", Kind::Nowhere),
        ] {
            let realm = format!("https://{realm}/latest");
            for own in ["10.0.0.1", "127.0.0.1"] {
                assert_eq!(judge(own, &realm, false), Err(Fault::Near(kind)), "{realm}");
            }
        }
        assert!(judge("127.0.0.1", "https://10.0.0.2/token", false).is_ok());
    }

    #[tokio::test]
    async fn names_are_judged_by_what_they_lead_to() {
        let guard = Guard {
            neighbours: Neighbours::of("192.0.2.1:5000").await,
            host: "localhost".to_owned(),
        };
        assert!(guard.resolve("LOCALHOST".parse().unwrap()).await.is_err());
        let guard = Guard {
            neighbours: Neighbours::of("localhost:5000").await,
            ..guard
        };
        assert!(guard.resolve("localhost".parse().unwrap()).await.is_ok());
    }
}
