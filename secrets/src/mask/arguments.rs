//! Secrets among a program's arguments.

use super::keys::{self, Kind};
use super::{MASK, text};
use crate::Masked;

/// Programs with the short options whose value is a secret: the next word, or with a star what is written behind it, or
/// with a plus both.
const SHORT: [(&str, &[&str]); 24] = [
    ("mysql", &["-p*"]),
    ("mysqldump", &["-p*"]),
    ("mysqladmin", &["-p*"]),
    ("mariadb", &["-p*"]),
    ("mariadb-dump", &["-p*"]),
    ("sshpass", &["-p+"]),
    ("redis-cli", &["-a"]),
    ("redis-server", &["--requirepass"]),
    ("ldapsearch", &["-w+"]),
    ("ldapmodify", &["-w+"]),
    ("ldapadd", &["-w+"]),
    ("docker", &["-p"]),
    ("podman", &["-p"]),
    ("nerdctl", &["-p"]),
    ("mongo", &["-p+"]),
    ("mongosh", &["-p+"]),
    ("ipmitool", &["-P+"]),
    ("unzip", &["-P+"]),
    ("7z", &["-p*"]),
    ("snmpget", &["-c", "-A", "-X"]),
    ("snmpwalk", &["-c", "-A", "-X"]),
    ("sqlcmd", &["-P+"]),
    ("kinit", &["-w"]),
    ("htpasswd", &[]),
];
/// Options whose value is `user:password`.
const LOGINS: [&str; 5] = ["-u", "--user", "-U", "--proxy-user", "--creds"];

pub(super) fn mask(words: &[&str]) -> Vec<Masked> {
    let whole = words
        .iter()
        .zip(options(words))
        .map(|(word, hidden)| match hidden {
            Some(keep) => format!("{}{MASK}", &word[..keep]),
            None => argument(word),
        });
    whole.map(Masked::of_mask).collect()
}

/// Masks an argument that is no option's value.
fn argument(word: &str) -> String {
    // The blob of a public key is an argument of many tools.
    if word.starts_with("AAAA") {
        return word.to_owned();
    }
    let pair = word.split_once('=');
    match pair.filter(|(name, value)| value.contains(' ') && keys::kind(name) == Some(Kind::Password)) {
        Some((name, _)) => format!("{name}={MASK}"),
        None => text(word).into_owned(),
    }
}

/// Returns for each word how much of it may be shown where the rest is the value of an option that is a secret.
pub(super) fn options(words: &[&str]) -> Vec<Option<usize>> {
    let mut hidden = vec![None; words.len()];
    let mut short: Option<&[&str]> = None;
    for (at, word) in words.iter().enumerate() {
        if hidden[at].is_some() {
            continue;
        }
        let program = word.rsplit(['/', '=', '"', '\'']).next().unwrap_or_default();
        if let Some((name, options)) = SHORT.iter().find(|(name, _)| *name == program) {
            short = Some(options);
            if *name == "htpasswd" {
                htpasswd(words, at, &mut hidden);
            }
        }
        let value = words
            .get(at + 1)
            .filter(|value| !value.is_empty() && !is_option(value));
        if LOGINS.contains(word) {
            if let Some((user, password)) = value.and_then(|value| value.split_once(':'))
                && !password.is_empty()
                && !password.bytes().all(|byte| byte.is_ascii_digit())
                && user != password
            {
                hidden[at + 1] = Some(user.len() + 1);
            }
            continue;
        }
        if let Some(keep) = written_behind(word, short) {
            hidden[at] = Some(keep);
        } else if value.is_some() && takes_secret(word, words[at + 1], short) {
            hidden[at + 1] = Some(0);
        }
    }
    hidden
}

/// `-Xvalue` and `--flag` are options; `-` and negative numbers are values.
fn is_option(word: &str) -> bool {
    word.len() > 1
        && word.starts_with('-')
        && word[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '-')
}

/// Returns whether the word behind an option is a secret.
fn takes_secret(option: &str, value: &str, short: Option<&[&str]>) -> bool {
    if !is_option(option) || option.contains(['=', ':']) {
        return false;
    }
    // `docker run -p 80:80` is no login.
    let port = value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'/'));
    let next = |name: &&str| !name.ends_with('*') && name.trim_end_matches('+') == option;
    if !port && short.is_some_and(|options| options.iter().any(next)) {
        return true;
    }
    match keys::kind(option) {
        // Without a second dash it may be an option of one letter with its value, as in `-pass`.
        Some(Kind::Password) => true,
        Some(_) => !matches!(value, "true" | "false" | "string" | "strings"),
        None => false,
    }
}

/// Returns how much of `-pVALUE` may be shown.
fn written_behind(word: &str, short: Option<&[&str]>) -> Option<usize> {
    let value = word.get(2..).filter(|value| !value.is_empty())?;
    let option = &word[..2];
    let known = short.is_some_and(|options| {
        options
            .iter()
            .any(|name| name.ends_with(['*', '+']) && name.trim_end_matches(['*', '+']) == option)
    });
    if known {
        return Some(2);
    }
    // Of other programs: a port, a path or a long option with one dash is none.
    let port = value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'-' | b'/'));
    let long = value
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_'))
        || value.contains(['=', ':', '/', '.', ',']);
    (option == "-p" && !port && !long && value.len() >= 4).then_some(2)
}

/// `htpasswd -b FILE USER PASSWORD`, `htpasswd -nb USER PASSWORD`: the last word.
fn htpasswd(words: &[&str], at: usize, hidden: &mut [Option<usize>]) {
    let rest = &words[at + 1..];
    let batch = rest
        .iter()
        .any(|word| word.starts_with('-') && word.contains('b'));
    let end = rest
        .iter()
        .position(|word| matches!(*word, ";" | "|" | "&&" | ">"));
    let last = end.unwrap_or(rest.len());
    if batch && last >= 2 {
        hidden[at + last] = Some(0);
    }
}
