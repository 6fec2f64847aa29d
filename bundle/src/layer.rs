//! What a layer unpacks to: the proof that a runtime can apply it. Bytes in, the hash and length of its tar out.
//!
//! A blob may have the right hash and still be no layer: cut off before it was pushed, compressed in another way than
//! said, or another image's. containerd notices when it unpacks it on a node; here it is noticed before.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::digest::{Digest, Hasher};

mod tar_shape;

use tar_shape::TarShape;

/// The largest window of a zstd frame, as a power of two: what zstd itself takes unless told otherwise.
const ZSTD_WINDOW_LOG: u32 = 27;
const OUT: usize = 128 << 10;

/// Why a blob is no layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The compressed stream is damaged, cut off, or followed by something else.
    #[error("it cannot be decompressed to its end: {reason}")]
    Compressed {
        /// The decompressor's words.
        reason: String,
    },
    /// What it unpacks to is no whole tar.
    #[error("it unpacks to no whole tar: {reason}")]
    Tar {
        /// What is wrong.
        reason: &'static str,
    },
}

/// What a layer unpacks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacking {
    /// The hash of the tar.
    pub diff_id: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// Sees the bytes of a layer pass.
#[derive(Default)]
pub struct LayerProof {
    /// The first bytes, until they tell how the layer is compressed.
    head: Vec<u8>,
    decoder: Option<Decoder>,
    failed: Option<LayerError>,
}

enum Decoder {
    Plain(Box<Tar>),
    Gzip(Box<MultiGzDecoder<Tar>>),
    Zstd(Box<Zstd>),
}

/// So many bytes tell gzip from zstd from a plain tar.
const HEAD: usize = 4;

impl LayerProof {
    /// Returns a proof that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes of the blob.
    pub fn update(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let fed = if let Some(decoder) = &mut self.decoder {
            decoder.write(bytes)
        } else {
            self.head.extend_from_slice(bytes);
            if self.head.len() < HEAD {
                return;
            }
            self.begin()
        };
        self.failed = fed.err();
    }

    fn begin(&mut self) -> Result<(), LayerError> {
        let head = std::mem::take(&mut self.head);
        self.decoder.insert(Decoder::new(&head)?).write(&head)
    }

    /// Returns what the whole blob unpacks to.
    pub fn finish(mut self) -> Result<Unpacking, LayerError> {
        if self.decoder.is_none() && self.failed.is_none() {
            self.begin()?;
        }
        match (self.failed, self.decoder) {
            (Some(error), _) => Err(error),
            (None, Some(decoder)) => decoder.finish(),
            (None, None) => Tar::default().finish(),
        }
    }
}

impl Decoder {
    fn new(head: &[u8]) -> Result<Self, LayerError> {
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Tar::default())))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Ok(Self::Zstd(Box::new(Zstd::new()?)))
            }
            _ => Ok(Self::Plain(Box::default())),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        match self {
            Self::Plain(tar) => tar.write_all(bytes).map_err(|_| tar.failure()),
            Self::Gzip(gzip) => gzip
                .write_all(bytes)
                .map_err(|error| gzip.get_ref().or_compressed(&error)),
            Self::Zstd(zstd) => zstd.write(bytes),
        }
    }

    fn finish(self) -> Result<Unpacking, LayerError> {
        match self {
            Self::Plain(tar) => tar.finish(),
            Self::Gzip(mut gzip) => {
                gzip.try_finish()
                    .map_err(|error| gzip.get_ref().or_compressed(&error))?;
                std::mem::take(gzip.get_mut()).finish()
            }
            Self::Zstd(zstd) => zstd.finish(),
        }
    }
}

/// A zstd stream of any number of frames.
struct Zstd {
    context: DCtx<'static>,
    tar: Tar,
    out: Vec<u8>,
    /// Whether the last frame is complete.
    whole: bool,
}

impl Zstd {
    fn new() -> Result<Self, LayerError> {
        let mut context = DCtx::create();
        context
            .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
            .map_err(zstd_error)?;
        Ok(Self {
            context,
            tar: Tar::default(),
            out: vec![0; OUT],
            whole: true,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        let mut input = InBuffer::around(bytes);
        loop {
            let (before, mut output) = (input.pos(), OutBuffer::around(self.out.as_mut_slice()));
            let hint = self
                .context
                .decompress_stream(&mut output, &mut input)
                .map_err(zstd_error)?;
            let count = output.pos();
            let written = self.tar.write_all(&self.out[..count]);
            written.map_err(|_| self.tar.failure())?;
            // An idle call between two frames asks for the next frame's header, and says nothing of the last.
            if input.pos() > before || count > 0 {
                self.whole = hint == 0;
            }
            if input.pos() == bytes.len() && count < OUT {
                return Ok(());
            }
        }
    }

    fn finish(self) -> Result<Unpacking, LayerError> {
        if !self.whole {
            return Err(LayerError::Compressed {
                reason: "it is cut off".to_owned(),
            });
        }
        self.tar.finish()
    }
}

fn zstd_error(code: usize) -> LayerError {
    LayerError::Compressed {
        reason: zstd::zstd_safe::get_error_name(code).to_owned(),
    }
}

/// The unpacked bytes: hashed, counted, and followed as a tar.
#[derive(Default)]
struct Tar {
    hasher: Hasher,
    size: u64,
    shape: TarShape,
}

impl Tar {
    /// Returns why the tar was given up.
    fn failure(&self) -> LayerError {
        LayerError::Tar {
            reason: self.shape.failure().unwrap_or("it ends in the middle of a file"),
        }
    }

    /// Returns whose fault an error is: the tar's, if that was given up, else the compressed stream's.
    fn or_compressed(&self, error: &io::Error) -> LayerError {
        match self.shape.failure() {
            Some(reason) => LayerError::Tar { reason },
            None => LayerError::Compressed {
                reason: error.to_string(),
            },
        }
    }

    fn finish(self) -> Result<Unpacking, LayerError> {
        self.shape.end().map_err(|reason| LayerError::Tar { reason })?;
        Ok(Unpacking {
            diff_id: self.hasher.finish(),
            size: self.size,
        })
    }
}

impl Write for Tar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += u64::try_from(bytes.len()).unwrap_or(0);
        self.shape.update(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(files: &[(&str, usize)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, size) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(*size as u64);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, name, vec![7; *size].as_slice())
                .unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(bytes, 1).unwrap()
    }

    /// Proves a blob in pieces of several lengths; all must say the same.
    fn prove(blob: &[u8]) -> Result<Unpacking, String> {
        let in_pieces = |length: usize| {
            let mut proof = LayerProof::new();
            blob.chunks(length).for_each(|piece| proof.update(piece));
            proof.finish().map_err(|error| error.to_string())
        };
        let whole = in_pieces(blob.len().max(1));
        for length in [1, 7, 511, 4096] {
            assert_eq!(in_pieces(length).is_ok(), whole.is_ok(), "{length}: {whole:?}");
        }
        whole
    }

    #[test]
    fn every_form_of_a_layer_unpacks_to_its_tar() {
        let long = "d/".repeat(90) + "x";
        let tar = tar(&[("a", 0), (&long, 100_000), ("b", 512), ("c", 513)]);
        let (one, two) = tar.split_at(70_000);
        let skipped = [b"\x50\x2a\x4d\x18\x03\0\0\0abc".as_slice(), &zstd(&tar)].concat();
        let expected = Unpacking {
            diff_id: Digest::of(&tar),
            size: tar.len() as u64,
        };
        for blob in [
            tar.clone(),
            gzip(&tar),
            [gzip(one), gzip(two)].concat(),
            zstd(&tar),
            [zstd(one), zstd(two)].concat(),
            [zstd(one), skipped[..11].to_vec(), zstd(two)].concat(),
            skipped,
        ] {
            assert_eq!(prove(&blob), Ok(expected));
        }
        // An image's layer may be without any file, and Go's programs take a tar without its last blocks.
        assert_eq!(prove(&[0; 1024]).unwrap().size, 1024);
        assert_eq!(prove(b"").unwrap().size, 0);
        assert!(prove(&tar[..tar.len() - 1024]).is_ok());
    }

    #[test]
    fn what_is_cut_off_damaged_or_goes_on_is_no_layer() {
        let tar = tar(&[("a", 3000), ("b", 3000)]);
        for whole in [gzip(&tar), zstd(&tar)] {
            let error = prove(&whole[..whole.len() - 1]).unwrap_err();
            assert!(error.contains("decompressed"), "{error}");
            let mut damaged = whole.clone();
            damaged[whole.len() / 2] ^= 0x55;
            assert!(prove(&damaged).is_err());
            assert!(prove(&[whole.as_slice(), b"more"].concat()).is_err());
        }
        for (bytes, words) in [
            (&tar[..1000], "in the middle of a file"),
            (&tar[..100], "in the middle of a header"),
            (b"layer one".as_slice(), "in the middle of a header"),
        ] {
            for blob in [bytes.to_vec(), gzip(bytes), zstd(bytes)] {
                let error = prove(&blob).unwrap_err();
                assert!(error.contains(words), "{error}");
            }
        }
        let mut wrong = tar.clone();
        wrong[0] ^= 1;
        assert!(prove(&wrong).unwrap_err().contains("checksum"));
        let single = [tar[..tar.len() - 512].to_vec(), vec![1; 512]].concat();
        assert!(prove(&single).unwrap_err().contains("single block of zeros"));
    }

    #[test]
    fn a_layer_altered_at_any_place_is_refused_or_unpacks_to_something_else() {
        let tar = tar(&[("a", 700), ("some/directory/b", 0), ("c", 5000)]);
        let expected = Digest::of(&tar);
        let mut state = 3_u64;
        let mut roll = |sides: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % sides
        };
        for whole in [tar.clone(), gzip(&tar), zstd(&tar)] {
            for _ in 0..3000 {
                let mut blob = whole.clone();
                for _ in 0..=roll(3) {
                    let at = roll(blob.len());
                    blob[at] = u8::try_from(roll(256)).unwrap();
                }
                if roll(3) == 0 {
                    blob.truncate(roll(blob.len()) + 1);
                }
                let mut proof = LayerProof::new();
                proof.update(&blob);
                // A header of gzip has bytes that say nothing: then what it unpacks to is the same.
                if let Ok(found) = proof.finish() {
                    assert!(found.diff_id != expected || found.size == tar.len() as u64);
                }
            }
        }
        let mut odd = tar;
        odd[148..156].copy_from_slice(b"\x80\0\0\0\0\0\0\0");
        assert!(prove(&odd).unwrap_err().contains("checksum"));
    }
}
