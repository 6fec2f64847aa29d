//! The words of `words/ko` against `words/GLOSSARY.md`.

use super::{Lang, catalogue};

const GLOSSARY: &str = include_str!("../../words/GLOSSARY.md");

/// Returns the words that must not stand in Korean, each with the one in its place.
fn replaced() -> Vec<(&'static str, &'static str)> {
    let rows = GLOSSARY
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    let found = cells
        .filter(|cells| cells.len() == 3 && cells[0] != "English")
        .flat_map(|cells| {
            let others = cells[2].split(", ").filter(|word| *word != "-");
            others.map(move |word| (word, cells[1])).collect::<Vec<_>>()
        });
    found.collect()
}

#[test]
fn no_word_stands_in_korean_that_the_glossary_replaces() {
    let replaced = replaced();
    assert!(replaced.len() > 20, "the table is read");
    let mut wrong = Vec::new();
    for (place, sentence, ..) in catalogue::sentences(Lang::Ko) {
        for (word, right) in &replaced {
            if sentence.contains(word) {
                wrong.push(format!("{place}: {word}, in the glossary {right}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
