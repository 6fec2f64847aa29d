//! `verifier smoke`: the suite on a cluster whose images were loaded before.

use std::io;
use std::path::PathBuf;

use clap::Args;
use cli::{Failure, Form, Kind, ResultExt as _, TrustArgs};
use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Serialize;

use super::connect;
use super::interrupt::interruptible;
use super::programs::programs;
use super::suite::SuiteArgs;
use crate::checks;
use crate::findings::{CauseId, Lang, catalogue};
use crate::protocol::StoreDepth;
use crate::report::Selection;
use crate::run::{Order, Work};
use crate::suite::{Check, Scope};

#[derive(Debug, Args)]
pub(super) struct SmokeArgs {
    /// The site file
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    site: Option<PathBuf>,
    /// List the checks instead; with --json also every cause
    #[arg(long)]
    list: bool,
    /// The bundle that was loaded: the suite runs what it carries
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Without a bundle: run this image, which the nodes have already; nothing is pulled, and image ids are not compared
    #[arg(long, value_name = "REF", conflicts_with = "bundle")]
    image: Option<String>,
    #[command(flatten)]
    choice: Choice,
    /// Leave what the run makes; `verifier clean` removes it
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    suite: SuiteArgs,
}

/// Which checks.
#[derive(Debug, Args)]
pub(super) struct Choice {
    /// Only the checks whose id matches; repeatable
    #[arg(long, value_name = "GLOB")]
    only: Vec<Glob>,
    /// Not the checks whose id matches; repeatable
    #[arg(long, value_name = "GLOB")]
    skip: Vec<Glob>,
}

impl Choice {
    /// Returns the checks that are chosen. One that only an audit runs is none of them, unless its very id is asked for.
    pub(super) fn checks(&self) -> Result<Vec<Check>, Failure> {
        let mut checks = self.matching()?;
        let asked = |check: &Check| self.only.iter().any(|glob| glob.glob() == check.id);
        checks.retain(|check| !check.on_demand || asked(check));
        if checks.is_empty() {
            return Err(
                Failure::new(Kind::Usage, ChoiceError::Empty).hint("verifier explain lists the checks")
            );
        }
        Ok(checks)
    }

    /// Returns it as a report names it.
    pub(super) fn selection(&self) -> Selection {
        Selection {
            only: self.only.iter().map(ToString::to_string).collect(),
            skip: self.skip.iter().map(ToString::to_string).collect(),
            read_only: false,
        }
    }

    /// Returns all checks that match.
    fn matching(&self) -> Result<Vec<Check>, Failure> {
        choose(&self.only, &self.skip)
            .kind(Kind::Usage)
            .map_err(|failure| failure.hint("verifier explain lists the checks"))
    }
}

/// A pattern that matches no check.
#[derive(Debug, thiserror::Error)]
enum ChoiceError {
    #[error("{glob:?} matches no check")]
    Nothing { glob: String },
    #[error("nothing is left of the checks to run")]
    Empty,
    #[error("most of these checks need something to run, and neither --bundle nor --image is given")]
    NothingToRun,
    #[error("the patterns cannot be used")]
    Globs(#[source] globset::Error),
}

pub(super) async fn run(args: SmokeArgs) -> Result<u8, Failure> {
    let Some(path) = args.site.as_deref().filter(|_| !args.list) else {
        let checks = args.choice.matching()?;
        return list(
            &checks,
            Form::from_flag(args.suite.paper.json),
            args.suite.paper.lang.get(),
        );
    };
    let checks = args.choice.checks()?;
    if args.bundle.is_none() && args.image.is_none() && checks.iter().any(|check| !check.needs.is_empty()) {
        let nothing = Failure::new(Kind::Usage, ChoiceError::NothingToRun);
        return Err(nothing.hint(
            "name the bundle that was loaded (--bundle FILE) or an image that the nodes have (--image REF); \
             or choose checks that run nothing: --only 'nodes.*' --only 'components.*'",
        ));
    }
    let site = connect::read_site(path)?;
    let snapshot = args.suite.snapshot(&checks)?;
    let reporters = args.suite.paper.reporters(&site)?;
    let after_reboot = args.suite.after_reboot()?;
    let bundle = args.trust.open(args.bundle.as_deref())?;
    let stop = interruptible();
    let order = Order {
        targets: connect::targets(&site, &stop).await?,
        programs: programs(bundle.as_ref())?,
        site,
        work: match (bundle, args.image) {
            (Some(bundle), _) => Work::Bundle(bundle),
            (None, Some(image)) => Work::Image(image),
            (None, None) => Work::Nothing,
        },
        not_run: not_chosen(&checks),
        checks,
        selection: args.choice.selection(),
        reads: false,
        days: args.suite.paper.days(),
        depth: StoreDepth::Ends,
        after_reboot,
        keep: args.keep,
        snapshot,
        limits: args.suite.limits(),
    };
    Ok(Box::pin(args.suite.run(order, reporters, &stop)).await)
}

/// Returns the checks that the patterns choose.
fn choose(only: &[Glob], skip: &[Glob]) -> Result<Vec<Check>, ChoiceError> {
    for glob in only.iter().chain(skip) {
        let matcher = glob.compile_matcher();
        if !checks::all().any(|check| matcher.is_match(check.id)) {
            return Err(ChoiceError::Nothing {
                glob: glob.to_string(),
            });
        }
    }
    let (only, skip) = (set(only)?, set(skip)?);
    let wanted = |id: &str| (only.is_empty() || only.is_match(id)) && !skip.is_match(id);
    let chosen: Vec<Check> = checks::all().filter(|check| wanted(check.id)).copied().collect();
    if chosen.is_empty() {
        Err(ChoiceError::Empty)
    } else {
        Ok(chosen)
    }
}

/// Returns the checks that were not chosen.
pub(super) fn not_chosen(chosen: &[Check]) -> Vec<&'static str> {
    let is_left = |check: &&Check| chosen.iter().all(|other| other.id != check.id);
    checks::of_runs().filter(is_left).map(|check| check.id).collect()
}

fn set(globs: &[Glob]) -> Result<GlobSet, ChoiceError> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob.clone());
    }
    builder.build().map_err(ChoiceError::Globs)
}

/// A check, for programs.
#[derive(Serialize)]
struct CheckEntry {
    id: &'static str,
    scope: Scope,
    summary: &'static str,
    needs: Vec<&'static str>,
    permissions: Vec<String>,
}

/// A cause, for programs.
#[derive(Serialize)]
struct CauseEntry {
    id: &'static str,
    text: &'static str,
}

/// Lists the checks, and for programs the causes too.
fn list(checks: &[Check], form: Form, lang: Lang) -> Result<u8, Failure> {
    if form == Form::Text {
        let lines = checks
            .iter()
            .map(|check| format!("{:<26} {}\n", check.id, catalogue::summary(check.id, lang)));
        cli::write_text(&mut io::stdout(), &lines.collect::<Vec<_>>().concat())?;
        return Ok(cli::exit::PASS);
    }
    let entry = |check: &Check| CheckEntry {
        id: check.id,
        scope: check.scope,
        summary: catalogue::summary(check.id, Lang::En),
        needs: check
            .needs
            .iter()
            .map(|fixture| fixture.owner())
            .filter(|owner| *owner != check.id)
            .collect(),
        permissions: check.asks().map(|permission| permission.to_string()).collect(),
    };
    let checks: Vec<CheckEntry> = checks.iter().map(entry).collect();
    let cause = |id: &CauseId| CauseEntry {
        id: id.name(),
        text: catalogue::template(*id, Lang::En).0,
    };
    let causes: Vec<CauseEntry> = CauseId::ALL.iter().map(cause).collect();
    cli::write_json(
        &mut io::stdout(),
        &serde_json::json!({"version": 1, "checks": checks, "causes": causes}),
    )?;
    Ok(cli::exit::PASS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(only: &[&str], skip: &[&str]) -> Result<Vec<&'static str>, String> {
        let globs = |list: &[&str]| {
            list.iter()
                .map(|glob| Glob::new(glob).unwrap())
                .collect::<Vec<_>>()
        };
        choose(&globs(only), &globs(skip))
            .map(|checks| checks.iter().map(|check| check.id).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn patterns_choose_and_one_that_matches_nothing_is_refused() {
        assert_eq!(ids(&[], &[]).unwrap().len(), checks::all().count());
        assert_eq!(
            ids(&["workload.*"], &["*.scale", "*.pod-cidr", "*.restart"]).unwrap(),
            ["workload.deployment"]
        );
        assert!(ids(&["nothing.*"], &[]).unwrap_err().contains("nothing.*"));
        assert!(ids(&[], &["nothing.*"]).is_err());
        assert!(ids(&["api.ready"], &["api.*"]).is_err());
    }
}
