//! Secrets that show by their own shape, whatever stands before them.

use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::Regex;

/// Shapes whose whole match is a secret, or whose group `s` is. What stands before a match must be no part of a word.
const SHAPES: [&str; 31] = [
    // JSON Web Tokens: three or five parts of base64url, or the first of them cut off.
    r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}",
    r"eyJ(?:hbGciOi|0eXAiOi|raWQiOi)[A-Za-z0-9_-]*",
    // Cloud providers.
    r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}",
    r"AIza[A-Za-z0-9_-]{30,}",
    r"ya29\.[A-Za-z0-9_-]{8,}",
    r"GOCSPX-[A-Za-z0-9_-]{8,}",
    r"dop_v1_[a-f0-9]{32,}",
    // Code hosts, package and image registries.
    r"gh[pousr]_[A-Za-z0-9]{16,}",
    r"github_pat_[A-Za-z0-9_]{16,}",
    r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[A-Za-z0-9_.=-]{10,}",
    r"npm_[A-Za-z0-9]{20,}",
    r"pypi-[A-Za-z0-9_-]{16,}",
    r"dckr_[a-z]{3}_[A-Za-z0-9_-]{16,}",
    // Talk, pay, mail, models.
    r"xox[a-z]-[A-Za-z0-9-]{8,}",
    r"xapp-[A-Za-z0-9-]{16,}",
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}",
    r"whsec_[A-Za-z0-9+/=]{10,}",
    r"SG\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    r"sk-[A-Za-z0-9_-]{20,}",
    r"hf_[A-Za-z0-9]{20,}",
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{16,}",
    r"hooks\.slack\.com/services/(?<s1>[A-Za-z0-9/]+)",
    // Vault, age.
    r"hv[sbr]\.[A-Za-z0-9_-]{10,}",
    r"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Za-z]+",
    // Hashes of passwords: crypt(5), htpasswd, LDAP.
    r"\$2[abxy]?\$[0-9]{2}\$[./A-Za-z0-9]{20,}",
    r"\$(?:1|5|6|7|y|gy|sha1|md5|apr1|scrypt|argon2id?|argon2d|pbkdf2[a-z0-9-]*)\$[^\s:,'\x22]{8,}",
    r"\{(?:S?SHA(?:256|384|512)?|S?MD5|CRYPT|PBKDF2[A-Z0-9-]*)\}[A-Za-z0-9+/=.$]{8,}",
    // A login in a DSN without a scheme, and a line of .pgpass.
    r"[A-Za-z0-9_.-]+:(?<s2>[^\s@/'\x22]+)@(?:tcp|unix|udp)\(",
    r"[A-Za-z0-9_.*-]+:5432:[^\s:]+:[^\s:]+:(?<s3>[^\s:'\x22]+)",
    // Keys of a machine's login to a VPN or a mesh.
    r"tskey-[A-Za-z0-9-]{8,}",
    r"nvapi-[A-Za-z0-9_-]{20,}",
];

static ANY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let parts: Vec<String> = SHAPES.iter().map(|shape| format!("(?:{shape})")).collect();
    Regex::new(&parts.join("|")).ok()
});
static URL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[A-Za-z][A-Za-z0-9+.-]*://(?<login>[^\s'\x22<>]*)@").ok());
static BOOTSTRAP: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[a-z0-9]{6}\.(?<s>[a-z0-9]{16})").ok());
static SCHEME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i-u:(?<k>bearer|basic|negotiate|ntlm|digest|token|apikey))[ \t]+(?<s>[^\s'\x22\\,;)\]}<>]+)",
    )
    .ok()
});
static BLOB: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[A-Za-z0-9+/_-]{16,}={0,2}").ok());
static NETRC: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"login[ \t]+[^\s]+[ \t]+password[ \t]+(?<s>[^\s]+)").ok());
static ECHO: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:echo|printf)[ \t]+(?:-[a-z]+[ \t]+)?(?<s>[^|]+?)[ \t]*\|[^|]*(?:sudo[ \t]+-S|--password-stdin|passwd|chpasswd|-passin[ \t]+stdin)").ok()
});
static IS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?i-u:password|passphrase|passwd|identified by|pincode)[ \t]+(?:(?i-u:is|was|of|to)[ \t]+)?(?:"(?<a>[^"]+)"|'(?<b>[^']+)'|`(?<c>[^`]+)`)"#).ok()
});
static IS_BARE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i-u:password|passphrase|passwd|token|secret)[ \t]+(?i-u:is|was)[ \t]+(?<s>[^\s'\x22]+)")
        .ok()
});

/// Finds what looks like a secret by itself.
pub(super) fn find(text: &str, mut found: impl FnMut(Range<usize>)) {
    // A pattern is tried only where a text has what each of its matches has: most have nothing of it.
    let longest = longest_run(text);
    if longest >= 8 || text.contains(['@', '$', '{']) || text.contains(":5432:") {
        each(&ANY, text, |whole, group| {
            if !inside_word(text, whole.start) {
                found(group);
            }
        });
    }
    if text.contains("://") {
        each(&URL, text, |_, login| userinfo(text, login, &mut found));
    }
    if longest >= 16 {
        each(&BOOTSTRAP, text, |whole, secret| {
            bootstrap(text, whole, secret, &mut found);
        });
        each(&BLOB, text, |whole, _| {
            if is_key(text, &whole) {
                found(whole);
            }
        });
    }
    said(text, &mut found);
}

/// Finds secrets that words announce.
fn said(text: &str, found: &mut impl FnMut(Range<usize>)) {
    let small = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| small.contains(word));
    if has(&["login"]) {
        each(&NETRC, text, |_, group| found(group));
    }
    if has(&["echo", "printf"]) {
        each(&ECHO, text, |_, group| found(group));
    }
    if has(&["pass", "identified", "pincode", "token", "secret"]) {
        each(&IS, text, |whole, group| {
            if !inside_word(text, whole.start) {
                found(group);
            }
        });
        each(&IS_BARE, text, |_, group| {
            if is_noise(&text[group.clone()]) {
                found(group);
            }
        });
    }
    if !has(&[
        "bearer",
        "basic",
        "negotiate",
        "ntlm",
        "digest",
        "token",
        "apikey",
    ]) {
        return;
    }
    each(&SCHEME, text, |whole, group| {
        let named = text[whole.start..].to_ascii_lowercase();
        if !inside_word(text, whole.start) && is_credential(&text[group.clone()], named.starts_with("bearer"))
        {
            found(group);
        }
    });
}

/// Returns the length of the longest run of letters, digits and the signs of base64.
fn longest_run(text: &str) -> usize {
    let (mut longest, mut length) = (0, 0);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-') {
            length += 1;
            longest = longest.max(length);
        } else {
            length = 0;
        }
    }
    longest
}

/// Calls for each match, with its first named group or, without one, itself.
fn each(regex: &LazyLock<Option<Regex>>, text: &str, mut call: impl FnMut(Range<usize>, Range<usize>)) {
    let Some(regex) = regex.as_ref() else { return };
    for captures in regex.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        let group = regex
            .capture_names()
            .flatten()
            .filter(|name| *name != "k")
            .find_map(|name| captures.name(name));
        call(whole.range(), group.unwrap_or(whole).range());
    }
}

/// Returns whether the byte before a place belongs to a word.
fn inside_word(text: &str, at: usize) -> bool {
    text[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// A login before the host of a URL: of `user:password` the password, of a lone word what looks like a token.
fn userinfo(text: &str, login: Range<usize>, found: &mut impl FnMut(Range<usize>)) {
    let said = &text[login.clone()];
    let host = said.split(['/', '?', '#']).next().unwrap_or_default();
    let after = &text[login.end + 1..];
    // docker://registry:5000/name@sha256:... names an image, and https://host/@scope/name no login.
    let is_path = host.len() < said.len()
        && (after.starts_with("sha")
            || !host.contains(':')
            || is_port(host.rsplit(':').next().unwrap_or_default()));
    if is_path {
        return;
    }
    match said.split_once(':') {
        Some((user, password)) if !password.is_empty() => found(login.start + user.len() + 1..login.end),
        None if said.len() >= 12 && said.bytes().any(|byte| byte.is_ascii_digit()) => found(login),
        _ => {}
    }
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A bootstrap token, `abcdef.0123456789abcdef`: its first half is public. Names of Events have the same form: an
/// object's name, and a time in hexadecimal nanoseconds.
fn bootstrap(text: &str, whole: Range<usize>, secret: Range<usize>, found: &mut impl FnMut(Range<usize>)) {
    let (id, value) = (&text[whole.start..secret.start - 1], &text[secret.clone()]);
    let joins = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let ends = text[whole.end..]
        .chars()
        .next()
        .is_none_or(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    let begins = text[..whole.start].chars().next_back().is_none_or(|c| !joins(c));
    let is_time = value.bytes().all(|byte| byte.is_ascii_hexdigit())
        && (value.starts_with("17") || value.starts_with("18") || value.starts_with("19"))
        && !id.bytes().any(|byte| byte.is_ascii_digit());
    if ends && begins && !is_time && value.bytes().any(|byte| byte.is_ascii_digit()) {
        found(secret);
    }
}

/// Returns whether what stands behind `Bearer` or `Basic` is a credential and not a word of a sentence or a parameter.
fn is_credential(text: &str, bearer: bool) -> bool {
    let text = text.trim_end_matches(['.', ':']);
    // `realm=`, `scope=`: parameters of a challenge.
    let parameter = text.split_once('=').is_some_and(|(name, value)| {
        !value.starts_with('=') && name.len() < 16 && name.bytes().all(|byte| byte.is_ascii_lowercase())
    });
    !parameter && text.len() >= if bearer { 4 } else { 8 } && is_noise(text)
}

/// Returns whether a word is none of a sentence: it has digits, signs, or capitals inside.
pub(super) fn is_noise(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ',', ':', ';', '!', '?']);
    let inner = word.get(1..).unwrap_or_default();
    let capitals = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    word.bytes().any(|byte| byte.is_ascii_digit())
        || (inner.bytes().any(|byte| byte.is_ascii_uppercase()) && !capitals)
        || word.contains(['=', '+', '!', '$', '@', '~', '^', '*'])
        || word.len() > 24
}

/// Returns whether a run of base64 is a key: by what it decodes to, or by its length where a machine made it.
fn is_key(text: &str, run: &Range<usize>) -> bool {
    let word = &text[run.clone()];
    let before = &text[..run.start];
    let after = &text[run.end..];
    if decodes_to_secret(word) {
        return true;
    }
    // Behind these stand fingerprints, digests and public keys.
    let public = [
        "SHA256:", "SHA512:", "sha256-", "sha384-", "sha512-", "sha256:", "h1:",
    ];
    if public.iter().any(|mark| before.ends_with(mark))
        || before.ends_with(['/', '.', '@', ':'])
            && !before.ends_with("::")
            && before.ends_with(['/', '.', '@'])
    {
        return false;
    }
    if after.starts_with(['.', '/', '@', ':'])
        || before.trim_end().to_ascii_lowercase().ends_with("public key")
    {
        return false;
    }
    let plain = word.trim_end_matches('=');
    let padding = word.len() - plain.len();
    if plain.contains(['-', '_']) || !is_mixed(plain) {
        return false;
    }
    let named_public = {
        let head = before
            .trim_end_matches([' ', '\t', '=', ':', '"', '\''])
            .to_ascii_lowercase();
        let name = head
            .rsplit(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')))
            .next()
            .unwrap_or_default()
            .to_owned();
        name.contains("pub")
            || name.contains("peer")
            || name.contains("fingerprint")
            || name.contains("hash")
            || name.contains("sha")
    };
    // 32 bytes with padding: WireGuard, secretbox, AES-256. 40 letters: a secret access key of AWS.
    !named_public
        && ((plain.len() == 43 && padding == 1)
            || (plain.len() == 40 && padding == 0)
            || (plain.len() == 22 && padding == 2))
}

/// Returns whether capitals, small letters and digits all occur, as in what a machine encoded.
pub(super) fn is_mixed(word: &str) -> bool {
    let has = |of: fn(&u8) -> bool| word.as_bytes().iter().any(of);
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
}

/// Returns whether base64 holds a private key, a login or another secret that says what it is.
fn decodes_to_secret(word: &str) -> bool {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    // Enough to tell what it is; a longer one is looked at in full below 64 KiB.
    let plain = word.trim_end_matches('=');
    let length = plain.len().min(64 << 10);
    let cut = &plain[..length - length % 4 - usize::from(length % 4 == 1 && length == 1)];
    let standard = GeneralPurpose::new(&alphabet::STANDARD, lenient);
    let url = GeneralPurpose::new(&alphabet::URL_SAFE, lenient);
    use_decoded(standard.decode(cut).or_else(|_| url.decode(cut)).ok())
}

fn use_decoded(bytes: Option<Vec<u8>>) -> bool {
    let Some(bytes) = bytes else { return false };
    let holds = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    // PKCS#8, PKCS#1 and SEC1: SEQUENCE { INTEGER 0 or 1, ... }.
    let der = match bytes.as_slice() {
        [0x30, 0x82, _, _, 2, 1, 0 | 1, ..] | [0x30, 0x81, _, 2, 1, 0 | 1, ..] => true,
        [0x30, length, 2, 1, 0 | 1, ..] => *length < 0x80,
        _ => false,
    };
    if der || bytes.starts_with(b"openssh-key-v1\0") || holds(b"PRIVATE KEY-----") {
        return true;
    }
    let head = std::str::from_utf8(&bytes).ok().map(str::to_ascii_lowercase);
    head.is_some_and(|text| {
        let json = text.trim_start().starts_with('{');
        (json
            && ["\"auth", "password", "token", "secret", "\"alg\""]
                .iter()
                .any(|word| text.contains(word)))
            || ["client-key-data", "password:", "password=", "token:", "token="]
                .iter()
                .any(|word| text.contains(word))
    })
}
