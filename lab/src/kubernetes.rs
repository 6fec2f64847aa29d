//! Kubernetes the Hard Way on the lab's hosts: the page's programs, units, configuration and certificates, in the page's
//! own places, and the wait until the cluster is ready.
//!
//! Makes files and programs for hosts that boot later; runs commands only in the lab's hosts.

mod balancer;
mod config;
mod dns;
mod etcd;
mod lasting;
mod node;
mod ready;
mod server;
mod units;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::cache::Cache;
use crate::components::{self, Components, Set};
use crate::pki::{Certificates, Validity};
use crate::tool::Say;
use crate::{Error, HostSpec, JUMPBOX, LabFile, Layout, Options, Paths, images};

pub(crate) use dns::start as start_dns;
pub(crate) use etcd::back_up;
pub use node::Runtime;
pub use ready::wait_ready;

/// The version that the lab's components are.
pub const VERSION: &str = "1.37.2";

/// Makes the command that runs a program on the host of this name.
pub type On<'a> = &'a dyn Fn(&str, &[&str]) -> Result<Command, Error>;

/// What every host's files are made from.
struct Plan<'a> {
    options: &'a Options,
    layout: &'a Layout,
    components: Components,
    certificates: Certificates,
    /// The same for every API server: each must read what another has written.
    encryption_key: String,
}

/// Builds what a cluster needs, writes the administrator's kubeconfig, and returns what each host gets. Called once for
/// a new lab: every call makes new certificates.
pub fn prepare(
    options: &Options,
    layout: &Layout,
    paths: &Paths,
    say: Say<'_>,
) -> Result<Vec<HostSpec>, Error> {
    check_version(options)?;
    let runtimes = Runtime::of_nodes(&options.containerd, options.nodes)?;
    let cache = Cache::user()?;
    let sets: &[Set] = if runtimes.iter().all(|runtime| *runtime == Runtime::Newest) {
        &[Set::Core]
    } else {
        &[Set::Core, Set::Old]
    };
    let plan = Plan {
        options,
        layout,
        components: components::ensure(&cache, sets, say)?,
        certificates: Certificates::make(layout, Validity::around(SystemTime::now()))?,
        encryption_key: config::encryption_key()?,
    };
    let mut specs = vec![jumpbox(&plan, paths)?];
    if layout.is_balanced() {
        specs.push(balancer::spec(layout));
    }
    for host in layout.servers() {
        specs.push(server::spec(&plan, host)?);
    }
    for (host, runtime) in layout.nodes().zip(runtimes) {
        specs.push(node::spec(&plan, host, runtime)?);
    }
    if options.dns {
        let archives = images::archives_for_dns(&cache, say)?;
        specs.extend(layout.nodes().map(|node| dns::node(node, &archives)));
        specs.push(dns::server());
    }
    Ok(specs)
}

fn check_version(options: &Options) -> Result<(), Error> {
    match options.kubernetes.as_deref() {
        None | Some(VERSION | "1.37") => Ok(()),
        Some(other) => Err(Error::Options(format!(
            "Kubernetes {other} is not there; the lab has {VERSION}"
        ))),
    }
}

/// What the page's steps leave on the jumpbox: kubectl with its configuration, and every certificate.
fn jumpbox(plan: &Plan<'_>, paths: &Paths) -> Result<HostSpec, Error> {
    let kubeconfig = config::kubeconfig(&plan.certificates, "admin", "admin", config::api(plan.layout))?;
    let file = LabFile::secret(paths.kubeconfig(), kubeconfig.clone());
    write(&file)?;
    let mut files = vec![LabFile::secret("/root/.kube/config", kubeconfig)];
    for (name, issued) in &plan.certificates.issued {
        let place = Path::new("/root/kubernetes-the-hard-way").join(name);
        files.push(LabFile::new(
            place.with_added_extension("crt"),
            issued.certificate.clone(),
        ));
        files.push(LabFile::secret(
            place.with_added_extension("key"),
            issued.key.clone(),
        ));
    }
    Ok(HostSpec {
        host: JUMPBOX.to_owned(),
        files,
        programs: vec![plan.program("kubernetes", "kubectl", "/usr/local/bin")?],
        units: Vec::new(),
    })
}

/// Writes a file of the administrator's on this machine.
fn write(file: &LabFile) -> Result<(), Error> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(parent) = file.path.parent() {
        std::fs::create_dir_all(parent).map_err(Error::file("making", parent))?;
    }
    let mut options = std::fs::File::options();
    options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(file.mode)
        .open(&file.path)
        .and_then(|mut open| open.write_all(&file.contents))
        .map_err(Error::file("writing", &file.path))
}

impl Plan<'_> {
    /// Returns a program and its place in a host.
    fn program(&self, component: &str, program: &str, directory: &str) -> Result<(PathBuf, PathBuf), Error> {
        Ok((
            self.components.program(component, program)?,
            Path::new(directory).join(program),
        ))
    }

    /// Returns a certificate and its key as files in a host.
    fn pair(&self, name: &str, place: &str) -> Result<[LabFile; 2], Error> {
        let issued = self.certificates.get(name)?;
        Ok([
            LabFile::new(format!("{place}.crt"), issued.certificate.clone()),
            LabFile::secret(format!("{place}.key"), issued.key.clone()),
        ])
    }
}
