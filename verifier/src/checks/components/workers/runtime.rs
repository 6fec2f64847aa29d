//! The container runtime: whether it answers over the CRI, and if not, what its processes do.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::checks::components::component;
use crate::distribution::RUNTIMES;
use crate::findings::{Evidence, Finding, Line, Unjudged, cause, phrase};
use crate::protocol::{CriCondition, CriStatus, CriStatusReply, Process, Processes, RefusalKind};
use crate::site::Host;
use crate::suite::Ctx;

/// How long the runtime may take.
const ANSWER: Duration = Duration::from_secs(15);

/// What a host says of its runtime.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Runtime {
    /// What the CRI answered, or why it did not.
    pub(super) answer: Result<CriStatusReply, NoAnswer>,
    /// Its processes; absent where nobody could look.
    pub(super) processes: Option<Vec<Process>>,
}

/// Why the CRI did not answer.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct NoAnswer {
    /// What the agent said, or how its answer was lost.
    pub(super) message: String,
    /// Whether the time was over by then.
    pub(super) late: bool,
    /// Whether the agent's user may not open the socket.
    pub(super) denied: bool,
}

/// Asks the runtime and lists its processes.
///
/// # Errors
/// Where the host has no agent.
pub(super) async fn look(ctx: &Ctx, host: &Host) -> Result<Runtime, Unjudged> {
    let socket = host.runtime.clone();
    let names = Processes {
        names: RUNTIMES.iter().map(|name| (*name).to_owned()).collect(),
    };
    let since = Instant::now();
    let (status, processes) = futures::join!(
        ctx.ask_within(&host.name, CriStatus { socket }, ANSWER),
        ctx.ask_within(&host.name, names, ANSWER)
    );
    let late = since.elapsed() >= ANSWER;
    let answer = match status {
        Ok(status) => Ok(status),
        Err(failure) => match failure.message() {
            Some(message) => Err(NoAnswer {
                message: message.to_owned(),
                late,
                denied: failure.kind() == Some(RefusalKind::Denied),
            }),
            None => return Err(failure.into()),
        },
    };
    Ok(Runtime {
        answer,
        processes: processes.ok(),
    })
}

impl Runtime {
    /// Returns what is wrong with it: it does not answer, or says that it is not ready. A runtime may say more of itself;
    /// only these two are the CRI's.
    pub(super) fn findings(&self, host: &str) -> Vec<Finding> {
        let Ok(status) = &self.answer else {
            return self.silent(host).into_iter().collect();
        };
        let promised = |one: &&CriCondition| matches!(one.name.as_str(), "RuntimeReady" | "NetworkReady");
        let broken = status.conditions.iter().filter(promised).filter(|one| !one.holds);
        let finding = |one: &CriCondition| {
            Finding::fail(cause::RuntimeNotReady {
                host: &host,
                condition: &one.name,
                reason: &one.reason,
                message: &one.message,
            })
        };
        broken.map(finding).collect()
    }

    /// Returns why it does not answer. A process that is not there, or that a signal has stopped, does not come back by
    /// itself, and whom nobody could list is not listed a moment later; all else may pass.
    fn silent(&self, host: &str) -> Option<Finding> {
        let failure = self.answer.as_ref().err()?;
        let message = &failure.message;
        let silent = cause::RuntimeSilent { message };
        let Some(processes) = self.processes.as_deref() else {
            return Some(Finding::error(silent).sure());
        };
        let hung = |process: &Process| {
            Finding::fail(cause::ContainerdHung {
                host: &host,
                state: &process.state,
            })
        };
        if let Some(process) = component::halted(processes) {
            return Some(hung(process).sure());
        }
        let Some(process) = processes.iter().find(|process| process.state != 'Z') else {
            let stopped = cause::ContainerdStopped { host: &host, message };
            return Some(Finding::fail(stopped).sure());
        };
        Some(if failure.late {
            hung(process)
        } else if failure.denied {
            // Its socket is for root: we could not look.
            Finding::error(silent)
        } else {
            Finding::fail(silent)
        })
    }

    /// Returns the unit that runs it, else the usual one.
    pub(super) fn unit(&self) -> String {
        let running = self.processes.iter().flatten().find_map(component::unit);
        running.unwrap_or_else(|| "containerd.service".to_owned())
    }

    /// Returns its name and version as a line.
    pub(super) fn version(&self) -> Line {
        match &self.answer {
            Ok(status) => format!("{} {}", status.runtime, status.version).into(),
            Err(_) => Line::said(phrase::RuntimeVersionUnknown),
        }
    }

    /// Returns what was seen, for a person.
    pub(super) fn evidence(&self) -> Evidence {
        let mut lines = component::described(self.processes.as_deref());
        let conditions = self.answer.iter().flat_map(|status| &status.conditions);
        lines.extend(conditions.map(|one| {
            let Some(message) = Some(&one.message).filter(|_| !one.holds) else {
                return Line::from(format!("{} {}", one.name, one.holds));
            };
            Line::from(format!("{} {} {}: {message}", one.name, one.holds, one.reason))
        }));
        lines.push(match &self.answer {
            Ok(status) => Line::said(phrase::RuntimeAnswers {
                socket: &status.socket,
            }),
            Err(failure) => Line::from(&failure.message),
        });
        Evidence {
            title: phrase::ContainerRuntime.into(),
            lines,
        }
    }
}
