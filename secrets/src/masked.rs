//! A text without secrets, as a type.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

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

/// Declares a list of texts that were masked together, and are again when they are read.
macro_rules! list {
    ($(#[$doc:meta])* $name:ident, $mask:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub struct $name(Vec<Masked>);

        impl $name {
            /// Masks texts that belong together.
            pub fn new(texts: &[impl AsRef<str>]) -> Self {
                Self($mask(texts))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Vec::<String>::deserialize(deserializer).map(|texts| Self::new(&texts))
            }
        }

        impl Deref for $name {
            type Target = [Masked];

            fn deref(&self) -> &[Masked] {
                &self.0
            }
        }

        impl IntoIterator for $name {
            type Item = Masked;
            type IntoIter = std::vec::IntoIter<Masked>;

            fn into_iter(self) -> Self::IntoIter {
                self.0.into_iter()
            }
        }
    };
}

list! {
    /// Lines of a journal or a log: what runs over several, as a key does, was masked too.
    MaskedLines, mask::lines
}
list! {
    /// The arguments of a program, the first of which is its name.
    MaskedArguments, mask::arguments
}
