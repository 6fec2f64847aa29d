//! How long a layer is when unpacked, told from its first and last bytes. An estimate: gzip's trailer counts modulo
//! 2^32 and knows only its last member (RFC 1952), a zstd frame may not say it (RFC 8878).

/// Sees the bytes of a layer pass and says how many they unpack to.
#[derive(Clone, Debug, Default)]
pub struct Estimator {
    head: Vec<u8>,
    tail: Vec<u8>,
    size: u64,
}

/// The longest header of a zstd frame that matters: magic, descriptor, window, dictionary, content size.
const HEAD: usize = 18;

/// gzip's ISIZE.
const TAIL: usize = 4;

impl Estimator {
    /// Returns an estimator that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let missing = HEAD - self.head.len();
        self.head.extend_from_slice(&bytes[..missing.min(bytes.len())]);
        self.tail
            .extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.size += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    }

    /// Returns the unpacked length in bytes; none where the layer does not say it.
    pub fn finish(&self) -> Option<u64> {
        match self.head.as_slice() {
            [0x1f, 0x8b, ..] => self
                .tail
                .as_slice()
                .try_into()
                .ok()
                .map(u32::from_le_bytes)
                .map(u64::from),
            [0x28, 0xb5, 0x2f, 0xfd, frame @ ..] => frame_content_size(frame),
            _ => Some(self.size),
        }
    }

    /// Returns whether `unpacked` may stand in an index for the bytes seen.
    pub(crate) fn allows(&self, unpacked: u64) -> bool {
        let gzip = self.head.starts_with(&[0x1f, 0x8b]);
        self.finish().is_none_or(|said| {
            if gzip {
                unpacked % (1 << 32) == said
            } else {
                unpacked == said
            }
        })
    }
}

/// Reads Frame_Content_Size of a zstd frame header, after the magic number.
fn frame_content_size(frame: &[u8]) -> Option<u64> {
    let (descriptor, rest) = frame.split_first()?;
    let single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!single_segment);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let length = match descriptor >> 6 {
        0 => usize::from(single_segment),
        flag => 1 << flag,
    };
    let field = rest.get(window + dictionary..window + dictionary + length)?;
    let value = field
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    match length {
        0 => None,
        // Two bytes say 256 ... 65791.
        2 => Some(value + 256),
        _ => Some(value),
    }
}
