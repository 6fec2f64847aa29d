//! Names whose values are secrets.

/// How surely a name's value is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but a password stands behind it.
    Password,
    /// A token or a key, or the name of one: what reads like prose, a path or an object's name stays.
    Secret,
    /// A header whose whole line is the secret.
    Header,
    /// A login of Docker's `auths`: base64, where it is one.
    Login,
}

/// Parts of names of passwords.
const PASSWORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "requirepass",
    "masterauth",
    "sshpass",
    "userpass",
    "rootpw",
];
/// Parts of names of other secrets, words run together.
const SECRETS: [&str; 39] = [
    "secret",
    "token",
    "credential",
    "apikey",
    "privatekey",
    "accesskey",
    "signingkey",
    "encryptionkey",
    "decryptionkey",
    "clientkeydata",
    "accountkey",
    "sharedkey",
    "masterkey",
    "sessionkey",
    "unsealkey",
    "recoverykey",
    "licensekey",
    "licencekey",
    "sshkey",
    "deploykey",
    "storagekey",
    "authkey",
    "symmetrickey",
    "hmackey",
    "aeskey",
    "keydata",
    "keymaterial",
    "connectionstring",
    "dockerconfigjson",
    "dockercfg",
    "bearer",
    "mnemonic",
    "sessionid",
    "clientassertion",
    "codeverifier",
    "unlockkey",
    "joinkey",
    "xamzsignature",
    "xgoogsignature",
];
/// Whole words of names of other secrets.
const SECRET_WORDS: [&str; 15] = [
    "creds",
    "cred",
    "jwt",
    "psk",
    "otp",
    "totp",
    "sig",
    "sid",
    "pat",
    "pin",
    "webhookurl",
    "community",
    "seed",
    "authpass",
    "privpass",
];
/// Last words of names whose value is a path, a name or a setting, whatever stands before.
const PLAIN_LAST: [&str; 67] = [
    "file",
    "files",
    "filename",
    "path",
    "paths",
    "dir",
    "directory",
    "ttl",
    "issuer",
    "issuers",
    "audience",
    "audiences",
    "expiration",
    "expiry",
    "expires",
    "expired",
    "expiring",
    "seconds",
    "mode",
    "name",
    "names",
    "namespace",
    "ref",
    "refs",
    "reference",
    "type",
    "url",
    "uri",
    "endpoint",
    "host",
    "count",
    "size",
    "length",
    "len",
    "version",
    "signer",
    "webhook",
    "provider",
    "providers",
    "cleaner",
    "controller",
    "kind",
    "manager",
    "enabled",
    "lookup",
    "rotation",
    "time",
    "timeout",
    "duration",
    "age",
    "status",
    "reason",
    "error",
    "format",
    "algorithm",
    "policy",
    "stdin",
    "fd",
    "command",
    "cmd",
    "keyring",
    "plugin",
    "helper",
    "store",
    "requests",
    "review",
    "method",
];
/// Last words that make a name plain as well: rarer ones.
const PLAIN_RARE: [&str; 20] = [
    "in",
    "at",
    "id",
    "ids",
    "exists",
    "required",
    "prompt",
    "authentication",
    "min",
    "max",
    "limit",
    "usage",
    "index",
    "revision",
    "hash",
    "username",
    "user",
    "volume",
    "volumes",
    "mount",
];
/// Words that make a name plain wherever they stand.
const PLAIN_ANYWHERE: [&str; 10] = [
    "public",
    // A provider of encryption at rest: `k8s:enc:secretbox:v1:KEY:`, where KEY is a key's name.
    "secretbox",
    "tokenreview",
    "tokenreviews",
    "tokenrequest",
    "fingerprint",
    "tokenizer",
    "webhook",
    "bootstrapsigner",
    "pub",
];

/// Returns what the value behind a name is; none where it is no secret.
pub(super) fn kind(name: &str) -> Option<Kind> {
    let words = words(name);
    let last = words.last()?.as_str();
    let joined = words.concat();
    let plain = PLAIN_LAST.contains(&last) || PLAIN_RARE.contains(&last);
    let anywhere = |word: &String| PLAIN_ANYWHERE.contains(&word.as_str());
    // AWS calls the public half of a key an id; its shape tells it anyway.
    if plain && !joined.ends_with("sessionid")
        || words.iter().any(anywhere)
        || PLAIN_ANYWHERE.contains(&&*joined)
    {
        return None;
    }
    let holds = |part: &&str| joined.contains(*part);
    if PASSWORDS.iter().any(&holds) || matches!(last, "pass" | "pwd" | "pw" | "passw") {
        return Some(Kind::Password);
    }
    if matches!(last, "authorization" | "cookie") || joined == "setcookie" {
        return Some(Kind::Header);
    }
    if joined == "auth" || joined == "registryauth" {
        return Some(Kind::Login);
    }
    let word = |word: &String| SECRET_WORDS.contains(&word.as_str());
    (SECRETS.iter().any(&holds) || words.iter().any(word)).then_some(Kind::Secret)
}

/// Names of parameters in a URL whose values are secrets there and nowhere else.
pub(super) fn in_query(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "key"
            | "sig"
            | "signature"
            | "code"
            | "auth"
            | "ticket"
            | "session"
            | "sid"
            | "hmac"
            | "hash"
            | "apitoken"
            | "x-amz-signature"
            | "x-amz-credential"
            | "x-goog-signature"
            | "x-goog-credential"
            | "awsaccesskeyid"
            | "k"
            | "pass"
            | "state"
            | "assertion"
    )
}

/// Splits a name at its signs and where a capital begins a word; of a dotted name only the last part counts.
fn words(name: &str) -> Vec<String> {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = name.rsplit('.').next().unwrap_or(name);
    let mut words = vec![String::new()];
    let mut before = ' ';
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_ascii_alphanumeric() {
            let next_is_small = chars.peek().is_some_and(char::is_ascii_lowercase);
            let begins = c.is_ascii_uppercase()
                && (before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && next_is_small));
            if begins {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(c.to_ascii_lowercase());
            }
        } else {
            words.push(String::new());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_from_names_of_settings() {
        for (name, expected) in [
            ("password", Some(Kind::Password)),
            ("DB_PASSWORD", Some(Kind::Password)),
            ("username_password", Some(Kind::Password)),
            ("spring.datasource.password", Some(Kind::Password)),
            ("--requirepass", Some(Kind::Password)),
            ("clientKeyData", Some(Kind::Secret)),
            ("client-key-data", Some(Kind::Secret)),
            ("AWS_SECRET_ACCESS_KEY", Some(Kind::Secret)),
            ("APIKey", Some(Kind::Secret)),
            (".dockerconfigjson", Some(Kind::Secret)),
            ("Authorization", Some(Kind::Header)),
            ("Set-Cookie", Some(Kind::Header)),
            ("auth", Some(Kind::Login)),
            ("--service-account-key-file", None),
            ("--token-auth-file", None),
            ("secretName", None),
            ("imagePullPolicy", None),
            ("discovery-token-ca-cert-hash", None),
            ("authorization-mode", None),
            ("tokenExpirationSeconds", None),
            ("publicKey", None),
            ("secretbox", None),
            ("apiserver", None),
            ("key", None),
            ("compass", None),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }
}
