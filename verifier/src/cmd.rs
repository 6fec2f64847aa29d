//! The command line: arguments in, files and adapters opened, exit codes out. Nothing is decided here that a test
//! would want to check.

mod audit;
mod clean;
mod connect;
mod explain;
mod gather;
mod hostkeys;
mod interrupt;
mod judge;
mod lang;
mod load;
mod plan;
mod programs;
mod report;
mod run;
mod site;
mod smoke;
mod snapshot;
mod suite;
mod terminal;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use bundle::{Checked, Depth};
use bytesize::ByteSize;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use cli::{Failure, Form, Kind, Progress, ResultExt as _, TrustArgs};

use crate::findings::{catalogue, phrase};

/// Checks a bundle, loads its images on every node and proves that the cluster works, without internet.
#[derive(Debug, Parser)]
#[command(
    name = "verifier",
    version,
    long_version = cli::LONG_VERSION,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
#[command(after_help = "Example:\n  verifier run site.tar --site site.yaml --report report")]
struct Cli {
    /// Print the licences of what is inside
    #[arg(long, exclusive = true)]
    licenses: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every byte of a bundle against its index, before anything is touched
    #[command(
        after_help = "Examples:\n  verifier check site.tar\n  verifier check site.tar --key maker.pub\n  verifier check - --expect sha256:... < /dev/sr0"
    )]
    Check(CheckArgs),
    /// Unpack a bundle into a directory: all of it or nothing
    #[command(
        after_help = "Examples:\n  verifier unpack site.tar site\n  verifier unpack site.tar site --key maker.pub"
    )]
    Unpack(UnpackArgs),
    /// Make a site file, or look at the hosts' keys
    #[command(subcommand)]
    Site(site::SiteCommand),
    /// Load the images of a bundle into containerd of every node, pinned
    #[command(
        after_help = "Examples:\n  verifier load site.tar --site site.yaml\n  verifier load site.tar --site site.yaml --key maker.pub\n  verifier load site.tar --local"
    )]
    Load(load::LoadArgs),
    /// Check the bundle, load it, check the cluster, write one report: the main job
    #[command(
        after_help = "Examples:\n  verifier run site.tar --site site.yaml --report report\n  verifier run site.tar --site site.yaml --report report --key maker.pub"
    )]
    Run(run::RunArgs),
    /// Check a cluster whose images were loaded before: the smoke suite alone
    #[command(
        after_help = "Examples:\n  verifier smoke --site site.yaml --bundle site.tar\n  verifier smoke --site site.yaml --bundle site.tar --only 'network.*'"
    )]
    Smoke(smoke::SmokeArgs),
    /// Write what the checks ask of this machine into a file, to be judged elsewhere: for sites without SSH
    #[command(
        after_help = "Examples:\n  verifier gather --local -o node-0.facts\n  verifier gather --local --kubeconfig admin.kubeconfig -o server.facts"
    )]
    Gather(gather::GatherArgs),
    /// Judge a site by the files that were gathered on its hosts
    #[command(
        after_help = "Examples:\n  verifier judge *.facts --site site.yaml\n  verifier judge server.facts node-0.facts --site site.yaml --bundle site.tar --report report"
    )]
    Judge(judge::JudgeArgs),
    /// Take an inventory of the site: its certificates, its images
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Make other forms of a report from its report.json: a page, JUnit, SARIF, CSV, a ticket
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// Take a snapshot of etcd, or say what one is
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// Say what a check proves, how to redo it by hand, where to look; offline
    #[command(after_help = "Examples:\n  verifier explain nodes.ready\n  verifier explain --symptom pending")]
    Explain(explain::ExplainArgs),
    /// Remove what dead runs left in the cluster, and what --keep kept
    #[command(after_help = "Example:\n  verifier clean --site site.yaml")]
    Clean(clean::CleanArgs),
    /// Serve the host's end of the connection on stdin and stdout
    #[command(hide = true)]
    Agent {
        /// End after so many seconds without a word from the other end
        #[arg(long, value_name = "SECONDS", default_value_t = crate::protocol::wire::SILENCE.as_secs())]
        silence: u64,
    },
    /// Print the completion script of a shell
    #[command(after_help = "Example:\n  verifier completion bash > /etc/bash_completion.d/verifier")]
    Completion {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The bundle: an archive, a directory that it was unpacked into, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// Prove too that every layer unpacks to what its image's configuration says
    #[arg(long)]
    deep: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lang: lang::LangArg,
}

#[derive(Debug, Args)]
struct UnpackArgs {
    /// The bundle: an archive, a directory that it was unpacked into, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// The directory, which must not exist yet or be empty
    directory: PathBuf,
}

/// Runs the command that the arguments name and returns its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Result<u8, Failure> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is no error; usage goes to stderr.
            if !error.use_stderr() {
                // Who closed the pipe wanted no more of it.
                let _ = error.print();
                return Ok(cli::exit::PASS);
            }
            cli::print_usage(&error);
            return Ok(cli::exit::USAGE);
        }
    };
    let Some(command) = cli.command else {
        // Without a command only --licenses comes here: nothing at all is answered by the help.
        cli::write_text(&mut io::stdout(), &notices())?;
        return Ok(cli::exit::PASS);
    };
    match command {
        Command::Check(args) => check(&args),
        Command::Unpack(args) => unpack(&args),
        Command::Site(command) => block_on(site::run(command)),
        Command::Load(args) => block_on(load::run(args)),
        Command::Run(args) => block_on(run::run(args)),
        Command::Smoke(args) => block_on(smoke::run(args)),
        Command::Gather(args) => block_on(gather::run(args)),
        Command::Judge(args) => block_on(judge::run(args)),
        Command::Audit(command) => block_on(audit::run(command)),
        Command::Report(command) => report::run(command),
        Command::Snapshot(command) => snapshot::run(command),
        Command::Explain(args) => explain::run(&args),
        Command::Clean(args) => block_on(clean::run(args)),
        // It has a runtime of its own, and must begin without one.
        Command::Agent { silence } => crate::host::serve_stdio(Duration::from_secs(silence))
            .map(|()| cli::exit::PASS)
            .kind(Kind::Error),
        Command::Completion { shell } => {
            // Into memory first: it panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "verifier", &mut script);
            let script = String::from_utf8(script).kind(Kind::Error)?;
            cli::write_text(&mut io::stdout(), &script).map(|()| cli::exit::PASS)
        }
    }
}

/// Returns the texts of all licences of what is inside.
fn notices() -> String {
    catalogue::unpacked(include_bytes!(concat!(env!("OUT_DIR"), "/NOTICES.txt.gz")))
}

fn block_on(work: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .kind(Kind::Error)?;
    let done = runtime.block_on(work);
    // A blocking read that nobody waits for any more must not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    done
}

fn check(args: &CheckArgs) -> Result<u8, Failure> {
    let lang = args.lang.get();
    let depth = if args.deep { Depth::Layers } else { Depth::Bytes };
    let words = |checked: &Checked| {
        let good = phrase::CheckGood {
            file: &args.file.display(),
            members: &checked.members,
            bytes: &ByteSize(checked.bytes),
            bundle: &checked.id,
            name: &checked.index.name,
        };
        let mut text = catalogue::say(good, lang) + "\n";
        if args.deep {
            text += &(catalogue::say(phrase::CheckLayers, lang) + "\n");
        }
        if checked.beside {
            let file = &bundle::checksum_file(&args.file);
            let file = &file.display();
            text += &(catalogue::say(phrase::CheckBeside { file }, lang) + "\n");
        }
        text + &load::provenance(&checked.origin, lang) + "\n"
    };
    let check = cli::Check {
        path: &args.file,
        trust: &args.trust.trust()?,
        depth,
        form: Form::from_flag(args.json),
        words: Some(&words),
    };
    let progress = Progress::stderr(args.json && !io::stderr().is_terminal());
    check.run(&progress, &mut io::stdout())
}

fn unpack(args: &UnpackArgs) -> Result<u8, Failure> {
    let progress = Progress::stderr(false);
    let source = cli::bundle_source(&args.file);
    let unpacked = bundle::unpack(
        source,
        &args.trust.trust()?,
        &args.directory,
        &mut |event| match event {
            bundle::Event::Start { bytes, .. } => {
                progress.begin(&catalogue::say(phrase::WorkUnpack, lang::ambient()), bytes);
            }
            bundle::Event::Bytes(bytes) => progress.add(bytes),
            _ => {}
        },
    );
    progress.end();
    let unpacked = unpacked.map_err(|error| cli::bundle_failure(&args.file, error))?;
    let done = phrase::Unpacked {
        directory: &args.directory.display(),
        members: &unpacked.members,
        bundle: &unpacked.id,
    };
    let text = catalogue::say(done, lang::ambient()) + "\n";
    let origin = load::provenance(&unpacked.origin, lang::ambient()) + "\n";
    cli::tell_text(&mut io::stdout(), &(text + &origin));
    Ok(cli::exit::PASS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_texts_come_out_as_they_were_packed() {
        assert_eq!(notices(), include_str!("../NOTICES.txt"));
    }

    #[test]
    fn the_commands_are_well_formed_and_every_one_shows_an_example() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        let mut todo: Vec<clap::Command> = vec![command];
        while let Some(command) = todo.pop() {
            for sub in command
                .get_subcommands()
                .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
            {
                let example = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(
                    sub.has_subcommands() || example.starts_with("Example"),
                    "{}",
                    sub.get_name()
                );
                todo.push(sub.clone());
            }
        }
    }

    #[test]
    fn wrong_usage_is_64_and_help_is_0() {
        let code = |words: &[&str]| main(words.iter().map(OsString::from)).unwrap();
        assert_eq!(code(&["verifier", "run"]), cli::exit::USAGE);
        assert_eq!(code(&["verifier", "nonsense"]), cli::exit::USAGE);
        assert_eq!(
            code(&["verifier", "run", "a", "--site", "b", "--timeout", "soon"]),
            cli::exit::USAGE
        );
        assert_eq!(code(&["verifier", "run", "--help"]), cli::exit::PASS);
    }
}
