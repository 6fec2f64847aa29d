//! A document as a tree in which everything knows its place.

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// A value together with the place where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// Where it stands.
    pub place: Place,
    /// The value.
    pub value: T,
}

/// A node of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// The three kinds of YAML nodes; aliases are replaced by what they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A scalar: its text, and whether it is plain (`true`, `10`) or surely text (`"true"`, `|` blocks, `!!str`).
    Scalar {
        /// The text, without quotes.
        text: String,
        /// Whether it was written without quotes, so that `true`, `10` and nothing have types of their own.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping, in the order of the file; keys are scalars and no key comes twice.
    Mapping(Vec<(Placed<String>, Node)>),
}

/// What a scalar is by YAML's core schema (YAML 1.2.2, 10.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Integer,
    Float,
    Text,
    Sequence,
    Mapping,
}

impl Type {
    /// Returns the type's name in a sentence: "a number".
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Float => "a number",
            Self::Text => "text",
            Self::Sequence => "a list",
            Self::Mapping => "a mapping",
        }
    }
}

impl Node {
    /// Returns the value of a mapping's field, if this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Value::Mapping(fields) = &self.value else {
            return None;
        };
        fields
            .iter()
            .find(|(key, _)| key.value == name)
            .map(|(_, node)| node)
    }

    /// Returns the text of a scalar, whatever its type.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns the items of a list; none where it is no list.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// Returns whether the node is empty: `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        self.kind() == Type::Null
    }

    /// Returns what the node is by the core schema.
    pub(crate) fn kind(&self) -> Type {
        match &self.value {
            Value::Sequence(_) => Type::Sequence,
            Value::Mapping(_) => Type::Mapping,
            Value::Scalar { plain: false, .. } => Type::Text,
            Value::Scalar { text, plain: true } => plain_type(text),
        }
    }
}

/// Returns the type of a plain scalar.
fn plain_type(text: &str) -> Type {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Type::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Type::Boolean,
        ".inf" | ".Inf" | ".INF" | "-.inf" | "+.inf" | ".nan" | ".NaN" | ".NAN" => Type::Float,
        _ if is_integer(text) => Type::Integer,
        _ if is_float(text) => Type::Float,
        _ => Type::Text,
    }
}

/// Returns whether the text is an integer: decimal with a sign, `0o` octal or `0x` hexadecimal.
fn is_integer(text: &str) -> bool {
    let all = |digits: &str, of: fn(char) -> bool| !digits.is_empty() && digits.chars().all(of);
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |c| ('0'..='7').contains(&c));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, |c| c.is_ascii_hexdigit());
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    all(digits, |c| c.is_ascii_digit())
}

/// Returns whether the text is a floating point number such as `1.5`, `-.5` or `1e3`.
fn is_float(text: &str) -> bool {
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts = number.starts_with(|c: char| c.is_ascii_digit())
        || number
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    starts && number.parse::<f64>().is_ok()
}
