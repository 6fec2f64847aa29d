//! The words: the only place where findings become language. They lie in `words/LANG/GROUP.toml`, one folder a language,
//! one file a group; `{name}` stands for a field, `{journal.kubelet}` for what the host's distribution has in its place.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::LazyLock;

use clap::ValueEnum;
use cli::{Commands, Shown, Value};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use super::logins::{Part, Setting, parts};
use super::{Cause, CauseId, Evidence, Line, Phrase};
use crate::distribution::Distribution;

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
pub enum Lang {
    /// English
    #[default]
    En,
    /// Korean
    Ko,
}

impl Lang {
    /// Returns the language that the environment asks for: the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let set = names
            .into_iter()
            .filter_map(variable)
            .find(|value| !value.is_empty());
        match set {
            Some(value) if value == "ko" || value.starts_with("ko_") => Self::Ko,
            _ => Self::En,
        }
    }
}

/// The words of one file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    check: BTreeMap<String, CheckWords>,
    #[serde(default)]
    cause: BTreeMap<String, CauseWords>,
    #[serde(default)]
    phrase: BTreeMap<String, String>,
    #[serde(default)]
    walk: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CheckWords {
    summary: String,
    explain: String,
    by_hand: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CauseWords {
    text: String,
    hint: String,
}

/// The files of both languages as build.rs packs them: of each its name and its text, with a zero behind either.
const ENGLISH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/words-en.gz"));
const KOREAN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/words-ko.gz"));

/// Returns a text that build.rs has packed.
pub(crate) fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    let read = GzDecoder::new(packed).read_to_string(&mut text);
    debug_assert!(read.is_ok(), "build.rs wrote it");
    text
}

/// Returns the files of a language, each as its name and its text.
fn files(packed: &[u8]) -> Vec<(String, String)> {
    let all = unpacked(packed);
    let mut parts = all.split('\0').map(str::to_owned);
    let file = || Some((parts.next()?, parts.next()?));
    std::iter::from_fn(file).collect()
}

/// The words of a language, by id.
struct Words {
    checks: BTreeMap<String, CheckWords>,
    causes: BTreeMap<String, CauseWords>,
    phrases: BTreeMap<String, String>,
    walks: BTreeMap<String, BTreeMap<String, String>>,
}

impl Words {
    fn read(packed: &[u8]) -> Self {
        let mut words = Self {
            checks: BTreeMap::new(),
            causes: BTreeMap::new(),
            phrases: BTreeMap::new(),
            walks: BTreeMap::new(),
        };
        for (_, text) in files(packed) {
            // A test parses every file, so none is left out here.
            let Ok(file) = toml::from_str::<File>(&text) else {
                continue;
            };
            words.checks.extend(file.check);
            words.causes.extend(file.cause);
            words.phrases.extend(file.phrase);
            words.walks.extend(file.walk);
        }
        words
    }

    fn of(lang: Lang) -> &'static Self {
        static WORDS: [LazyLock<Words>; 2] = [
            LazyLock::new(|| Words::read(ENGLISH)),
            LazyLock::new(|| Words::read(KOREAN)),
        ];
        match lang {
            Lang::En => &WORDS[0],
            Lang::Ko => &WORDS[1],
        }
    }
}

/// Returns what a check proves, in one line.
pub fn summary(check: &str, lang: Lang) -> &'static str {
    Words::of(lang)
        .checks
        .get(check)
        .map_or("", |words| &words.summary)
}

/// Returns what a check proves at length, the usual causes of failure in order, where to look: a line a paragraph.
pub fn explain(check: &str, lang: Lang) -> String {
    let text = Words::of(lang)
        .checks
        .get(check)
        .map_or("", |words| &words.explain);
    let paragraphs = text
        .trim()
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// Returns how a check is redone by hand on a host: commands of a shell here, those on the host behind the login to it.
pub fn by_hand<'a>(check: &str, lang: Lang, host: &str, at: impl Into<Setting<'a>>) -> String {
    let at = at.into();
    let host = Shown::new(host);
    let args = BTreeMap::from([("host".to_owned(), host.clone())]);
    let part = |part: &Part<'_>| match part {
        Part::Here(words) => fill(&at.asking_the_api(words), Commands::Anywhere, &args, at),
        Part::There(script) => at.run(&host, &fill(script, Commands::Anywhere, &args, at)),
    };
    parts(by_hand_template(check, lang)).iter().map(part).collect()
}

/// Returns how a check is redone by hand; `{host}` stands for the member.
pub fn by_hand_template(check: &str, lang: Lang) -> &'static str {
    Words::of(lang)
        .checks
        .get(check)
        .map_or("", |words| &words.by_hand)
}

/// Returns a sentence with its places for names as they are, and the others as the usual distribution has them.
pub fn plain(sentence: &str) -> String {
    fill(
        sentence,
        Commands::Anywhere,
        &BTreeMap::new(),
        Distribution::default().into(),
    )
}

/// Returns the ids of the checks that have words.
pub fn checks(lang: Lang) -> impl Iterator<Item = &'static str> {
    Words::of(lang).checks.keys().map(String::as_str)
}

/// Returns why one looks at a check on the way from a symptom.
pub fn walk(symptom: &str, check: &str, lang: Lang) -> Option<&'static str> {
    Words::of(lang).walks.get(symptom)?.get(check).map(String::as_str)
}

/// Returns the sentence of a cause and what to do about it, with the names of the fields in their places.
pub fn template(id: CauseId, lang: Lang) -> (&'static str, &'static str) {
    let words = Words::of(lang).causes.get(id.name());
    words.map_or((id.name(), ""), |words| (&words.text, &words.hint))
}

/// Returns the sentence of a cause.
pub fn text(cause: &Cause, lang: Lang, distribution: Distribution) -> String {
    let sentence = template(cause.id(), lang).0;
    fill(sentence, Commands::InBackticks, cause.args(), distribution.into())
}

/// Returns what to do about a cause, where the row's host is laid out and logged into as `at` says.
pub fn hint<'a>(cause: &Cause, lang: Lang, at: impl Into<Setting<'a>>) -> String {
    let at = at.into();
    let sentence = at.asking_the_api(template(cause.id(), lang).1);
    fill(&sentence, Commands::Anywhere, cause.args(), at)
}

/// Returns all English sentences: what is in them is known to everybody.
pub fn public() -> String {
    let words = Words::of(Lang::En);
    let checks = words.checks.values();
    let checks = checks.flat_map(|check| [&check.summary, &check.explain, &check.by_hand]);
    let causes = words.causes.values().flat_map(|cause| [&cause.text, &cause.hint]);
    let walks = words.walks.values().flat_map(BTreeMap::values);
    let all = checks.chain(causes).chain(words.phrases.values()).chain(walks);
    all.map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// Returns the templates of all phrases, by id.
pub(super) fn phrases(lang: Lang) -> &'static BTreeMap<String, String> {
    &Words::of(lang).phrases
}

/// Returns a phrase in words.
pub fn say(phrase: impl Into<Phrase>, lang: Lang) -> String {
    let phrase = phrase.into();
    let words = Words::of(lang).phrases.get(phrase.id().name());
    let template = words.map_or_else(|| phrase.id().name(), String::as_str);
    fill(
        template,
        Commands::InBackticks,
        phrase.args(),
        Distribution::default().into(),
    )
}

/// Returns title and text of a piece of evidence.
pub fn show(evidence: &Evidence, lang: Lang) -> (String, String) {
    let line = |line: &Line| match line {
        Line::Data(text) => text.to_string(),
        Line::Said(phrase) => say(phrase.clone(), lang),
    };
    let lines: Vec<String> = evidence.lines.iter().map(line).collect();
    (say(evidence.title.clone(), lang), lines.join("\n"))
}

/// Puts fields and places into a sentence.
fn fill(sentence: &str, commands: Commands, args: &BTreeMap<String, Shown>, at: Setting<'_>) -> String {
    cli::fill(sentence, commands, |name| value(name, args, at))
}

/// What a place such as `{login.host}` begins with: the host that the field names, with the way to it.
const WAYS: [&str; 3] = ["login", "ssh", "address"];

/// Returns what stands for a name: a field, or a place. In `{journal.component}` the component is a field itself.
fn value(name: &str, args: &BTreeMap<String, Shown>, at: Setting<'_>) -> Option<Value> {
    if let Some(value) = args.get(name) {
        return Some(Value::Name(value.clone()));
    }
    let (kind, of) = name.split_once('.')?;
    if WAYS.contains(&kind) {
        let named = if kind == "ssh" { "ssh " } else { "" };
        let Some(host) = args.get(of) else {
            return Some(Value::Ours(format!("{named}{{{of}}}")));
        };
        if let Some(way) = at.place(kind, host) {
            return Some(Value::Ours(way));
        }
        let host = cli::quoted(host).unwrap_or_else(|| of.to_uppercase());
        return Some(Value::Ours(format!("{named}{host}")));
    }
    let of = match args.get(of) {
        // It becomes a word of a command.
        Some(field) => cli::quoted(field).unwrap_or_else(|| of.to_uppercase()),
        None => of.to_owned(),
    };
    at.distribution.place(&format!("{kind}.{of}")).map(Value::Ours)
}

/// Returns every sentence of a language, with its key, where commands stand in it, and which places are names.
#[cfg(test)]
pub(super) fn sentences(lang: Lang) -> Vec<(String, &'static str, Commands, Vec<&'static str>)> {
    let words = Words::of(lang);
    let mut all = Vec::new();
    for id in CauseId::ALL {
        let (text, hint) = template(*id, lang);
        all.push((
            format!("{id}: text"),
            text,
            Commands::InBackticks,
            id.fields().to_vec(),
        ));
        all.push((
            format!("{id}: hint"),
            hint,
            Commands::Anywhere,
            id.fields().to_vec(),
        ));
    }
    for id in super::PhraseId::ALL {
        let text = words.phrases[id.name()].as_str();
        all.push((id.to_string(), text, Commands::InBackticks, id.fields().to_vec()));
    }
    for (id, of) in &words.checks {
        all.push((
            format!("{id}: by hand"),
            &of.by_hand,
            Commands::Anywhere,
            vec!["host"],
        ));
        all.push((
            format!("{id}: summary"),
            &of.summary,
            Commands::InBackticks,
            Vec::new(),
        ));
        all.push((
            format!("{id}: explain"),
            &of.explain,
            Commands::InBackticks,
            Vec::new(),
        ));
    }
    for (id, walk) in &words.walks {
        let of = |(check, why): (&String, &'static String)| {
            (
                format!("{id}: {check}"),
                why.as_str(),
                Commands::InBackticks,
                Vec::new(),
            )
        };
        all.extend(walk.iter().map(of));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::findings::{PhraseId, cause};

    const LANGS: [Lang; 2] = [Lang::En, Lang::Ko];

    /// Returns what a sentence has in braces; a line of the site file is none.
    fn places(sentence: &str) -> BTreeSet<&str> {
        let names = sentence
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next());
        names.filter(|name| !name.contains(' ')).collect()
    }

    #[test]
    fn every_file_parses_and_no_key_stands_in_two() {
        for packed in [ENGLISH, KOREAN] {
            let mut seen = BTreeSet::new();
            for (name, text) in files(packed) {
                let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
                let keys = file.check.keys().chain(file.cause.keys());
                for key in keys.chain(file.phrase.keys()) {
                    assert!(seen.insert(key.clone()), "{name}: {key} stands in two files");
                }
            }
        }
    }

    #[test]
    fn no_words_are_missing_and_none_is_unused() {
        let causes: BTreeSet<&str> = CauseId::ALL.iter().map(|id| id.name()).collect();
        let phrases: BTreeSet<&str> = PhraseId::ALL.iter().map(|id| id.name()).collect();
        for lang in LANGS {
            let words = Words::of(lang);
            let known: BTreeSet<&str> = words.causes.keys().map(String::as_str).collect();
            assert_eq!(known, causes, "{lang:?}");
            let known: BTreeSet<&str> = words.phrases.keys().map(String::as_str).collect();
            assert_eq!(known, phrases, "{lang:?}");
        }
    }

    #[test]
    fn words_name_fields_of_the_register_and_places_of_the_table() {
        let named = |id: &str, fields: &[&str], sentence: &str| {
            for place in places(sentence) {
                let field = fields.contains(&place);
                let of = place.split_once('.');
                let way = of.is_some_and(|(kind, of)| WAYS.contains(&kind) && fields.contains(&of));
                let place_of = of.is_some_and(|(kind, of)| {
                    let of = if fields.contains(&of) { "kubelet" } else { of };
                    Distribution::default().place(&format!("{kind}.{of}")).is_some()
                });
                assert!(field || way || place_of, "{id}: {{{place}}} is no field of it");
            }
        };
        for lang in LANGS {
            for id in CauseId::ALL {
                let (text, hint) = template(*id, lang);
                assert!(!text.is_empty() && !hint.is_empty(), "{id}");
                assert!(!text.ends_with('.') && !hint.ends_with('.'), "{id}");
                named(id.name(), id.fields(), text);
                named(id.name(), id.fields(), hint);
            }
            for id in PhraseId::ALL {
                named(id.name(), id.fields(), &Words::of(lang).phrases[id.name()]);
            }
        }
    }

    #[test]
    fn both_languages_have_the_same_places() {
        for id in CauseId::ALL {
            let (english, korean) = (template(*id, Lang::En), template(*id, Lang::Ko));
            assert_eq!(places(english.0), places(korean.0), "{id}");
            assert_eq!(places(english.1), places(korean.1), "{id}");
        }
        for id in PhraseId::ALL {
            let of = |lang| places(&Words::of(lang).phrases[id.name()]);
            assert_eq!(of(Lang::En), of(Lang::Ko), "{id}");
        }
        for id in Words::of(Lang::En).checks.keys() {
            assert_eq!(
                by_hand_template(id, Lang::En),
                by_hand_template(id, Lang::Ko),
                "{id}"
            );
        }
    }

    #[test]
    fn no_check_keeps_the_words_that_it_was_made_with() {
        for lang in LANGS {
            for (id, words) in &Words::of(lang).checks {
                assert!(!words.explain.contains("..."), "{id}: explain it, in {lang:?}");
            }
        }
    }

    #[test]
    fn arguments_are_put_in_and_their_braces_left_alone() {
        let cause: Cause = cause::Needs { what: &"{a} b" }.into();
        assert_eq!(text(&cause, Lang::En, Distribution::default()), "needs {a} b");
        let args = BTreeMap::from([("component".to_owned(), Shown::new("etcd"))]);
        let filled = fill(
            "{journal.component}; {via: HOST} {",
            Commands::Anywhere,
            &args,
            Distribution::K3sServer.into(),
        );
        assert_eq!(filled, "journalctl -u k3s -n 50; {via: HOST} {");
    }

    #[test]
    fn the_environment_chooses_the_language() {
        let lang = |set: &[(&str, &str)]| {
            Lang::of_environment(|name| {
                let found = set.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(lang(&[("LANG", "ko_KR.UTF-8")]), Lang::Ko);
        assert_eq!(lang(&[("LANG", "ko_KR.UTF-8"), ("LC_ALL", "C.UTF-8")]), Lang::En);
        assert_eq!(lang(&[("LC_ALL", ""), ("LC_MESSAGES", "ko")]), Lang::Ko);
        assert_eq!(lang(&[]), Lang::En);
    }
}
