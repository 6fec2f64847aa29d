//! A line of OpenSSH's allowed signers (ssh-keygen(1), ALLOWED SIGNERS): who may sign with which key, for what and when.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use ssh_key::PublicKey;

use crate::ssh::{is_type, public_key};

/// No clock of the world is further from UTC than this, either way.
const FARTHEST: i64 = 14 * 3600;

/// A key that may sign.
#[derive(Clone, Debug)]
pub(crate) struct AllowedSigner {
    pub(crate) line: usize,
    /// Whose it is, as the file says; absent in a file of bare keys.
    pub(crate) principals: Option<String>,
    pub(crate) key: PublicKey,
    /// It signs certificates, and no files.
    authority: bool,
    /// Patterns of namespaces; absent: any.
    namespaces: Option<String>,
    after: Option<Moment>,
    before: Option<Moment>,
}

/// A time in an option: exact with a `Z`, else that of a clock whose zone is not known.
#[derive(Clone, Copy, Debug)]
struct Moment {
    seconds: i64,
    zoned: bool,
}

impl Moment {
    /// Returns the time from which it has surely passed, wherever that clock hangs.
    const fn surely_past(self) -> i64 {
        if self.zoned {
            self.seconds
        } else {
            self.seconds.saturating_add(FARTHEST)
        }
    }

    /// Returns the time until which it has surely not.
    const fn surely_to_come(self) -> i64 {
        if self.zoned {
            self.seconds
        } else {
            self.seconds.saturating_sub(FARTHEST)
        }
    }
}

impl AllowedSigner {
    /// Reads a line: principals, options and a key; or a key alone.
    pub(crate) fn parse(number: usize, line: &str) -> Result<Self, String> {
        let mut rest = line;
        let first = word(&mut rest)?;
        if is_type(&first) {
            let key = public_key(line)?;
            return Ok(Self::bare(number, key));
        }
        if first.is_empty() {
            return Err("it names nobody".to_owned());
        }
        if is_option(&first) {
            return Err(format!(
                "it begins with {first}, where whose key it is must stand: what limits the key would be lost"
            ));
        }
        let mut before_key = rest;
        let options = word(&mut rest)?;
        let options = if is_type(&options) {
            String::new()
        } else {
            before_key = rest;
            options
        };
        if before_key.trim().is_empty() {
            return Err("it has no public key".to_owned());
        }
        let mut signer = Self::bare(number, public_key(before_key.trim())?);
        signer.principals = Some(first);
        signer.options(&options)?;
        Ok(signer)
    }

    fn bare(line: usize, key: PublicKey) -> Self {
        Self {
            line,
            principals: None,
            key,
            authority: false,
            namespaces: None,
            after: None,
            before: None,
        }
    }

    /// Takes in the options; one that is not known may be a limit, and is refused.
    fn options(&mut self, text: &str) -> Result<(), String> {
        for option in split(text, ',')?.into_iter().filter(|option| !option.is_empty()) {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(unquoted(value)?)),
                None => (option.as_str(), None),
            };
            match (name.to_ascii_lowercase().as_str(), value) {
                ("cert-authority", None) => self.authority = true,
                ("namespaces", Some(value)) if self.namespaces.is_none() => self.namespaces = Some(value),
                ("valid-after", Some(value)) if self.after.is_none() => self.after = Some(moment(&value)?),
                ("valid-before", Some(value)) if self.before.is_none() => self.before = Some(moment(&value)?),
                (other, _) => return Err(format!("the option {other:?} is not understood")),
            }
        }
        match (self.after, self.before) {
            (Some(after), Some(before)) if after.seconds >= before.seconds => {
                Err("valid-after is not before valid-before".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Returns why the key does not count for a namespace at a time; nothing where it does.
    pub(crate) fn objection(&self, namespace: &str, now: i64) -> Option<String> {
        if self.authority {
            return Some("that line (cert-authority) is for certificates, which are not taken".to_owned());
        }
        if self
            .namespaces
            .as_deref()
            .is_some_and(|patterns| !in_list(namespace, patterns))
        {
            return Some(format!("not for the namespace {namespace:?}"));
        }
        if self.after.is_some_and(|after| now < after.surely_past()) {
            return Some("not valid yet (valid-after; a time without Z counts in every zone)".to_owned());
        }
        if self.before.is_some_and(|before| now > before.surely_to_come()) {
            return Some("no longer valid (valid-before; a time without Z counts in every zone)".to_owned());
        }
        None
    }
}

/// Returns whether a word is options or a marker, as other files of OpenSSH begin with (authorized_keys, known_hosts).
fn is_option(word: &str) -> bool {
    const FLAGS: [&str; 5] = [
        "cert-authority",
        "no-touch-required",
        "verify-required",
        "restrict",
        "no-pty",
    ];
    let option = |part: &str| part.contains("=\"") || FLAGS.contains(&part.to_ascii_lowercase().as_str());
    word.starts_with('@') || word.split(',').any(option)
}

/// Takes the next word of a line; quotes may hold blanks.
fn word(rest: &mut &str) -> Result<String, String> {
    let text = rest.trim_start();
    let mut quoted = false;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    *rest = &text[end..];
    let word = &text[..end];
    // Of principals the quotes are no part; of options they are taken off one by one.
    Ok(
        match word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
            Some(inner) if !inner.contains('"') => inner.to_owned(),
            _ => word.to_owned(),
        },
    )
}

/// Splits a text where quotes do not hold the separator.
fn split(text: &str, separator: char) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        match parts.last_mut() {
            Some(last) if c != separator || quoted => last.push(c),
            _ => parts.push(String::new()),
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    Ok(parts)
}

fn unquoted(value: &str) -> Result<String, String> {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .filter(|value| !value.contains('"'))
        .map(str::to_owned)
        .ok_or_else(|| format!("{value} is not in quotes"))
}

/// Reads YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with or without a Z.
fn moment(text: &str) -> Result<Moment, String> {
    let digits = text.strip_suffix('Z');
    let zoned = digits.is_some();
    let digits = digits.unwrap_or(text);
    let form = match digits.len() {
        8 => "%Y%m%d",
        12 => "%Y%m%d%H%M",
        14 => "%Y%m%d%H%M%S",
        _ => "",
    };
    let parsed = || {
        if form.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |text| text.parse().ok());
        let year = digits.get(..4)?.parse().ok()?;
        let [month, day, hour, minute, second] = [
            number(4, 6)?,
            number(6, 8)?,
            number(8, 10)?,
            number(10, 12)?,
            number(12, 14)?,
        ];
        let civil = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        Offset::UTC.to_timestamp(civil).ok()
    };
    let seconds = parsed()
        .ok_or_else(|| format!("{text:?} is no time such as 20261130Z or 202611300900Z"))?
        .as_second();
    Ok(Moment { seconds, zoned })
}

/// Matches a list of patterns as OpenSSH does (match.c): one must fit, and none that is negated.
fn in_list(text: &str, patterns: &str) -> bool {
    let mut fits = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(text.as_bytes(), pattern.as_bytes()) => return false,
            Some(_) => {}
            None => fits |= matches(text.as_bytes(), pattern.as_bytes()),
        }
    }
    fits
}

/// Matches `*` and `?`.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of, mut back) = (0, 0, None);
    while at < text.len() {
        match pattern.get(of) {
            Some(b'*') => {
                back = Some((at, of));
                of += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[at] => {
                at += 1;
                of += 1;
            }
            // The last star takes a byte more.
            _ => match back {
                Some((from, star)) => {
                    back = Some((from + 1, star));
                    (at, of) = (from + 1, star + 1);
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMWy4UAWd3UE7JpZL4qNFWvW3oxhq1uBZV1Np1iE0fY";

    fn signer(before: &str) -> Result<AllowedSigner, String> {
        AllowedSigner::parse(1, &format!("{before}{KEY} comment"))
    }

    #[test]
    fn lines_are_read_as_openssh_reads_them() {
        let bare = signer("").unwrap();
        assert!(bare.principals.is_none() && bare.objection("x", 0).is_none());
        let named = signer("a@b,c@d ").unwrap();
        assert_eq!(named.principals.as_deref(), Some("a@b,c@d"));
        let quoted = signer("\"a b\" namespaces=\"git,bundle\" ").unwrap();
        assert_eq!(quoted.principals.as_deref(), Some("a b"));
        assert_eq!(quoted.objection("bundle", 0), None);
        assert!(quoted.objection("file", 0).is_some());
        let tabs = AllowedSigner::parse(
            1,
            &format!("a@b\tNAMESPACES=\"*\",valid-after=\"19990101Z\"\t{KEY}"),
        );
        assert_eq!(tabs.unwrap().objection("bundle", 1_000_000_000), None);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (before, word) in [
            ("a@b verify-required ", "verify-required"),
            ("a@b cert-authority=\"x\" ", "cert-authority"),
            ("a@b namespaces=bundle ", "quotes"),
            ("a@b namespaces=\"a\",namespaces=\"b\" ", "namespaces"),
            ("a@b valid-after=\"tomorrow\" ", "no time"),
            ("a@b valid-after=\"20261301Z\" ", "no time"),
            (
                "a@b valid-after=\"20270101Z\",valid-before=\"20260101Z\" ",
                "not before",
            ),
            ("a@b namespaces=\"bundle ", "quote"),
        ] {
            let error = signer(before).unwrap_err();
            assert!(error.contains(word), "{before}: {error}");
        }
        assert!(AllowedSigner::parse(1, "a@b").is_err());
        assert!(AllowedSigner::parse(1, "a@b ssh-ed25519 AAAA").is_err());
    }

    #[test]
    fn limits_where_whose_key_it_is_should_stand_are_not_taken_for_a_name() {
        for before in [
            "namespaces=\"file\" ",
            "valid-before=\"20200101Z\" ",
            "expiry-time=\"20200101\" ",
            "command=\"x\",no-pty ",
            "cert-authority ",
            "Cert-Authority ",
            "no-touch-required ",
            "@revoked ",
            "@cert-authority *.example.com ",
        ] {
            let error = signer(before).unwrap_err();
            assert!(error.contains("whose key"), "{before}: {error}");
        }
        assert!(signer("\"uid=me,o=x\" ").is_ok());
    }

    #[test]
    fn a_key_counts_within_its_time_and_a_clock_without_zone_in_every_zone() {
        // 2026-11-30T00:00:00Z
        let day = 1_795_996_800;
        let after = signer("a valid-after=\"20261130Z\" ").unwrap();
        assert!(after.objection("x", day - 1).is_some() && after.objection("x", day).is_none());
        let before = signer("a valid-before=\"202611300000Z\" ").unwrap();
        assert!(before.objection("x", day).is_none() && before.objection("x", day + 1).is_some());
        let local = signer("a valid-after=\"20261130\" ").unwrap();
        assert!(local.objection("x", day + FARTHEST - 1).is_some());
        assert!(local.objection("x", day + FARTHEST).is_none());
        let local = signer("a valid-before=\"20261130000000\" ").unwrap();
        assert!(local.objection("x", day - FARTHEST).is_none());
        assert!(local.objection("x", day - FARTHEST + 1).is_some());
    }

    #[test]
    fn an_authority_signs_no_files() {
        let authority = signer("*@b cert-authority ").unwrap();
        assert!(authority.objection("bundle", 0).unwrap().contains("certificates"));
    }

    #[test]
    fn patterns_match_as_openssh_matches_them() {
        for (patterns, fits) in [
            ("bundle", true),
            ("bund*", true),
            ("*", true),
            ("b?ndle", true),
            ("git,bundle", true),
            ("*e*", true),
            ("bundle?", false),
            ("", false),
            ("git", false),
            ("*,!bundle", false),
            ("!git", false),
            ("!git,*", true),
        ] {
            assert_eq!(in_list("bundle", patterns), fits, "{patterns}");
        }
    }
}
