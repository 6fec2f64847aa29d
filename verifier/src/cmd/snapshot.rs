//! `verifier snapshot`: take one, look at one, make a member's data of one.

mod etcdutl;
mod inspect;
mod restore;
mod save;

use clap::Subcommand;
use cli::Failure;

/// What is done with a snapshot.
#[derive(Debug, Subcommand)]
pub(super) enum SnapshotCommand {
    /// Take a snapshot of etcd through a host of the site, and prove it while it comes
    #[command(after_help = "Example:\n  verifier snapshot save --site site.yaml -o etcd.db")]
    Save(save::SaveArgs),
    /// Say whether a snapshot is whole, what is in it, and encrypted with what; no etcd is needed
    #[command(
        after_help = "Examples:\n  verifier snapshot inspect etcd.db\n  verifier snapshot inspect etcd.db.gz --json"
    )]
    Inspect(inspect::InspectArgs),
    /// Make the data of a new member of a snapshot, in an empty directory, by the etcdutl that the bundle carries
    #[command(
        after_help = "Examples:\n  verifier snapshot restore etcd.db new-data --bundle site.tar --name controller --initial-cluster controller=http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380\n  verifier snapshot restore etcd.db new-data --etcdutl /opt/etcd/etcdutl"
    )]
    Restore(restore::RestoreArgs),
}

/// Runs a command.
pub(super) fn run(command: SnapshotCommand) -> Result<u8, Failure> {
    match command {
        SnapshotCommand::Save(args) => super::block_on(save::run(args)),
        SnapshotCommand::Inspect(args) => inspect::run(&args),
        SnapshotCommand::Restore(args) => restore::run(&args),
    }
}
