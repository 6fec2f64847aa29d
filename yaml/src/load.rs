//! From text to nodes, with bounds.
//!
//! The text may be anybody's: its length, the depth of nesting, the number of nodes and what aliases multiply are
//! limited, so that no file can exhaust memory or the stack. Merge keys (`<<`) are refused: they make two files out
//! of one, and no place would be true. Keys must be scalars, and come once.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use crate::node::{Node, Place, Placed, Value};
use crate::problem::Problems;

/// The longest file that is read, in bytes.
pub const SIZE_LIMIT: usize = 8 << 20;

/// Nesting deeper than this is refused.
const DEPTH_LIMIT: usize = 64;
/// More nodes than this are refused.
const NODE_LIMIT: usize = 1_000_000;
/// What all anchors and aliases together may copy, in bytes.
const COPY_LIMIT: usize = 4 << 20;

/// Reads all documents of a file. Empty ones are left out.
pub fn documents(file: &str, text: &str) -> Result<Vec<Node>, Problems> {
    let mut problems = Problems::new(file);
    let documents = load(text, &mut problems);
    problems.into_result(documents)
}

/// Reads all documents; what could be read in spite of a doubtful key is given too, so that other problems of the
/// file come at the same time.
pub(crate) fn load(text: &str, problems: &mut Problems) -> Option<Vec<Node>> {
    if text.len() > SIZE_LIMIT {
        problems.add(
            Place::START,
            format!("the file is longer than {} MiB", SIZE_LIMIT >> 20),
        );
        return None;
    }
    let mut loader = Loader {
        parser: Parser::new_from_str(text),
        problems,
        anchors: HashMap::new(),
        nodes: 0,
        copied: 0,
    };
    match loader.stream() {
        Ok(documents) => Some(documents),
        Err(Stop { place, message }) => {
            problems.add(place, message);
            None
        }
    }
}

/// What ends the reading of a file.
struct Stop {
    place: Place,
    message: String,
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        Self {
            place: place(*error.marker()),
            message: format!("not YAML: {}", error.info()),
        }
    }
}

struct Loader<'text, 'problems> {
    parser: Parser<'text, StrInput<'text>>,
    problems: &'problems mut Problems,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    copied: usize,
}

impl<'text> Loader<'text, '_> {
    fn next(&mut self) -> Result<(Event<'text>, Place), Stop> {
        match self.parser.next_event() {
            Some(next) => {
                let (event, span) = next?;
                Ok((event, place(span.start)))
            }
            None => Ok((Event::StreamEnd, Place::START)),
        }
    }

    fn stream(&mut self) -> Result<Vec<Node>, Stop> {
        let mut documents = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(documents),
                (Event::DocumentStart(_), _) => {
                    self.anchors.clear();
                    let (event, place) = self.next()?;
                    let document = self.node(event, place, 0)?;
                    if !document.is_null() {
                        documents.push(document);
                    }
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'text>, place: Place, depth: usize) -> Result<Node, Stop> {
        self.nodes += 1;
        if depth > DEPTH_LIMIT {
            return Err(stop(place, format!("nested deeper than {DEPTH_LIMIT} levels")));
        }
        if self.nodes > NODE_LIMIT {
            return Err(stop(place, format!("more than {NODE_LIMIT} values in one file")));
        }
        let (anchor, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor, place),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && self.is_untyped(tag.as_deref(), place);
                let text = text.into_owned();
                (anchor, Value::Scalar { text, plain })
            }
            Event::SequenceStart(anchor, tag) => {
                self.is_untyped(tag.as_deref(), place);
                (anchor, Value::Sequence(self.sequence(depth)?))
            }
            Event::MappingStart(anchor, tag) => {
                self.is_untyped(tag.as_deref(), place);
                (anchor, Value::Mapping(self.mapping(depth)?))
            }
            _ => return Err(stop(place, "a value was expected here".to_owned())),
        };
        let node = Node { place, value };
        if anchor > 0 {
            self.copy(&node, place)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, place) => items.push(self.node(event, place, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(Placed<String>, Node)>, Stop> {
        let mut fields = Vec::new();
        let mut seen: HashMap<String, Place> = HashMap::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(fields);
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node(event, place, depth + 1)?;
            let (event, value_place) = self.next()?;
            let value = self.node(event, value_place, depth + 1)?;
            let Value::Scalar { text, .. } = key.value else {
                self.problems.add(place, "a key must be a plain word");
                continue;
            };
            if merge {
                self.problems
                    .add_with_hint(place, "merge keys are not read", "write the fields out");
            } else if let Some(first) = seen.get(&text) {
                let message = format!("this key comes twice, first in line {}", first.line);
                self.problems.add(place, message);
            } else {
                seen.insert(text.clone(), place);
                fields.push((Placed { place, value: text }, value));
            }
        }
    }

    /// Returns a copy of what the alias stands for, as long as copies are few.
    fn alias(&mut self, anchor: usize, place: Place) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(stop(place, "an alias of something unfinished".to_owned()));
        };
        self.copy(&node, place)?;
        Ok(Node { place, ..node })
    }

    /// Counts a copy of `node` before it is multiplied further.
    fn copy(&mut self, node: &Node, place: Place) -> Result<(), Stop> {
        self.copied = self.copied.saturating_add(weight(node));
        if self.copied > COPY_LIMIT {
            return Err(stop(place, "aliases multiply the file too much".to_owned()));
        }
        Ok(())
    }

    /// Returns whether a scalar's type comes from its text; a tag other than YAML's own is a problem.
    fn is_untyped(&mut self, tag: Option<&Tag>, place: Place) -> bool {
        match tag {
            None => true,
            Some(tag) if tag.is_yaml_core_schema() => tag.suffix != "str",
            Some(_) => {
                self.problems.add(place, "tags have no meaning here");
                true
            }
        }
    }
}

fn stop(place: Place, message: String) -> Stop {
    Stop { place, message }
}

/// Returns the parser's place as people count: both from 1.
fn place(marker: Marker) -> Place {
    Place {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

/// Returns about how many bytes a copy of `node` takes.
fn weight(node: &Node) -> usize {
    let own = size_of::<Node>();
    own + match &node.value {
        Value::Scalar { text, .. } => text.len(),
        Value::Sequence(items) => items.iter().map(weight).sum(),
        Value::Mapping(fields) => fields
            .iter()
            .map(|(key, value)| own + key.value.len() + weight(value))
            .sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        documents("f.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn every_document_is_read_and_empty_ones_are_left_out() {
        let read = documents("f.yaml", "---\n# nothing\n---\na: 1\n---\n- x\n...\n").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].get("a").unwrap().place, Place { line: 4, column: 4 });
        assert_eq!(read[1].items()[0].scalar(), Some("x"));
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let read = documents("f.yaml", "{이름: 값, b: c}").unwrap();
        assert_eq!(
            read[0].get("b").unwrap().place,
            Place {
                line: 1,
                column: 13 - 1
            }
        );
    }

    #[test]
    fn text_that_is_no_yaml_names_its_place() {
        assert!(refused("a: [1, 2\nb: 3\n").starts_with("f.yaml:2:"));
        assert!(refused("a: b: c\n").starts_with("f.yaml:1:"));
        assert!(refused("a: \"open\n").starts_with("f.yaml:"));
    }

    #[test]
    fn doubled_and_merged_keys_come_together() {
        let problems = refused("a: &x {p: 1}\nb: {<<: *x}\na: 2\n");
        assert_eq!(
            problems,
            "f.yaml:2:5: merge keys are not read (write the fields out)\nf.yaml:3:1: this key comes twice, first in line 1"
        );
    }

    #[test]
    fn an_alias_stands_where_it_is_used() {
        let read = documents("f.yaml", "a: &x {p: 1}\nb: *x\n").unwrap();
        let alias = read[0].get("b").unwrap();
        assert_eq!(alias.place.line, 2);
        assert_eq!(alias.get("p").unwrap().scalar(), Some("1"));
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 9].join(", ");
            text = format!("{text}a{level}: &a{level} [{items}]\n");
        }
        assert!(refused(&text).contains("multiply"));
        let long = format!(
            "a: &a \"{}\"\nb: [{}]\n",
            "x".repeat(100_000),
            vec!["*a"; 100].join(", ")
        );
        assert!(refused(&long).contains("multiply"));
        assert!(refused("a: &a [*a]\n").starts_with("f.yaml:1:"));
    }

    #[test]
    fn depth_and_length_are_bounded() {
        assert!(refused(&"[".repeat(200)).contains("f.yaml:1:"));
        let deep: Vec<String> = (0..200).map(|depth| format!("{}- ", " ".repeat(depth))).collect();
        assert!(refused(&deep.join("\n")).contains("nested deeper"));
        assert!(refused(&" ".repeat(SIZE_LIMIT + 1)).contains("longer than 8 MiB"));
    }

    #[test]
    fn foreign_tags_are_refused_and_str_makes_text() {
        assert!(refused("a: !secret x\n").contains("f.yaml:1:4: tags have no meaning"));
        let read = documents("f.yaml", "a: !!str 1\n").unwrap();
        assert!(matches!(
            read[0].get("a").unwrap().value,
            Value::Scalar { plain: false, .. }
        ));
    }
}
