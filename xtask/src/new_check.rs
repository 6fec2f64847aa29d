//! `new-check GROUP.NAME`: the files of a check that are made by hand, each with what must be filled in.

use std::fs;
use std::path::{Path, PathBuf};

use crate::step::{Talk, TaskError, cargo};

/// Makes the check's own file and its words in both languages, and names it in its group's list.
pub(crate) fn run(talk: &Talk, id: &str) -> Result<(), TaskError> {
    let (group, name) = parts(id)?;
    let module = name.replace('-', "_");
    let folder = Path::new("verifier/src/checks");
    let list = folder.join(format!("{group}.rs"));
    if !list.is_file() {
        return Err(TaskError::Usage(format!(
            "there is no group {group:?}: make {} with its list and name it in verifier/src/checks.rs first",
            list.display()
        )));
    }
    let file = folder.join(group).join(format!("{module}.rs"));
    if file.exists() {
        return Err(TaskError::Usage(format!("{} exists", file.display())));
    }
    let text = read(&list)?;
    write(&file, &check(id, &module))?;
    write(&list, &listed(&text, &module))?;
    let mut made = vec![file];
    for (lang, words) in [("en", ENGLISH), ("ko", KOREAN)] {
        let path = PathBuf::from(format!("verifier/words/{lang}/{group}.toml"));
        let text = read(&path)?
            + &words
                .replace("ID", id)
                .replace("NAME", &format!("{group}-{name}"));
        write(&path, &text)?;
        made.push(path);
    }
    talk.step("format", &mut cargo(&["fmt", "-p", "verifier"]))?;
    for path in &made {
        talk.say(&format!("made or changed {}", path.display()));
    }
    talk.say(&format!(
        "next: what it proves, in both words files; a cause {group}-{name} in verifier/src/findings/causes.rs (or one that is there), a fault in lab/src/faults/ that the \
         check must find, then UPDATE_SCHEMAS=1 cargo test -p verifier --lib checks"
    ));
    Ok(())
}

/// Returns group and name of `group.name`.
fn parts(id: &str) -> Result<(&str, &str), TaskError> {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let wrong = || {
        TaskError::Usage(format!(
            "{id:?} is no GROUP.NAME of small letters, digits and hyphens"
        ))
    };
    id.split_once('.')
        .filter(|(group, name)| plain(group) && plain(name))
        .ok_or_else(wrong)
}

/// Returns the group's file with the check's module and its place in the list.
fn listed(text: &str, module: &str) -> String {
    let line = format!("mod {module};\n");
    let name = |line: &str| {
        line.rsplit_once("mod ")
            .map(|(_, name)| name.trim_end_matches(';').to_owned())
    };
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let later = |line: &String| {
        line.contains("mod ")
            && line.trim_end().ends_with(';')
            && name(line.trim_end()).is_some_and(|other| other.as_str() > module)
    };
    let end = |line: &String| line.starts_with("use ");
    let at = lines
        .iter()
        .position(later)
        .or_else(|| lines.iter().position(end).map(|at| at.saturating_sub(1)))
        .unwrap_or(lines.len());
    lines.insert(at, line);
    let text = lines.concat();
    match text.rsplit_once("];") {
        Some((before, after)) => {
            let before = before.trim_end().trim_end_matches(',');
            format!("{before}, {module}::CHECK];{after}")
        }
        None => text,
    }
}

fn check(id: &str, module: &str) -> String {
    let name: String = module
        .split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_ascii_uppercase().to_string() + letters.as_str()
            })
        })
        .collect();
    CHECK.replace("ID", id).replace("NAME", &name)
}

fn read(path: &Path) -> Result<String, TaskError> {
    fs::read_to_string(path).map_err(|source| TaskError::Io {
        what: format!("read {}", path.display()),
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), TaskError> {
    fs::write(path, text).map_err(|source| TaskError::Io {
        what: format!("write {}", path.display()),
        source,
    })
}

const CHECK: &str = r#"//! `ID`: WHAT IT PROVES.

use serde::{Deserialize, Serialize};

use crate::findings::{Judged, Unjudged};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<NAME>("ID", Scope::Host);

struct NAME;

#[derive(Serialize, Deserialize)]
struct Facts {}

impl Probe for NAME {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let _host = ctx.host(member)?;
        Ok(Facts {})
    }

    fn judge(_facts: &Facts, expect: &Expect<'_>) -> Judged {
        let _host = expect.host()?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::Outcome;

    #[test]
    fn a_healthy_host_passes() {
        let site = site();
        assert_eq!(judged::<NAME>(&Facts {}, &expect(&site, "node-0")), (Outcome::Pass, None));
    }
}
"#;

const ENGLISH: &str = r#"
[check."ID"]
summary = "WHAT IT PROVES, in one line"
explain = """
What it proves at length, and how it looks.

Usual causes of failure, in order: ...

Where to look: ...
"""
by-hand = "ssh {host} true"
"#;

const KOREAN: &str = r#"
[check."ID"]
summary = "무엇을 확인하는지 한 줄로"
explain = """
무엇을 어떻게 확인하는지 자세히.

흔한 원인(순서대로): ...

볼 곳: ...
"""
by-hand = "ssh {host} true"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_takes_its_place_in_the_group() {
        let group = "//! G.\n\nmod b;\npub(super) mod d;\n\nuse crate::suite::Check;\n\nconst CHECKS: &[Check] = &[b::CHECK, d::CHECK];\n";
        let listed = listed(group, "c");
        assert!(listed.contains("mod b;\nmod c;\npub(super) mod d;\n"), "{listed}");
        assert!(listed.contains("&[b::CHECK, d::CHECK, c::CHECK];"), "{listed}");
        assert!(
            super::listed(group, "e").contains("mod d;\nmod e;\n\nuse"),
            "{}",
            super::listed(group, "e")
        );
    }

    #[test]
    fn only_a_group_and_a_name_are_an_id() {
        assert!(parts("network.pod-to-pod").is_ok());
        for wrong in ["network", ".x", "a.", "A.b", "a.b c", "../x.y"] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
        assert!(check("network.pod-to-pod", "pod_to_pod").contains("struct PodToPod;"));
    }
}
