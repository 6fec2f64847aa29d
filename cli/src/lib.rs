//! How both programs speak to a person: errors with hints, exit codes, units, progress.
//!
//! The rim of `bundler` and `verifier`. Results go to stdout, talk goes to stderr; colour only on a terminal and
//! not under `NO_COLOR`. It decides no verdict.

mod bundle_failure;
mod check;
mod descriptors;
mod dumps;
pub mod exit;
mod failure;
mod form;
mod inspect;
mod json;
#[doc(hidden)]
pub mod nasty;
mod nss;
mod panic;
#[doc(hidden)]
pub mod planted;
mod printer;
mod progress;
mod quoted;
mod shown;
mod signing;
mod template;
mod terminal;
mod trust;
mod units;

pub use bundle_failure::bundle_failure;
pub use check::Check;
pub use failure::{Failure, Kind, ResultExt, chain};
pub use form::{Form, tell_json, tell_text, write_file, write_json, write_text};
pub use inspect::Inspect;
pub use json::to_json;
pub use printer::Printer;
pub use progress::{Item, Progress};
pub use quoted::quoted;
pub use shown::{Shown, shown, visible_lines};
pub use signing::signing_key;
pub use template::{Commands, Hint, Value, fill, unquoted};
pub use terminal::{Question, Typed};
pub use trust::{Provenance, SignatureState, TrustArgs, bundle_source, open_bundle, public_keys};
pub use units::{duration, size};

/// What `--version` prints: with the compiler and the C library, where `cargo xtask dist` built the program.
pub const LONG_VERSION: &str = match option_env!("LONG_VERSION") {
    Some(text) => text,
    None => env!("CARGO_PKG_VERSION"),
};

/// Does what must come before anything else in `main`, before any thread: glibc's name services are pinned to what
/// a static program has built in, the process's memory is kept from core dumps and other processes, as many files may be
/// open as the machine allows, what a defect says is made fit to be shown, and ring becomes the process's TLS provider.
pub fn prepare() {
    dumps::keep_out();
    nss::pin();
    descriptors::raise();
    panic::guard();
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Prints what clap says of wrong usage: it quotes arguments, which may be names of files from outside.
pub fn print_usage(error: &clap::Error) {
    // Nothing can be done about a closed stderr.
    let _ = Printer::new(std::io::stderr()).print(usage(error).trim_end());
}

/// Returns what clap says, with what it quotes made fit to be shown.
fn usage(error: &clap::Error) -> String {
    let mut text = error.render().to_string();
    for (_, value) in error.context() {
        let quoted = match value {
            clap::error::ContextValue::String(text) => std::slice::from_ref(text),
            clap::error::ContextValue::Strings(texts) => texts,
            _ => continue,
        };
        for quoted in quoted.iter().filter(|quoted| quoted.contains(bundle::is_unseen)) {
            text = text.replace(quoted, &shown(quoted));
        }
    }
    text
}

/// Runs a command and turns its end into the process's exit code, printing a failure with its causes and hints once.
pub fn finish(program: &str, result: Result<u8, Failure>) -> std::process::ExitCode {
    match result {
        Ok(code) => code.into(),
        Err(failure) => {
            failure.print(program);
            failure.kind().exit_code().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clap_quotes_makes_no_lines_of_its_own() {
        let command =
            || clap::Command::new("p").arg(clap::Arg::new("lang").long("lang").value_parser(["en"]));
        for nasty in nasty::texts().into_iter().filter(|text| text.len() < 4096) {
            let lang = format!("--lang={nasty}");
            for arguments in [["p", &nasty], ["p", &lang]] {
                let Err(error) = command().try_get_matches_from(arguments) else {
                    continue;
                };
                let said = usage(&error);
                assert!(!said.contains("\nerror: forged"), "{said}");
            }
        }
    }
}
