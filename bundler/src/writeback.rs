//! Brings a file to the disk while it is written, so that the sync at its end finds little left to do.
//!
//! Without it the kernel keeps gigabytes in memory and the last sync waits for all of them.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// After so many bytes the disk is given the next part.
const STEP: usize = 32 << 20;

/// A thread that syncs a file, part by part.
pub(crate) struct Writeback {
    written: AtomicUsize,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Writeback {
    /// Starts the thread; `file` is a second handle on the file.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        // One wish may wait: a disk that is slower than the writers just syncs more at a time.
        let (wake, wishes) = sync_channel::<()>(1);
        let sync = move || {
            for () in wishes {
                // Only a head start. The sync that counts is the last one, and it reports what is wrong.
                let _ = file.sync_data();
            }
        };
        let thread = thread::Builder::new().name("writeback".to_owned()).spawn(sync)?;
        Ok(Self {
            written: AtomicUsize::new(0),
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Notes that so many bytes more were written.
    pub(crate) fn wrote(&self, count: usize) {
        let before = self.written.fetch_add(count, Ordering::Relaxed);
        if before / STEP != before.wrapping_add(count) / STEP
            && let Some(wake) = &self.wake
        {
            // Full: the thread is busy and will see these bytes too.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Writeback {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // It panics nowhere, and nothing depends on it.
            let _ = thread.join();
        }
    }
}
