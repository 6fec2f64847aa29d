//! A text without secrets, as a type.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::mask;

/// A text that went through the mask. There is no other way to make one: a text that is read from elsewhere, for example
/// from an agent's answer, is masked again.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Masked(String);

impl Masked {
    /// Masks a text of any number of lines.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        match mask::text(&text) {
            std::borrow::Cow::Borrowed(_) => Self(text),
            std::borrow::Cow::Owned(masked) => Self(masked),
        }
    }

    /// Takes what the mask itself made.
    pub(crate) const fn of_mask(text: String) -> Self {
        Self(text)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text as a string.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl From<String> for Masked {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Masked {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&String> for Masked {
    fn from(text: &String) -> Self {
        Self::new(text.as_str())
    }
}

/// A value of JSON all of whose texts went through the mask. Names of fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct MaskedValue(Value);

impl From<Value> for MaskedValue {
    fn from(mut value: Value) -> Self {
        mask::json(&mut value);
        Self(value)
    }
}

impl<'de> Deserialize<'de> for MaskedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

impl Deref for MaskedValue {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Masked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl Deref for Masked {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for Masked {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Masked {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}
