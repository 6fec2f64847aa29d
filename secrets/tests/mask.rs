//! Planted secrets never come out, however they are wrapped; ordinary lines pass as they are.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use secrets::{Masked, mask};

const KINDS: &str = include_str!("kinds.toml");
const ORDINARY: &str = include_str!("ordinary.txt");

/// A text with a secret in it.
struct Kind {
    name: String,
    text: String,
    hidden: Vec<String>,
    visible: Vec<String>,
}

fn kinds() -> Vec<Kind> {
    let file: toml::Table = toml::from_str(KINDS).unwrap();
    let list = |kind: &toml::Value, name: &str| -> Vec<String> {
        let items = kind[name].as_array().unwrap();
        items
            .iter()
            .map(|item| item.as_str().unwrap().to_owned())
            .collect()
    };
    let kinds = file["kind"].as_array().unwrap();
    let kinds = kinds.iter().map(|kind| Kind {
        name: kind["name"].as_str().unwrap().to_owned(),
        text: kind["text"].as_str().unwrap().to_owned(),
        hidden: list(kind, "hidden"),
        visible: list(kind, "visible"),
    });
    kinds.collect()
}

fn ordinary() -> impl Iterator<Item = &'static str> {
    ORDINARY.lines().filter(|line| !line.starts_with('#'))
}

/// Ways in which a text reaches a log.
fn wrapped(text: &str) -> Vec<(&'static str, String)> {
    let each = |wrap: &dyn Fn(&str) -> String| text.lines().map(wrap).collect::<Vec<_>>().join("\n");
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let once = json(text);
    vec![
        ("as it is", text.to_owned()),
        ("with CR", text.replace('\n', "\r\n") + "\r"),
        (
            "journald",
            each(&|line| format!("2026-11-25T09:00:00+0000 node-0 app[12]: {line}")),
        ),
        (
            "CRI",
            each(&|line| format!("2026-11-25T09:00:00.000000000Z stdout F {line}")),
        ),
        (
            "docker's JSON lines",
            each(&|line| format!("{{\"log\":{},\"stream\":\"stdout\"}}", json(&format!("{line}\n")))),
        ),
        (
            "a field of JSON",
            format!("{{\"level\":\"info\",\"msg\":{once},\"n\":1}}"),
        ),
        (
            "JSON in JSON",
            format!("{{\"log\":{},\"n\":1}}", json(&format!("{{\"msg\":{once}}}"))),
        ),
        (
            "klog's err",
            format!("E1123 09:00:00.000000    1 x.go:1] \"Failed\" err={once} pod=\"a/b\""),
        ),
        (
            "a URL",
            text.bytes().fold(String::from("GET /x?q="), |url, byte| {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    url + &char::from(byte).to_string()
                } else {
                    format!("{url}%{byte:02X}")
                }
            }),
        ),
        (
            "unicode escapes",
            format!(
                "msg=\"{}\"",
                once[1..once.len() - 1]
                    .replace("\\\"", "\\u0022")
                    .replace('\'', "\\u0027")
                    .replace('=', "\\u003d")
                    .replace('&', "\\u0026")
            ),
        ),
    ]
}

#[test]
fn no_planted_secret_comes_out_and_what_surrounds_it_stays() {
    let kinds = kinds();
    assert!(kinds.len() >= 100, "{} kinds", kinds.len());
    let mut wrong = Vec::new();
    for kind in &kinds {
        for (how, text) in wrapped(&kind.text) {
            let masked = mask::text(&text);
            for hidden in kind.hidden.iter().filter(|hidden| masked.contains(*hidden)) {
                wrong.push(format!(
                    "{} ({how}): {hidden} came out:\n  {text}\n  {masked}",
                    kind.name
                ));
            }
            let plain = how == "as it is" || how == "journald" || how == "CRI";
            for visible in kind
                .visible
                .iter()
                .filter(|visible| plain && !masked.contains(*visible))
            {
                wrong.push(format!(
                    "{} ({how}): {visible} is gone:\n  {text}\n  {masked}",
                    kind.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn ordinary_lines_pass_as_they_are() {
    assert!(ordinary().count() >= 60);
    let mut wrong = Vec::new();
    for line in ordinary() {
        for (how, text) in wrapped(line) {
            let masked = mask::text(&text);
            if masked != text {
                wrong.push(format!("{how}:\n  {text}\n  {masked}"));
            }
        }
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let masked: Vec<String> = mask::arguments(&words)
            .into_iter()
            .map(Masked::into_string)
            .collect();
        if masked != words {
            wrong.push(format!("arguments:\n  {line}\n  {}", masked.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{} changed:\n{}", wrong.len(), wrong.join("\n"));
    let all: Vec<&str> = ordinary().collect();
    let masked: Vec<String> = mask::lines(&all).into_iter().map(Masked::into_string).collect();
    for (before, after) in all.iter().zip(&masked) {
        assert_eq!(before, after, "among the others");
    }
}

#[test]
fn a_secret_leaves_arguments_in_each_of_its_forms() {
    let masked = |line: &str| {
        let words: Vec<String> = line.split('|').map(str::to_owned).collect();
        let masked = mask::arguments(&words);
        masked.iter().map(Masked::as_str).collect::<Vec<_>>().join("|")
    };
    assert_eq!(masked("kubectl|--token|abc|get"), "kubectl|--token|***|get");
    assert_eq!(masked("kubectl|--token=abc|get"), "kubectl|--token=***|get");
    assert_eq!(
        masked("mysqld|--root-password|hunter2"),
        "mysqld|--root-password|***"
    );
    assert_eq!(masked("/usr/bin/mysql|-phunter|db"), "/usr/bin/mysql|-p***|db");
    assert_eq!(masked("env|DB_PASSWORD=a b c|run"), "env|DB_PASSWORD=***|run");
    assert_eq!(
        masked("sh|-c|curl -u me:hunter2 http://a"),
        "sh|-c|curl -u me:*** http://a"
    );
    assert_eq!(
        masked("x|--proxy=http://joe:pw@proxy:3128/"),
        "x|--proxy=http://joe:***@proxy:3128/"
    );
}

#[test]
fn the_lines_of_a_key_are_told_line_by_line_from_those_of_a_certificate() {
    let body = [
        "MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ",
        "RTESMBAGA1UEChMJQmFsdGltb3JlMRMwEQYDVQQLEwpDeWJlclRydXN0MSIwIAYD",
    ];
    let certificate = [
        "-----BEGIN CERTIFICATE-----",
        body[0],
        body[1],
        "-----END CERTIFICATE-----",
    ];
    assert_eq!(mask::lines(&certificate), certificate);
    let key = [
        "-----BEGIN PRIVATE KEY-----",
        body[0],
        body[1],
        "-----END PRIVATE KEY-----",
    ];
    assert_eq!(
        mask::lines(&key),
        [
            "-----BEGIN PRIVATE KEY-----",
            "***",
            "***",
            "-----END PRIVATE KEY-----"
        ]
    );
}

#[test]
fn what_is_masked_stays_as_it_is_when_it_is_masked_again() {
    for kind in kinds() {
        let once = mask::text(&kind.text).into_owned();
        assert_eq!(mask::text(&once), once, "{}", kind.name);
    }
}

#[test]
fn a_line_without_end_is_cut_and_hides_nothing_else() {
    let text = format!("a\n{}\npassword=Hunter2", "token=".repeat(100_000));
    let masked = mask::text(&text);
    assert!(masked.starts_with("a\n") && masked.ends_with("\npassword=***"));
    assert!(
        masked.len() < 20_000 && masked.contains(" bytes more)"),
        "{}",
        masked.len()
    );
}

#[test]
fn lines_without_measure_take_moments() {
    for piece in ["=%", "%41=%41", "token=[", "\"a\":\"", "password=\"", "\\\"=%"] {
        let line = piece.repeat(4096 / piece.len());
        let start = std::time::Instant::now();
        let _ = mask::text(&line);
        assert!(start.elapsed().as_secs() < 10, "{piece}: {:?}", start.elapsed());
    }
}

#[test]
fn texts_of_json_are_masked_and_its_names_are_not() {
    let mut value = serde_json::json!({
        "token": "an ordinary sentence", "lines": ["a", "password=Hunter2"], "n": 1,
        "deep": [{"text": "Authorization: Bearer abc123"}],
    });
    mask::json(&mut value);
    assert_eq!(value["token"], "an ordinary sentence");
    assert_eq!(value["lines"], serde_json::json!(["a", "password=***"]));
    assert_eq!(value["deep"][0]["text"], "Authorization: Bearer ***");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        let _ = mask::text(&text);
    }

    #[test]
    fn no_text_of_its_own_marks_makes_it_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "password", "=", ":", "\"", "'", "\\", "\\n", "\n", "{", "}", "[", "]", "%22", "%3D", "é", "-----BEGIN", "PRIVATE KEY",
                "-----", "END", "--token", " ", "|", ">", "(", ")", "token", "Bearer", "://", "@", "a", "kind: Secret", "data:", "\u{202e}",
                "&quot;", "#012", "\\u0022", "eyJ", ".", "-p", "name", "value", "<", "Some(", "\\x", "%", "&#x1F600;", "\r",
            ]),
            0..40,
        )
    ) {
        let _ = mask::text(&words.concat());
        let _ = mask::arguments(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    }
}
