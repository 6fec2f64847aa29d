//! Registers of ids with the fields that their words may name.

/// Declares a register: the enum of its ids, and for each id a type whose fields are all that its words may name. A
/// field that is left out or misspelt does not compile. Fields behind a semicolon are figures: they may differ between
/// two readings of the same thing.
macro_rules! register {
    (
        $(#[$doc:meta])* $id:ident, $value:ident, $module:ident;
        $($name:ident = $text:literal { $($field:ident),* $(; $($figure:ident),+)? })*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $id {
            $(#[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $name),*
        }

        impl $id {
            /// Every id.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// Returns the fields that the words may name.
            pub const fn fields(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$(stringify!($field),)* $($(stringify!($figure)),+)?]),* }
            }

            /// Returns those of the fields that may differ between two readings of the same thing.
            pub const fn figures(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($(stringify!($figure)),+)?]),* }
            }
        }

        impl std::fmt::Display for $id {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        #[doc = concat!("One type for each [`", stringify!($id), "`]; all become a [`", stringify!($value), "`].")]
        pub mod $module {
            use std::collections::BTreeMap;

            use cli::Shown;

            use super::{register, $id, $value};

            $(register!(@one $id $value $name $text { $($field)* $($($figure)+)? });)*
        }
    };
    (@one $id:ident $value:ident $name:ident $text:literal {}) => {
        #[doc = concat!("`", $text, "`")]
        #[derive(Clone, Copy)]
        pub struct $name;

        impl From<$name> for $value {
            fn from(_: $name) -> Self {
                Self { id: $id::$name, args: BTreeMap::new() }
            }
        }
    };
    (@one $id:ident $value:ident $name:ident $text:literal { $($field:ident)+ }) => {
        #[doc = concat!("`", $text, "`")]
        #[derive(Clone, Copy)]
        pub struct $name<'a> {
            $(#[doc = concat!("`{", stringify!($field), "}`")] pub $field: &'a dyn std::fmt::Display),+
        }

        impl From<$name<'_>> for $value {
            fn from(named: $name<'_>) -> Self {
                // The only way of text into words: it is made fit to be shown here.
                let args = [$((stringify!($field).to_owned(), Shown::new(named.$field))),+];
                Self { id: $id::$name, args: BTreeMap::from(args) }
            }
        }
    };
}

pub(super) use register;
