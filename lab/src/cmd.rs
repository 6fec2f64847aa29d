//! The command line of `lab`: arguments, the library, words for people.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use cli::{Failure, Hint, Kind, ResultExt as _};
use lab::{Encryption, Error, Lab, Options, Paths};

mod faults;
mod status;

/// A real Kubernetes the Hard Way cluster on this machine, in namespaces, without uplink.
#[derive(Debug, Parser)]
#[command(
    name = "lab",
    version,
    after_help = "Example: lab up && lab exec jumpbox -- ssh node-0 uptime; lab down"
)]
pub(crate) struct Command {
    /// Name of the lab; several stand side by side.
    #[arg(long, global = true, default_value = "lab", value_name = "LAB")]
    name: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Boots the lab, installing and building first what it needs; does nothing if it is up.
    Up(Up),
    /// Shows hosts, addresses and the paths of kubeconfig, SSH key, known_hosts and machines.txt.
    Status(status::Status),
    /// Runs a command in a host (server, server-N, node-N, balancer, jumpbox, connected) and passes its exit code on.
    #[command(after_help = "Example: lab exec server -- systemctl status etcd")]
    Exec {
        /// The host.
        host: String,
        /// The command and its arguments.
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    /// Opens a shell in a host.
    Shell {
        /// The host.
        host: String,
    },
    /// Makes what labs need and what takes long, once: root file system, components, images. `up` does it by itself.
    Prepare {
        /// Also makes what benchmarks need: crane, regctl, oras and a large set of images.
        #[arg(long)]
        peers: bool,
    },
    /// Restarts hosts as a cut of their power would, all at once; without a name, all that have systemd.
    #[command(after_help = "Example: lab restart node-0 && verifier smoke --after-reboot ...")]
    Restart {
        /// The hosts (server, server-N, node-N, balancer).
        hosts: Vec<String>,
    },
    /// Plants a fault in the lab; without a name, lists the faults.
    #[command(after_help = "Example: lab fault kubelet-stopped && verifier run ...; lab heal")]
    Fault {
        /// The fault.
        fault: Option<String>,
    },
    /// Heals every fault that was planted, the last first.
    Heal,
    /// Ends the lab and removes all of it; also what a killed `up` left.
    Down,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line, each on its own"
)]
struct Up {
    /// Number of hosts of the control plane: 1, or 3 behind a balancer.
    #[arg(long, default_value_t = 1, value_name = "N")]
    servers: usize,
    /// Number of worker nodes.
    #[arg(long, default_value_t = 2, value_name = "N")]
    nodes: usize,
    /// Version of Kubernetes, the newest by default.
    #[arg(long, value_name = "V")]
    kubernetes: Option<String>,
    /// Version of containerd, for all nodes, or one for each node separated by commas; the newest by default.
    #[arg(long, value_name = "V", value_delimiter = ',')]
    containerd: Vec<String>,
    /// How Secrets are encrypted at rest: aescbc, aesgcm, secretbox or none.
    #[arg(long, default_value = "aescbc", value_name = "PROVIDER")]
    encryption: Encryption,
    /// A DNS of the cluster's own: CoreDNS, two replicas.
    #[arg(long)]
    dns: bool,
    /// Leaves out what the original page leaves out: /etc/crictl.yaml.
    #[arg(long)]
    plain: bool,
    /// No root login, no forwarding, sudo with a password, no programs in /tmp and /dev/shm.
    #[arg(long)]
    hardened: bool,
    /// Hosts without Kubernetes, for work on the lab itself.
    #[arg(long)]
    bare: bool,
}

impl Up {
    fn options(self, name: String) -> Options {
        let containerd = match self.containerd.as_slice() {
            [one] => vec![one.clone(); self.nodes],
            _ => self.containerd,
        };
        Options {
            name,
            servers: self.servers,
            nodes: self.nodes,
            kubernetes: self.kubernetes,
            containerd,
            encryption: self.encryption,
            dns: self.dns,
            plain: self.plain,
            hardened: self.hardened,
            bare: self.bare,
        }
    }
}

impl Command {
    /// Reads the arguments; the error is the exit code after help or a usage message was printed.
    pub(crate) fn parse_arguments() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            // Nothing can be done about closed streams.
            let _ = error.print();
            let code = if error.use_stderr() {
                cli::exit::USAGE
            } else {
                cli::exit::PASS
            };
            code.into()
        })
    }

    /// Does what the arguments say.
    pub(crate) fn run(self) -> Result<u8, Failure> {
        match self.verb {
            Verb::Up(up) => boot(&up.options(self.name)),
            Verb::Status(status) => status.run(&self.name),
            Verb::Exec { host, command } => exec(&self.name, &host, &command),
            Verb::Shell { host } => {
                let shell = "exec $(command -v bash || command -v sh) -l";
                // A terminal of the host's own, so that job control works in it.
                let command = if std::io::stdin().is_terminal() {
                    &["script", "-qec", shell, "/dev/null"][..]
                } else {
                    &["sh", "-c", shell][..]
                };
                let words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
                exec(&self.name, &host, &words)
            }
            Verb::Prepare { peers } => {
                Lab::prepare(peers, &reporter()).map_err(failure)?;
                Ok(cli::exit::PASS)
            }
            Verb::Restart { hosts } => restart(&self.name, &hosts),
            Verb::Fault { fault: None } => faults::list(),
            Verb::Fault { fault: Some(fault) } => faults::plant(&self.name, &fault),
            Verb::Heal => faults::heal(&self.name),
            Verb::Down => {
                let any = Lab::end(&self.name, &say).map_err(failure)?;
                say(if any { "lab ended" } else { "there was no such lab" });
                Ok(cli::exit::PASS)
            }
        }
    }
}

fn boot(options: &Options) -> Result<u8, Failure> {
    let lab = Lab::up(options, &reporter()).map_err(|error| {
        let is_other = matches!(error, Error::Different { .. });
        let failure = failure(error);
        if is_other || !Paths::new(&options.name).record().exists() {
            return failure;
        }
        failure.hint(Hint::new(
            "end what was begun: `lab down --name {name}`",
            &[("name", &options.name)],
        ))
    })?;
    let name = &lab.options().name;
    say(&format!(
        "look around: lab shell jumpbox --name {name}; end it: lab down --name {name}"
    ));
    Ok(cli::exit::PASS)
}

fn restart(name: &str, hosts: &[String]) -> Result<u8, Failure> {
    let lab = Lab::open(name).map_err(failure)?;
    let all = lab.layout().closed().filter(|host| host.boots());
    let hosts: Vec<&str> = match hosts {
        [] => all.map(|host| host.name.as_str()).collect(),
        some => some.iter().map(String::as_str).collect(),
    };
    lab.restart(&hosts, &reporter()).map_err(failure)?;
    Ok(cli::exit::PASS)
}

/// Becomes the command, so that streams, signals and exit code are its own.
fn exec(name: &str, host: &str, argv: &[String]) -> Result<u8, Failure> {
    let lab = Lab::open(name).map_err(failure)?;
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut command = lab.command(host, &argv).map_err(failure)?;
    Err(command.exec()).kind(Kind::Error)
}

/// Gives an error of the lab its kind and its hint.
fn failure(error: Error) -> Failure {
    let kind = match error {
        Error::Options(_) | Error::UnknownHost { .. } | Error::Different { .. } => Kind::Usage,
        _ => Kind::Error,
    };
    let hint = error.hint();
    let failure = Failure::new(kind, error);
    match hint {
        Some(hint) => failure.hint(Hint::new("{hint}", &[("hint", &hint)])),
        None => failure,
    }
}

/// Returns what writes lines with the time since now before them.
fn reporter() -> impl Fn(&str) + Sync {
    let start = Instant::now();
    move |line| say(&format!("[{:6.1} s] {line}", start.elapsed().as_secs_f64()))
}

fn say(line: &str) {
    // Nothing can be done about a closed stderr.
    let _ = writeln!(anstream::stderr(), "{line}");
}
