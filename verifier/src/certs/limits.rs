//! Which names the certificates of an authority may have (RFC 5280, 4.2.1.10), as Go's crypto/x509 compares them.

use std::net::IpAddr;

use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints};

use super::Certificate;

/// Which names what an authority signs may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    permitted: Names,
    excluded: Names,
}

/// Trees of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    dns: Vec<String>,
    /// Networks: an address and its mask.
    networks: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Limits {
    pub(super) fn of(constraints: &NameConstraints<'_>) -> Self {
        let names = |trees: &Option<Vec<GeneralSubtree<'_>>>| Names::of(trees.as_deref().unwrap_or_default());
        Self {
            permitted: names(&constraints.permitted_subtrees),
            excluded: names(&constraints.excluded_subtrees),
        }
    }

    /// Returns whether all names of a certificate are within.
    pub(super) fn allow(&self, certificate: &Certificate) -> bool {
        let dns = certificate.dns.iter().all(|name| {
            !self.excluded.have_name(name)
                && (self.permitted.dns.is_empty() || self.permitted.have_name(name))
        });
        let addresses = certificate.addresses.iter().all(|address| {
            !self.excluded.have_address(*address)
                && (self.permitted.networks.is_empty() || self.permitted.have_address(*address))
        });
        dns && addresses
    }
}

impl Names {
    fn of(trees: &[GeneralSubtree<'_>]) -> Self {
        let mut names = Self::default();
        for tree in trees {
            match &tree.base {
                GeneralName::DNSName(name) => names.dns.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) if bytes.len().is_multiple_of(2) => {
                    let (address, mask) = bytes.split_at(bytes.len() / 2);
                    names.networks.push((address.to_vec(), mask.to_vec()));
                }
                _ => {}
            }
        }
        names
    }

    /// A name with a dot before it has only those below it; one without has itself too.
    fn have_name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let name = name.trim_start_matches("*.");
        self.dns.iter().any(|tree| match tree.strip_prefix('.') {
            Some(tree) => name.strip_suffix(tree).is_some_and(|below| below.ends_with('.')),
            None => {
                tree.is_empty()
                    || name
                        .strip_suffix(tree.as_str())
                        .is_some_and(|below| below.is_empty() || below.ends_with('.'))
            }
        })
    }

    fn have_address(&self, address: IpAddr) -> bool {
        let bytes = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        self.networks.iter().any(|(network, mask)| {
            let parts = network.iter().zip(mask).zip(&bytes);
            network.len() == bytes.len()
                && parts
                    .into_iter()
                    .all(|((network, mask), byte)| network & mask == byte & mask)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_within_a_tree_by_whole_labels_and_addresses_by_their_mask() {
        let names = Names {
            dns: vec!["kubernetes.local".to_owned(), ".example.org".to_owned()],
            networks: vec![(vec![10, 32, 0, 0], vec![255, 255, 0, 0])],
        };
        for (name, within) in [
            ("kubernetes.local", true),
            ("Server.Kubernetes.local", true),
            ("*.kubernetes.local", true),
            ("mykubernetes.local", false),
            ("example.org", false),
            ("a.example.org", true),
        ] {
            assert_eq!(names.have_name(name), within, "{name}");
        }
        assert!(names.have_address("10.32.7.1".parse().unwrap()));
        assert!(!names.have_address("10.33.0.1".parse().unwrap()));
        assert!(!names.have_address("::1".parse().unwrap()));
    }
}
