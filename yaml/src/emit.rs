//! From nodes back to text: the same values, without comments, anchors and whatever else a file may hold beside them.

use std::fmt::Write as _;

use crate::node::{Node, Type, Value};

/// Returns a node as YAML in block style. Its comments are left out: they may hold anything.
pub fn emit(node: &Node) -> String {
    let mut text = String::new();
    block(node, 0, &mut text);
    // A mapping or a list begins with a line feed, as it does behind its key.
    text.trim_start_matches('\n').to_owned()
}

fn block(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Mapping(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                out.push_str(&quoted(&key.value));
                out.push(':');
                block(value, indent + 2, out);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            for item in items {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                out.push('-');
                block(item, indent + 2, out);
            }
        }
        Value::Mapping(_) => out.push_str(" {}"),
        Value::Sequence(_) => out.push_str(" []"),
        Value::Scalar { text, .. } => {
            out.push(' ');
            match node.kind() {
                Type::Text => out.push_str(&quoted(text)),
                Type::Null => out.push('~'),
                _ => out.push_str(text),
            }
        }
    }
}

/// Returns a text in quotes, unless it is a word that cannot be taken for anything else.
fn quoted(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let plain = Value::Scalar {
        text: text.to_owned(),
        plain: true,
    };
    let place = crate::node::Place::START;
    if word && (Node { place, value: plain }).kind() == Type::Text {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_alphanumeric() || c == ' ' || c.is_ascii_graphic() => out.push(c),
            c => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::documents;

    /// The values of a tree, without their places.
    fn values(node: &Node) -> String {
        match &node.value {
            Value::Scalar { .. } if node.is_null() => "null".to_owned(),
            Value::Scalar { text, .. } => format!("{:?}:{text:?}", node.kind()),
            Value::Sequence(items) => format!("{:?}", items.iter().map(values).collect::<Vec<_>>()),
            Value::Mapping(fields) => {
                let fields = fields.iter().map(|(key, value)| (&key.value, values(value)));
                format!("{:?}", fields.collect::<Vec<_>>())
            }
        }
    }

    #[test]
    fn what_is_emitted_means_the_same_and_has_no_comments() {
        for text in [
            "a: 1 # secret\nb: [x, {c: ~, d: []}, {}, [[1], 2]]\n\"e f\": 'it''s \"q\" \\'\n",
            "- true\n- \"true\"\n- 0x10\n- \"10\"\n- |\n  two\n  lines # kept: it is text\n- \"\\u202E\\t\\0\"\n- null\n- \"~\"\n",
            "# secret\nhosts:\n- name: a\n  roles: [worker]\n  ssh: {port: 22, bastion: 'a@b:1, c'}\n",
            "plain text: with spaces and, commas\n이름: 값\n",
            "one",
        ] {
            let read = documents("a", text).unwrap();
            let emitted = emit(&read[0]);
            let again = documents("b", &emitted).unwrap_or_else(|problems| panic!("{problems}\n{emitted}"));
            assert_eq!(values(&again[0]), values(&read[0]), "{emitted}");
            assert!(!emitted.contains("secret"), "{emitted}");
        }
    }
}
