//! The platform of an image or of a program, as OCI names it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An operating system, an architecture and, where it matters, a variant: `linux/amd64`, `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$"))]
pub struct Platform {
    /// Go's GOOS, as in the OCI image spec.
    pub os: String,
    /// Go's GOARCH, as in the OCI image spec.
    pub architecture: String,
    /// The variant of the CPU, for example `v7`.
    pub variant: Option<String>,
}

/// A text that names no platform.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a platform of the form os/architecture or os/architecture/variant")]
pub struct PlatformError {
    text: String,
}

impl Platform {
    /// Returns the platform that this program runs on.
    pub fn current() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            other => other,
        };
        Self {
            os: std::env::consts::OS.to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }

    /// Returns the platform that three words name, in the one form in which two names of it are equal: `x86_64` is
    /// `amd64`, `arm64/v8` is `arm64`, `arm` is `arm/v7` (containerd, platforms.Normalize). An empty word stays empty.
    pub fn normal(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let lower = |word: &str| word.trim().to_ascii_lowercase();
        let os = match lower(os).as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let variant = variant.map(lower).filter(|variant| !variant.is_empty());
        let (architecture, variant) = match (lower(architecture).as_str(), variant.as_deref()) {
            ("i386", _) => ("386", None),
            ("x86_64" | "x86-64" | "amd64", None | Some("v1" | "1")) => ("amd64", None),
            ("x86_64" | "x86-64" | "amd64", Some(other)) => ("amd64", Some(other)),
            ("aarch64" | "arm64", None | Some("8" | "v8" | "8.0" | "v8.0")) => ("arm64", None),
            ("aarch64" | "arm64", Some("9" | "9.0" | "v9.0")) => ("arm64", Some("v9")),
            ("aarch64" | "arm64", Some(other)) => ("arm64", Some(other)),
            ("armhf", _) | ("arm", None) => ("arm", Some("v7")),
            ("armel", _) => ("arm", Some("v6")),
            (other, variant) => return Self::words(os, other, variant.map(with_v)),
        };
        Self::words(os, architecture, variant.map(with_v))
    }

    fn words(os: String, architecture: &str, variant: Option<String>) -> Self {
        Self {
            os,
            architecture: architecture.to_owned(),
            variant,
        }
    }

    /// Returns the platform in its normal form ([`Platform::normal`]).
    #[must_use]
    pub fn normalized(&self) -> Self {
        Self::normal(&self.os, &self.architecture, self.variant.as_deref())
    }

    /// Returns how well this platform runs an image for `image`: 0 for one of its own, more for one of an older
    /// variant of the same processor, none where it does not run it (containerd, platforms.Only).
    pub fn runs(&self, image: &Self) -> Option<u32> {
        let (own, image) = (self.normalized(), image.normalized());
        if own == image {
            return Some(0);
        }
        if (&own.os, &own.architecture) != (&image.os, &image.architecture) {
            return None;
        }
        own.level()?
            .checked_sub(image.level()?)
            .filter(|older| *older > 0)
    }

    /// Returns the generation of the processor that a normal form names, where generations build on each other.
    fn level(&self) -> Option<u32> {
        let least = match self.architecture.as_str() {
            "amd64" => 1,
            "arm64" => 8,
            "arm" => 7,
            _ => return None,
        };
        match self.variant.as_deref() {
            None => Some(least),
            Some(variant) => variant.strip_prefix('v')?.parse().ok(),
        }
    }
}

/// Some builders leave the `v` of a variant out.
fn with_v(variant: &str) -> String {
    if variant.bytes().all(|c| c.is_ascii_digit()) {
        format!("v{variant}")
    } else {
        variant.to_owned()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .iter()
            .try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        match parts.as_slice() {
            [os, architecture, variant @ ..] if variant.len() <= 1 && parts.iter().all(word) => Ok(Self {
                os: (*os).to_owned(),
                architecture: (*architecture).to_owned(),
                variant: variant.first().map(|v| (*v).to_owned()),
            }),
            _ => Err(PlatformError {
                text: text.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for Platform {
    type Error = PlatformError;

    fn try_from(text: String) -> Result<Self, PlatformError> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_platform_are_equal_in_their_normal_form() {
        let normal = |text: &str| {
            let mut words = text.split('/');
            let mut word = || words.next();
            let (os, architecture) = (word().unwrap_or(""), word().unwrap_or(""));
            Platform::normal(os, architecture, word()).to_string()
        };
        for (one, other) in [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/aarch64", "linux/arm64/v8"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/7", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("linux/amd64/", "linux/amd64"),
        ] {
            assert_eq!(normal(one), normal(other), "{one}");
        }
    }

    #[test]
    fn a_processor_runs_what_older_ones_run_and_not_the_reverse() {
        let runs = |own: &str, image: &str| {
            own.parse::<Platform>()
                .unwrap()
                .runs(&image.parse::<Platform>().unwrap())
        };
        assert_eq!(runs("linux/arm/v7", "linux/arm/v7"), Some(0));
        assert_eq!(runs("linux/arm/v7", "linux/arm/v6"), Some(1));
        assert_eq!(runs("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(runs("linux/amd64/v3", "linux/amd64"), Some(2));
        assert_eq!(runs("linux/amd64", "linux/amd64/v2"), None);
        assert_eq!(runs("linux/arm64", "linux/arm/v7"), None);
        assert_eq!(runs("linux/amd64", "windows/amd64"), None);
        assert_eq!(runs("linux/riscv64", "linux/riscv64"), Some(0));
    }
}
