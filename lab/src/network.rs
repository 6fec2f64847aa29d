//! The closed network: a switch without uplink, and each host's links, addresses and routes.
//!
//! All links lie inside the lab's own namespaces; the machine's namespace gets neither link nor address nor route.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::run::{checked, output, run, write};
use crate::state::Lock;
use crate::{Error, HOST_NETWORK, Host, Layout, Paths, Role, SERVICE_NETWORK};

/// The namespace of the bridge that joins the hosts.
pub(crate) const SWITCH: &str = "switch";
/// Where named network namespaces have their handles.
const HANDLES: &str = "/run/netns";
/// The directory above.
const RUN: &str = "/run";

/// Makes the network of one lab.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) paths: &'a Paths,
    /// The lab's lock, which each `ip` holds too while it runs.
    pub(crate) lock: &'a Lock,
}

impl Network<'_> {
    /// Makes the namespaces of all hosts and of the switch. The first thing of a lab that the machine sees.
    pub(crate) fn create_namespaces(&self) -> Result<(), Error> {
        let mut batch = format!("netns add {}\n", self.paths.global_name(SWITCH));
        for host in &self.layout.hosts {
            writeln!(batch, "netns add {}", self.paths.global_name(&host.name)).unwrap_or_default();
        }
        // The first `ip netns add` after the machine's start prepares the directory of handles. Two at once would hide
        // each other's, so one lab at a time.
        let run = fs::File::open(RUN).map_err(Error::file("opening", RUN))?;
        run.lock().map_err(Error::file("locking", RUN))?;
        self.ip(None, "namespaces", &batch)
    }

    /// Makes the switch and plugs every host of the closed side into it.
    pub(crate) fn create_switch(&self) -> Result<(), Error> {
        let mut batch = String::from("link add br0 type bridge forward_delay 0\nlink set br0 up\n");
        for host in self.layout.closed() {
            batch.push_str(&plug(&host.name, &self.paths.global_name(&host.name)));
        }
        self.ip(Some(SWITCH), SWITCH, &batch)
    }

    /// Gives a host its addresses and its routes to the other nodes' pods.
    pub(crate) fn configure(&self, host: &Host) -> Result<(), Error> {
        let batch = addresses(host) + &routes(host, self.layout);
        self.ip(Some(&host.name), &host.name, &batch)
    }

    /// Gives a host whose processes have ended new links and addresses, as a restart does: what was set in its network by
    /// hand is gone. Its routes to pods are for its own units to set. The address of its card stays.
    pub(crate) fn replug(&self, host: &Host) -> Result<(), Error> {
        let (name, namespace) = (&host.name, self.paths.global_name(&host.name));
        let card = card(&namespace)?;
        let unplug = format!("link del {name}\nlink del nat-{name}\n");
        self.ip(Some(SWITCH), name, &unplug)?;
        delete(&self.paths.netns(name))?;
        self.ip(None, name, &format!("netns add {namespace}\n"))?;
        self.ip(Some(SWITCH), name, &plug(name, &namespace))?;
        let batch = format!("link set eth1 address {card}\n") + &addresses(host);
        self.ip(Some(name), name, &batch)
    }

    /// Runs a batch of `ip` in a host's namespace or the machine's.
    fn ip(&self, namespace: Option<&str>, name: &str, batch: &str) -> Result<(), Error> {
        let path = self.paths.dir().join(format!("{name}.ip"));
        write(&path, batch.as_bytes(), 0o600)?;
        let mut command = Command::new("ip");
        if let Some(host) = namespace {
            command.args(["-n", &self.paths.global_name(host)]);
        }
        // Not as stdin, which `ip` replaces by the batch.
        command.arg("-batch").arg(&path).stdout(self.lock.shared()?);
        let output = output(&mut command)?;
        checked(&command, output).map(drop)
    }
}

/// Returns the commands that give a host its two links: eth1 on the bridge, and the page's eth0, whose other end is
/// up but joined to nothing.
fn plug(host: &str, namespace: &str) -> String {
    format!(
        "link add {host} type veth peer name eth1 netns {namespace}\n\
         link set {host} master br0 up\n\
         link add nat-{host} type veth peer name eth0 netns {namespace}\n\
         link set nat-{host} up\n"
    )
}

/// Returns the Ethernet address of a host on the switch.
fn card(namespace: &str) -> Result<String, Error> {
    let mut command = Command::new("ip");
    command.args(["-n", namespace, "-br", "link", "show", "eth1"]);
    let shown = output(&mut command)?;
    let shown = checked(&command, shown)?;
    // Name, state, address, flags.
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let address = text.split_whitespace().nth(2).map(str::to_owned);
    address.ok_or_else(|| Error::Missing {
        what: format!("the link eth1 of {namespace}"),
        hint: "heal the faults that were planted, or end the lab and boot it anew".to_owned(),
    })
}

/// Returns the commands that give a host its addresses, and a node the way to Services.
fn addresses(host: &Host) -> String {
    let mut batch = String::from("link set lo up\n");
    if host.role != Role::Connected {
        write!(
            batch,
            "address add 10.0.2.15/24 dev eth0\nlink set eth0 up\n\
             address add {}/{} dev eth1\nlink set eth1 up\n",
            host.address,
            HOST_NETWORK.prefix_len()
        )
        .unwrap_or_default();
    }
    if host.role == Role::Node {
        // Without any route the kernel refuses a Service's address before kube-proxy's rules can turn it into a pod's.
        writeln!(batch, "route add {SERVICE_NETWORK} dev eth1").unwrap_or_default();
    }
    batch
}

/// Returns the commands that give a host its routes to the other nodes' pods.
fn routes(host: &Host, layout: &Layout) -> String {
    let mut batch = String::new();
    if host.in_cluster() {
        for node in layout.nodes().filter(|node| node.name != host.name) {
            if let Some(pods) = node.pod_network {
                writeln!(batch, "route add {pods} via {} dev eth1", node.address).unwrap_or_default();
            }
        }
    }
    batch
}

/// Returns the handles of a lab's namespaces that are there.
pub(crate) fn handles(paths: &Paths) -> Vec<PathBuf> {
    let prefix = paths.global_prefix();
    fs::read_dir(HANDLES)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect()
}

/// Deletes the handle of a namespace; the namespace goes when its last process has gone.
pub(crate) fn delete(handle: &std::path::Path) -> Result<(), Error> {
    let name = handle.file_name().unwrap_or_default();
    let deleted = run(Command::new("ip").args(["netns", "delete"]).arg(name));
    // `ip` also fails on a file that a killed `ip netns add` left without a mount.
    match deleted {
        Err(_) if handle.exists() => fs::remove_file(handle).map_err(Error::file("removing", handle)),
        _ => Ok(()),
    }
}
