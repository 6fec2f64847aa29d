//! `images.workloads`: every image that an object of the API names is on a node that may run it.

mod placing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::held::refers;
use crate::cluster::{NamingFacts, NodeFacts, Permission, TaintFacts};
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::images::full;
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope, cause_of};
use placing::may_run;

pub(super) const CHECK: Check = Check::of::<Workloads>("images.workloads", Scope::Cluster)
    .permissions(PERMISSIONS)
    .on_demand();

const PERMISSIONS: &[Permission] = &[
    Permission::across("list", "", "nodes"),
    Permission::across("list", "", "pods"),
    Permission::across("list", "apps", "deployments"),
    Permission::across("list", "apps", "daemonsets"),
    Permission::across("list", "apps", "statefulsets"),
    Permission::across("list", "apps", "replicasets"),
    Permission::across("list", "batch", "jobs"),
    Permission::across("list", "batch", "cronjobs"),
];

struct Workloads;

#[derive(Default, Serialize, Deserialize)]
struct Facts {
    /// The Nodes, with what decides which pods they take.
    nodes: Vec<Place>,
    /// What could not be looked at: a Node and why.
    unseen: BTreeMap<String, String>,
    /// The objects that name images.
    objects: Vec<NamingFacts>,
    /// Kinds of objects that could not be read, and why.
    unread: BTreeMap<String, String>,
    /// The Nodes that hold each image, by the name that objects give it.
    holders: BTreeMap<String, BTreeSet<String>>,
}

/// A Node.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Place {
    name: String,
    labels: BTreeMap<String, String>,
    taints: Vec<TaintFacts>,
}

impl From<&NodeFacts> for Place {
    fn from(node: &NodeFacts) -> Self {
        Self {
            name: node.name.clone(),
            labels: node.labels.clone(),
            taints: node.taints.clone(),
        }
    }
}

impl Probe for Workloads {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let api = ctx.api()?;
        let (nodes, naming, stores) =
            futures::join!(api.nodes(), api.naming(), ctx.fixtures().image_stores(ctx));
        let (objects, unread) = naming;
        let mut facts = Facts {
            nodes: nodes?.iter().map(Place::from).collect(),
            unread: unread
                .iter()
                .map(|(kind, error)| (kind.clone(), cli::chain(error)))
                .collect(),
            ..Facts::default()
        };
        // One that nobody may read is told with the right that is missing.
        if objects.is_empty()
            && let Some(error) = unread.into_values().next()
        {
            return Err(Unjudged::Error(cause_of(&error)));
        }
        let named: BTreeSet<&String> = objects.iter().flat_map(|object| &object.images).collect();
        let mut holders: BTreeMap<String, BTreeSet<String>> = named
            .into_iter()
            .map(|image| (image.clone(), BTreeSet::new()))
            .collect();
        for node in &facts.nodes {
            let host = ctx.site.host_of_node(&node.name);
            let why = match host.map(|host| stores.of(&host.name)) {
                Some(Ok(reply)) => {
                    for (image, holders) in &mut holders {
                        if reply.images.iter().any(|held| refers(held, image)) {
                            holders.insert(node.name.clone());
                        }
                    }
                    continue;
                }
                Some(Err(unjudged)) => unjudged.cause().id().name(),
                None => "no host of the site file",
            };
            facts.unseen.insert(node.name.clone(), why.to_owned());
        }
        Ok(Facts {
            objects,
            holders,
            ..facts
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let mut found: Vec<Finding> = Vec::new();
        for (what, message) in &facts.unread {
            found.push(Finding::error(cause::WorkloadsUnread { what, message }).of(what));
        }
        for object in facts.objects.iter().filter(|object| !object.asleep) {
            let images = object.images.iter();
            found.extend(images.filter_map(|image| facts.finding(object, image)));
        }
        Ok(found)
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let asleep = facts.objects.iter().filter(|object| object.asleep);
        let asleep = asleep.flat_map(|object| {
            let lacking = object
                .images
                .iter()
                .filter(|image| facts.holders(image).is_empty());
            lacking.map(move |image| format!("{image} {}", title(object)))
        });
        let asleep = Evidence::lines(phrase::ImagesAsleep, asleep);
        let held = facts.holders.iter().map(|(image, holders)| {
            let on = |is: bool| -> Vec<&str> {
                let names = facts.nodes.iter().map(|node| node.name.as_str());
                names
                    .filter(|node| !facts.unseen.contains_key(*node) && holders.contains(*node) == is)
                    .collect()
            };
            format!(
                "{}: [{}], not [{}]",
                full(image),
                on(true).join(", "),
                on(false).join(", ")
            )
        });
        let held = Evidence::lines(phrase::ImagesNamed, held);
        let unseen = facts.unseen.iter().map(|(node, why)| format!("{node}: {why}"));
        let unseen = Evidence::lines(phrase::NodesUnseen, unseen);
        asleep.into_iter().chain(held).chain(unseen).collect()
    }
}

impl Facts {
    fn holders(&self, image: &str) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.holders.get(image).unwrap_or(&NONE)
    }

    /// Returns what is wrong with an image that an object names: no node that may run it has it. Of a `DaemonSet` each node
    /// must have it.
    fn finding(&self, object: &NamingFacts, image: &str) -> Option<Finding> {
        let nodes = self.nodes.iter().filter(|node| may_run(object, node));
        let nodes: Vec<&str> = nodes.map(|node| node.name.as_str()).collect();
        let holders = self.holders(image);
        let lack = nodes.iter().filter(|node| !holders.contains(**node));
        let (unseen, lack): (Vec<&str>, Vec<&str>) =
            lack.copied().partition(|node| self.unseen.contains_key(*node));
        let each = object.kind == "DaemonSet";
        let held = nodes.iter().any(|node| holders.contains(*node));
        if nodes.is_empty() || (held && !each) || (lack.is_empty() && unseen.is_empty()) {
            return None;
        }
        let NamingFacts {
            namespace,
            kind,
            name,
            ..
        } = object;
        let finding = if lack.is_empty() || (!each && !unseen.is_empty()) {
            Finding::error(cause::ImageNowhereSeen {
                image: &image,
                kind,
                namespace,
                name,
                nodes: &unseen.join(", "),
            })
        } else if each && held {
            Finding::fail(cause::ImageNotOnNodes {
                image: &image,
                kind,
                namespace,
                name,
                nodes: &lack.join(", "),
            })
        } else {
            Finding::fail(cause::ImageNowhere {
                image: &image,
                kind,
                namespace,
                name,
                nodes: &lack.join(", "),
            })
        };
        Some(finding.of(image))
    }
}

fn title(object: &NamingFacts) -> String {
    format!("{} {}/{}", object.kind, object.namespace, object.name)
}
