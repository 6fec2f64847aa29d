//! Ctrl-C, SIGTERM and SIGHUP: the work is told once to stop; the second time the process ends.

use cli::{Failure, Kind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A command that was told to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted;

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Self {
        Self::new(Kind::Interrupted, interrupted)
    }
}

/// Returns a token that the first signal cancels; the second ends the process. To be called before a password is asked
/// for: a process that a signal ends by itself leaves the terminal without echo.
pub(super) fn interruptible() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let mut signals = Signals::new();
    tokio::spawn(async move {
        signals.next().await;
        token.cancel();
        signals.next().await;
        std::process::exit(i32::from(cli::exit::INTERRUPTED));
    });
    stop
}

/// Does work that a signal ends where it stands.
pub(super) async fn until<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Interrupted.into()),
        done = work => done,
    }
}

/// The signals that are listened to; one that cannot be never comes.
struct Signals([Option<Signal>; 3]);

impl Signals {
    fn new() -> Self {
        let listen = |kind| signal(kind).ok();
        Self([
            listen(SignalKind::interrupt()),
            listen(SignalKind::terminate()),
            // Under nohup it stays ignored.
            (!ignores_hangup())
                .then(|| listen(SignalKind::hangup()))
                .flatten(),
        ])
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            () = come(interrupt) => {}
            () = come(terminate) => {}
            () = come(hangup) => {}
        }
    }
}

async fn come(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Returns whether the process was started with SIGHUP ignored.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is the first signal.
    ignored.is_some_and(|mask| mask & 1 == 1)
}
