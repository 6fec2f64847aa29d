//! PEM (RFC 7468) as people have it: text around the blocks, Windows' ends of lines, headers of old OpenSSL, blocks that are
//! cut off, blocks that something stands before on their line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets::Wiped;

/// More blocks than this are not read of one file.
const BLOCKS: usize = 4096;

/// A block of PEM.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// What it says it is, for example `CERTIFICATE`.
    pub(crate) label: String,
    /// Its bytes; absent where it is no base64 or has no end.
    pub(crate) bytes: Option<Wiped<Vec<u8>>>,
    /// Whether its header says that it is encrypted.
    pub(crate) encrypted: bool,
    /// Whether spaces or a byte order mark stand before it on its line: Go's encoding/pem does not find it there.
    pub(crate) pushed: bool,
}

/// Returns the blocks of a text, in its order.
pub(crate) fn blocks(text: &[u8]) -> Vec<Block> {
    let text = String::from_utf8_lossy(text);
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(whole) = lines.next() {
        let line = whole.trim().trim_start_matches('\u{feff}');
        let Some(label) = marker(line, "BEGIN") else {
            continue;
        };
        if found.len() == BLOCKS {
            break;
        }
        // It may be a key.
        let mut body = Wiped::new(String::new());
        let (mut encrypted, mut ended) = (false, false);
        while let Some(line) = lines.peek().map(|line| line.trim()) {
            if marker(line, "END").is_some() {
                ended = marker(line, "END") == Some(label);
                lines.next();
                break;
            }
            // The next one begins: this one was cut off.
            if marker(line, "BEGIN").is_some() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                encrypted |= name == "Proc-Type" && value.contains("ENCRYPTED");
            } else {
                body.extend(line.split_whitespace());
            }
            lines.next();
        }
        let bytes = ended
            .then(|| STANDARD.decode(body.as_bytes()).ok().map(Wiped::new))
            .flatten();
        found.push(Block {
            label: label.chars().take(64).collect(),
            bytes: bytes.filter(|bytes| !bytes.is_empty()),
            encrypted,
            pushed: !whole.starts_with("-----"),
        });
    }
    found
}

/// Returns the label of a line that begins or ends a block.
fn marker<'a>(line: &'a str, which: &str) -> Option<&'a str> {
    let inner = line.strip_prefix("-----")?.strip_suffix("-----")?;
    inner.strip_prefix(which)?.strip_prefix(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Vec<(String, Option<Vec<u8>>)> {
        let blocks = blocks(text.as_bytes());
        blocks
            .into_iter()
            .map(|block| (block.label, block.bytes.map(|bytes| bytes.to_vec())))
            .collect()
    }

    #[test]
    fn several_blocks_are_read_whatever_stands_around_them() {
        let text = "Bag Attributes: none\r\nsubject=CN = a\r\n-----BEGIN CERTIFICATE-----\r\nAQID\r\n-----END CERTIFICATE-----\r\n\
            # a key\n-----BEGIN EC PARAMETERS-----\nBAUG\n-----END EC PARAMETERS-----\n";
        let expected = [
            ("CERTIFICATE".to_owned(), Some(vec![1, 2, 3])),
            ("EC PARAMETERS".to_owned(), Some(vec![4, 5, 6])),
        ];
        assert_eq!(labels(text), expected);
    }

    #[test]
    fn a_block_without_end_or_with_another_s_is_broken_and_the_next_one_is_read() {
        let text = "-----BEGIN CERTIFICATE-----\nAQID\n-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n\
            -----BEGIN A-----\nAQID\n-----END B-----\n-----BEGIN C-----\n?\n-----END C-----\n-----BEGIN D-----\n";
        let bytes: Vec<bool> = labels(text).iter().map(|(_, bytes)| bytes.is_some()).collect();
        assert_eq!(bytes, [false, true, false, false, false]);
    }

    #[test]
    fn what_stands_before_a_block_on_its_line_hides_it_from_go() {
        let text = "\u{feff}-----BEGIN A-----\nAQ ID\n-----END A-----\n  -----BEGIN B-----\n  AQID\n  -----END B-----\n\
            -----BEGIN C-----\nAQID\n-----END C-----\n";
        let pushed: Vec<bool> = blocks(text.as_bytes()).iter().map(|block| block.pushed).collect();
        assert_eq!(pushed, [true, true, false]);
        assert!(labels(text).iter().all(|(_, bytes)| bytes.is_some()));
    }

    #[test]
    fn old_openssl_says_in_a_header_that_a_key_is_encrypted() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAQID\n-----END RSA PRIVATE KEY-----\n";
        assert!(blocks(text.as_bytes())[0].encrypted);
    }
}
