//! What a check saw, as JSON text. A tree of values takes ten times the room of its text, a host decides how much there
//! is, and a run keeps the facts of all its checks.

use std::sync::Arc;

use secrets::mask;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// How much of what one check saw of one member is kept, in bytes of JSON.
const KEPT: usize = 64 * 1024;

/// What a check saw at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts(Arc<str>);

impl Facts {
    /// Returns facts as they are kept.
    pub(super) fn of(facts: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self(serde_json::to_string(facts)?.into()))
    }

    /// Masks every text in them. What cannot be read as JSON is not kept at all.
    fn masked(self) -> Self {
        let Ok(mut facts) = serde_json::from_str(&self.0) else {
            return Value::Null.into();
        };
        mask::json(&mut facts);
        facts.into()
    }

    /// Returns the facts as their check knows them.
    pub(super) fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.0)
    }
}

impl From<Value> for Facts {
    fn from(facts: Value) -> Self {
        Self(facts.to_string().into())
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let facts: Value = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        facts.serialize(output)
    }
}

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(Value::deserialize(input)?.into())
    }
}

/// Masks each text of JSON whose end was cut off. The outcome is for people, not for parsers.
fn masked_texts(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (before, text) = rest.split_at(start + 1);
        let mut escaped = false;
        let end = text.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let (text, after) = text.split_at(end.unwrap_or(text.len()));
        out.push_str(before);
        out.push_str(&mask::text(text));
        out.push_str(&after[..after.len().min(1)]);
        rest = after.get(1..).unwrap_or_default();
    }
    out + rest
}

/// What a check saw: enough to judge it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The first reading.
    pub facts: Facts,
    /// The second one, where the first showed something that may pass by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Facts>,
    /// The deeper look, where something was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<Facts>,
}

impl Seen {
    /// Returns the last reading.
    pub fn last(&self) -> &Facts {
        self.again.as_ref().unwrap_or(&self.facts)
    }

    /// Returns as much of it as a run keeps, without secrets.
    pub(crate) fn kept(self) -> Kept {
        let parts = [Some(&self.facts), self.again.as_ref(), self.depth.as_ref()];
        let bytes: usize = parts.into_iter().flatten().map(|facts| facts.0.len()).sum();
        if bytes <= KEPT {
            return Kept::Whole(Self {
                facts: self.facts.masked(),
                again: self.again.map(Facts::masked),
                depth: self.depth.map(Facts::masked),
            });
        }
        let text = &self.last().0;
        let begin = &text[..text.floor_char_boundary(KEPT)];
        let left_out = bytes - begin.len();
        Kept::Cut {
            begin: masked_texts(begin),
            left_out,
        }
    }
}

/// What is kept of what a check saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// All of it: it can be judged again.
    Whole(Seen),
    /// It was longer than a report holds. It was judged whole, and cannot be judged again.
    Cut {
        /// The beginning of the last reading, as JSON text.
        begin: String,
        /// How many bytes of all readings are not there.
        left_out: usize,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(length: usize) -> Seen {
        Seen {
            facts: json!({"text": "ü".repeat(length / 2)}).into(),
            again: None,
            depth: None,
        }
    }

    #[test]
    fn facts_are_kept_whole_or_their_beginning_with_what_is_left_out() {
        assert_eq!(seen(60_000).kept(), Kept::Whole(seen(60_000)));
        let Kept::Cut { begin, left_out } = seen(300_000).kept() else {
            panic!("kept whole");
        };
        assert!(begin.len() <= KEPT && begin.len() > KEPT - 4);
        assert_eq!(begin.len() + left_out, 300_000 + r#"{"text":""}"#.len());
    }

    #[test]
    fn what_is_kept_holds_no_secret_be_it_whole_or_cut() {
        let facts = |length| Seen {
            facts: json!({"a": ["x password=Hunter2xK9", "-----BEGIN PRIVATE KEY-----", "aHVudGVyMg"],
                "b": {"c": "{\"token\": \"Hunter2xK9\"}"}, "d": "ü".repeat(length)})
            .into(),
            again: Some(json!("Authorization: Basic SHVudGVyMnhLOQ==").into()),
            depth: None,
        };
        let Kept::Whole(whole) = facts(8).kept() else {
            panic!("cut");
        };
        let text = serde_json::to_string(&whole).unwrap();
        for secret in ["Hunter2", "aHVud", "SHVud"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(
            text.contains("x password=***") && text.contains("üüüüüüüü"),
            "{text}"
        );
        let long = Seen {
            again: None,
            ..facts(100_000)
        };
        let Kept::Cut { begin, .. } = long.kept() else {
            panic!("whole");
        };
        let head = &begin[..100];
        assert!(!begin.contains("Hunter2"), "{head}");
        assert!(begin.starts_with(r#"{"a":["x password=***","#), "{head}");
    }

    #[test]
    fn facts_are_written_as_the_values_that_they_are() {
        let written = serde_json::to_value(seen(4)).unwrap();
        assert_eq!(written, json!({"facts": {"text": "üü"}}));
        let read: Seen = serde_json::from_value(written).unwrap();
        assert_eq!(read, seen(4));
    }
}
