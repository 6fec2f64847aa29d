//! docs/faults.md: the table of faults and what the verifier said of each.

use lab::faults::all;

use super::Tried;

/// Every id that the verifier ever gave to a check or a cause.
const IDS: &str = include_str!("../../../docs/ids.txt");

const HEAD: &str = "\
| fault | verdict | as expected | otherwise | false alarms | drags along | s |
|---|---|---|---|---|---|---|";

/// Returns the head of the table that [`row`] fills.
pub fn head() -> &'static str {
    HEAD
}

/// Returns the row of a fault.
pub fn row(tried: &Tried) -> String {
    let list = |items: &[String]| match items {
        [] => "-".to_owned(),
        _ => items.join("; "),
    };
    let mut trouble = [tried.wrongly_named.clone(), tried.missed.clone()].concat();
    trouble.extend(tried.broken.clone());
    let passes = tried
        .false_passes
        .iter()
        .map(|pass| format!("{pass}: false pass"));
    let alarms: Vec<String> = tried.false_alarms.iter().cloned().chain(passes).collect();
    format!(
        "| {} | {} | {} | {} | {} | {} | {:.0} |",
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

/// Returns docs/faults.md of a whole round on `machine` at `date`.
fn document(round: &[Tried], machine: &str, date: &str) -> String {
    let of = |wanted: &str| round.iter().filter(|tried| verdict(tried) == wanted).count();
    let alarms: usize = round.iter().map(|tried| tried.false_alarms.len()).sum();
    let passes: usize = round.iter().map(|tried| tried.false_passes.len()).sum();
    let rows: Vec<String> = round.iter().map(row).collect();
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
         `verifier smoke` runs once, and the fault is healed. Last round: {date}. {machine}\n\
         {} faults: {} found, {} wrongly named, {} missed, {} not tried; {alarms} false alarms, {passes} false passes.\n\n\
         - found: every check that must tell of the fault does so, on its host, with the right outcome and cause\n\
         - wrongly named: one of them tells of something else; missed: one of them passes, is skipped or has no result\n\
         - false alarms: checks that the fault does not touch and that are fail, error or warn\n\
         - drags along: checks that are not expected to name the fault but rest on what it breaks (`touches` in `lab/src/faults/`)\n\
         - s: seconds of the run\n\n\
         {HEAD}\n{}\n\n## What each is\n\n{}\n\n## Causes that no fault plants\n\n\
         Of the {} causes of docs/ids.txt these {} are named by no fault of the lab; unit tests over facts hold them.\n\n{}\n",
        round.len(),
        of("found"),
        of("wrongly named"),
        of("missed"),
        of("not tried"),
        rows.join("\n"),
        meanings.join("\n"),
        causes().count(),
        unplanted.len(),
        unplanted.join(", "),
    )
}

/// Writes docs/faults.md of a whole round on `machine`, of today, in the order in which the lab lists its faults.
pub fn keep(mut round: Vec<Tried>, machine: &str) -> std::io::Result<()> {
    round.sort_by_key(|tried| all().position(|fault| fault.name == tried.name));
    let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/faults.md");
    std::fs::write(path, document(&round, machine, &date))
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
    fn a_round_is_counted_and_a_fault_that_was_not_tried_says_why() {
        let found = Tried {
            name: "one",
            found: vec!["a.b on x: fail c".into()],
            false_alarms: vec!["d.e on -: warn f".into()],
            also: BTreeMap::from([(
                "error g on x".into(),
                ["h", "i", "j", "k", "l"].map(String::from).to_vec(),
            )]),
            ..Tried::default()
        };
        let text = document(
            &[found, Tried::broken("two", "no lab".into())],
            "Machine: m",
            "2026-11-23",
        );
        assert!(text.contains(
            "2 faults: 1 found, 0 wrongly named, 0 missed, 1 not tried; 1 false alarms, 0 false passes"
        ));
        assert!(
            text.contains("| one | found | a.b on x: fail c | - | d.e on -: warn f | error g on x: h, i, j and 2 more | 0 |"),
            "{text}"
        );
        assert!(text.contains("| two | not tried | - | no lab |"), "{text}");
    }
}
