//! `verifier site`: its subcommands.

mod check;
mod init;
mod rbac;
mod sudoers;

use clap::Subcommand;
use cli::Failure;

use super::hostkeys::{self, HostkeysArgs};
use check::CheckArgs;
use init::InitArgs;
use rbac::RbacArgs;
use sudoers::SudoersArgs;

#[derive(Debug, Subcommand)]
pub(super) enum SiteCommand {
    /// Make a site file: from machines.txt, from the API, and with --ssh from what the hosts say
    #[command(
        after_help = "Examples:\n  verifier site init --machines machines.txt --kubeconfig admin.kubeconfig -o site.yaml\n  verifier site init --kubeconfig admin.kubeconfig --ssh -o site.yaml\n  verifier site init --kubeconfig admin.kubeconfig --ssh --user op --become sudo --password-file op.password -o site.yaml"
    )]
    Init(InitArgs),
    /// Compare a site file with the API and the hosts; says what differs and what could not be found out
    #[command(after_help = "Example:\n  verifier site check --site site.yaml")]
    Check(CheckArgs),
    /// Show the key of each host and bastion; --accept pins the new ones in known_hosts
    #[command(
        after_help = "Examples:\n  verifier site hostkeys --site site.yaml\n  verifier site hostkeys --site site.yaml --accept\n  verifier site hostkeys --site site.yaml --accept --expect fingerprints"
    )]
    Hostkeys(HostkeysArgs),
    /// Print the least rights for the chosen checks, as a ClusterRole; with a subject also its binding
    #[command(
        after_help = "Examples:\n  verifier site rbac --service-account kube-system:verifier | kubectl apply -f -\n  verifier site rbac --only 'nodes.*' --only 'components.*' --user inspector"
    )]
    Rbac(RbacArgs),
    /// Print the least that the agent needs of sudo: this very program by its hash, and nothing else
    #[command(
        after_help = "Examples:\n  verifier site sudoers --site site.yaml > verifier.sudoers\n  verifier site sudoers --site site.yaml --bundle site.tar --home /srv/op"
    )]
    Sudoers(SudoersArgs),
}

/// Runs a subcommand of `verifier site`.
pub(super) async fn run(command: SiteCommand) -> Result<u8, Failure> {
    match command {
        SiteCommand::Init(args) => init::init(args).await,
        SiteCommand::Check(args) => check::check(args).await,
        SiteCommand::Hostkeys(args) => hostkeys::hostkeys(args).await,
        SiteCommand::Rbac(args) => rbac::rbac(&args),
        SiteCommand::Sudoers(args) => sudoers::sudoers(&args),
    }
}
