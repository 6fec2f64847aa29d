//! The container runtime: whether it answers over the CRI, and if not, what its processes do.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::checks::components::component;
use crate::findings::{Cause, CauseId, Evidence, Finding, Outcome};
use crate::protocol::{CriStatus, CriStatusReply, Process, Processes};
use crate::site::Host;
use crate::suite::Ctx;

/// How long the runtime may take.
const ANSWER: Duration = Duration::from_secs(5);
/// One that is late or refuses counts only if it still does after this.
const AGAIN: Duration = Duration::from_secs(3);
/// Runtimes that serve the CRI.
const PROGRAMS: [&str; 4] = ["containerd", "crio", "cri-dockerd", "dockerd"];

/// What a host says of its runtime.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::checks) struct Runtime {
    /// What the CRI answered.
    pub(in crate::checks) status: Option<CriStatusReply>,
    /// Why it did not.
    pub(in crate::checks) error: Option<String>,
    /// Whether the time was over by then.
    pub(in crate::checks) late: bool,
    /// Its processes; absent where nobody could look.
    pub(in crate::checks) processes: Option<Vec<Process>>,
}

pub(in crate::checks) async fn look(ctx: &Ctx, host: &Host) -> Runtime {
    let first = once(ctx, host).await;
    if first.status.is_some() || first.halted().is_some() || first.runs() != Some(true) {
        return first;
    }
    tokio::time::sleep(AGAIN).await;
    once(ctx, host).await
}

async fn once(ctx: &Ctx, host: &Host) -> Runtime {
    let socket = host.runtime.clone();
    let names = Processes {
        names: PROGRAMS.map(str::to_owned).to_vec(),
    };
    let since = Instant::now();
    let (status, processes) = futures::join!(
        ctx.ask_within(&host.name, CriStatus { socket }, ANSWER),
        ctx.ask_within(&host.name, names, ANSWER)
    );
    let late = since.elapsed() >= ANSWER;
    let (status, error) = match status {
        Ok(status) => (Some(status), None),
        Err(mut trouble) => (None, trouble.cause.args.remove("message")),
    };
    Runtime {
        late: late && status.is_none(),
        status,
        error,
        processes: processes.ok(),
    }
}

impl Runtime {
    fn halted(&self) -> Option<&Process> {
        component::halted(self.processes.as_deref()?)
    }

    fn runs(&self) -> Option<bool> {
        self.processes.as_deref().map(component::alive)
    }

    /// Returns what is wrong with it.
    pub(in crate::checks) fn finding(&self, host: &str) -> Option<Finding> {
        if self.status.is_some() {
            return None;
        }
        let hung = |state: char| {
            Finding::fail(
                Cause::new(CauseId::ContainerdHung)
                    .with("host", host)
                    .with("state", state),
            )
        };
        if let Some(process) = self.halted() {
            return Some(hung(process.state));
        }
        let message = self.error.as_deref().unwrap_or("no answer");
        if self.runs() == Some(false) {
            let cause = Cause::new(CauseId::ContainerdStopped).with("host", host);
            return Some(Finding::fail(cause.with("message", message)));
        }
        let process = self
            .processes
            .iter()
            .flatten()
            .find(|process| process.state != 'Z');
        if let Some(process) = process.filter(|_| self.late) {
            return Some(hung(process.state));
        }
        // Its socket is for root: then we could not look.
        let ours = self.processes.is_none() || message.to_lowercase().contains("permission denied");
        Some(Finding {
            outcome: if ours { Outcome::Error } else { Outcome::Fail },
            cause: Cause::new(CauseId::RuntimeSilent).with("message", message),
        })
    }

    /// Returns the unit that runs it, else the usual one.
    pub(in crate::checks) fn unit(&self) -> String {
        let running = self.processes.iter().flatten().find_map(component::unit);
        running.unwrap_or_else(|| "containerd.service".to_owned())
    }

    pub(in crate::checks) fn version(&self) -> String {
        self.status.as_ref().map_or_else(
            || "container runtime not told".to_owned(),
            |status| format!("{} {}", status.runtime, status.version),
        )
    }

    pub(in crate::checks) fn evidence(&self) -> Evidence {
        let processes = self.processes.as_deref().map_or_else(
            || "its processes could not be listed".to_owned(),
            component::described,
        );
        let answer = match (&self.status, &self.error) {
            (Some(status), _) => format!("answers at {}", status.socket),
            (None, error) => error.clone().unwrap_or_else(|| "no answer".to_owned()),
        };
        Evidence::new("container runtime", format!("{processes}\n{answer}"))
    }
}
