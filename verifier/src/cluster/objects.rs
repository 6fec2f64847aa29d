//! A list of the API, object by object as its bytes come: no more than one object is in memory, however long the list.
//!
//! The outermost object of a `…List` is read; what stands in its `items` is handed out one by one, as JSON text, and the
//! rest is kept. It finds where objects end and nothing else: whether they are JSON says who reads them.

/// The longest object, in bytes. etcd takes 1.5 MiB.
const OBJECT: usize = 4 << 20;
/// The most that may stand beside the objects.
const BESIDE: usize = 64 << 10;

/// Why a list cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ListError {
    /// An object is too long.
    #[error("a list with an object of more than {} MiB", OBJECT >> 20)]
    Object,
    /// There is too much beside the objects.
    #[error("a list with more than {} KiB beside its objects", BESIDE >> 10)]
    Beside,
    /// It is no JSON object.
    #[error("no list")]
    None,
    /// It ends in the middle.
    #[error("a list that ends in the middle")]
    Cut,
}

/// Takes a list apart.
#[derive(Default)]
pub(super) struct Objects {
    /// Open braces and brackets.
    depth: usize,
    /// Inside a string; true behind a backslash.
    string: Option<bool>,
    /// The last string of the outermost object: its key, where a colon follows.
    last: Vec<u8>,
    /// Whether the key of what comes is `items`.
    named: bool,
    /// Inside of `items`.
    inside: bool,
    /// The object that is being read.
    object: Vec<u8>,
    /// What stands beside the objects.
    beside: Vec<u8>,
    ended: bool,
}

impl Objects {
    /// Takes the next bytes and hands out each object that ends in them.
    pub(super) fn take<E: From<ListError>>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for &byte in bytes {
            let before = self.inside;
            let separates = byte == b',' && self.depth == 2 && self.string.is_none();
            self.step(byte)?;
            if before && self.inside && !separates {
                push(&mut self.object, byte, OBJECT, ListError::Object)?;
                continue;
            }
            if before && self.object.iter().any(|byte| !byte.is_ascii_whitespace()) {
                each(&self.object)?;
            }
            self.object.clear();
            if !(before && self.inside) {
                push(&mut self.beside, byte, BESIDE, ListError::Beside)?;
            }
        }
        Ok(())
    }

    /// Follows the brackets and strings of JSON.
    fn step(&mut self, byte: u8) -> Result<(), ListError> {
        if let Some(escaped) = &mut self.string {
            match byte {
                _ if *escaped => *escaped = false,
                b'\\' => *escaped = true,
                b'"' => self.string = None,
                _ if self.depth == 1 => self.last.push(byte),
                _ => {}
            }
            return Ok(());
        }
        match byte {
            _ if byte.is_ascii_whitespace() => {}
            b'{' | b'[' => {
                self.inside |= self.depth == 1 && self.named && byte == b'[';
                if self.ended || (self.depth == 0 && byte == b'[') {
                    return Err(ListError::None);
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.checked_sub(1).ok_or(ListError::None)?;
                self.inside &= self.depth > 1;
                self.ended = self.depth == 0;
            }
            _ if self.depth == 0 => return Err(ListError::None),
            b'"' => {
                self.string = Some(false);
                if self.depth == 1 {
                    self.last.clear();
                }
            }
            b':' if self.depth == 1 => self.named = self.last == b"items",
            b',' if self.depth == 1 => self.named = false,
            _ => {}
        }
        Ok(())
    }

    /// Returns what stands beside the objects, as JSON text: the list without them.
    pub(super) fn rest(self) -> Result<Vec<u8>, ListError> {
        if self.ended {
            Ok(self.beside)
        } else {
            Err(ListError::Cut)
        }
    }
}

fn push(text: &mut Vec<u8>, byte: u8, limit: usize, error: ListError) -> Result<(), ListError> {
    if text.len() >= limit {
        return Err(error);
    }
    text.push(byte);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// Reads a list that comes in pieces of so many bytes.
    fn read(text: &[u8], piece: usize) -> Result<(Vec<Value>, Value), ListError> {
        let (mut objects, mut found) = (Objects::default(), Vec::new());
        for piece in text.chunks(piece) {
            objects.take(piece, |object| {
                found.push(serde_json::from_slice(object).map_err(|_| ListError::None)?);
                Ok::<_, ListError>(())
            })?;
        }
        let rest = serde_json::from_slice(&objects.rest()?).map_err(|_| ListError::None)?;
        Ok((found, rest))
    }

    #[test]
    fn a_list_is_taken_apart_wherever_its_pieces_end() {
        let list = json!({
            "kind": "NodeList",
            "metadata": {"continue": "to]ken\"", "items": [1, 2], "remainingItemCount": 3},
            "items": [
                {"metadata": {"name": "a\\\"}],[{"}, "items": [{"x": []}]},
                {},
                {"spec": {"items": {"items": []}}},
            ],
            "apiVersion": "v1",
        });
        let mut rest = list.clone();
        rest["items"] = json!([]);
        let compact = list.to_string();
        let pretty = serde_json::to_string_pretty(&list).unwrap();
        for text in [compact, pretty] {
            for piece in 1..text.len() {
                let (found, beside) = read(text.as_bytes(), piece).unwrap();
                assert_eq!(Value::from(found), list["items"]);
                assert_eq!(beside, rest);
            }
        }
    }

    #[test]
    fn a_list_without_items_is_an_empty_one_and_what_is_none_is_refused() {
        for text in [r#"{"items":null,"metadata":{}}"#, r#"{"items": [ ] }"#, "{}"] {
            assert_eq!(read(text.as_bytes(), 3).unwrap().0.len(), 0, "{text}");
        }
        for text in ["[{}]", "7", "}", r#""items""#, "{}{}", "<html>"] {
            assert_eq!(read(text.as_bytes(), 3).unwrap_err(), ListError::None, "{text}");
        }
        for text in ["", "{", r#"{"items":[{}"#, r#"{"items":[{}]"#] {
            assert_eq!(read(text.as_bytes(), 3).unwrap_err(), ListError::Cut, "{text}");
        }
    }

    #[test]
    fn what_has_no_end_is_refused_after_little() {
        let endless = |begin: &str| {
            let mut objects = Objects::default();
            let none = |_: &[u8]| Ok::<_, ListError>(());
            let mut taken = objects.take(begin.as_bytes(), none);
            let mut pieces = 0;
            while taken.is_ok() {
                taken = objects.take(&"A".repeat(1 << 16).into_bytes(), none);
                pieces += 1;
            }
            (taken.unwrap_err(), pieces)
        };
        assert_eq!(
            endless(r#"{"metadata":{"annotations":{"a":""#),
            (ListError::Beside, 1)
        );
        assert_eq!(endless(r#"{"items":[{"a":""#), (ListError::Object, 64));
        assert_eq!(endless(r#"{"items":["#), (ListError::Object, 65));
        let mut objects = Objects::default();
        let deep = objects.take(&"{".repeat(1 << 20).into_bytes(), |_| Ok::<_, ListError>(()));
        assert_eq!(deep, Err(ListError::Beside));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(text in prop::collection::vec(
            prop::sample::select(br#"{}[]",:\ itemsx1"#.to_vec()), 0..200), piece in 1_usize..20) {
            if let (Ok((found, _)), Ok(value)) = (read(&text, piece), serde_json::from_slice::<Value>(&text)) {
                let items = value["items"].as_array().cloned().unwrap_or_default();
                prop_assert_eq!(found, items);
            }
        }
    }
}
