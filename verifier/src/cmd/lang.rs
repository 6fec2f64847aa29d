//! The language of what is shown.

use clap::Args;

use crate::findings::Lang;

/// The language of what is shown.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct LangArg {
    /// The language of what is shown; absent: as LC_ALL, LC_MESSAGES or LANG says. report.json is in English
    #[arg(long, value_name = "LANG")]
    lang: Option<Lang>,
}

impl LangArg {
    /// Returns the language.
    pub(super) fn get(self) -> Lang {
        self.lang.unwrap_or_else(ambient)
    }
}

/// Returns the language that the environment asks for.
pub(super) fn ambient() -> Lang {
    Lang::of_environment(|name| std::env::var(name).ok())
}
