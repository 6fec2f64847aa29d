//! How both programs speak to a person: errors with hints, exit codes, units, progress.
//!
//! The rim of `bundler` and `verifier`. Results go to stdout, talk goes to stderr; colour only on a terminal and
//! not under `NO_COLOR`. It decides no verdict.

mod bundle_failure;
mod check;
pub mod exit;
mod failure;
mod form;
mod inspect;
mod nss;
mod progress;
mod shown;
mod units;

pub use bundle_failure::bundle_failure;
pub use check::Check;
pub use failure::{Failure, Kind, ResultExt, chain};
pub use form::{Form, tell_json, tell_text, write_json, write_text};
pub use inspect::inspect_bundle;
pub use progress::{Item, Progress};
pub use shown::shown;
pub use units::{duration, size};

/// Does what must come before anything else in `main`, before any thread: glibc's name services are pinned to what
/// a static program has built in, and ring becomes the process's TLS provider.
pub fn prepare() {
    nss::pin();
    let _ = rustls::crypto::ring::default_provider().install_default();
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
