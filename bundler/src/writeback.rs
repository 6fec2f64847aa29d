//! A file that goes to the disk while it is written, so that the sync at its end finds little left to do.
//!
//! Without it the kernel keeps gigabytes in memory and the last sync waits for all of them.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// After so many bytes the disk is given the next part.
const STEP: usize = 32 << 20;

/// A writer whose file is synced from a thread beside, part by part.
pub(crate) struct Writeback<W> {
    out: W,
    due: usize,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<W: Write> Writeback<W> {
    /// Writes to `out`; `file` is a second handle on the same file.
    pub(crate) fn new(out: W, file: File) -> io::Result<Self> {
        // One wish may wait: a disk that is slower than the writer just syncs more at a time.
        let (wake, wishes) = sync_channel::<()>(1);
        let sync = move || {
            for () in wishes {
                // Only a head start. The sync that counts is the last one, and it reports what is wrong.
                let _ = file.sync_data();
            }
        };
        let thread = thread::Builder::new().name("writeback".to_owned()).spawn(sync)?;
        Ok(Self {
            out,
            due: STEP,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Ends the thread and returns the writer beneath.
    pub(crate) fn into_inner(mut self) -> W {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // It panics nowhere, and nothing depends on it.
            let _ = thread.join();
        }
        self.out
    }
}

impl<W: Write> Write for Writeback<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.due = self.due.saturating_sub(count);
        if self.due == 0 {
            self.due = STEP;
            if let Some(wake) = &self.wake {
                // Full: the thread is busy and will see these bytes too.
                let _ = wake.try_send(());
            }
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_reaches_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        let mut out = Writeback::new(file.try_clone().unwrap(), file.try_clone().unwrap()).unwrap();
        let piece = vec![7; 1 << 20];
        for _ in 0..70 {
            out.write_all(&piece).unwrap();
        }
        drop(out.into_inner());
        assert_eq!(file.metadata().unwrap().len(), 70 << 20);
        file.write_all(b"").unwrap();
    }
}
