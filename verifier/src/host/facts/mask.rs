//! Masks what looks like a secret in arguments and log lines, before they leave the host.

use std::borrow::Cow;

/// What stands in a secret's place.
pub(super) const MASK: &str = "***";

/// Names whose value is a secret. Files that hold secrets (`--service-account-key-file`) are no secrets themselves.
const SECRET: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "credential",
    "apikey",
    "api-key",
    "private-key",
];
/// Names that hold one of those words but whose value is a path, a name or a setting.
const PLAIN: [&str; 12] = [
    "file",
    "path",
    "dir",
    "ttl",
    "issuer",
    "audience",
    "expiration",
    "seconds",
    "mode",
    "name",
    "bootstrap-signer",
    "webhook",
];

/// Masks the values of an argument list: `--token=VALUE`, `--token VALUE`, `TOKEN=VALUE`, logins inside URLs, key
/// material and bearer tokens anywhere.
pub(super) fn arguments(arguments: Vec<String>) -> Vec<String> {
    let mut masked = Vec::with_capacity(arguments.len());
    let mut value_is_next = false;
    for argument in arguments {
        if value_is_next && !argument.starts_with('-') {
            masked.push(MASK.to_owned());
            value_is_next = false;
            continue;
        }
        value_is_next = argument.starts_with('-') && !argument.contains('=') && is_secret(&argument);
        masked.push(text(&argument).into_owned());
    }
    masked
}

/// Masks secrets inside a text: `name=value`, `name: value` and `"name":"value"`, logins in URLs, PEM, JWT.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains("PRIVATE KEY") {
        return Cow::Borrowed(MASK);
    }
    let mut out = String::with_capacity(text.len());
    let mut changed = false;
    let mut secret_is_next = false;
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let masked = if secret_is_next && !bare.is_empty() {
            secret_is_next = bare.eq_ignore_ascii_case("bearer") || bare.eq_ignore_ascii_case("basic");
            if secret_is_next {
                None
            } else {
                Some(MASK.to_owned())
            }
        } else {
            let name = bare.trim_end_matches(':');
            secret_is_next =
                bare.eq_ignore_ascii_case("bearer") || (name.len() < bare.len() && is_secret(name));
            mask_word(bare)
        };
        match masked {
            Some(masked) => {
                changed = true;
                out.push_str(&masked);
                out.push_str(&word[bare.len()..]);
            }
            None => out.push_str(word),
        }
    }
    if changed {
        Cow::Owned(out)
    } else {
        Cow::Borrowed(text)
    }
}

fn mask_word(word: &str) -> Option<String> {
    if is_jwt(word) {
        return Some(MASK.to_owned());
    }
    if let Some((name, value)) = word.split_once('=')
        && !value.is_empty()
    {
        if is_secret(name) {
            return Some(format!("{name}={MASK}"));
        }
        return mask_word(value).map(|value| format!("{name}={value}"));
    }
    if let Some((name, value)) = word.split_once("\":\"")
        && is_secret(name)
    {
        let rest = value.split_once('"').map_or("", |(_, rest)| rest);
        return Some(format!("{name}\":\"{MASK}\"{rest}"));
    }
    // https://user:password@host/
    let (scheme, rest) = word.split_once("://")?;
    let (login, host) = rest.split_once('@')?;
    let (user, _) = login.split_once(':').filter(|_| !login.contains('/'))?;
    Some(format!("{scheme}://{user}:{MASK}@{host}"))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    SECRET.iter().any(|secret| name.contains(secret)) && !PLAIN.iter().any(|plain| name.contains(plain))
}

/// A JSON Web Token: three parts of base64url, of which the first begins with `{"`.
fn is_jwt(word: &str) -> bool {
    let part = |part: &str| {
        part.len() > 8
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    word.starts_with("eyJ") && word.split('.').count() == 3 && word.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(line: &str) -> String {
        arguments(line.split(' ').map(str::to_owned).collect()).join(" ")
    }

    #[test]
    fn values_of_secret_arguments_are_masked_in_both_forms() {
        assert_eq!(
            masked("kubectl --token=abc get pods"),
            "kubectl --token=*** get pods"
        );
        assert_eq!(
            masked("kubectl --token abc get pods"),
            "kubectl --token *** get pods"
        );
        assert_eq!(
            masked("mysqld --root-password hunter2"),
            "mysqld --root-password ***"
        );
        assert_eq!(masked("env DB_PASSWORD=hunter2 run"), "env DB_PASSWORD=*** run");
    }

    #[test]
    fn paths_and_settings_with_such_words_stay() {
        for line in [
            "kube-apiserver --service-account-key-file=/var/lib/kubernetes/service-accounts.crt",
            "kube-apiserver --token-auth-file=/etc/tokens.csv --service-account-issuer=https://server:6443",
            "kube-controller-manager --experimental-cluster-signing-duration=24h --use-service-account-credentials-mode=true",
            "containerd-shim-runc-v2 -namespace k8s.io -id 0123456789abcdef",
        ] {
            assert_eq!(masked(line), line);
        }
    }

    #[test]
    fn logins_in_urls_tokens_and_keys_are_masked_anywhere() {
        assert_eq!(
            masked("x --proxy=http://joe:pw@proxy:3128/"),
            "x --proxy=http://joe:***@proxy:3128/"
        );
        assert_eq!(
            text("Authorization: Bearer abcdef0123"),
            "Authorization: Bearer ***"
        );
        assert_eq!(
            text("got eyJhbGciOiJSUzI1NiIs.eyJpc3MiOiJrdWJlcm5.c2lnbmF0dXJlc2ln end"),
            "got *** end"
        );
        assert_eq!(text("-----BEGIN RSA PRIVATE KEY-----"), "***");
        assert_eq!(
            text(r#"{"password":"hunter2","user":"x"}"#),
            r#"{"password":"***","user":"x"}"#
        );
        assert_eq!(text("password: hunter2"), "password: ***");
    }

    #[test]
    fn an_ordinary_log_line_stays_as_it_is() {
        let line =
            "E1123 09:00:00 kubelet.go:2425] \"Error getting node\" err=\"node \\\"node-0\\\" not found\"";
        assert_eq!(text(line), line);
    }
}
