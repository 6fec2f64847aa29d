//! Whether what runs now can start again, and as what: its program, what it reads when it starts, the conditions of its unit.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::findings::{Finding, cause};
use crate::protocol::{Input, InputFacts, Obstacle, Process, UnitFacts, inputs};

/// Returns what each process reads when it starts.
pub(super) fn read(processes: &[Process]) -> Vec<(i32, Vec<Input>)> {
    let of_process = |process: &Process| {
        let arguments: Vec<&str> = process.arguments.iter().map(|argument| &**argument).collect();
        (process.pid, inputs(&process.name, &arguments))
    };
    let all = processes.iter().map(of_process);
    all.filter(|(_, inputs)| !inputs.is_empty()).collect()
}

/// Returns what keeps units from starting that are started at boot.
pub(super) fn obstacles(units: &BTreeMap<String, UnitFacts>, host: &dyn Display) -> Vec<Finding> {
    let started = units.iter().filter(|(_, facts)| facts.started_by.is_some());
    let of_unit = |(unit, facts): (&String, &UnitFacts)| {
        let unit: &dyn Display = unit;
        let finding = |obstacle: &Obstacle| {
            let finding = match obstacle {
                Obstacle::Program(path) => Finding::fail(cause::UnitProgramMissing { unit, host, path }),
                Obstacle::Input(path) => Finding::fail(cause::UnitInputMissing { unit, host, path }),
                Obstacle::Volatile(path) => Finding::fail(cause::UnitInputVolatile { unit, host, path }),
                Obstacle::Condition(condition) => Finding::fail(cause::UnitConditionUnmet {
                    unit,
                    host,
                    condition,
                }),
            };
            finding.of(unit)
        };
        facts.obstacles.iter().map(finding).collect::<Vec<_>>()
    };
    started.flat_map(of_unit).collect()
}

/// Returns the files that are not as their process read them. What its unit lacks is told of the unit.
pub(super) fn changed(
    found: &[InputFacts],
    processes: &[Process],
    units: &BTreeMap<String, UnitFacts>,
    host: &dyn Display,
) -> Vec<Finding> {
    let obstacles = || units.values().flat_map(|facts| &facts.obstacles);
    let is_told =
        |path: &String| obstacles().any(|obstacle| matches!(obstacle, Obstacle::Input(told) if told == path));
    let of_file = |facts: &InputFacts| {
        let process = processes.iter().find(|process| process.pid == facts.pid)?;
        let (process, path) = (&process.name, &facts.path);
        let finding = if facts.missing {
            if is_told(path) {
                return None;
            }
            Finding::fail(cause::InputMissing { process, host, path })
        } else {
            Finding::warn(cause::InputNewer { process, host, path })
        };
        Some(finding.of(path))
    };
    found.iter().filter_map(of_file).collect()
}
