#![expect(
    unsafe_code,
    reason = "a function for a processor's own instructions may only be called where it has them (decision 0054)"
)]

//! Two hashes of the same bytes for little more than the price of one: of a whole, and of a part that lies in it.
//!
//! SHA-256 is a chain: each step waits for the one before, and a processor's SHA unit stands idle meanwhile. Two chains
//! fill it, and as long as both see the same blocks, what is made of a block before its rounds is made once.

use crate::digest::Digest;

const BLOCK: usize = 64;
/// The first words of a chain (FIPS 180-4, 5.3.3).
const FIRST: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Hashes a whole, and at times a part of it.
#[derive(Clone, Debug, Default)]
pub struct Twin {
    whole: Chain,
    part: Option<Chain>,
}

impl Twin {
    /// Returns a hasher that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether this processor hashes both in little more time than one.
    pub fn is_cheap() -> bool {
        pair::is_there()
    }

    /// Begins a part with the next byte, in the place of the one before.
    pub fn begin_part(&mut self) {
        self.part = Some(Chain::default());
    }

    /// Ends the part and returns its digest; none where none was begun.
    pub fn end_part(&mut self) -> Option<Digest> {
        self.part.take().map(Chain::finish)
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.part {
            None => self.whole.update(bytes),
            Some(part) if part.rest == self.whole.rest => together(&mut self.whole, part, bytes),
            Some(part) => {
                self.whole.update(bytes);
                part.update(bytes);
            }
        }
    }

    /// Returns the digest of the whole.
    pub fn finish(self) -> Digest {
        self.whole.finish()
    }
}

/// One hash.
#[derive(Clone, Debug)]
struct Chain {
    words: [u32; 8],
    /// How many bytes were seen.
    length: u64,
    /// Those that fill no block yet.
    rest: Vec<u8>,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            words: FIRST,
            length: 0,
            rest: Vec::with_capacity(BLOCK),
        }
    }
}

impl Chain {
    fn update(&mut self, bytes: &[u8]) {
        let words = &mut self.words;
        let mut rest = std::mem::take(&mut self.rest);
        feed(&mut rest, bytes, |blocks| {
            sha2::block_api::compress256(words, blocks);
        });
        self.rest = rest;
        self.length += u64::try_from(bytes.len()).unwrap_or(0);
    }

    /// Ends with a one, zeros, and the length in bits (FIPS 180-4, 5.1.1).
    fn finish(mut self) -> Digest {
        let bits = self.length.wrapping_mul(8);
        let filled = (self.rest.len() + 9).next_multiple_of(BLOCK);
        let mut end = vec![0x80];
        end.resize(filled - self.rest.len() - 8, 0);
        end.extend(bits.to_be_bytes());
        self.update(&end);
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(self.words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Digest::from_bytes(bytes)
    }
}

/// Takes bytes into two chains that have the same rest.
fn together(one: &mut Chain, two: &mut Chain, bytes: &[u8]) {
    let (words, others) = (&mut one.words, &mut two.words);
    feed(&mut one.rest, bytes, |blocks| {
        pair::compress(words, others, blocks);
    });
    two.rest.clone_from(&one.rest);
    let length = u64::try_from(bytes.len()).unwrap_or(0);
    one.length += length;
    two.length += length;
}

/// Gives all full blocks of a rest and the bytes after it, and leaves the new rest.
fn feed(rest: &mut Vec<u8>, mut bytes: &[u8], mut compress: impl FnMut(&[[u8; BLOCK]])) {
    if !rest.is_empty() {
        let (filling, behind) = bytes.split_at(bytes.len().min(BLOCK - rest.len()));
        rest.extend_from_slice(filling);
        bytes = behind;
        if let Ok(block) = <[u8; BLOCK]>::try_from(rest.as_slice()) {
            compress(&[block]);
            rest.clear();
        }
    }
    let (blocks, behind) = bytes.as_chunks::<BLOCK>();
    if !blocks.is_empty() {
        compress(blocks);
    }
    rest.extend_from_slice(behind);
}

#[cfg(not(target_arch = "x86_64"))]
mod pair {
    pub(super) fn is_there() -> bool {
        false
    }

    pub(super) fn compress(one: &mut [u32; 8], two: &mut [u32; 8], blocks: &[[u8; super::BLOCK]]) {
        sha2::block_api::compress256(one, blocks);
        sha2::block_api::compress256(two, blocks);
    }
}

#[cfg(target_arch = "x86_64")]
mod pair {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
        _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
        _mm_shuffle_epi8, _mm_shuffle_epi32,
    };

    use super::BLOCK;

    /// The constants of the rounds (FIPS 180-4, 4.2.2).
    const ROUNDS: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    pub(super) fn is_there() -> bool {
        is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1")
    }

    pub(super) fn compress(one: &mut [u32; 8], two: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
        if is_there() {
            // SAFETY: the processor has the instructions that the function is compiled for; it has no other condition.
            unsafe { both(one, two, blocks) }
        } else {
            sha2::block_api::compress256(one, blocks);
            sha2::block_api::compress256(two, blocks);
        }
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn both(one: &mut [u32; 8], two: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
        let ((mut a, mut c), (mut e, mut g)) = (pack(one), pack(two));
        // Words are big-endian.
        let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        for block in blocks {
            let before = (a, c, e, g);
            let mut words = [_mm_setzero_si128(); 4];
            for (words, bytes) in words.iter_mut().zip(block.as_chunks::<8>().0.as_chunks::<2>().0) {
                let [low, high] = bytes.map(i64::from_le_bytes);
                *words = _mm_shuffle_epi8(_mm_set_epi64x(high, low), order);
            }
            for (at, constants) in ROUNDS.iter().enumerate() {
                let [k0, k1, k2, k3] = constants.map(u32::cast_signed);
                let four = words[at % 4];
                let added = _mm_add_epi32(four, _mm_set_epi32(k3, k2, k1, k0));
                c = _mm_sha256rnds2_epu32(c, a, added);
                g = _mm_sha256rnds2_epu32(g, e, added);
                let added = _mm_shuffle_epi32(added, 0x0e);
                a = _mm_sha256rnds2_epu32(a, c, added);
                e = _mm_sha256rnds2_epu32(e, g, added);
                if at < 12 {
                    let (next, second, last) =
                        (words[(at + 1) % 4], words[(at + 2) % 4], words[(at + 3) % 4]);
                    let four = _mm_sha256msg1_epu32(four, next);
                    let four = _mm_add_epi32(four, _mm_alignr_epi8(last, second, 4));
                    words[at % 4] = _mm_sha256msg2_epu32(four, last);
                }
            }
            (a, c) = (_mm_add_epi32(a, before.0), _mm_add_epi32(c, before.1));
            (e, g) = (_mm_add_epi32(e, before.2), _mm_add_epi32(g, before.3));
        }
        (*one, *two) = (unpack(a, c), unpack(e, g));
    }

    /// Returns the words as the instructions take them: A B E F, and C D G H.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn pack(words: &[u32; 8]) -> (__m128i, __m128i) {
        let four = |order: [usize; 4]| {
            let [first, second, third, fourth] = order.map(|at| words[at].cast_signed());
            _mm_set_epi32(first, second, third, fourth)
        };
        (four([0, 1, 4, 5]), four([2, 3, 6, 7]))
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn unpack(abef: __m128i, cdgh: __m128i) -> [u32; 8] {
        [
            _mm_extract_epi32(abef, 3),
            _mm_extract_epi32(abef, 2),
            _mm_extract_epi32(cdgh, 3),
            _mm_extract_epi32(cdgh, 2),
            _mm_extract_epi32(abef, 1),
            _mm_extract_epi32(abef, 0),
            _mm_extract_epi32(cdgh, 1),
            _mm_extract_epi32(cdgh, 0),
        ]
        .map(i32::cast_unsigned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hashes_are_those_of_the_library_wherever_the_part_begins_and_however_bytes_come() {
        let bytes: Vec<u8> = (0..5000_u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
            .collect();
        let mut state = 5_usize;
        let mut roll = |sides: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % sides
        };
        for round in 0..400 {
            let length = roll(bytes.len());
            // In archives a part begins with a block; elsewhere too it must be right.
            let begin = if round % 2 == 0 {
                roll(length + 1) / 64 * 64
            } else {
                roll(length + 1)
            };
            let end = begin + roll(length - begin + 1);
            let (mut twin, mut at) = (Twin::new(), 0);
            let mut part = None;
            while at < length || part.is_none() {
                if at == begin {
                    twin.begin_part();
                }
                if at == end && at >= begin {
                    part = twin.end_part().or(part);
                }
                let stop = [begin, end, length]
                    .into_iter()
                    .filter(|stop| *stop > at)
                    .min()
                    .unwrap_or(length);
                let next = stop.min(at + 1 + roll(300));
                twin.update(&bytes[at..next]);
                at = next;
            }
            assert_eq!(part, Some(Digest::of(&bytes[begin..end])), "{begin}..{end}");
            assert_eq!(twin.finish(), Digest::of(&bytes[..length]));
        }
        assert_eq!(Twin::new().finish(), Digest::of(""));
    }
}
