//! Who answers on the links: the kernel's tables of neighbours (ARP, NDP).

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures::TryStreamExt as _;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use super::Netlink;
use crate::protocol::Neighbour;

/// The neighbours by interface and address.
#[derive(Default)]
pub(super) struct Neighbours(BTreeMap<(u32, IpAddr), Neighbour>);

impl Neighbours {
    /// Reads the tables. They are evidence: what cannot be read is absent.
    pub(super) async fn read(netlink: &Netlink) -> Self {
        let messages = netlink.handle.neighbours().get().execute();
        let messages: Vec<NeighbourMessage> = messages.try_collect().await.unwrap_or_default();
        Self(messages.iter().filter_map(entry).collect())
    }

    /// Returns what is known of an address on the link of an interface.
    pub(super) fn of(&self, interface: u32, address: IpAddr) -> Option<Neighbour> {
        self.0.get(&(interface, address)).cloned()
    }
}

fn entry(message: &NeighbourMessage) -> Option<((u32, IpAddr), Neighbour)> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    let card = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(card) => Some(super::card(card)),
        _ => None,
    });
    let neighbour = Neighbour {
        silent: matches!(
            message.header.state,
            NeighbourState::Failed | NeighbourState::Incomplete
        ),
        by_hand: message.header.state == NeighbourState::Permanent,
        card,
    };
    Some(((message.header.ifindex, address), neighbour))
}
