//! What a run tells while it runs, down to the rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::Kept;
use crate::certs::Listed;
use crate::distribution::Distribution;
use crate::findings::{Outcome, Phrase, Verdict};
use crate::images::HostImages;

/// What a run tells while it runs.
#[derive(Clone, Debug)]
pub enum Event {
    /// The checks begin: so many rows will come at least.
    Begun {
        /// How many.
        rows: usize,
    },
    /// A check looks at a member.
    Looking {
        /// The check.
        id: &'static str,
        /// The host.
        host: Option<String>,
    },
    /// A row is there.
    Row(Box<Row>),
    /// Something that a person should know.
    Note(Phrase),
    /// Something that a person may want to know while it goes on.
    Talk(Phrase),
    /// Work on so many bytes begins.
    Work {
        /// What it is.
        name: Phrase,
        /// How many bytes.
        bytes: u64,
    },
    /// So many bytes of it are done.
    Worked(u64),
    /// It has ended.
    WorkEnded,
    /// What the run made is being removed.
    Cleaning,
}

/// The sender of events. When nobody listens any more, events are dropped. Clones share it.
#[derive(Clone)]
pub struct Events {
    sender: mpsc::Sender<Event>,
    /// Bytes of work that no event has told yet.
    untold: Arc<AtomicU64>,
}

impl Events {
    /// Sends to `sender`.
    pub fn new(sender: mpsc::Sender<Event>) -> Self {
        Self {
            sender,
            untold: Arc::default(),
        }
    }

    /// Tells an event.
    pub async fn tell(&self, event: Event) {
        // A reporter that is gone must not stop the run.
        let _ = self.sender.send(event).await;
    }

    /// Tells an event from where nobody may wait. Bytes of work are told together where the reporters are slow; anything
    /// else may be left out then.
    pub fn nudge(&self, event: Option<Event>) {
        match event {
            None => {}
            Some(Event::Worked(bytes)) => {
                let bytes = self.untold.fetch_add(bytes, Ordering::Relaxed) + bytes;
                if self.sender.try_send(Event::Worked(bytes)).is_ok() {
                    self.untold.fetch_sub(bytes, Ordering::Relaxed);
                }
            }
            Some(event) => drop(self.sender.try_send(event)),
        }
    }
}

/// A result: one check, one member.
#[derive(Clone, Debug)]
pub struct Row {
    /// The check.
    pub id: &'static str,
    /// The host; absent where the scope is the cluster.
    pub host: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// What it came to.
    pub verdict: Verdict,
    /// What was judged, as far as a run keeps it.
    pub seen: Option<Kept>,
    /// How the host is laid out: the hints name its own units, paths and tools.
    pub distribution: Distribution,
    /// How a person looks at the same, where that is not how the check's own words say.
    pub by_hand: Option<Phrase>,
    /// The certificates that were judged.
    pub certificates: Vec<Listed>,
    /// The images that were judged.
    pub images: HostImages,
}

impl Row {
    /// Returns how it ended.
    pub fn outcome(&self) -> Outcome {
        self.verdict.outcome()
    }
}
