//! Which units systemd starts at boot: from default.target along what each unit wants and requires, as files and links say it
//! (systemd.unit(5)).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::obstacles::obstacles;
use super::{entries, shown, text};
use crate::protocol::UnitFacts;

/// Where units lie, the place that wins first. Generators make theirs anew at each boot.
const PLACES: [&str; 7] = [
    "etc/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.early",
    "run/systemd/generator",
    "run/systemd/generator.late",
];
/// Where units lie that are gone after the host's end.
const VOLATILE: [&str; 2] = ["run/systemd/transient", "run/systemd/system"];
/// Links in these directories of a unit make it want others.
const LINKS: [&str; 3] = ["wants", "requires", "upholds"];
/// Keys that make a unit start others; the last two are those of sockets, timers and paths.
const KEYS: [&str; 6] = ["Wants", "Requires", "BindsTo", "Upholds", "Service", "Unit"];
/// More units than these are not followed.
const UNITS: usize = 4096;
/// Scripts are read where an administrator puts them.
const SCRIPTS: [&str; 4] = ["/usr/local/", "/opt/", "/etc/", "/root/"];
const MOST_RUNS: usize = 1024;

/// What is started at boot.
pub(super) struct Boot {
    root: PathBuf,
    /// Units, each with what starts it first.
    started: BTreeMap<String, String>,
    /// What those run.
    pub(super) runs: Vec<Run>,
}

/// Something that is run at boot.
pub(super) struct Run {
    /// The unit, or the script that it runs.
    pub(super) source: String,
    /// The lines.
    pub(super) text: String,
}

/// How a unit lies there.
enum Found {
    Masked,
    File(PathBuf),
    Absent,
}

impl Boot {
    /// Follows the units of a host from its default target on.
    pub(super) fn of(root: &Path) -> Self {
        let mut boot = Self {
            root: root.to_owned(),
            started: BTreeMap::new(),
            runs: Vec::new(),
        };
        let mut next = vec![("default.target".to_owned(), "boot".to_owned())];
        while let Some((unit, by)) = next.pop() {
            if boot.started.contains_key(&unit) || boot.started.len() >= UNITS {
                continue;
            }
            let Found::File(file) = boot.find(&unit) else {
                continue;
            };
            boot.started.insert(unit.clone(), by.clone());
            // Another name of the same unit.
            if let Some(other) = alias(&unit, &file) {
                next.push((other, by));
            }
            next.extend(
                boot.follow(&unit, &file)
                    .into_iter()
                    .map(|other| (other, unit.clone())),
            );
        }
        boot
    }

    /// Returns whether a unit is started.
    pub(super) fn starts(&self, unit: &str) -> bool {
        self.started.contains_key(unit)
    }

    /// Returns how a unit is.
    pub(super) fn unit(&self, name: &str) -> UnitFacts {
        let started_by = self.started.get(name).cloned();
        match self.find(name) {
            Found::Masked => UnitFacts {
                masked: true,
                ..UnitFacts::default()
            },
            Found::File(file) => UnitFacts {
                obstacles: obstacles(&self.root, &self.lines(name, &file)),
                file: Some(shown(&self.root, &file)),
                started_by,
                ..UnitFacts::default()
            },
            Found::Absent => {
                let places = VOLATILE.iter().map(|place| self.root.join(place).join(name));
                let file = places.into_iter().find(|file| file.is_file());
                UnitFacts {
                    volatile: file.is_some(),
                    file: file.map(|file| shown(&self.root, &file)),
                    ..UnitFacts::default()
                }
            }
        }
    }

    fn find(&self, name: &str) -> Found {
        // A name is no path: what would lead elsewhere is no unit.
        if name.contains('/') || !name.contains('.') {
            return Found::Absent;
        }
        let template = name.split_once('@').and_then(|(before, after)| {
            let (_, kind) = after.rsplit_once('.')?;
            Some(format!("{before}@.{kind}"))
        });
        for name in [Some(name), template.as_deref()].into_iter().flatten() {
            for place in PLACES {
                let file = self.root.join(place).join(name);
                if fs::read_link(&file).is_ok_and(|target| target == Path::new("/dev/null")) {
                    return Found::Masked;
                }
                match fs::metadata(&file) {
                    Ok(found) if found.is_file() && found.len() == 0 => return Found::Masked,
                    Ok(found) if found.is_file() => return Found::File(file),
                    _ => {}
                }
            }
        }
        Found::Absent
    }

    /// Returns the lines of a unit's file and of its drop-ins.
    fn lines(&self, unit: &str, file: &Path) -> String {
        let mut lines = joined(&text(file).unwrap_or_default());
        for place in PLACES {
            for file in entries(&self.root.join(place).join(format!("{unit}.d"))) {
                if file.extension().is_some_and(|extension| extension == "conf") {
                    lines.push_str(&joined(&text(&file).unwrap_or_default()));
                }
            }
        }
        lines
    }

    /// Returns the units that a unit starts, and keeps what it runs.
    fn follow(&mut self, unit: &str, file: &Path) -> Vec<String> {
        let mut others: Vec<String> = Vec::new();
        let lines = self.lines(unit, file);
        for place in PLACES {
            let directory = self.root.join(place);
            for link in LINKS {
                let links = entries(&directory.join(format!("{unit}.{link}")));
                others.extend(
                    links
                        .iter()
                        .filter_map(|link| Some(link.file_name()?.to_str()?.to_owned())),
                );
            }
        }
        for (key, value) in lines.lines().filter_map(|line| line.split_once('=')) {
            if KEYS.contains(&key.trim()) {
                others.extend(value.split_whitespace().map(str::to_owned));
            }
        }
        // What a socket, a timer or a path starts is called as it is.
        if let Some((stem, "socket" | "timer" | "path")) = unit.rsplit_once('.') {
            others.push(format!("{stem}.service"));
        }
        self.keep(unit, &lines);
        others
    }

    /// Keeps what a unit runs, with the scripts among it.
    fn keep(&mut self, unit: &str, lines: &str) {
        let runs: Vec<&str> = lines.lines().filter(|line| line.starts_with("Exec")).collect();
        if runs.is_empty() || self.runs.len() >= MOST_RUNS {
            return;
        }
        let programs = runs.iter().filter_map(|line| {
            let (_, command) = line.split_once('=')?;
            let program = command.trim_start().trim_start_matches(['-', '@', ':', '+', '!']);
            program
                .split_whitespace()
                .find(|word| word.starts_with('/') && !is_shell(word))
        });
        let scripts: Vec<Run> = programs
            .filter(|program| {
                SCRIPTS.iter().any(|place| program.starts_with(place)) && !program.contains("/../")
            })
            .filter_map(|program| {
                let text = script(&self.root.join(program.trim_start_matches('/')))?;
                let source = program.to_owned();
                Some(Run { source, text })
            })
            .collect();
        let text = runs.join("\n");
        let source = unit.to_owned();
        self.runs.push(Run { source, text });
        self.runs.extend(scripts);
    }
}

fn is_shell(word: &str) -> bool {
    matches!(word.rsplit('/').next(), Some("sh" | "bash" | "env" | "dash"))
}

/// Returns the text of a script; nothing of a program.
fn script(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut begin = [0; 2];
    let metadata = fs::metadata(path).ok()?;
    if !metadata.is_file() {
        return None;
    }
    fs::File::open(path).ok()?.read_exact(&mut begin).ok()?;
    (begin == *b"#!").then(|| text(path)).flatten()
}

/// Returns the name of the unit that a link leads to, where it is another one of the same kind.
fn alias(unit: &str, file: &Path) -> Option<String> {
    let target = fs::read_link(file).ok()?;
    let name = target.file_name()?.to_str()?;
    let kind = |name: &str| name.rsplit_once('.').map(|(_, kind)| kind.to_owned());
    (name != unit && kind(name) == kind(unit) && !name.contains("@.")).then(|| name.to_owned())
}

/// Returns a text with lines that end with a backslash joined with the next, and comments left out.
fn joined(text: &str) -> String {
    let mut joined = String::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(begin) = line.strip_suffix('\\') {
            joined.push_str(begin);
            joined.push(' ');
        } else {
            joined.push_str(line);
            joined.push('\n');
        }
    }
    joined.push('\n');
    joined
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tree;
    use super::*;

    /// Debian's targets, and a kubelet that requires containerd.
    const BASE: [(&str, &str); 6] = [
        ("usr/lib/systemd/system/default.target", "-> graphical.target"),
        (
            "usr/lib/systemd/system/graphical.target",
            "[Unit]\nRequires=multi-user.target\n",
        ),
        (
            "usr/lib/systemd/system/multi-user.target",
            "[Unit]\nRequires=basic.target\n",
        ),
        (
            "usr/lib/systemd/system/basic.target",
            "[Unit]\nWants=sockets.target\n",
        ),
        (
            "usr/lib/systemd/system/sockets.target",
            "[Unit]\nDescription=Sockets\n",
        ),
        (
            "etc/systemd/system/kubelet.service",
            "[Unit]\nAfter=x.service\nRequires=\\\n  containerd.service\n[Service]\nExecStart=/usr/local/bin/kubelet\n\
             [Install]\nWantedBy=multi-user.target\n",
        ),
    ];
    const ENABLED: (&str, &str) = (
        "etc/systemd/system/multi-user.target.wants/kubelet.service",
        "-> /etc/systemd/system/kubelet.service",
    );
    const CONTAINERD: (&str, &str) = (
        "usr/lib/systemd/system/containerd.service",
        "[Service]\nExecStart=/usr/bin/containerd\n",
    );

    fn unit(name: &str, more: &[(&str, &str)]) -> UnitFacts {
        let files = [&BASE[..], more].concat();
        Boot::of(Tree::new(&files).0.path()).unit(name)
    }

    #[test]
    fn a_unit_that_is_enabled_is_started_and_so_is_what_it_requires() {
        let more = [ENABLED, CONTAINERD];
        assert_eq!(
            unit("kubelet.service", &more).started_by.as_deref(),
            Some("multi-user.target")
        );
        assert_eq!(
            unit("containerd.service", &more).started_by.as_deref(),
            Some("kubelet.service")
        );
    }

    #[test]
    fn a_unit_that_is_disabled_is_not_started_and_neither_is_what_only_it_requires() {
        let found = unit("kubelet.service", &[CONTAINERD]);
        assert_eq!(
            (found.file.as_deref(), found.started_by),
            (Some("/etc/systemd/system/kubelet.service"), None)
        );
        assert_eq!(unit("containerd.service", &[CONTAINERD]).started_by, None);
    }

    #[test]
    fn a_link_in_a_target_that_is_not_reached_does_not_count() {
        let elsewhere = (
            "etc/systemd/system/rescue.target.wants/kubelet.service",
            "-> /etc/systemd/system/kubelet.service",
        );
        assert_eq!(unit("kubelet.service", &[elsewhere]).started_by, None);
    }

    #[test]
    fn a_masked_unit_is_never_started() {
        let masked = ("etc/systemd/system/containerd.service", "-> /dev/null");
        let found = unit("containerd.service", &[ENABLED, CONTAINERD, masked]);
        assert!(found.masked && found.started_by.is_none());
    }

    #[test]
    fn sockets_drop_ins_templates_and_aliases_start_units_too() {
        let unit = |name: &str, more: &[(&str, &str)]| unit(name, more).started_by;
        let docker = (
            "usr/lib/systemd/system/docker.service",
            "[Unit]\nWants=containerd.service\n",
        );
        let socket = (
            "usr/lib/systemd/system/docker.socket",
            "[Socket]\nListenStream=/run/docker.sock\n",
        );
        let wanted = (
            "etc/systemd/system/sockets.target.wants/docker.socket",
            "-> /usr/lib/systemd/system/docker.socket",
        );
        let by_socket = unit("containerd.service", &[docker, socket, wanted, CONTAINERD]);
        assert_eq!(by_socket.as_deref(), Some("docker.service"));
        let drop_in = (
            "etc/systemd/system/kubelet.service.d/10.conf",
            "[Unit]\nWants=etcd@a.service\n",
        );
        let template = (
            "etc/systemd/system/etcd@.service",
            "[Service]\nExecStart=/usr/bin/etcd\n",
        );
        let by_drop_in = unit("etcd@a.service", &[ENABLED, drop_in, template]);
        assert_eq!(by_drop_in.as_deref(), Some("kubelet.service"));
        let alias = (
            "etc/systemd/system/runtime.service",
            "-> /usr/lib/systemd/system/containerd.service",
        );
        let wants = (
            "etc/systemd/system/multi-user.target.wants/runtime.service",
            "-> ../runtime.service",
        );
        let tree = Tree::new(&[&BASE[..], &[alias, wants, CONTAINERD]].concat());
        // Absolute links lead out of the tree: here the file behind them must be there.
        let link = tree.0.path().join("etc/systemd/system/runtime.service");
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(
            tree.0.path().join("usr/lib/systemd/system/containerd.service"),
            link,
        )
        .unwrap();
        let by_alias = Boot::of(tree.0.path()).unit("containerd.service").started_by;
        assert_eq!(by_alias.as_deref(), Some("multi-user.target"));
    }

    #[test]
    fn what_lies_in_run_is_gone_and_a_name_that_is_a_path_is_no_unit() {
        let transient = (
            "run/systemd/transient/lab.service",
            "[Service]\nExecStart=/bin/sleep 1\n",
        );
        let found = unit("lab.service", &[transient]);
        assert!(found.volatile && found.started_by.is_none());
        assert_eq!(unit("../../etc/shadow.service", &[]), UnitFacts::default());
    }

    #[test]
    fn units_that_want_each_other_end() {
        let a = ("etc/systemd/system/a.service", "[Unit]\nWants=b.service\n");
        let b = ("etc/systemd/system/b.service", "[Unit]\nWants=a.service\n");
        let wanted = (
            "etc/systemd/system/multi-user.target.wants/a.service",
            "-> ../a.service",
        );
        assert_eq!(
            unit("b.service", &[a, b, wanted]).started_by.as_deref(),
            Some("a.service")
        );
    }
}
