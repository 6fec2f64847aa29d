//! `verifier site init`: a site file from a list, from the API, and from what the hosts say.

use std::io;
use std::path::{Path, PathBuf};

use bundle::{AtomicFile, UserFile};
use clap::Args;
use cli::{Failure, Kind, Progress, ResultExt as _, TrustArgs};

use crate::cluster::Target as ApiTarget;
use crate::cmd::interrupt::{interruptible, until};
use crate::cmd::programs::programs;
use crate::cmd::{connect, lang};
use crate::findings::{Phrase, catalogue, phrase};
use crate::run::{self, ApiSeen, Found, HostsSeen};
use crate::site::{self, Become, Draft, Host, Jump, NoJump, Role, Site, Ssh};

#[derive(Debug, Args)]
pub(in crate::cmd) struct InitArgs {
    /// The page's list: IPV4 FQDN HOST POD_SUBNET a line, no subnet for the control plane
    #[arg(long, value_name = "FILE")]
    machines: Option<PathBuf>,
    /// The administrator's kubeconfig
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Log in to the hosts too and ask them: roles, runtime, etcd, encryption, CNI
    #[arg(long)]
    ssh: bool,
    #[command(flatten)]
    login: LoginArgs,
    /// A bundle with the verifier for hosts of other platforms
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Where to write it; it must not exist. Absent: stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How the hosts are logged into: written into the file, and used with --ssh.
#[derive(Debug, Args)]
struct LoginArgs {
    /// The user to log in as; absent: root
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The private key; absent: the usual ones of ~/.ssh, and the SSH agent's
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The known host keys; absent: ~/.ssh/known_hosts
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,
    /// The port of sshd
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// What to go through: user@host:port, several with commas
    #[arg(long, value_name = "HOSTS", value_parser = jumps)]
    bastion: Option<Jumps>,
    /// How to become root on the hosts: none or sudo
    #[arg(long, value_name = "HOW", value_parser = r#become)]
    r#become: Option<Become>,
    /// The file whose first line is sudo's password; absent: asked on the terminal
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Jumps(Vec<Jump>);

fn jumps(text: &str) -> Result<Jumps, NoJump> {
    text.split(',')
        .map(|part| part.trim().parse())
        .collect::<Result<_, _>>()
        .map(Jumps)
}

fn r#become(text: &str) -> Result<Become, &'static str> {
    match text {
        "none" => Ok(Become::None),
        "sudo" => Ok(Become::Sudo),
        _ => Err("known are none and sudo"),
    }
}

impl LoginArgs {
    /// Returns these as settings, with each path as `seen` makes it.
    fn ssh(&self, seen: impl Fn(&Path) -> Result<PathBuf, Failure>) -> Result<Ssh, Failure> {
        let path = |path: &Option<PathBuf>| path.as_deref().map(&seen).transpose();
        Ok(Ssh {
            user: self.user.clone(),
            identity: path(&self.identity)?,
            known_hosts: path(&self.known_hosts)?,
            port: self.port,
            bastion: self.bastion.as_ref().map(|jumps| jumps.0.clone()),
            r#become: self.r#become,
            password_file: path(&self.password_file)?,
            ..Ssh::default()
        })
    }
}

const MACHINES: UserFile = UserFile::new("a list of machines", 1 << 20).or_pipe();

/// Why no site file was made.
#[derive(Debug, thiserror::Error)]
enum InitFailure {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the API does not say which Nodes there are: {reason}")]
    Api { reason: String },
}

pub(super) async fn init(args: InitArgs) -> Result<u8, Failure> {
    let listed = args.machines.as_deref().map(read_machines).transpose()?;
    let seen_from = |path: &Path| seen_from(args.output.as_deref(), path);
    let (kubeconfig, ssh) = (seen_from(&args.kubeconfig)?, args.login.ssh(seen_from)?);
    let origin = match (&args.machines, args.ssh) {
        (Some(path), false) => path.display().to_string(),
        (_, true) => "the API and the hosts".to_owned(),
        (None, false) => "the nodes of the API".to_owned(),
    };
    // A list alone is enough, also where nothing can be reached yet.
    let found = match listed {
        Some(hosts) if !args.ssh => Found {
            draft: Draft {
                kubeconfig,
                ssh,
                hosts,
                ..Draft::default()
            },
            gaps: Vec::new(),
        },
        listed => Box::pin(look(&args, listed.unwrap_or_default(), ssh, kubeconfig)).await?,
    };
    let mut draft = found.draft;
    draft.origin = cli::shown(&origin);
    if !draft
        .hosts
        .iter()
        .any(|host| host.roles.contains(&Role::ControlPlane))
    {
        say(phrase::NoControlPlane.into());
    }
    for gap in &found.gaps {
        say(phrase::NotFoundOut {
            what: &gap.what,
            reason: &gap.reason,
        }
        .into());
    }
    write(args.output.as_deref(), &site::to_yaml(&draft))?;
    let unlooked = |name: &str| draft.hosts.iter().any(|host| host.name == name);
    Ok(if found.gaps.iter().any(|gap| unlooked(&gap.what)) {
        cli::exit::ERROR
    } else {
        cli::exit::PASS
    })
}

fn say(words: Phrase) {
    Progress::stderr(false).say(&catalogue::say(words, lang::ambient()));
}

fn read_machines(path: &Path) -> Result<Vec<Host>, Failure> {
    let text = MACHINES
        .read_text(path)
        .map_err(|source| InitFailure::Read { path: path.to_owned(), source })
        .kind(Kind::Error)
        .map_err(|failure| failure.hint("name a list with a line IPV4 FQDN HOST POD_SUBNET for each machine, or leave --machines out to ask the API"))?;
    site::machines(&path.display().to_string(), &text).map_err(unusable)
}

/// Asks the API, and the hosts where they may be asked.
async fn look(args: &InitArgs, listed: Vec<Host>, ssh: Ssh, kubeconfig: PathBuf) -> Result<Found, Failure> {
    let target = ApiTarget::read(&args.kubeconfig).await.kind(Kind::Error)?;
    let address = target.address();
    let server = address
        .rsplit_once(':')
        .map_or(&*address, |(host, _)| host)
        .to_owned();
    let api = target.open(None).kind(Kind::Error)?;
    let api = ApiSeen::ask(&api)
        .await
        .map_err(|reason| Failure::new(Kind::Error, InitFailure::Api { reason }))?;
    // Hosts that are asked say their names themselves.
    let hosts = run::candidates(listed, &api, (!args.ssh).then_some(&*server));
    let seen = if args.ssh {
        ask_hosts(args, &hosts).await?
    } else {
        HostsSeen::new()
    };
    Ok(run::merge(hosts, &api, &seen, ssh, kubeconfig))
}

async fn ask_hosts(args: &InitArgs, hosts: &[Host]) -> Result<HostsSeen, Failure> {
    let site = Site {
        kubeconfig: args.kubeconfig.clone(),
        ssh: args.login.ssh(|path| Ok(path.to_owned()))?,
        hosts: hosts.to_vec(),
        ..Site::default()
    };
    let stop = interruptible();
    let bundle = args.trust.open(args.bundle.as_deref())?;
    let programs = programs(bundle.as_ref())?;
    Box::pin(until(&stop, async {
        let targets = connect::targets(&site, &stop).await?;
        let connected = run::connect(&targets, &programs, &|_| {}).await;
        Ok(run::look(&site, &connected).await)
    }))
    .await
}

/// Writes the file, or standard output.
fn write(output: Option<&Path>, yaml: &str) -> Result<(), Failure> {
    let Some(path) = output else {
        return cli::write_file(&mut io::stdout(), yaml);
    };
    let write = || {
        let mut file = AtomicFile::create(path)?;
        file.put(yaml.as_bytes())?;
        file.commit_new()
    };
    write()
        .kind(Kind::Error)
        .map_err(|failure| failure.hint("an existing file is never overwritten: name another one"))?;
    let written = phrase::SiteWritten {
        path: &path.display(),
    };
    cli::tell_text(
        &mut io::stdout(),
        &(catalogue::say(written, lang::ambient()) + "\n"),
    );
    Ok(())
}

/// Returns the failure of a list of machines that makes no site.
fn unusable(error: site::InitError) -> Failure {
    match error {
        site::InitError::Machines { problems } => {
            let count = format!("{} lines of the list name no machine", problems.len());
            Failure::new(Kind::Usage, count).details(problems)
        }
        error @ site::InitError::Empty { .. } => Failure::new(Kind::Usage, error),
    }
}

/// Returns a path as the site file must name it: relative paths start at the site file.
fn seen_from(output: Option<&Path>, path: &Path) -> Result<PathBuf, Failure> {
    let beside = output
        .and_then(Path::parent)
        .is_none_or(|parent| parent.as_os_str().is_empty());
    if beside {
        return Ok(path.to_owned());
    }
    std::path::absolute(path).kind(Kind::Error)
}
