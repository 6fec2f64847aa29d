//! JSON for programs that a person may look at too: the same values, with every character that no eye sees as `\uXXXX`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::shown::Fit;

/// Returns a value as indented JSON that is fit to be shown, with a line feed at its end.
///
/// # Errors
/// Where the value has no JSON: a map whose keys are no text.
pub fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Visible::default()))?;
    bytes.push(b'\n');
    // serde_json writes what is text.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes JSON as serde_json's pretty form, and escapes what no eye sees.
#[derive(Default)]
struct Visible<'a>(PrettyFormatter<'a>);

impl Formatter for Visible<'_> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut fit = Fit::new();
        let mut start = 0;
        for (at, c) in fragment.char_indices() {
            if fit.takes(c) {
                continue;
            }
            writer.write_all(&fragment.as_bytes()[start..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            start = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[start..])
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        CompactFormatter.begin_string(writer)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_every_nasty_text_is_visible_and_means_the_same() {
        let texts = crate::nasty::texts();
        let json = to_json(&texts).unwrap();
        assert!(!json.replace('\n', "").contains(bundle::is_unseen));
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), texts);
        assert!(
            json.contains("\"\\u202egnp.exe\"") && json.contains("\\udb40\\udc01"),
            "{json}"
        );
    }

    #[test]
    fn plain_json_is_that_of_serde_json() {
        let value =
            serde_json::json!({"a": [], "b": {}, "c": [1, "한국어\n\"", null, {"d": 1.5}], "e": true});
        assert_eq!(
            to_json(&value).unwrap(),
            serde_json::to_string_pretty(&value).unwrap() + "\n"
        );
    }
}
