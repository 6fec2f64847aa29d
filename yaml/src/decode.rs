//! Decoders: functions from a node to a value that note problems instead of stopping at the first.
//!
//! A message never holds a value of the file, nor a key unless it is nearly a known one: what stands in the wrong place may
//! be a password.
//!
//! A decoder is any `FnMut(&Node, &mut Problems) -> Option<T>`; it gives `None` only after it has named a problem.

use std::fmt::Display;
use std::str::FromStr;

use crate::load::load;
use crate::node::{Node, Place, Placed, Type, Value};
use crate::problem::Problems;
use crate::suggest::closest;

/// Reads a file of exactly one document with `decoder`; gives its value or all problems of the file.
pub fn decode<T>(
    file: &str,
    text: &str,
    decoder: impl FnOnce(&Node, &mut Problems) -> Option<T>,
) -> Result<T, Problems> {
    let mut problems = Problems::new(file);
    let documents = load(text, &mut problems);
    let value = match documents.as_deref() {
        None => None,
        Some([]) => {
            problems.add(Place::START, "the file is empty");
            None
        }
        Some([document, rest @ ..]) => {
            if let Some(second) = rest.first() {
                problems.add(second.place, "a second document: the file must have one");
            }
            decoder(document, &mut problems)
        }
    };
    problems.into_result(value)
}

/// A mapping whose fields are being taken one by one. What nobody asked for is an unknown field in [`Map::finish`].
#[must_use = "call finish(), or unknown fields go unnoticed"]
pub struct Map<'a> {
    place: Place,
    fields: &'a [(Placed<String>, Node)],
    asked: Vec<&'static str>,
    problems: &'a mut Problems,
}

impl Node {
    /// Begins to decode a mapping; anything else is a problem.
    pub fn map<'a>(&'a self, problems: &'a mut Problems) -> Option<Map<'a>> {
        let Value::Mapping(fields) = &self.value else {
            return wrong(self, Type::Mapping, problems);
        };
        Some(Map {
            place: self.place,
            fields,
            asked: Vec::new(),
            problems,
        })
    }
}

impl<'a> Map<'a> {
    /// Returns the place of the mapping.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Decodes a field; its absence is a problem.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        decoder: impl FnOnce(&Node, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        if let Some(node) = self.take(name) {
            return decoder(node, self.problems);
        }
        self.problems
            .add(self.place, format!("the field {name:?} is missing"));
        None
    }

    /// Decodes a field if it is there and not empty.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        decoder: impl FnOnce(&Node, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        let node = self.take(name)?;
        decoder(node, self.problems)
    }

    /// Returns whether the field is there and not empty, without taking it.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Returns the place of a field's value, or of the mapping where it is absent.
    pub fn place_of(&self, name: &str) -> Place {
        self.find(name).map_or(self.place, |node| node.place)
    }

    /// Adds a problem of the whole mapping.
    pub fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.add(place, message);
    }

    /// Ends the mapping: every field that nobody asked for is a problem.
    pub fn finish(self) {
        let left: Vec<&str> = self
            .asked
            .iter()
            .copied()
            .filter(|name| !self.fields.iter().any(|(key, _)| key.value == *name))
            .collect();
        for (key, _) in self.fields {
            if self.asked.contains(&key.value.as_str()) {
                continue;
            }
            match closest(&key.value, left.iter().copied()) {
                Some(known) => self.problems.add_with_hint(
                    key.place,
                    format!("unknown field {:?}", key.value),
                    format!("did you mean {known:?}?"),
                ),
                // It may be no field at all, but a value that stands where one should.
                None => self.problems.add_with_hint(
                    key.place,
                    "unknown field",
                    format!("known are {}", self.asked.join(", ")),
                ),
            }
        }
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Node> {
        self.asked.push(name);
        self.find(name)
    }

    fn find(&self, name: &str) -> Option<&'a Node> {
        self.fields
            .iter()
            .find(|(key, _)| key.value == name)
            .map(|(_, node)| node)
            .filter(|node| !node.is_null())
    }
}

/// Decodes text. Numbers, `true` and nothing are no text unless quoted.
pub fn text(node: &Node, problems: &mut Problems) -> Option<String> {
    match (&node.value, node.kind()) {
        (Value::Scalar { text, .. }, Type::Text) => Some(text.clone()),
        _ => wrong(node, Type::Text, problems),
    }
}

/// Decodes `true` or `false`.
pub fn boolean(node: &Node, problems: &mut Problems) -> Option<bool> {
    match (node.scalar(), node.kind()) {
        (Some(text), Type::Boolean) => Some(text.eq_ignore_ascii_case("true")),
        _ => wrong(node, Type::Boolean, problems),
    }
}

/// Decodes a whole number.
pub fn integer(node: &Node, problems: &mut Problems) -> Option<i64> {
    let (Some(text), Type::Integer) = (node.scalar(), node.kind()) else {
        return wrong(node, Type::Integer, problems);
    };
    let number = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(digits), _) => i64::from_str_radix(digits, 16),
        (_, Some(digits)) => i64::from_str_radix(digits, 8),
        _ => text.parse(),
    };
    if number.is_err() {
        problems.add(node.place, "the number is too large");
    }
    number.ok()
}

/// Decodes a whole number from zero, within the range of `T` (for example a port as `u16`).
pub fn unsigned<T: TryFrom<i64>>(node: &Node, problems: &mut Problems) -> Option<T> {
    let number = integer(node, problems)?;
    let value = T::try_from(number).ok();
    if value.is_none() {
        problems.add(node.place, "the number is out of range");
    }
    value
}

/// Decodes a scalar by its [`FromStr`]; the error's text becomes the problem.
pub fn parsed<T: FromStr<Err: Display>>(node: &Node, problems: &mut Problems) -> Option<T> {
    let (Some(text), false) = (node.scalar(), node.is_null()) else {
        return wrong(node, Type::Text, problems);
    };
    text.parse()
        .map_err(|error: T::Err| problems.add(node.place, error.to_string()))
        .ok()
}

/// Returns a decoder of lists. Every item is decoded, so that the problems of all come at once.
pub fn list<T>(
    mut item: impl FnMut(&Node, &mut Problems) -> Option<T>,
) -> impl FnMut(&Node, &mut Problems) -> Option<Vec<T>> {
    move |node, problems| {
        let Value::Sequence(items) = &node.value else {
            return wrong(node, Type::Sequence, problems);
        };
        let decoded: Vec<Option<T>> = items.iter().map(|node| item(node, problems)).collect();
        decoded.into_iter().collect()
    }
}

/// Returns a decoder of mappings with free keys, in the order of the file.
pub fn entries<T>(
    mut value: impl FnMut(&Node, &mut Problems) -> Option<T>,
) -> impl FnMut(&Node, &mut Problems) -> Option<Vec<(Placed<String>, T)>> {
    move |node, problems| {
        let Value::Mapping(fields) = &node.value else {
            return wrong(node, Type::Mapping, problems);
        };
        let decoded: Vec<Option<_>> = fields
            .iter()
            .map(|(key, node)| Some((key.clone(), value(node, problems)?)))
            .collect();
        decoded.into_iter().collect()
    }
}

/// Returns a decoder that keeps the place beside the value.
pub fn placed<T>(
    mut decoder: impl FnMut(&Node, &mut Problems) -> Option<T>,
) -> impl FnMut(&Node, &mut Problems) -> Option<Placed<T>> {
    move |node, problems| {
        decoder(node, problems).map(|value| Placed {
            place: node.place,
            value,
        })
    }
}

/// Notes that `node` should have been something else.
fn wrong<T>(node: &Node, wanted: Type, problems: &mut Problems) -> Option<T> {
    let message = format!("{} was expected, not {}", wanted.name(), node.kind().name());
    match (wanted, node.scalar()) {
        (Type::Text, Some(text)) if !text.is_empty() => {
            problems.add_with_hint(node.place, message, "if it is meant as text, put it into quotes");
        }
        _ => problems.add(node.place, message),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Spec {
        name: String,
        port: u16,
        images: Vec<Placed<String>>,
        plain: Option<bool>,
    }

    fn spec(node: &Node, problems: &mut Problems) -> Option<Spec> {
        let mut map = node.map(problems)?;
        let name = map.required("name", text);
        let port = map.required("port", unsigned::<u16>);
        let images = map.required("images", list(placed(text)));
        let plain = map.optional("plainHttp", boolean);
        map.finish();
        Some(Spec {
            name: name?,
            port: port?,
            images: images?,
            plain,
        })
    }

    #[test]
    fn a_right_file_is_decoded_with_places() {
        let decoded = decode("s.yaml", "name: a\nport: 0x50\nimages: [b]\nplainHttp: ~\n", spec).unwrap();
        assert_eq!(decoded.name, "a");
        assert_eq!(decoded.port, 80);
        assert_eq!(decoded.images[0].place, Place { line: 3, column: 10 });
        assert_eq!(decoded.plain, None);
    }

    #[test]
    fn all_problems_come_at_once_in_the_order_of_the_file() {
        let text =
            "name: 7\nport: 70000\nimages:\n  - x\n  - [y]\n  - 3\nplainHTTP: yes\nname: b\nextra: 1\n";
        let problems = decode("s.yaml", text, spec).unwrap_err().to_string();
        assert_eq!(
            problems.lines().collect::<Vec<_>>(),
            [
                "s.yaml:1:7: text was expected, not a whole number (if it is meant as text, put it into quotes)",
                "s.yaml:2:7: the number is out of range",
                "s.yaml:5:5: text was expected, not a list",
                "s.yaml:6:5: text was expected, not a whole number (if it is meant as text, put it into quotes)",
                "s.yaml:7:1: unknown field \"plainHTTP\" (did you mean \"plainHttp\"?)",
                "s.yaml:8:1: this key comes twice, first in line 1",
                "s.yaml:9:1: unknown field (known are name, port, images, plainHttp)",
            ]
        );
    }

    #[test]
    fn missing_fields_stand_where_the_mapping_begins() {
        let problems = decode("s.yaml", "# comment\nport: 1\n", spec)
            .unwrap_err()
            .to_string();
        assert!(problems.contains("s.yaml:2:1: the field \"name\" is missing"));
        assert!(problems.contains("s.yaml:2:1: the field \"images\" is missing"));
    }

    #[test]
    fn an_empty_file_a_list_and_a_second_document_are_refused() {
        assert_eq!(
            decode("s.yaml", "", spec).unwrap_err().to_string(),
            "s.yaml:1:1: the file is empty"
        );
        let list = decode("s.yaml", "- a\n", spec).unwrap_err().to_string();
        assert_eq!(list, "s.yaml:1:1: a mapping was expected, not a list");
        let two = decode("s.yaml", "name: a\nport: 1\nimages: []\n---\nb: 1\n", spec).unwrap_err();
        assert!(two.to_string().starts_with("s.yaml:5:1: a second document"));
    }

    #[test]
    fn a_bad_value_gives_the_words_of_its_type() {
        let address = |node: &Node, problems: &mut Problems| parsed::<std::net::IpAddr>(node, problems);
        let problems = decode("s.yaml", "1.2.3\n", address).unwrap_err().to_string();
        assert_eq!(problems, "s.yaml:1:1: invalid IP address syntax");
    }

    #[test]
    fn free_keys_keep_their_places() {
        let read = decode("s.yaml", "b: true\na: false\n", entries(boolean)).unwrap();
        assert_eq!(read[0].0.value, "b");
        assert_eq!(read[1].0.place, Place { line: 2, column: 1 });
    }
}
