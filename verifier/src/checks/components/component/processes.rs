//! Processes of a host, as components see them: whether they live, and under which unit. Pure.

use crate::findings::{Line, phrase};
use crate::protocol::Process;

/// Returns whether one of the processes lives.
pub(crate) fn alive(processes: &[Process]) -> bool {
    processes.iter().any(|process| process.state != 'Z')
}

/// Returns a process that a signal or a debugger has stopped.
pub(crate) fn halted(processes: &[Process]) -> Option<&Process> {
    processes
        .iter()
        .find(|process| matches!(process.state, 'T' | 't'))
}

/// Returns processes as lines; absent: nobody could look.
pub(crate) fn described(processes: Option<&[Process]>) -> Vec<Line> {
    let line = |process: &Process| {
        Line::said(phrase::ProcessLine {
            pid: &process.pid,
            name: &process.name,
            state: &process.state,
            seconds: &process.age_seconds,
            cgroup: &process.cgroup,
        })
    };
    match processes {
        None => vec![Line::said(phrase::ProcessesUnseen)],
        Some([]) => vec![Line::said(phrase::NoProcess)],
        Some(processes) => processes.iter().map(line).collect(),
    }
}

/// Returns the systemd unit of a process, from its cgroup.
pub(crate) fn unit(process: &Process) -> Option<String> {
    let mut parts = process.cgroup.rsplit('/');
    parts.find(|part| part.ends_with(".service")).map(str::to_owned)
}
