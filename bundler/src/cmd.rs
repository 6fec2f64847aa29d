//! The command line: arguments and environment in, results out. It decides nothing that a test would want to check.

mod build;
mod cache;
mod init;
mod sign;

use std::io::stdout;
use std::path::PathBuf;

use bundle::Depth;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use cli::{Failure, Form, Inspect, Kind, Progress, TrustArgs, exit};

/// Packs images, configuration, manifests and the verifier into one checksummed archive for a network without a way out.
#[derive(Debug, Parser)]
#[command(name = "bundler", version, long_version = cli::LONG_VERSION, arg_required_else_help = true, args_conflicts_with_subcommands = true, after_help = EXAMPLE)]
struct Arguments {
    /// Print the licences of what is inside
    #[arg(long, exclusive = true)]
    licenses: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLE: &str = "Example:\n  bundler init && bundler build -o site.tar && bundler check site.tar\n\n\
    Exit codes: 0 done, 2 could not (a registry, a disk, a file), 3 bad bundle, 64 wrong usage or spec, 130 interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented spec that builds as it is
    #[command(after_help = "Example:\n  bundler init\n  bundler init site/bundle.yaml")]
    Init(init::Arguments),
    /// Resolve, pull and pack what a spec names
    #[command(
        after_help = "Example:\n  bundler build -f bundle.yaml -o site.tar\n  bundler build --dry-run -o site.tar"
    )]
    Build(build::Arguments),
    /// Show what the cache of blobs holds, or remove what is no longer used
    #[command(after_help = "Example:\n  bundler cache list\n  bundler cache prune --days 30")]
    Cache(cache::Arguments),
    /// Show what is in a bundle, from its index alone
    #[command(
        after_help = "Examples:\n  bundler inspect site.tar\n  bundler inspect site.tar --key maker.pub"
    )]
    Inspect(FileArguments),
    /// Read every byte of a bundle against its index
    #[command(
        after_help = "Examples:\n  bundler check site.tar\n  bundler check --deep site.tar --key maker.pub"
    )]
    Check(CheckArguments),
    /// Sign a bundle: a signature beside it, NAME.sig, as valid as the one that `build --sign` puts into it
    #[command(
        after_help = "Examples:\n  bundler sign site.tar --key ~/.ssh/id_ed25519\n  bundler sign site.tar --key minisign.key\n\nThe passphrase is asked for on the terminal, unless BUNDLER_SIGN_PASSPHRASE has it"
    )]
    Sign(sign::Arguments),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  bundler completion bash > /etc/bash_completion.d/bundler")]
    Completion {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
struct FileArguments {
    /// The bundle: an archive, a directory that it was unpacked to, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, clap::Args)]
struct CheckArguments {
    #[command(flatten)]
    file: FileArguments,
    /// Also unpack every layer, in memory, and compare it with its image's diffID
    #[arg(long)]
    deep: bool,
}

/// Runs the program: reads the arguments, does the work, returns the exit code.
pub fn main() -> Result<u8, Failure> {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, and go to stdout.
            if !error.use_stderr() {
                let _ = error.print();
                return Ok(exit::PASS);
            }
            cli::print_usage(&error);
            return Ok(exit::USAGE);
        }
    };
    let out = &mut stdout().lock();
    let Some(command) = arguments.command else {
        // Without a command only --licenses comes here: nothing at all is answered by the help.
        return cli::write_text(out, include_str!("../NOTICES.txt")).map(|()| exit::PASS);
    };
    match command {
        Command::Init(arguments) => init::run(&arguments, out),
        Command::Build(arguments) => build::run(arguments, out),
        Command::Cache(arguments) => cache::run(arguments, out),
        Command::Inspect(arguments) => {
            let inspect = Inspect {
                path: &arguments.file,
                trust: &arguments.trust.trust()?,
                form: Form::from_flag(arguments.json),
            };
            inspect.run(out)
        }
        Command::Check(CheckArguments { file, deep }) => {
            let check = cli::Check {
                path: &file.file,
                trust: &file.trust.trust()?,
                depth: if deep { Depth::Layers } else { Depth::Bytes },
                words: None,
                form: Form::from_flag(file.json),
            };
            check.run(&Progress::stderr(file.quiet), out)
        }
        Command::Sign(arguments) => sign::run(&arguments, out),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "bundler", &mut script);
            let script = String::from_utf8(script).map_err(|error| Failure::new(Kind::Error, error))?;
            cli::write_file(out, &script).map(|()| exit::PASS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn without_a_command_only_the_licences_are_printed() {
        let parsed = |words: &[&str]| Arguments::try_parse_from(words);
        assert!(parsed(&["bundler", "--licenses"]).unwrap().command.is_none());
        assert!(parsed(&["bundler"]).is_err());
        assert!(parsed(&["bundler", "--licenses", "init"]).is_err());
    }
}
