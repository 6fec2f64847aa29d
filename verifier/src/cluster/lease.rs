//! How runs tell each other that they live, as two machines without clock, network or sleep: whoever drives them asks the API
//! server what [`Keeper::next`] and [`Sweeper::next`] say, and tells them the answers. The model below tries them against
//! clocks that step, pauses and answers that are lost.
//!
//! - A run's sign is its Lease. It is renewed with the version (resourceVersion) that was seen last, so that no renewal comes
//!   after somebody else's word.
//! - How old a sign is, is the API server's to say: when it wrote the Lease last, and what time it has now. No clock of a
//!   machine that runs verifiers is compared with another.
//! - A sign that is old by that clock is watched for more than two beats, by a clock that goes on evenly, before it counts: a
//!   server's clock that stepped makes no living run a dead one.
//! - To sweep a run is to give up its Lease first, with the version that was watched: either that or a renewal happens, never
//!   both. Only then does the namespace go. A run whose Lease was given up writes no more and says so.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A living run gives a sign this often.
pub(super) const BEAT: Duration = Duration::from_secs(5);
/// A run that gave no sign for this long is dead.
pub(super) const DEAD_AFTER: Duration = Duration::from_mins(5);
/// An old sign is watched for this long before it counts.
pub(super) const WATCH: Duration = Duration::from_secs(12);

/// A run's Lease, as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// Its resourceVersion.
    pub version: String,
    /// Who holds it; empty: it was given up.
    pub holder: String,
    /// When it was written last, by the server's clock; absent where neither server nor run says.
    pub written: Option<Timestamp>,
}

/// What was seen of a run's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    /// When the namespace was made, by the server's clock.
    pub made: Option<Timestamp>,
    /// Whether it is being removed already.
    pub ending: bool,
    /// The Lease; absent: the run has not made it yet.
    pub sign: Option<Sign>,
}

impl Trace {
    /// Returns whether the run counts as alive at `now`, by the server's clock.
    fn is_fresh(&self, now: Timestamp) -> bool {
        let last = match &self.sign {
            Some(sign) => sign.written,
            None => self.made,
        };
        let limit = SignedDuration::try_from(DEAD_AFTER).unwrap_or(SignedDuration::MAX);
        // Who says nothing of the time is not known to be dead.
        last.is_none_or(|last| now.duration_since(last) < limit)
    }
}

/// What a run asks next to keep its sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeeperAsk {
    /// Wait for a beat.
    Rest,
    /// Renew the Lease, if it has this version still.
    Renew(String),
    /// Read the Lease.
    Read,
    /// Nothing more: the run's place was taken.
    Stop,
}

/// What a run was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeeperTold {
    /// A beat has passed.
    Rested,
    /// The Lease as it is now.
    Sign(Sign),
    /// The Lease has another version.
    Conflict,
    /// There is no such Lease: it went with its namespace.
    Missing,
    /// No answer: it may have happened or not.
    Silent,
}

/// The run's side.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    holder: String,
    version: String,
    next: KeeperAsk,
}

impl Keeper {
    /// Returns the keeper of a Lease that was just made.
    pub(super) fn new(sign: &Sign) -> Self {
        Self {
            holder: sign.holder.clone(),
            version: sign.version.clone(),
            next: KeeperAsk::Rest,
        }
    }

    /// Returns what to ask.
    pub(super) fn next(&self) -> KeeperAsk {
        self.next.clone()
    }

    /// Takes in the answer to what was asked.
    pub(super) fn told(&mut self, told: KeeperTold) {
        self.next = match (&self.next, told) {
            (KeeperAsk::Stop, _) => KeeperAsk::Stop,
            (KeeperAsk::Rest, _) => KeeperAsk::Renew(self.version.clone()),
            // Given up by a sweep.
            (_, KeeperTold::Sign(sign)) if sign.holder != self.holder => KeeperAsk::Stop,
            (asked, KeeperTold::Sign(sign)) => {
                self.version = sign.version;
                // A Lease that was only read was not renewed: an answer that was lost, or somebody's annotation.
                match asked {
                    KeeperAsk::Read => KeeperAsk::Renew(self.version.clone()),
                    _ => KeeperAsk::Rest,
                }
            }
            (_, KeeperTold::Conflict) => KeeperAsk::Read,
            (_, KeeperTold::Missing) => KeeperAsk::Stop,
            (_, KeeperTold::Silent | KeeperTold::Rested) => KeeperAsk::Rest,
        };
    }
}

/// What a sweep asks next about a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SweeperAsk {
    /// Wait for [`WATCH`], by a clock that goes on evenly.
    Watch,
    /// Give up the Lease, if it has this version still.
    GiveUp(String),
    /// Make the Lease, held by nobody, if there is none.
    Take,
    /// Remove the namespace, if it is the very one that was seen.
    Remove,
    /// Nothing more.
    End(Swept),
}

/// What a sweep was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SweeperTold {
    /// It was done.
    Done,
    /// The object has another version, or is there already.
    Conflict,
    /// There is no such object.
    Missing,
    /// It cannot be done, or no answer came.
    Failed,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// The run is alive.
    Alive,
    /// It is being removed.
    Removed,
    /// Somebody else is at it, or it changed while it was looked at: the next start looks again.
    Left,
    /// It could not be removed.
    Failed,
}

/// The side of who removes what dead runs left.
#[derive(Clone, Debug)]
pub(super) struct Sweeper {
    version: Option<String>,
    next: SweeperAsk,
}

impl Sweeper {
    /// Returns the sweep of a namespace that was seen at `now`, by the server's clock.
    pub(super) fn new(trace: &Trace, now: Timestamp) -> Self {
        let version = trace.sign.as_ref().map(|sign| sign.version.clone());
        let given_up = trace.sign.as_ref().is_some_and(|sign| sign.holder.is_empty());
        let next = if trace.ending || given_up {
            SweeperAsk::Remove
        } else if trace.is_fresh(now) {
            SweeperAsk::End(Swept::Alive)
        } else {
            SweeperAsk::Watch
        };
        Self { version, next }
    }

    /// Returns what to ask.
    pub(super) fn next(&self) -> SweeperAsk {
        self.next.clone()
    }

    /// Takes in the answer to what was asked.
    pub(super) fn told(&mut self, told: SweeperTold) {
        self.next = match (&self.next, told) {
            (SweeperAsk::End(swept), _) => SweeperAsk::End(*swept),
            (SweeperAsk::Watch, _) => match self.version.take() {
                Some(version) => SweeperAsk::GiveUp(version),
                None => SweeperAsk::Take,
            },
            (SweeperAsk::GiveUp(_) | SweeperAsk::Take, SweeperTold::Done) => SweeperAsk::Remove,
            (SweeperAsk::GiveUp(_) | SweeperAsk::Take, SweeperTold::Conflict) => {
                SweeperAsk::End(Swept::Alive)
            }
            (SweeperAsk::Remove, SweeperTold::Done | SweeperTold::Missing) => SweeperAsk::End(Swept::Removed),
            (_, SweeperTold::Conflict | SweeperTold::Missing) => SweeperAsk::End(Swept::Left),
            (_, SweeperTold::Failed) => SweeperAsk::End(Swept::Failed),
        };
    }
}

#[cfg(test)]
mod tests;
