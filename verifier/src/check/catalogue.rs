//! The words: for each cause a sentence and what to do next. The only place where findings become language.

mod words;

use super::Cause;
use words::WORDS;

/// Returns the sentence of a cause.
pub fn text(cause: &Cause) -> String {
    fill(row(cause).1, cause)
}

/// Returns what to do about a cause.
pub fn hint(cause: &Cause) -> String {
    fill(row(cause).2, cause)
}

fn row(cause: &Cause) -> &'static words::Row {
    // A test proves that every id has its row; the first one stands in for none.
    WORDS
        .iter()
        .find(|(id, _, _)| *id == cause.id)
        .unwrap_or(&WORDS[0])
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
    let (_, text, hint) = row(cause);
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
    use super::super::CauseId;
    use super::*;

    #[test]
    fn every_cause_has_words_once() {
        for id in CauseId::ALL {
            let rows = WORDS.iter().filter(|(other, _, _)| other == id).count();
            assert_eq!(rows, 1, "{id}");
        }
        for (id, text, hint) in WORDS {
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
    fn arguments_are_put_in_and_their_braces_left_alone() {
        let cause = Cause::new(CauseId::Needs).with("what", "{a} b");
        assert_eq!(text(&cause), "needs {a} b");
    }
}
