//! Nodes of the API that the site file does not know. Some get a result each; the others share one, so that a report does
//! not grow with a cluster that somebody forgot to write down.

use super::Member;
use crate::cluster::NodeFacts;
use crate::site::Site;

/// How many get a result of their own.
const NAMED: usize = 20;

/// Returns those that get a result of their own, by name, and behind them a member without a name if there are others.
pub(super) fn members(site: &Site, nodes: &[NodeFacts]) -> Vec<Member> {
    let mut names = unknown(site, nodes);
    let member = |name: &str| Member {
        host: Some(name.to_owned()),
    };
    let mut members: Vec<Member> = names.by_ref().take(NAMED).map(member).collect();
    if names.next().is_some() {
        members.push(Member { host: None });
    }
    members
}

/// Returns the names of the others.
pub(crate) fn others<'a>(site: &'a Site, nodes: &'a [NodeFacts]) -> impl Iterator<Item = &'a str> {
    unknown(site, nodes).skip(NAMED)
}

fn unknown<'a>(site: &'a Site, nodes: &'a [NodeFacts]) -> impl Iterator<Item = &'a str> {
    let names = nodes.iter().map(|node| node.name.as_str());
    names.filter(|name| site.host_of_node(name).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::site;

    #[test]
    fn every_node_is_in_a_result_and_the_results_are_few() {
        let node = |name: &str| NodeFacts {
            name: name.to_owned(),
            ..NodeFacts::default()
        };
        let names: Vec<String> = (0..5000).map(|number| format!("stranger-{number:04}")).collect();
        let mut nodes: Vec<NodeFacts> = names.iter().map(|name| node(name)).collect();
        nodes.push(node("node-0"));
        let site = site();
        let members = members(&site, &nodes);
        assert_eq!(members.len(), NAMED + 1);
        assert_eq!(members[NAMED].host, None);
        let named = members.iter().filter_map(|member| member.host.as_deref());
        assert!(named.chain(others(&site, &nodes)).eq(names.iter()));
        assert_eq!(super::members(&site, &nodes[..NAMED]).len(), NAMED);
    }
}
