//! The files of a tar archive.

use std::io::Read as _;

use super::{Found, Resumed, Walk};
use crate::error::ReadError;
use crate::header::{self, BLOCK, Block, Pax};
use crate::index::Member;
use crate::input::{self, Input};

/// A pass over a tar archive.
pub(crate) struct TarWalk {
    input: Input,
    /// Where in the archive the pass is, in words.
    place: String,
    /// Bytes of the current file that are still to come.
    left: u64,
    /// Zero bytes after them.
    padding: usize,
    started: bool,
    /// All blocks of the current header.
    blocks: Vec<u8>,
    /// The time of the first header, which is that of all.
    time: Option<u64>,
    /// How far the tar was read, and where the header began that was read last.
    here: u64,
    entry: u64,
}

impl TarWalk {
    pub(crate) fn new(input: Input) -> Self {
        Self {
            input,
            place: "the first header".to_owned(),
            left: 0,
            padding: 0,
            started: false,
            blocks: Vec::new(),
            time: None,
            here: 0,
            entry: 0,
        }
    }

    /// Returns the time of the first header, which is that of all; none before it was read.
    pub(crate) const fn time(&self) -> Option<u64> {
        self.time
    }

    fn fail(&self, failed: std::io::Error) -> ReadError {
        input::error(failed, &self.place)
    }

    /// Reads all of a buffer.
    fn exact(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.input
            .read_exact(buffer)
            .map_err(|failed| self.fail(failed))?;
        self.here += u64::try_from(buffer.len()).unwrap_or(0);
        Ok(())
    }

    /// Reads a block whole.
    fn block(&mut self) -> Result<[u8; BLOCK], ReadError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self
                .input
                .read(&mut block[filled..])
                .map_err(|failed| self.fail(failed))?
            {
                0 if !self.started => {
                    let reason = if filled == 0 {
                        "it is empty"
                    } else {
                        "it is too short for an archive"
                    };
                    return Err(ReadError::NoBundle {
                        reason: reason.to_owned(),
                    });
                }
                0 => {
                    return Err(ReadError::Truncated {
                        during: self.place.clone(),
                    });
                }
                read => {
                    filled += read;
                    self.here += u64::try_from(read).unwrap_or(0);
                }
            }
        }
        Ok(block)
    }

    fn header(&mut self) -> Result<Block, ReadError> {
        let block = self.block()?;
        let decoded = header::decode(&block).map_err(|refused| {
            if refused.checksum && !self.started {
                ReadError::NoBundle {
                    reason: "it is no tar archive, and neither gzip nor zstd".to_owned(),
                }
            } else if refused.checksum {
                ReadError::Damaged {
                    member: None,
                    behind: self.place.clone(),
                }
            } else {
                ReadError::Header {
                    member: refused.name,
                    reason: refused.reason,
                }
            }
        });
        self.started = true;
        self.blocks.extend_from_slice(&block);
        decoded
    }

    /// Reads pax records, and the header of the file that they belong to.
    fn pax(&mut self, size: u64) -> Result<(Pax, Block), ReadError> {
        let refuse = |reason: String| ReadError::Header {
            member: "pax records".to_owned(),
            reason,
        };
        // At most header::PAX_LIMIT, or decode would have refused it.
        let mut records = vec![0; usize::try_from(size).unwrap_or(0)];
        self.exact(&mut records)?;
        self.padding = header::padding(size);
        self.blocks.extend_from_slice(&records);
        self.blocks.resize(self.blocks.len() + self.padding, 0);
        self.pad()?;
        let pax = header::pax(&records).map_err(refuse)?;
        match self.header()? {
            file @ Block::File { .. } => Ok((pax, file)),
            _ => Err(refuse("no regular file follows them".to_owned())),
        }
    }

    /// Reads the zeros that fill the last block of a file.
    fn pad(&mut self) -> Result<(), ReadError> {
        let mut zeros = [0; BLOCK];
        let zeros = &mut zeros[..std::mem::take(&mut self.padding)];
        self.exact(zeros)?;
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(ReadError::Header {
                member: self.place.clone(),
                reason: "the bytes after its end are not zero".to_owned(),
            });
        }
        Ok(())
    }

    /// Refuses a header that says the same in another form: no two archives of one index and one time differ.
    fn one_form(&mut self, found: &Found) -> Result<(), ReadError> {
        let refuse = |reason: &str| ReadError::Header {
            member: found.path.as_str().to_owned(),
            reason: reason.to_owned(),
        };
        let time = header::time(&self.blocks).ok_or_else(|| refuse("its time is not octal digits"))?;
        let time = *self.time.get_or_insert(time);
        let mode = found.mode.unwrap_or_default();
        if self.blocks == header::encode(&found.path, found.size, mode, time) {
            Ok(())
        } else {
            Err(refuse(
                "its header is not in the form in which bundles are written",
            ))
        }
    }

    /// Passes over what is left of the current file.
    fn pass(&mut self) -> Result<(), ReadError> {
        let left = std::mem::take(&mut self.left);
        if left > 0 {
            self.input.skip(left).map_err(|failed| self.fail(failed))?;
            self.here += left;
        }
        self.pad()
    }
}

impl Walk for TarWalk {
    fn next(&mut self) -> Result<Option<Found>, ReadError> {
        self.entry = self.here + self.left + u64::try_from(self.padding).unwrap_or(0);
        self.pass()?;
        self.blocks.clear();
        let (pax, block) = match self.header()? {
            Block::Pax(size) => self.pax(size)?,
            other => (Pax::default(), other),
        };
        let Block::File { name, size, mode } = block else {
            // Two blocks of zeros end the archive.
            return if self.block()?.iter().all(|byte| *byte == 0) {
                Ok(None)
            } else {
                // A block that was lost in the copy.
                Err(ReadError::Damaged {
                    member: None,
                    behind: self.place.clone(),
                })
            };
        };
        // Readers that do not know pax see this name: it must be harmless too.
        let plain = header::member_path(&name).map_err(ReadError::Path)?;
        let path = match pax.path {
            Some(path) => header::member_path(&path).map_err(ReadError::Path)?,
            None => plain,
        };
        let size = pax.size.unwrap_or(size);
        path.as_str().clone_into(&mut self.place);
        self.left = size;
        self.padding = header::padding(size);
        let found = Found {
            path,
            size,
            mode: Some(mode),
        };
        self.one_form(&found)?;
        Ok(Some(found))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if room == 0 {
            return Ok(0);
        }
        match self
            .input
            .read(&mut buffer[..room])
            .map_err(|failed| self.fail(failed))?
        {
            0 => Err(ReadError::Truncated {
                during: self.place.clone(),
            }),
            read => {
                self.left -= u64::try_from(read).unwrap_or(self.left);
                self.here += u64::try_from(read).unwrap_or(0);
                Ok(read)
            }
        }
    }

    fn resume(&mut self, next: &Member, error: &ReadError) -> Result<Resumed, ReadError> {
        let broken = match error {
            ReadError::Read { .. } => true,
            ReadError::Header { .. }
            | ReadError::Damaged { .. }
            | ReadError::Path(_)
            | ReadError::Missing { .. } => false,
            // A stream that does not unpack, or another archive than the index says.
            _ => return Ok(Resumed::Never),
        };
        // Every length is the index's, so the place of the next header follows.
        let header = header::encode(&next.path, next.size, next.mode, 0).len();
        let length = u64::try_from(header + header::padding(next.size)).unwrap_or(u64::MAX);
        let behind = self.entry.saturating_add(length).saturating_add(next.size);
        let before = self.here < self.entry;
        let place = if before { self.entry } else { behind };
        (self.left, self.padding) = (0, 0);
        let went = self.input.go_to(place, self.here, broken);
        if !went.map_err(|failed| self.fail(failed))? {
            return Ok(Resumed::Never);
        }
        self.here = place;
        Ok(if before { Resumed::At } else { Resumed::Behind })
    }

    fn is_loose(&self) -> bool {
        false
    }

    fn finish(&mut self) -> Result<(), ReadError> {
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(ReadError::Trailing),
            Err(failed) => match input::error(failed, "its end") {
                // Garbage after a compressed stream is no frame of it.
                ReadError::Compressed { .. } | ReadError::Truncated { .. } => Err(ReadError::Trailing),
                other => Err(other),
            },
        }
    }
}
