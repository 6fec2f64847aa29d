//! The shell texts that run on a host. They need `sh`, `mkdir`, `cat`, `chmod`, `uname`, and `rm` only when something
//! goes wrong.
//!
//! A login shell may be anything (csh, fish), so each command is one line, `exec sh -c '...'`, without a quote, a line
//! feed or an exclamation mark in its text.

use crate::host::{DIRECTORY, PROGRAM};

/// The directories that are tried, in order, as a shell writes them.
pub(super) const BASES: [&str; 4] = ["$HOME/.cache", "/var/tmp", "/tmp", "/run"];
/// Finds the first of them that lets a program run.
const GUARD: &str = r#"umask 077; echo "TOKEN system $(uname -sm)"; n=0; for b in BASES; do n=$((n+1)); if [ $n -gt SKIP ]; then d="$b/DIRECTORYTOKEN"; f="$d/PROGRAM"; if mkdir "$d" 2>/dev/null; then trap "rm -rf \"$d\" || : >\"$f\"" 0; trap "exit 1" 1 2 13 15; if echo "exit 0" >"$f" && chmod 700 "$f" && "$f"; then echo "TOKEN place $n $d"; read x; exit 0; fi; rm -rf "$d"; trap - 0; echo "TOKEN barred $b"; fi; fi; done 2>/dev/null; echo "TOKEN end""#;

/// Returns the command that makes a directory that lets programs run, says which, and removes it with all that is in it
/// when its stdin ends: so whenever we end, however we end. The first `skip` directories are left out.
pub(super) fn guard(token: &str, skip: usize) -> String {
    let bases = BASES.map(|base| format!("\"{base}\"")).join(" ");
    let text = GUARD
        .replace("BASES", &bases)
        .replace("TOKEN", token)
        .replace("SKIP", &skip.to_string())
        .replace("DIRECTORY", DIRECTORY)
        .replace("PROGRAM", PROGRAM);
    format!("exec sh -c '{text}'")
}

/// Returns the command that writes its stdin to the program's file.
pub(super) fn upload(directory: &str) -> String {
    with_program(r#"cat >"$0" && chmod 700 "$0""#, directory)
}

/// Returns the command that starts the program.
pub(super) fn start(directory: &str) -> String {
    with_program(r#"exec "$0" agent"#, directory)
}

/// Returns the command that starts it through sudo, which asks by `prompt`; without one it may not ask.
pub(super) fn start_with_sudo(directory: &str, prompt: Option<&str>) -> String {
    let how = prompt.map_or_else(|| "-n".to_owned(), |prompt| format!(r#"-S -p "{prompt}""#));
    with_program(
        &format!(r#"LC_ALL=C; export LC_ALL; exec sudo {how} -- "$0" agent"#),
        directory,
    )
}

fn with_program(text: &str, directory: &str) -> String {
    let program = format!("{directory}/{PROGRAM}").replace('\'', r"'\''");
    format!("exec sh -c '{text}' '{program}'")
}

/// What the guard says, apart from what login shells print around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// `uname -sm`.
    System(String),
    /// A directory that lets no program run.
    Barred(String),
    /// The number and the path of the directory that was made.
    Place(usize, String),
    /// There is no directory.
    End,
}

/// Reads a line of the guard; none when it is somebody else's.
pub(super) fn said(token: &str, line: &str) -> Option<Said> {
    let (_, rest) = line.split_once(token)?;
    let (word, value) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    match word {
        "system" => Some(Said::System(value.to_owned())),
        "barred" => Some(Said::Barred(value.to_owned())),
        "place" => {
            let (number, path) = value.split_once(' ')?;
            Some(Said::Place(number.parse().ok()?, path.to_owned()))
        }
        "end" => Some(Said::End),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_one_line_that_any_login_shell_takes() {
        let commands = [
            guard("t0", 2),
            upload("/tmp/.verifier-t0"),
            start("/d"),
            start_with_sudo("/d", Some("[verifier-t0]")),
        ];
        for command in commands {
            let text = command.strip_prefix("exec sh -c '").unwrap();
            let (script, rest) = text.split_once('\'').unwrap();
            assert!(!script.contains(['\n', '!']), "{script}");
            assert!(rest.is_empty() || rest.starts_with(" '/"), "{rest}");
            assert!(!script.contains("SKIP") && !script.contains("TOKEN"), "{script}");
        }
    }

    #[test]
    fn a_directory_with_a_quote_stays_one_word() {
        assert_eq!(
            start("/home/o'neill"),
            r#"exec sh -c 'exec "$0" agent' '/home/o'\''neill/verifier'"#
        );
    }

    #[test]
    fn the_guards_lines_are_found_among_others() {
        assert_eq!(said("t0", "Welcome to node-0"), None);
        assert_eq!(
            said("t0", "motd without line feed t0 system Linux x86_64"),
            Some(Said::System("Linux x86_64".into()))
        );
        assert_eq!(
            said("t0", "t0 place 2 /var/tmp/a b"),
            Some(Said::Place(2, "/var/tmp/a b".into()))
        );
        assert_eq!(said("t0", "t0 end"), Some(Said::End));
    }
}
