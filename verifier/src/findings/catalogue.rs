//! The words: for each cause a sentence and what to do next. The only place where findings become language.

mod ko;
mod words;

use clap::ValueEnum;

use super::{Cause, CauseId};
use words::WORDS;

/// A language of the runbook. Reports are in English.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English
    En,
    /// Korean
    Ko,
}

/// Returns the sentence of a cause and what to do about it, with the names of the arguments in their places.
pub fn words(id: CauseId, lang: Lang) -> (&'static str, &'static str) {
    let rows = match lang {
        Lang::En => WORDS,
        Lang::Ko => ko::WORDS,
    };
    // A test proves that every id has its row; the first one stands in for none.
    let (_, text, hint) = rows.iter().find(|(other, _, _)| *other == id).unwrap_or(&rows[0]);
    (text, hint)
}

/// Returns the sentence of a cause.
pub fn text(cause: &Cause) -> String {
    fill(words(cause.id, Lang::En).0, cause)
}

/// Returns what to do about a cause.
pub fn hint(cause: &Cause) -> String {
    fill(words(cause.id, Lang::En).1, cause)
}

/// Puts the arguments into the sentence.
fn fill(sentence: &str, cause: &Cause) -> String {
    let mut out = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            rest = after;
            break;
        };
        if let Some(value) = cause.args.get(name) {
            out.push_str(value);
        } else {
            out.push('{');
            out.push_str(name);
            out.push('}');
        }
        rest = after;
    }
    out + rest
}

/// Returns the arguments that the words want and the cause has not.
#[cfg(test)]
pub(crate) fn unfilled(cause: &Cause) -> Vec<&'static str> {
    let (text, hint) = words(cause.id, Lang::En);
    let names = [text, hint]
        .into_iter()
        .flat_map(|words| words.split('{').skip(1));
    let names = names.filter_map(|rest| rest.split('}').next());
    // `{via: HOST}` is a line of the site file.
    names
        .filter(|name| !name.contains(' ') && !cause.args.contains_key(*name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_words_once_in_both_languages() {
        for id in CauseId::ALL {
            for rows in [WORDS, ko::WORDS] {
                let rows = rows.iter().filter(|(other, _, _)| other == id).count();
                assert_eq!(rows, 1, "{id}");
            }
        }
        for (id, text, hint) in WORDS.iter().chain(ko::WORDS) {
            assert!(!text.is_empty() && !hint.is_empty(), "{id}");
            assert!(!text.ends_with('.') && !hint.ends_with('.'), "{id}");
        }
    }

    #[test]
    fn names_of_causes_are_kebab_case_and_unique() {
        let mut names: Vec<&str> = CauseId::ALL.iter().map(|id| id.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CauseId::ALL.len());
        assert!(
            names
                .iter()
                .all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        );
    }

    #[test]
    fn both_languages_have_the_same_arguments() {
        let names = |words: &'static str| {
            let parts = words.split('{').skip(1).filter_map(|rest| rest.split('}').next());
            let mut names: Vec<&str> = parts.collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        for id in CauseId::ALL {
            let (english, korean) = (words(*id, Lang::En), words(*id, Lang::Ko));
            assert_eq!(names(english.0), names(korean.0), "{id}");
            assert_eq!(names(english.1), names(korean.1), "{id}");
        }
    }

    #[test]
    fn arguments_are_put_in_and_their_braces_left_alone() {
        let cause = Cause::new(CauseId::Needs).with("what", "{a} b");
        assert_eq!(text(&cause), "needs {a} b");
    }
}
