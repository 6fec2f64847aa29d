//! The images for benchmarks: a dozen of different sizes, some sharing layers, about 3 GB compressed.
//!
//! Their content is made up, by a generator with a fixed seed: half of it text that compresses well, half of it noise
//! that does not, as layers of programs are.

use std::io::{self, Read};
use std::path::Path;

use flate2::Compression;
use serde_json::json;

use super::layout::{Layer, Layout, Settings, header};
use super::{Form, Image, architecture, rootfs};
use crate::Error;
use crate::cache::Cache;
use crate::tool::Say;

/// Name, whether it stands on the shared Debian layer, and the sizes of its own layers in MiB, uncompressed.
const IMAGES: [(&str, bool, &[u64]); 12] = [
    ("tiny", false, &[1]),
    ("proxy", true, &[20, 4]),
    ("dns", true, &[60]),
    ("metrics", true, &[90, 30]),
    ("logger", true, &[120]),
    ("cache", true, &[150, 10, 2]),
    ("queue", true, &[240, 60]),
    ("database", true, &[320, 120, 20]),
    ("search", true, &[400, 200]),
    ("notebook", false, &[600, 200, 100]),
    ("runtime", false, &[800, 200]),
    ("model", false, &[1400]),
];

const VERSION: u32 = 1;
const MIB: u64 = 1 << 20;

/// Makes the images if they are not there.
pub(super) fn ensure(cache: &Cache, say: Say<'_>) -> Result<Vec<Image>, Error> {
    let entry = format!("images/bench-{VERSION}-{}", architecture());
    let directory = cache.entry(&entry, |staging| {
        let base = rootfs::ensure(cache, &[], say)?;
        say("making 12 images for benchmarks, about 3 GB");
        make(staging, &base, say).map_err(Error::file("writing the benchmarks' images in", staging))
    })?;
    let image = |(name, _, _): &(&str, bool, &[u64])| Image {
        key: entry.clone(),
        layout: directory.clone(),
        reference: (*name).to_owned(),
        target: format!("bench/{name}:1.0"),
        form: Form::Same,
    };
    Ok(IMAGES.iter().map(image).collect())
}

fn make(directory: &Path, base: &Path, say: Say<'_>) -> io::Result<()> {
    let mut layout = Layout::create(directory.to_owned())?;
    let shared = layout.layer(&mut std::fs::File::open(base)?, Compression::fast())?;
    for (at, (name, on_debian, sizes)) in (1_u64..).zip(IMAGES) {
        let mut layers: Vec<Layer> = if on_debian {
            vec![shared.clone()]
        } else {
            Vec::new()
        };
        for (number, size) in (1_u64..).zip(sizes) {
            let mut tar = Content::new(&format!("{name}-{number}"), size * MIB, at * 1000 + number)?;
            layers.push(layout.layer(&mut tar, Compression::fast())?);
        }
        let settings = Settings {
            architecture: architecture(),
            config: json!({"Cmd": [format!("/{name}")]}),
        };
        let image = layout.image(&settings, &layers)?;
        layout.tag(&image, name);
        say(&format!(
            "  {name}: {} MiB in {} layers",
            sizes.iter().sum::<u64>(),
            layers.len()
        ));
    }
    layout.finish()
}

/// A tar of one file of made-up content, as it is read.
struct Content {
    head: Vec<u8>,
    length: u64,
    sent: u64,
    block: Vec<u8>,
    random: Random,
}

/// A kind of content goes on for this long.
const BLOCK: u64 = 64 * 1024;

impl Content {
    fn new(name: &str, length: u64, seed: u64) -> io::Result<Self> {
        let mut header = header(tar::EntryType::Regular, 0o644);
        header.set_path(format!("opt/{name}"))?;
        header.set_size(length);
        header.set_cksum();
        Ok(Self {
            head: header.as_bytes().to_vec(),
            length,
            sent: 0,
            block: Vec::new(),
            random: Random(seed),
        })
    }

    /// Makes the next block of the file, or of the zeros that end a tar.
    fn refill(&mut self) {
        let done = self.sent - 512;
        if done >= self.length {
            self.block = vec![0; 1024];
            return;
        }
        let block = done / BLOCK;
        self.block.clear();
        while (self.block.len() as u64) < BLOCK {
            let number = self.random.next();
            if block.is_multiple_of(2) {
                self.block.extend(number.to_le_bytes());
            } else {
                self.block
                    .extend(WORDS[usize::try_from(number % WORDS.len() as u64).unwrap_or(0)].as_bytes());
            }
        }
        self.block
            .truncate(usize::try_from(BLOCK.min(self.length - done)).unwrap_or(0));
    }
}

const WORDS: [&str; 16] = [
    "address ",
    "binding ",
    "cluster ",
    "daemon ",
    "endpoint ",
    "forward ",
    "gateway ",
    "handler ",
    "interface ",
    "journal ",
    "kernel ",
    "lease ",
    "manifest ",
    "namespace ",
    "overlay ",
    "protocol\n",
];

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Lengths are whole MiB, so the file needs no padding before the two zero blocks.
        if self.sent == 512 + self.length + 1024 {
            return Ok(0);
        }
        if self.sent == 0 {
            self.block = std::mem::take(&mut self.head);
        } else if self.block.is_empty() {
            self.refill();
        }
        let count = out.len().min(self.block.len());
        out[..count].copy_from_slice(&self.block[..count]);
        self.block.drain(..count);
        self.sent += count as u64;
        Ok(count)
    }
}

/// splitmix64: a generator of three lines whose numbers are the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_made_up_content_is_a_whole_tar_and_the_same_each_time() {
        let read = || {
            let mut bytes = Vec::new();
            Content::new("file", MIB, 7)
                .unwrap()
                .read_to_end(&mut bytes)
                .unwrap();
            bytes
        };
        let bytes = read();
        assert_eq!(bytes, read());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let sizes: Vec<u64> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().size())
            .collect();
        assert_eq!(sizes, [MIB]);
    }
}
