//! Routes: the main table, and what the kernel does with packets by all of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Asks for routes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Routes {}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The network; `0.0.0.0/0` or `::/0` for a default route.
    pub destination: IpNet,
    /// The next hop; absent for a network on the link.
    pub via: Option<IpAddr>,
    /// The interface.
    pub device: Option<String>,
}

/// Asks the kernel which way it sends packets, by all of its rules and tables, as `ip route get` does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouteLookups {
    /// The packets.
    pub asks: Vec<RouteAsk>,
    /// Networks: for each route into a part of one, of whatever table, the first address of that part is looked up too.
    pub within: Vec<IpNet>,
}

/// A packet whose way is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteAsk {
    /// Where it goes.
    pub to: IpAddr,
    /// The address that sends it: one of the host's own, or that of a pod, whose packets the host forwards; absent: the host
    /// itself sends it, from the address that it chooses.
    pub from: Option<IpAddr>,
}

/// What the kernel does with a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteLookup {
    /// The packet.
    pub ask: RouteAsk,
    /// What is done with it.
    pub taken: RouteTaken,
    /// The table that decided; absent where none has a route.
    pub table: Option<u32>,
    /// The priority of the rule that asked the table, or that decided by itself.
    pub rule: Option<u32>,
    /// The network of the route.
    pub network: Option<IpNet>,
    /// The longest packet in bytes, where the route sets one.
    #[serde(default)]
    pub mtu: Option<u32>,
}

/// What the kernel does with a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum RouteTaken {
    /// It is sent to one of these.
    Sent {
        /// The next hops; several share the packets.
        hops: Vec<Hop>,
        /// Who set the route: rtnetlink(7)'s protocol. Up to 4 the kernel itself or somebody by hand, above that a daemon.
        protocol: u8,
    },
    /// It is for the host itself.
    Local,
    /// It is dropped, or sent back.
    Refused {
        /// How.
        how: RouteRefusal,
        /// The system's own words.
        error: String,
    },
}

/// How the kernel refuses a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteRefusal {
    /// No table has a route.
    NoRoute,
    /// Dropped without a word.
    Blackhole,
    /// Answered as unreachable.
    Unreachable,
    /// Answered as prohibited.
    Prohibit,
    /// Something else, which its words say.
    Other,
}

/// A next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The address of the next hop; absent on the link.
    pub via: Option<IpAddr>,
    /// The interface it leaves by.
    pub device: String,
    /// The interface's kind, as in [`Interface::kind`](super::Interface::kind).
    pub kind: String,
    /// The UDP port at the other end, where the interface is a tunnel that says so.
    pub port: Option<u16>,
    /// Who answers for the next hop on the link; absent where the kernel has not asked yet, and where nobody is asked.
    #[serde(default)]
    pub neighbour: Option<Neighbour>,
}

/// What the kernel knows of an address on a link (ip-neighbour(8)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Whether nobody answered.
    pub silent: bool,
    /// Whether somebody set it by hand, or a CNI: nobody is asked then.
    pub by_hand: bool,
    /// The Ethernet address of who answered, as `ip` prints it.
    pub card: Option<String>,
}

impl RouteLookups {
    /// How many parts of networks are looked up at most.
    pub(crate) const PARTS: usize = 256;
    /// Addresses that no network has (RFC 5737, RFC 3849): what happens to their packets happens to all that no route names.
    pub(crate) const NOWHERE: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    ];

    /// Returns the longest reply that is taken: a few hops for each packet.
    pub(super) fn reply_limit(&self) -> u32 {
        let packets = u32::try_from(self.asks.len() + Self::PARTS).unwrap_or(u32::MAX);
        packets.saturating_mul(4 << 10)
    }
}

impl RouteRefusal {
    /// Returns it as ip-route(8) calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRoute => "no route",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Other => "refused",
        }
    }
}
