//! `verifier report check` and `sign`: whether a report is as it was written, and by whom.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use cli::{Failure, Form, Kind, ResultExt as _};
use jiff::Timestamp;
use signatures::SigningKey;

use crate::cmd::lang::LangArg;
use crate::findings::{Phrase, catalogue, phrase};
use crate::report::{CheckedReport, NAMESPACE, ProblemKind, ReportProblem, Sign, Verify, sign_directory};

#[derive(Debug, Args)]
pub(in crate::cmd) struct CheckArgs {
    /// The directory that `--report` made
    directory: PathBuf,
    /// It must be signed with a key of this file: an SSH public key, or OpenSSH's allowed signers
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lang: LangArg,
}

#[derive(Debug, Args)]
pub(in crate::cmd) struct SignArgs {
    /// The directory that `--report` made
    directory: PathBuf,
    /// The private SSH key: ed25519, ECDSA or RSA
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    lang: LangArg,
}

/// A directory that is none.
#[derive(Debug, thiserror::Error)]
#[error("cannot look at {}", path.display())]
struct Unreadable {
    path: PathBuf,
    source: io::Error,
}

/// A directory that is not signed as it is.
#[derive(Debug, thiserror::Error)]
#[error("{} is not as it was written", directory.display())]
struct Changed {
    directory: PathBuf,
}

pub(super) fn check(args: &CheckArgs) -> Result<u8, Failure> {
    let root = &args.directory;
    std::fs::read_dir(root)
        .map_err(|source| Unreadable {
            path: root.clone(),
            source,
        })
        .kind(Kind::Error)
        .map_err(|failure| failure.hint("name the directory that `--report` made"))?;
    let keys = args.key.as_deref().map(cli::public_keys).transpose()?;
    let now = Timestamp::now().as_second();
    let verify = keys.map(|keys| {
        move |signature: &str, bytes: &[u8]| {
            let signer = keys.verify(signature.as_bytes(), NAMESPACE, bytes, now);
            signer
                .map(|signer| signer.to_string())
                .map_err(|error| cli::chain(&error))
        }
    });
    let checked = CheckedReport::of(root, verify.as_ref().map(|verify| verify as Verify<'_>));
    if Form::from_flag(args.json) == Form::Json {
        cli::write_json(&mut io::stdout(), &checked)?;
    } else {
        cli::write_text(&mut io::stdout(), &told(&checked, args.lang))?;
    }
    Ok(if checked.problems.is_empty() {
        cli::exit::PASS
    } else {
        cli::exit::FAIL
    })
}

fn say(phrase: Phrase, lang: LangArg) -> String {
    catalogue::say(phrase, lang.get()) + "\n"
}

fn told(checked: &CheckedReport, lang: LangArg) -> String {
    let say = |phrase: Phrase| say(phrase, lang);
    let mut text = String::new();
    for problem in &checked.problems {
        text += &say(of(problem));
    }
    if let (true, Some(sums)) = (checked.problems.is_empty(), &checked.sums) {
        let files = &checked.files;
        text += &say(phrase::ReportGood { files, sums }.into());
    }
    text += &match (&checked.signed_by, checked.signed) {
        (Some(key), _) => say(phrase::ReportSignedBy { key }.into()),
        (None, true) => say(phrase::ReportSignedUnasked.into()),
        (None, false) => say(phrase::ReportUnsigned.into()),
    };
    text
}

fn of(problem: &ReportProblem) -> Phrase {
    let name = &problem.name;
    let reason = &problem.reason.as_deref().unwrap_or_default();
    match problem.kind {
        ProblemKind::Altered => phrase::ReportAltered { name }.into(),
        ProblemKind::Missing => phrase::ReportMissing { name }.into(),
        ProblemKind::Extra => phrase::ReportExtra { name }.into(),
        ProblemKind::Unreadable => phrase::ReportUnreadable { name, reason }.into(),
        ProblemKind::List => phrase::ReportList { name, reason }.into(),
        ProblemKind::Signature => phrase::ReportSignature { name, reason }.into(),
    }
}

pub(super) fn sign(args: &SignArgs) -> Result<u8, Failure> {
    let key = read_key(&args.key)?;
    let fingerprint = key.fingerprint();
    // Nobody signs for what was changed since.
    let checked = CheckedReport::of(&args.directory, None);
    if !checked.problems.is_empty() {
        let lines: Vec<String> = checked
            .problems
            .iter()
            .map(|problem| say(of(problem), args.lang))
            .collect();
        cli::write_text(&mut io::stdout(), &lines.concat())?;
        return Err(Failure::new(
            Kind::Error,
            Changed {
                directory: args.directory.clone(),
            },
        )
        .hint(
            "nothing was signed; verifier report check says the same: find out who changed it, or run anew",
        ));
    }
    sign_directory(&args.directory, &with(key)).kind(Kind::Error)?;
    let done = phrase::ReportSigned {
        directory: &args.directory.display(),
        key: &fingerprint,
    };
    cli::tell_text(&mut io::stdout(), &(catalogue::say(done, args.lang.get()) + "\n"));
    Ok(cli::exit::PASS)
}

/// Returns who signs with the key of a file. It is opened now: a passphrase that is missing is known before the run.
pub(in crate::cmd) fn signer(path: &Path) -> Result<Sign, Failure> {
    read_key(path).map(with)
}

fn with(key: SigningKey) -> Sign {
    Box::new(move |bytes| {
        key.sign(NAMESPACE, "report", bytes)
            .map_err(|error| cli::chain(&error))
    })
}

fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    cli::signing_key(path, "VERIFIER_SSH_PASSPHRASE")
}
