//! What a run would touch, from the same registers that it works by: the site, the bundle's index, what checks ask of the API and
//! of the hosts, what a request touches. Nothing is asked and nothing is connected to.

use std::collections::{BTreeMap, BTreeSet};

use bundle::{BundleFile, Index};
use serde::Serialize;

use super::PERMISSIONS;
use crate::carrier::ssh;
use crate::checks::requests;
use crate::cluster::{LABEL, MANAGER, Permission};
use crate::protocol::{TOUCHES, Touches};
use crate::site::{Become, Host, Role, Site, Via};
use crate::suite::Check;
use crate::suite::fixtures::permissions;

/// What every run asks of each host.
pub const REQUESTS: &[&str] = &[
    "Hello",
    "Clock",
    "Processes",
    "Setting",
    "Existing",
    "ErrorCounters",
];
/// What a run that loads asks of each worker.
const LOADING: &[&str] = &["Missing", "Load"];
/// What is asked of the API server that is no object.
pub const PATHS: &[&str] = &[
    "get /readyz",
    "get /livez",
    "get /version",
    "get /api",
    "get /apis",
];

/// What a plan is made of.
pub struct Planned<'a> {
    /// The site.
    pub site: &'a Site,
    /// The bundle; absent: none is given.
    pub bundle: Option<&'a BundleFile>,
    /// Whether it is loaded.
    pub loads: bool,
    /// Whether nothing is made.
    pub reads: bool,
    /// The checks.
    pub checks: &'a [Check],
    /// The checks that are not run.
    pub not_run: Vec<String>,
    /// Where the API server is, as the kubeconfig has it; absent where that cannot be read.
    pub server: Option<String>,
    /// The programs that may be brought to hosts.
    pub programs: Vec<ProgramPlan>,
    /// What is read and written on this machine.
    pub here: HerePlan,
}

/// What a run would touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The version of this form: 1.
    pub version: u32,
    /// Whether nothing is made at the API, and nothing loaded.
    pub read_only: bool,
    /// The identity of the bundle.
    pub bundle: Option<String>,
    /// The checks.
    pub checks: Vec<&'static str>,
    /// The checks that are not run.
    pub not_run: Vec<String>,
    /// What is read and written on this machine.
    pub here: HerePlan,
    /// The programs that may be brought to hosts.
    pub programs: Vec<ProgramPlan>,
    /// The hosts.
    pub hosts: Vec<HostPlan>,
    /// The API.
    pub api: ApiPlan,
}

/// What is read and written on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HerePlan {
    /// Files that are read.
    pub reads: Vec<String>,
    /// Files and directories that are written.
    pub writes: Vec<String>,
}

/// The verifier's program for hosts of a platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramPlan {
    /// The platform.
    pub platform: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// What is touched on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostPlan {
    /// Its name.
    pub name: String,
    /// Where its sshd is.
    pub address: String,
    /// The port of its sshd.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// What it is reached through.
    pub via: Vec<String>,
    /// Whether the agent is started through sudo.
    pub sudo: bool,
    /// The directories of which one gets the agent's program, which removes itself before it says a word.
    pub directories: Vec<&'static str>,
    /// The commands that the login shell is given. TOKEN is another text each time.
    pub commands: Vec<String>,
    /// What is loaded.
    pub load: Option<LoadPlan>,
    /// What the agent is asked.
    pub requests: Vec<RequestPlan>,
}

/// What is loaded into the container runtime of a host, where it is not there yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadPlan {
    /// The images.
    pub images: Vec<String>,
    /// How many blobs they have.
    pub blobs: usize,
    /// How many bytes these have.
    pub bytes: u64,
}

/// A request to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestPlan {
    /// The request.
    pub request: &'static str,
    /// Files that are read.
    pub reads: &'static [&'static str],
    /// Sockets that are asked.
    pub asks: &'static [&'static str],
    /// Programs that are run.
    pub runs: &'static [&'static str],
    /// What is made.
    pub makes: &'static [&'static str],
    /// Who asks: checks, or the run itself.
    pub by: BTreeSet<&'static str>,
}

/// What is asked of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiPlan {
    /// Where it is.
    pub server: Option<String>,
    /// The host through which it is reached; absent: from here.
    pub via: Option<String>,
    /// The namespace that the run works in; absent: none.
    pub namespace: Option<String>,
    /// What is asked, each with who asks.
    pub permissions: BTreeMap<String, BTreeSet<&'static str>>,
    /// What is asked that is no object.
    pub paths: Vec<&'static str>,
    /// The resources of which objects are made, all with the run's label, and all removed at its end.
    pub makes: Vec<String>,
    /// The label.
    pub label: &'static str,
}

impl Plan {
    /// Returns the plan.
    pub fn of(parts: Planned<'_>) -> Self {
        let asked = by_request(&parts);
        let index = parts.bundle.map(BundleFile::index);
        let load = parts.loads.then_some(index).flatten();
        let host = |host: &Host| {
            let own = load.filter(|_| host.roles.contains(&Role::Worker));
            HostPlan::of(
                parts.site,
                host,
                own.map(|index| LoadPlan::of(index, host, &parts)),
                &asked,
            )
        };
        Self {
            version: 1,
            read_only: parts.reads,
            bundle: parts.bundle.map(|bundle| bundle.id().to_string()),
            checks: parts.checks.iter().map(|check| check.id).collect(),
            hosts: parts.site.hosts.iter().map(host).collect(),
            api: ApiPlan::of(&parts),
            not_run: parts.not_run,
            programs: parts.programs,
            here: parts.here,
        }
    }
}

/// Returns who makes which request.
fn by_request(parts: &Planned<'_>) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut asked: BTreeMap<&'static str, BTreeSet<&'static str>> = BTreeMap::new();
    let mut add = |request, by| {
        asked.entry(request).or_default().insert(by);
    };
    for request in REQUESTS {
        add(*request, "every run");
    }
    if parts.loads {
        for request in LOADING {
            add(*request, "run.load");
        }
    }
    if parts.site.api != Via::Direct {
        add("Dial", "every run");
    }
    for check in parts.checks {
        requests(check.id).for_each(|request| add(request, check.id));
    }
    asked
}

impl HostPlan {
    fn of(
        site: &Site,
        host: &Host,
        load: Option<LoadPlan>,
        asked: &BTreeMap<&'static str, BTreeSet<&'static str>>,
    ) -> Self {
        let ssh = site.ssh_of(host);
        let sudo = ssh.r#become == Some(Become::Sudo);
        let is_loading = |request: &str| request == "Load" || request == "Missing";
        let here = |touches: &&Touches| load.is_some() || !is_loading(touches.request);
        let request = |touches: &Touches| {
            let by = asked.get(touches.request)?;
            Some(RequestPlan {
                request: touches.request,
                reads: touches.reads,
                asks: touches.asks,
                runs: touches.runs,
                makes: touches.makes,
                by: by.clone(),
            })
        };
        let jumps = ssh.bastion.clone().unwrap_or_default();
        let mut via: Vec<String> = jumps.iter().map(ToString::to_string).collect();
        if ssh.proxy_command.is_some() {
            via.push("proxyCommand".to_owned());
        }
        Self {
            name: host.name.clone(),
            address: host.address.clone(),
            port: ssh.port.unwrap_or(22),
            user: ssh.user.unwrap_or_else(|| "root".to_owned()),
            via,
            sudo,
            directories: ssh::places().0,
            commands: ssh::commands(sudo),
            requests: TOUCHES.iter().filter(here).filter_map(request).collect(),
            load,
        }
    }
}

impl LoadPlan {
    fn of(index: &Index, host: &Host, parts: &Planned<'_>) -> Self {
        let nodes = parts.bundle.and_then(|bundle| bundle.image_nodes().ok());
        let is_for = |name: &str| nodes.as_ref().is_none_or(|nodes| host.takes(name, nodes));
        let images: Vec<_> = index.images.iter().filter(|image| is_for(&image.name)).collect();
        let mut digests = BTreeSet::new();
        for image in &images {
            digests.insert(image.digest.hex());
            for one in &image.platforms {
                digests.extend([one.manifest.hex(), one.config.hex()]);
                digests.extend(one.layers.iter().map(|layer| layer.digest.hex()));
            }
        }
        let blob = |path: &str| {
            let hex = path.strip_prefix("blobs/sha256/");
            hex.is_some_and(|hex| digests.contains(hex))
        };
        let blobs: Vec<u64> = index
            .members
            .iter()
            .filter(|member| blob(member.path.as_str()))
            .map(|member| member.size)
            .collect();
        Self {
            images: images.iter().map(|image| image.name.clone()).collect(),
            blobs: blobs.len(),
            bytes: blobs.iter().sum(),
        }
    }
}

impl ApiPlan {
    fn of(parts: &Planned<'_>) -> Self {
        let mut asked: BTreeMap<Permission, BTreeSet<&'static str>> =
            permissions(parts.checks, &parts.site.suite);
        for permission in PERMISSIONS {
            asked.entry(*permission).or_default().insert("every run");
        }
        if !parts.reads {
            for permission in super::SWEEPS {
                asked.entry(*permission).or_default().insert("every run");
            }
        }
        let review = "selfsubjectaccessreviews";
        let is_object = |permission: &Permission| {
            permission.verb == "create" && !permission.resource.contains('/') && permission.resource != review
        };
        let makes: BTreeSet<String> = asked
            .keys()
            .filter(|permission| is_object(permission))
            .map(|permission| permission.resource.to_owned())
            .collect();
        let place = parts.site.suite.namespace.clone();
        let place = place.unwrap_or_else(|| format!("{MANAGER}-RUN"));
        let via = match &parts.site.api {
            Via::Host(name) => Some(name.clone()),
            Via::Direct => None,
        };
        Self {
            server: parts.server.clone(),
            via,
            namespace: (!makes.is_empty()).then_some(place),
            permissions: asked
                .into_iter()
                .map(|(permission, by)| (permission.to_string(), by))
                .collect(),
            paths: PATHS.to_vec(),
            makes: makes.into_iter().collect(),
            label: LABEL,
        }
    }
}

/// What a run touched, and what of it was not in its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Touched, and not planned.
    pub beyond: Vec<String>,
    /// Planned, and not touched.
    pub unused: Vec<String>,
}

impl Plan {
    /// Returns how what was touched differs: requests by host, what was asked of the API, the resources of what was made.
    pub fn compared(
        &self,
        hosts: &BTreeMap<String, BTreeMap<&'static str, u64>>,
        api: &BTreeMap<String, u64>,
        made: &[String],
    ) -> Difference {
        let mut difference = Difference::default();
        for (name, asked) in hosts {
            let planned: BTreeSet<&str> = self
                .hosts
                .iter()
                .filter(|host| host.name == *name)
                .flat_map(|host| host.requests.iter().map(|request| request.request))
                .collect();
            let other = asked.keys().filter(|request| !planned.contains(**request));
            difference
                .beyond
                .extend(other.map(|request| format!("{name} {request}")));
            let unused = planned.iter().filter(|request| !asked.contains_key(**request));
            difference
                .unused
                .extend(unused.map(|request| format!("{name} {request}")));
        }
        let is_planned = |asked: &str| {
            let path = asked.split('?').next().unwrap_or_default();
            self.api.permissions.contains_key(asked)
                || self.api.paths.iter().any(|known| path.starts_with(known))
                || asked.contains("selfsubjectaccessreviews")
        };
        difference.beyond.extend(
            api.keys()
                .filter(|asked| !is_planned(asked))
                .map(|asked| format!("api {asked}")),
        );
        let unused = self
            .api
            .permissions
            .keys()
            .filter(|asked| !api.contains_key(*asked));
        difference
            .unused
            .extend(unused.map(|asked| format!("api {asked}")));
        let resource = |made: &str| made.split(' ').next().unwrap_or_default().to_owned();
        let strange = made
            .iter()
            .filter(|made| !self.api.makes.contains(&resource(made)));
        difference
            .beyond
            .extend(strange.map(|made| format!("api {made}")));
        difference
    }
}

/// Returns whether a check makes nothing: neither objects of the API nor anything on a host but the agent itself.
pub fn only_reads(check: &Check) -> bool {
    check.needs.is_empty() && check.wants.is_empty() && check.permissions.iter().all(Permission::reads)
}
