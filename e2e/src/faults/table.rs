//! docs/faults.md: the table of faults and what the verifier said of each.

use std::collections::BTreeMap;

use lab::faults::all;

use super::Tried;

/// Every id that the verifier ever gave to a check or a cause.
const IDS: &str = include_str!("../../../docs/ids.txt");

/// The end of what passed though the fault makes the truth unknowable.
const FALSE_PASS: &str = ": false pass";

const HEAD: &str = "\
| fault | verdict | as expected | otherwise | false alarms | drags along | s | tried |
|---|---|---|---|---|---|---|---|";

/// Returns the head of the table that [`row`] fills.
pub fn head() -> &'static str {
    HEAD
}

/// Returns today's date, for [`row`].
pub fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// Returns the row of a fault that was tried at `date`.
pub fn row(tried: &Tried, date: &str) -> String {
    let list = |items: &[String]| match items {
        [] => "-".to_owned(),
        _ => items.join("; "),
    };
    let mut trouble = [tried.wrongly_named.clone(), tried.missed.clone()].concat();
    trouble.extend(tried.broken.clone());
    let passes = tried
        .false_passes
        .iter()
        .map(|pass| format!("{pass}{FALSE_PASS}"));
    let alarms: Vec<String> = tried.false_alarms.iter().cloned().chain(passes).collect();
    format!(
        "| {} | {} | {} | {} | {} | {} | {:.0} | {date} |",
        tried.name,
        verdict(tried),
        list(&tried.found),
        list(&trouble),
        list(&alarms),
        list(&dragged(tried)),
        tried.time.as_secs_f32()
    )
}

/// Returns what a fault drags along, one text for each outcome, cause and host.
fn dragged(tried: &Tried) -> Vec<String> {
    /// A host that cannot be reached drags everything along; three say it.
    const NAMED: usize = 3;
    let text = |(how, checks): (&String, &Vec<String>)| match checks.get(..NAMED) {
        Some(first) if checks.len() > NAMED + 1 => {
            format!("{how}: {} and {} more", first.join(", "), checks.len() - NAMED)
        }
        _ => format!("{how}: {}", checks.join(", ")),
    };
    tried.also.iter().map(text).collect()
}

fn verdict(tried: &Tried) -> &'static str {
    match (
        &tried.broken,
        tried.missed.is_empty(),
        tried.wrongly_named.is_empty(),
    ) {
        (Some(_), _, _) => "not tried",
        (None, true, true) => "found",
        (None, true, false) => "wrongly named",
        (None, false, _) => "missed",
    }
}

/// The rows of docs/faults.md, by fault: what `text` has, and in their places those of `tried`.
fn renewed(text: &str, tried: &[Tried], date: &str) -> BTreeMap<String, String> {
    let there = text
        .lines()
        .filter_map(|line| Some((cells(line)?[0].to_owned(), line.to_owned())));
    let new = tried
        .iter()
        .map(|tried| (tried.name.to_owned(), row(tried, date)));
    there.chain(new).collect()
}

/// Returns the cells of a row; `None` of any other line.
fn cells(line: &str) -> Option<[&str; 8]> {
    let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<&str> = inner.split(" | ").collect();
    cells
        .try_into()
        .ok()
        .filter(|cells: &[&str; 8]| cells[0] != "fault")
}

/// Returns docs/faults.md of these rows, in the order in which the lab lists its faults.
fn document(mut rows: BTreeMap<String, String>, machine: &str) -> String {
    let untried = all().filter(|fault| !rows.contains_key(fault.name)).count();
    let rows: Vec<String> = all().filter_map(|fault| rows.remove(fault.name)).collect();
    let cells: Vec<[&str; 8]> = rows.iter().filter_map(|row| cells(row)).collect();
    let of = |wanted: &str| cells.iter().filter(|cells| cells[1] == wanted).count();
    let said = cells
        .iter()
        .flat_map(|cells| cells[4].split("; "))
        .filter(|said| *said != "-");
    let (passes, alarms): (Vec<&str>, Vec<&str>) = said.partition(|said| said.ends_with(FALSE_PASS));
    let planted: Vec<&str> = all()
        .flat_map(|fault| fault.expect)
        .map(|expect| expect.cause)
        .collect();
    let unplanted: Vec<String> = causes()
        .filter(|cause| !planted.contains(cause))
        .map(|cause| format!("`{cause}`"))
        .collect();
    let meanings: Vec<String> = all().map(|f| format!("- `{}`: {}", f.name, f.summary)).collect();
    format!(
        "# Faults\n\n\
         Written by `cargo xtask faults`: each fault of the lab is planted alone in a real cluster (server, node-0, node-1), \
         `verifier smoke` (of the faults of audits: `audit certs`, `audit images`) runs once, and the fault is healed. {machine}\n\
         {} faults: {} found, {} wrongly named, {} missed, {} not tried; {} false alarms, {} false passes.\n\n\
         - found: every check that must tell of the fault does so, on its host, with the right outcome and cause\n\
         - wrongly named: one of them tells of something else; missed: one of them passes, is skipped or has no result\n\
         - false alarms: checks that the fault does not touch and that are fail, error or warn\n\
         - drags along: checks that are not expected to name the fault but rest on what it breaks (`touches` in `lab/src/faults/`)\n\
         - s: seconds of the run; tried: when it was planted last (`cargo xtask faults NAME` renews a row)\n\n\
         {HEAD}\n{}\n\n## What each is\n\n{}\n\n## Causes that no fault plants\n\n\
         Of the {} causes of docs/ids.txt these {} are named by no fault of the lab; unit tests over facts hold them.\n\n{}\n",
        rows.len() + untried,
        of("found"),
        of("wrongly named"),
        of("missed"),
        of("not tried") + untried,
        alarms.len(),
        passes.len(),
        rows.join("\n"),
        meanings.join("\n"),
        causes().count(),
        unplanted.len(),
        unplanted.join(", "),
    )
}

/// Writes into docs/faults.md what became of faults that were tried on `machine`, today; the other rows stay.
pub fn keep(tried: &[Tried], machine: &str) -> std::io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/faults.md");
    let rows = renewed(&std::fs::read_to_string(path)?, tried, &today());
    std::fs::write(path, document(rows, machine))
}

/// Returns every cause that the verifier knows, from docs/ids.txt.
fn causes() -> impl Iterator<Item = &'static str> {
    IDS.lines().filter_map(|line| line.strip_prefix("cause "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn faults_expect_checks_and_causes_that_exist() {
        for fault in all() {
            for expect in fault.expect {
                let check = format!("check {}", expect.check);
                let cause = format!("cause {}", expect.cause);
                for id in [check, cause] {
                    assert!(IDS.lines().any(|line| line == id), "{}: {id}", fault.name);
                }
            }
        }
    }

    #[test]
    fn rows_are_renewed_and_counted_and_a_fault_that_was_not_tried_says_why() {
        let found = Tried {
            name: "kubelet-stopped",
            found: vec!["a.b on x: fail c".into()],
            false_alarms: vec!["d.e on -: warn f".into()],
            false_passes: vec!["i.j on -".into()],
            also: BTreeMap::from([(
                "error g on x".into(),
                ["h", "i", "j", "k", "l"].map(String::from).to_vec(),
            )]),
            ..Tried::default()
        };
        let old = row(&Tried::broken("kubelet-stopped", "no lab".into()), "2026-11-01");
        let other = row(&Tried::broken("kubelet-hung", "no lab".into()), "2026-11-01");
        let gone = row(
            &Tried::broken("no-fault-of-the-lab", "no lab".into()),
            "2026-11-01",
        );
        let there = format!("{HEAD}\n{old}\n{other}\n{gone}\n");
        let text = document(renewed(&there, &[found], "2026-11-23"), "Machine: m");
        let all = all().count();
        let counts = format!(
            "{all} faults: 1 found, 0 wrongly named, 0 missed, {} not tried; 1 false alarms, 1 false passes",
            all - 1
        );
        assert!(text.contains(&counts), "{text}");
        assert!(
            text.contains("| kubelet-stopped | found | a.b on x: fail c | - | d.e on -: warn f; i.j on -: false pass | error g on x: h, i, j and 2 more | 0 | 2026-11-23 |"),
            "{text}"
        );
        assert!(
            text.contains("| kubelet-hung | not tried | - | no lab |"),
            "{text}"
        );
        assert!(
            !text.contains("no-fault-of-the-lab") && !text.contains("| kubelet-stopped | not tried"),
            "{text}"
        );
    }
}
