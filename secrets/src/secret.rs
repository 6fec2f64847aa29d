//! A secret that we hold.

use std::fmt;

use secrecy::zeroize::{Zeroize as _, Zeroizing};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

/// Bytes or text that hold a secret among other things: wiped when they go.
pub type Wiped<T> = Zeroizing<T>;

/// A password, passphrase or token: its memory is wiped when it goes, and nothing shows it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a secret, and wipes what it was in.
    pub fn new(secret: impl Into<String>) -> Self {
        let mut from = secret.into();
        // Copied into a place of just its length: to shrink the old one would leave bytes of it behind.
        let secret = Self(SecretString::from(Box::<str>::from(from.as_str())));
        from.zeroize();
        secret
    }

    /// Takes the first line of a file's text, and wipes the text.
    pub fn first_line(mut text: String) -> Self {
        let secret = Self(SecretString::from(text.lines().next().unwrap_or_default()));
        text.zeroize();
        secret
    }

    /// Returns whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.reveal().is_empty()
    }

    /// Returns the secret, for whom it is meant.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new(String::new())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.reveal() == other.reveal()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_file_the_first_line_counts() {
        assert_eq!(
            Secret::first_line("hunter2\r\nrest\n".to_owned()).reveal(),
            "hunter2"
        );
        assert!(Secret::first_line(String::new()).is_empty());
    }

    #[test]
    fn no_form_of_output_shows_it() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "*** Some(\n    ***,\n)"
        );
        assert_eq!(secret.reveal(), "hunter2");
    }
}
