//! What a refused request says about logins: the `WWW-Authenticate` lines (RFC 9110, 11.6.1). Pure.
//!
//! All lines are read, and of each all challenges: a proxy may offer Negotiate first, in a line or a line of its own.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How a registry wants to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a token from a token server (distribution, spec/auth/token.md).
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
    /// With user and password themselves.
    Basic,
}

impl Challenge {
    /// Returns the challenge to answer: Bearer before Basic, because a token can do less than a password.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(WWW_AUTHENTICATE).iter();
        let schemes: Vec<Scheme> = lines
            .flat_map(|line| schemes(&String::from_utf8_lossy(line.as_bytes())))
            .collect();
        let bearer = |scheme: &Scheme| {
            let realm = scheme.parameter("realm").filter(|_| scheme.name == "bearer")?;
            Some(Self::Bearer {
                realm,
                service: scheme.parameter("service"),
                scope: scheme.parameter("scope"),
            })
        };
        let basic = || {
            let found = schemes.iter().any(|scheme| scheme.name == "basic");
            found.then_some(Self::Basic)
        };
        schemes.iter().find_map(bearer).or_else(basic)
    }
}

/// One challenge as it stands in a line.
#[derive(Debug)]
struct Scheme {
    name: String,
    parameters: BTreeMap<String, String>,
}

impl Scheme {
    fn parameter(&self, name: &str) -> Option<String> {
        self.parameters
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
    }
}

/// Reads a line: a list of schemes, each with parameters, all between commas.
fn schemes(line: &str) -> Vec<Scheme> {
    let mut found: Vec<Scheme> = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = rest.split_at(rest.find(|c| !is_token(c)).unwrap_or(rest.len()));
        if word.is_empty() {
            return found;
        }
        let value = after.trim_start_matches([' ', '\t']).strip_prefix('=');
        match (value, found.last_mut()) {
            (Some(value), Some(scheme)) => {
                let (value, after) = parameter(value.trim_start_matches([' ', '\t']));
                // The first of two counts, whoever added the second.
                scheme
                    .parameters
                    .entry(word.to_ascii_lowercase())
                    .or_insert(value);
                rest = after;
            }
            (Some(_), None) => return found,
            (None, _) => {
                found.push(Scheme {
                    name: word.to_ascii_lowercase(),
                    parameters: BTreeMap::new(),
                });
                rest = after;
            }
        }
    }
}

/// Takes a value, quoted or not.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Returns whether a word may have `c`; with what the credentials of other schemes may have.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn challenge(lines: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
        }
        Challenge::of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn bearer_is_found_wherever_it_stands() {
        let line = r#"Bearer realm="https://a.b/token",service="r",scope="repository:x/y:pull,push""#;
        let expected = Some(bearer(
            "https://a.b/token",
            Some("r"),
            Some("repository:x/y:pull,push"),
        ));
        for lines in [
            vec![line],
            vec![r#"Basic realm="x""#, line],
            vec!["Negotiate", "NTLM", line],
            vec![&format!("Negotiate YII=, {line}")],
            vec![&format!(
                r#"Negotiate, Basic realm="Bearer, realm=\"x\"", {line}"#
            )],
            vec![
                &line
                    .replace("Bearer", "bearer")
                    .replace(',', " , ")
                    .replace("pull , push", "pull,push"),
            ],
            vec![
                &line.replace("service", "SERVICE"),
                r#"Bearer realm="https://second""#,
            ],
        ] {
            assert_eq!(challenge(&lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_left_out_is_left_out() {
        assert_eq!(
            challenge(&["Bearer realm=https://a.b/t"]),
            Some(bearer("https://a.b/t", None, None))
        );
        assert_eq!(
            challenge(&[r#"Bearer realm="https://a.b/t",scope="""#]),
            Some(bearer("https://a.b/t", None, None))
        );
        assert_eq!(challenge(&["Basic"]), Some(Challenge::Basic));
        assert_eq!(
            challenge(&[r#"Bearer service="x", Basic realm="y""#]),
            Some(Challenge::Basic)
        );
        for lines in [
            &[] as &[&str],
            &["Negotiate"],
            &["Bearer"],
            &[r#"realm="x""#],
            &["Digest realm="],
            &["===,"],
        ] {
            assert_eq!(challenge(lines), None, "{lines:?}");
        }
    }
}
