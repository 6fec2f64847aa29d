//! A phrase that was said in English, in another language: reports keep sentences of ours, and no ids of them.

use std::sync::LazyLock;

use super::catalogue::{Lang, phrases};

/// So many letters of a sentence must be its own: fewer fit too much.
const OWN: usize = 4;

/// A sentence in parts: words of ours, and places between them.
enum Part<'a> {
    Words(&'a str),
    Place(&'a str),
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, place, after)) = rest.split_once('{').and_then(|(before, behind)| {
        behind
            .split_once('}')
            .map(|(place, after)| (before, place, after))
    }) {
        parts.extend([Part::Words(before), Part::Place(place)]);
        rest = after;
    }
    parts.push(Part::Words(rest));
    parts.retain(|part| !matches!(part, Part::Words("")));
    parts
}

/// An English sentence of ours, in parts.
struct Template {
    id: &'static str,
    parts: Vec<Part<'static>>,
    /// How many letters of it are its own.
    own: usize,
}

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let letters = |part: &Part<'_>| match part {
        Part::Words(words) => words.chars().filter(char::is_ascii_alphabetic).count(),
        Part::Place(_) => 0,
    };
    let template = |(id, text): (&'static String, &'static String)| {
        let parts = parts(text);
        let own = parts.iter().map(letters).sum();
        Template { id, parts, own }
    };
    let all = phrases(Lang::En).iter().map(template);
    all.filter(|template| template.own >= OWN).collect()
});

/// Returns what stands in the places of a template, where a text is made of it.
fn places<'a>(parts: &[Part<'static>], text: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
    // Most templates are ruled out here.
    if let Some(Part::Words(words)) = parts.last()
        && !text.ends_with(words)
    {
        return None;
    }
    let (mut found, mut rest, mut open) = (Vec::new(), text, None);
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Place(name) if open.is_none() => open = Some(*name),
            // Two places side by side: nothing says where one ends.
            Part::Place(_) => return None,
            Part::Words(words) => {
                let start = match open {
                    None => rest.starts_with(words).then_some(0),
                    Some(_) if at + 1 == parts.len() => {
                        rest.ends_with(words).then(|| rest.len() - words.len())
                    }
                    Some(_) => rest.find(words),
                }?;
                found.extend(open.take().map(|name| (name, &rest[..start])));
                rest = &rest[start + words.len()..];
            }
        }
    }
    match open {
        Some(name) => found.push((name, rest)),
        None if rest.is_empty() => {}
        None => return None,
    }
    Some(found)
}

/// Returns an English phrase of ours in a language; nothing where it is none.
pub fn retold(text: &str, lang: Lang) -> Option<String> {
    let fits = TEMPLATES
        .iter()
        .filter_map(|template| Some((template, places(&template.parts, text)?)));
    let (template, found) = fits.max_by_key(|(template, _)| template.own)?;
    let value = |name: &str| {
        found
            .iter()
            .find(|(other, _)| *other == name)
            .map_or("", |(_, value)| value)
    };
    let said = parts(phrases(lang).get(template.id)?)
        .into_iter()
        .map(|part| match part {
            Part::Words(words) => words,
            Part::Place(name) => value(name),
        });
    Some(said.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{PhraseId, catalogue, phrase};

    #[test]
    fn a_phrase_is_told_again_as_it_would_have_been_said() {
        let title = phrase::RoutesOf { host: &"node-0" };
        let said = catalogue::say(title, Lang::En);
        assert_eq!(retold(&said, Lang::Ko), Some(catalogue::say(title, Lang::Ko)));
        assert_eq!(retold("10.0.0.0/24 via 10.0.0.1 dev eth0", Lang::Ko), None);
        assert_eq!(retold("", Lang::Ko), None);
    }

    #[test]
    fn every_phrase_without_places_is_told_again() {
        for id in PhraseId::ALL.iter().filter(|id| id.fields().is_empty()) {
            let said = &phrases(Lang::En)[id.name()];
            if said.chars().filter(char::is_ascii_alphabetic).count() >= OWN {
                assert!(retold(said, Lang::Ko).is_some(), "{id}");
            }
        }
    }
}
