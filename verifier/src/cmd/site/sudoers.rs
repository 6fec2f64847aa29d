//! `verifier site sudoers`: the least that the agent needs of sudo, as lines that visudo takes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use clap::Args;
use cli::{Failure, Kind, TrustArgs};

use super::super::smoke::Choice;
use super::super::{connect, plan};
use crate::carrier::ssh;
use crate::checks::requests;
use crate::run::plan::ProgramPlan;
use crate::site::{Become, Site};

#[derive(Debug, Args)]
pub(in crate::cmd) struct SudoersArgs {
    /// The site file
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// A bundle with the verifier for hosts of other platforms
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// The home directory of the user on the hosts, where it is not /home/USER
    #[arg(long, value_name = "DIR")]
    home: Option<String>,
    /// No password is asked for
    #[arg(long)]
    nopasswd: bool,
    #[command(flatten)]
    choice: Choice,
}

/// Why there are no lines.
#[derive(Debug, thiserror::Error)]
enum SudoersError {
    #[error("no host of {} is logged into with become: sudo", path.display())]
    Nobody { path: PathBuf },
    #[error("{name:?} has characters that a line of sudoers cannot be trusted with")]
    Name { name: String },
}

pub(super) fn sudoers(args: &SudoersArgs) -> Result<u8, Failure> {
    let site = connect::read_site(&args.site)?;
    let checks = args.choice.checks()?;
    let asking: Vec<&str> = checks
        .iter()
        .map(|check| check.id)
        .filter(|id| requests(id).next().is_some())
        .collect();
    let bundle = args.trust.open(args.bundle.as_deref())?;
    let programs = plan::programs(bundle.as_ref())?;
    let users = users(&site);
    if users.is_empty() {
        let path = args.site.clone();
        return Err(Failure::new(Kind::Usage, SudoersError::Nobody { path })
            .hint("nothing is needed of sudo: the agent runs as the user who logs in"));
    }
    let mut text = format!(
        "# The least that {} of {} checks need of sudo, on the hosts named below: to start this very program as root, and nothing else.\n\
         # All that is read on a host is read by it; verifier run --plan says what. Another version of the verifier has another hash.\n\
         # Install it with: visudo -cf FILE && install -m 0440 FILE /etc/sudoers.d/verifier\n",
        asking.len(),
        checks.len()
    );
    for (at, (user, hosts)) in users.iter().enumerate() {
        let home = args.home.clone().unwrap_or_else(|| format!("/home/{user}"));
        for name in [user, &home] {
            if !is_plain(name) {
                let name = name.clone();
                return Err(Failure::new(Kind::Usage, SudoersError::Name { name })
                    .hint("write the line by hand, with the escapes that sudoers(5) names"));
            }
        }
        let lines = lines(at, user, &home, &programs, args.nopasswd);
        // Writing to a String cannot fail.
        let _ = write!(text, "\n# {}\n{lines}", hosts.join(", "));
    }
    cli::write_text(&mut io::stdout(), &text)?;
    Ok(cli::exit::PASS)
}

/// Returns who becomes root through sudo, and on which hosts. Root needs no line.
fn users(site: &Site) -> BTreeMap<String, Vec<String>> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for host in &site.hosts {
        let ssh = site.ssh_of(host);
        let user = ssh.user.unwrap_or_else(|| "root".to_owned());
        if ssh.r#become == Some(Become::Sudo) && user != "root" {
            users.entry(user).or_default().push(host.name.clone());
        }
    }
    users
}

/// Returns whether a name means itself in sudoers.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    !name.is_empty() && name.chars().all(plain)
}

/// Returns the lines of a user: the program by its hash, in each directory that it may be put into.
fn lines(at: usize, user: &str, home: &str, programs: &[ProgramPlan], nopasswd: bool) -> String {
    let (bases, below) = ssh::places();
    // A name of 128 bits that nobody can foresee; a wildcard of sudoers never matches a slash.
    let below = below.replace("TOKEN", "[0-9a-f]*");
    let mut commands = Vec::new();
    for program in programs {
        for base in &bases {
            let base = base.replace("$HOME", home);
            commands.push(format!("sha256:{} {base}/{below} agent", program.sha256));
        }
    }
    let alias = format!("VERIFIER_{at}");
    let tag = if nopasswd { "NOPASSWD: " } else { "" };
    format!(
        "Cmnd_Alias {alias} = {}\n{user} ALL = (root) {tag}{alias}\n",
        commands.join(", \\\n    ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_allows_one_program_by_its_hash_and_nothing_beside_it() {
        let program = ProgramPlan {
            platform: "linux/amd64".to_owned(),
            bytes: 1,
            sha256: "ab".repeat(32),
        };
        let text = lines(0, "op", "/home/op", &[program], false);
        let hash = "ab".repeat(32);
        assert!(
            text.contains(&format!(
                "sha256:{hash} /home/op/.cache/.verifier-[0-9a-f]*/verifier agent"
            )),
            "{text}"
        );
        assert_eq!(text.matches("sha256:").count(), 4);
        assert!(text.ends_with("op ALL = (root) VERIFIER_0\n"), "{text}");
        assert!(!text.contains("NOPASSWD") && !text.contains("$HOME"));
        assert!(is_plain("op-1") && !is_plain("op ALL") && !is_plain("a,b") && !is_plain(""));
    }
}
