//! What a run touched, beside what its plan says.

use std::collections::BTreeMap;
use std::sync::Arc;

use cli::Shown;

use super::plan::{Plan, Planned};
use super::{Loading, Order, Work};
use crate::carrier::{Hosts, Record};
use crate::cluster::Cluster;
use crate::report::{TouchedEntry, TouchedHost};

/// What is watched while a run goes on.
pub(super) struct Watched {
    plan: Plan,
    hosts: BTreeMap<String, Arc<Record>>,
    api: Option<Cluster>,
}

impl Watched {
    /// Watches the connections of a run from its beginning.
    pub(super) fn new(order: &Order, hosts: &Hosts, api: Option<&Cluster>) -> Self {
        let bundle = match &order.work {
            Work::Load(Loading { bundle, .. })
            | Work::Check(Loading { bundle, .. })
            | Work::Bundle(bundle) => Some(bundle),
            Work::Compare(_) | Work::Image(_) | Work::Nothing => None,
        };
        let plan = Plan::of(Planned {
            site: &order.site,
            bundle,
            loads: matches!(order.work, Work::Load(..)),
            reads: order.reads,
            checks: &order.checks,
            not_run: Vec::new(),
            server: None,
            programs: Vec::new(),
            here: super::plan::HerePlan::default(),
        });
        let record = |name: &str| Some((name.to_owned(), hosts.get(name)?.ok()?.record()));
        let names = order.site.hosts.iter();
        Self {
            plan,
            hosts: names.filter_map(|host| record(&host.name)).collect(),
            api: api.cloned(),
        }
    }

    /// Returns what was touched until now.
    pub(super) fn entry(&self) -> TouchedEntry {
        let api = self.api.as_ref().map(Cluster::asked).unwrap_or_default();
        let made = self.api.as_ref().map(Cluster::made).unwrap_or_default();
        let asked = self
            .hosts
            .iter()
            .map(|(name, record)| (name.clone(), record.asked()));
        let difference = self.plan.compared(&asked.collect(), &api, &made);
        let host = |(name, record): (&String, &Arc<Record>)| TouchedHost {
            name: Shown::new(name),
            directory: record.place().map(|place| Shown::new(&place.directory)),
            program_bytes: record.place().map_or(0, |place| place.bytes),
            loaded_bytes: record.bytes(),
            requests: record
                .asked()
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
        };
        let shown = |list: &[String]| list.iter().map(Shown::new).collect();
        TouchedEntry {
            hosts: self.hosts.iter().map(host).collect(),
            api,
            made: shown(&made),
            beyond: shown(&difference.beyond),
            unused: shown(&difference.unused),
        }
    }
}
