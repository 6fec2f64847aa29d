//! The site's hosts, connected: an agent each, or why not.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;

use super::Agent;
use super::reach::ReachError;
use super::ssh::{self, Bastions, Programs, Target};

/// How many hosts are logged into at once, and how long each may take.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Hosts at once. Each takes a part of the uplink for the program's 20 MB.
    pub at_once: usize,
    /// The longest that one may take.
    pub deadline: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            at_once: 16,
            deadline: Duration::from_mins(1),
        }
    }
}

/// What became of each host, by its name.
#[derive(Default)]
pub struct Hosts {
    hosts: BTreeMap<String, Result<Agent, ReachError>>,
}

impl Hosts {
    /// Connects to all hosts, some at once, and tells `report` of each as soon as it is known.
    pub async fn connect(
        targets: &[Target],
        programs: &Programs,
        pace: Pace,
        report: &(dyn Fn(&str, &Result<Agent, ReachError>) + Sync),
    ) -> Self {
        let bastions = &Bastions::default();
        let connecting = targets.iter().map(|target| async move {
            let connected = ssh::connect(target, programs, pace.deadline, bastions).await;
            let connected = connected.map_err(|error| error.reach(&target.name, &target.user));
            report(&target.name, &connected);
            (target.name.clone(), connected)
        });
        let hosts = futures::stream::iter(connecting)
            .buffer_unordered(pace.at_once)
            .collect()
            .await;
        Self { hosts }
    }

    /// Adds a host that was connected otherwise, for example this machine.
    pub fn insert(&mut self, name: impl Into<String>, agent: Agent) {
        self.hosts.insert(name.into(), Ok(agent));
    }

    /// Adds a host that was not reached.
    pub fn lacks(&mut self, error: ReachError) {
        self.hosts.insert(error.host.clone(), Err(error));
    }

    /// Returns the agent of a host; none for a host that is not of the site.
    pub fn get(&self, name: &str) -> Option<Result<&Agent, &ReachError>> {
        self.hosts.get(name).map(Result::as_ref)
    }

    /// Returns all hosts by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, Result<&Agent, &ReachError>)> {
        self.hosts
            .iter()
            .map(|(name, host)| (name.as_str(), host.as_ref()))
    }

    /// Returns the agents of those that are connected, by name.
    pub fn agents(&self) -> impl Iterator<Item = (&str, &Agent)> {
        self.hosts
            .iter()
            .filter_map(|(name, host)| Some((name.as_str(), host.as_ref().ok()?)))
    }
}
