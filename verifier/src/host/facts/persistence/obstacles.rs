//! What keeps a unit from starting, as its file and its drop-ins stand: programs and files that are not there, conditions that are
//! not met (systemd.service(5), systemd.unit(5)). What has variables, specifiers or a shell in it is not understood, and left out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::protocol::{Obstacle, inputs};

/// Where systemd looks for a program without a path.
const PATH: [&str; 6] = [
    "usr/local/sbin",
    "usr/local/bin",
    "usr/sbin",
    "usr/bin",
    "sbin",
    "bin",
];
/// What is below these at boot is not what is there now.
const MOMENTARY: [&str; 6] = ["/run/", "/var/run/", "/proc/", "/sys/", "/dev/", "/tmp/"];

/// Returns what keeps a unit with these lines from starting.
pub(super) fn obstacles(root: &Path, lines: &str) -> Vec<Obstacle> {
    let assignments = || lines.lines().filter_map(|line| line.split_once('='));
    let mut commands: Vec<(&str, &str)> = Vec::new();
    let mut found = Vec::new();
    for (key, value) in assignments() {
        let (key, value) = (key.trim(), value.trim());
        match key {
            // An empty one takes back those before it.
            "ExecStart" | "ExecStartPre" if value.is_empty() => commands.retain(|(other, _)| *other != key),
            "ExecStart" | "ExecStartPre" => commands.push((key, value)),
            "EnvironmentFile"
                if is_plain(value) && value.starts_with('/') && !below(root, value).exists() =>
            {
                found.push(Obstacle::Input(value.to_owned()));
            }
            _ => found.extend(unmet(root, key, value)),
        }
    }
    let of_commands = commands.iter().flat_map(|(_, command)| of_command(root, command));
    found.extend(of_commands);
    found
}

/// Returns what is missing for a command; nothing where it may fail.
fn of_command(root: &Path, command: &str) -> Vec<Obstacle> {
    let begin = command.len() - command.trim_start_matches(['-', '@', ':', '+', '!', '|']).len();
    let (marks, command) = command.split_at(begin);
    let unquoted = |word: &str| word.trim_matches(['"', '\'']).to_owned();
    let words: Vec<String> = command.split_whitespace().map(unquoted).collect();
    let Some(program) = words.first().filter(|word| is_plain(word)) else {
        return Vec::new();
    };
    if marks.contains('-') {
        return Vec::new();
    }
    if !is_there(root, program) {
        return vec![Obstacle::Program(program.clone())];
    }
    let name = program.rsplit('/').next().unwrap_or_default();
    let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
    let obstacle = |path: String| {
        if !is_plain(&path) {
            None
        } else if !below(root, &path).exists() {
            Some(Obstacle::Input(path))
        } else {
            is_momentary(&path).then_some(Obstacle::Volatile(path))
        }
    };
    let named = inputs(name, &arguments)
        .into_iter()
        .filter(|input| !input.optional);
    named.filter_map(|input| obstacle(input.path)).collect()
}

/// Returns a condition that is not met. Of those with a bar one is enough, so none of them is judged alone.
fn unmet(root: &Path, key: &str, value: &str) -> Option<Obstacle> {
    let kind = key
        .strip_prefix("Condition")
        .or_else(|| key.strip_prefix("Assert"))?;
    let (wanted, path) = match value.strip_prefix('!') {
        Some(path) => (false, path.trim()),
        None => (true, value),
    };
    if !path.starts_with('/') || !is_plain(path) || is_momentary(path) {
        return None;
    }
    let file = below(root, path);
    let found = fs::metadata(&file);
    let holds = match kind {
        "PathExists" => found.is_ok(),
        "PathIsDirectory" => found.is_ok_and(|found| found.is_dir()),
        "FileNotEmpty" => found.is_ok_and(|found| found.is_file() && found.len() > 0),
        "FileIsExecutable" => is_program(&file),
        "DirectoryNotEmpty" => fs::read_dir(&file).is_ok_and(|mut entries| entries.next().is_some()),
        _ => return None,
    };
    (holds != wanted).then(|| Obstacle::Condition(format!("{key}={value}")))
}

fn is_momentary(path: &str) -> bool {
    MOMENTARY.iter().any(|place| path.starts_with(place))
}

/// Returns whether a word stands for itself.
fn is_plain(word: &str) -> bool {
    !word.contains(['$', '%', '`'])
}

fn is_there(root: &Path, program: &str) -> bool {
    if program.starts_with('/') {
        return is_program(&below(root, program));
    }
    PATH.iter()
        .any(|place| is_program(&root.join(place).join(program)))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    const KUBELET: (&str, &str) = ("usr/local/bin/kubelet", "");
    const CONFIG: (&str, &str) = ("var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n");
    const START: &str = "ExecStart=/usr/local/bin/kubelet --config=/var/lib/kubelet/config.yaml --v=2\n";

    fn of(files: &[(&str, &str)], lines: &str) -> Vec<Obstacle> {
        let tree = Tree::new(files);
        let program = tree.0.path().join(KUBELET.0);
        if program.exists() {
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        obstacles(tree.0.path(), lines)
    }

    #[test]
    fn a_unit_whose_program_and_files_are_there_starts() {
        assert_eq!(of(&[KUBELET, CONFIG], START), []);
        let by_name = "ExecStartPre=-/sbin/gone\nExecStart=kubelet $ARGS --config=/${DIR}/x\nEnvironmentFile=-/etc/gone\n";
        assert_eq!(of(&[KUBELET], by_name), []);
    }

    #[test]
    fn a_program_that_is_gone_and_a_file_that_it_reads_are_named() {
        let program = || Obstacle::Program("/usr/local/bin/kubelet".to_owned());
        assert_eq!(of(&[CONFIG], START), [program()]);
        let input = || Obstacle::Input("/var/lib/kubelet/config.yaml".to_owned());
        assert_eq!(of(&[KUBELET], START), [input()]);
        // A drop-in takes the first command back.
        let taken_back = format!("{START}ExecStart=\nExecStart=/usr/local/bin/kubelet\n");
        assert_eq!(of(&[KUBELET], &taken_back), []);
        let in_run = ("run/k.yaml", "");
        let volatile = "ExecStart=/usr/local/bin/kubelet --config /run/k.yaml\n";
        assert_eq!(
            of(&[KUBELET, in_run], volatile),
            [Obstacle::Volatile("/run/k.yaml".to_owned())]
        );
        let environment = "EnvironmentFile=/etc/default/kubelet\n";
        assert_eq!(
            of(&[], environment),
            [Obstacle::Input("/etc/default/kubelet".to_owned())]
        );
    }

    #[test]
    fn a_condition_that_is_not_met_is_told_and_one_of_several_is_not() {
        let unmet = |line: &str| of(&[CONFIG], &format!("{line}\n")).len();
        assert_eq!(unmet("ConditionPathExists=/nonexistent"), 1);
        assert_eq!(unmet("ConditionPathExists=!/var/lib/kubelet/config.yaml"), 1);
        assert_eq!(unmet("AssertFileNotEmpty=/var/lib/kubelet/config.yaml"), 0);
        assert_eq!(unmet("ConditionPathExists=|/nonexistent"), 0);
        assert_eq!(unmet("ConditionPathExists=/run/nonexistent"), 0);
        assert_eq!(unmet("ConditionVirtualization=no"), 0);
    }
}
