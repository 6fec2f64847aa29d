//! JSON from outside: read with errors that tell the place and quote nothing, and with Go's absent lists.
//!
//! `serde_json` puts the value that it stumbles over into its message. Where logins are read that is a password.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// Where JSON is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at line {line}, column {column}")]
pub(crate) struct JsonError {
    what: &'static str,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "the JSON ends too early,",
            serde_json::error::Category::Data => "the JSON has another form than it must have",
            _ => "not JSON",
        };
        Self {
            what,
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Reads a value.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    serde_json::from_slice(bytes).map_err(JsonError::from)
}

/// Reads a value for which `null` stands for the default, as Go writes empty lists and maps.
pub(crate) fn or_default<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(input).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_the_place_and_never_what_stands_there() {
        for text in [r#"{"a": "hunter2"}"#, r#"{"a": hunter2}"#, r#"{"a": 7, "hunter2"#] {
            let error = read::<std::collections::BTreeMap<String, u8>>(text.as_bytes()).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains("line 1") && !said.contains("hunter2"), "{said}");
        }
    }
}
