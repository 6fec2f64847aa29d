//! The threads that hash members, and their bounded queues.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, Scope};

use crate::audit::Audit;
use crate::background::{BUFFER, QUEUE};
use crate::error::ReadError;

/// How many threads hash members.
const WORKERS: usize = 2;

/// Work for a hashing thread. A member stays with the thread that began it.
pub(super) enum Job {
    Begin(usize, Box<Audit>),
    Bytes(Vec<u8>),
    End,
    /// The rest of the member cannot be read.
    Abandon,
}

/// A hashing thread's queue.
pub(super) struct Worker {
    jobs: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
}

impl Worker {
    pub(super) fn send(&self, job: Job) {
        if let Job::Bytes(bytes) = &job {
            self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        // A thread that is gone has panicked, and the scope passes that on.
        let _ = self.jobs.send(job);
    }
}

/// The hashing threads, and the buffers that go round.
pub(super) struct Pool {
    workers: Vec<Worker>,
    empty: Receiver<Vec<u8>>,
}

impl Pool {
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        report: &Sender<(usize, ReadError)>,
    ) -> io::Result<Self> {
        let (done, empty) = channel();
        let mut workers = Vec::new();
        for _ in 0..WORKERS {
            let (jobs, queue) = sync_channel(QUEUE);
            let waiting = Arc::new(AtomicUsize::new(0));
            let lane = Lane {
                queue,
                waiting: Arc::clone(&waiting),
                done: done.clone(),
                report: report.clone(),
            };
            thread::Builder::new()
                .name("check".to_owned())
                .spawn_scoped(scope, move || lane.run())?;
            workers.push(Worker { jobs, waiting });
        }
        Ok(Self { workers, empty })
    }

    /// Returns the thread with the least bytes before it.
    pub(super) fn idlest(&self) -> &Worker {
        let waiting = |worker: &&Worker| worker.waiting.load(Ordering::Relaxed);
        // There is always one: WORKERS is not zero.
        self.workers
            .iter()
            .min_by_key(waiting)
            .unwrap_or(&self.workers[0])
    }

    pub(super) fn buffer(&self) -> Vec<u8> {
        self.empty
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(BUFFER))
    }
}

/// The other end of a [`Worker`].
struct Lane {
    queue: Receiver<Job>,
    waiting: Arc<AtomicUsize>,
    done: Sender<Vec<u8>>,
    report: Sender<(usize, ReadError)>,
}

impl Lane {
    fn run(self) {
        let mut current = None;
        for job in self.queue {
            match job {
                Job::Begin(at, audit) => current = Some((at, audit)),
                Job::Bytes(bytes) => {
                    if let Some((_, audit)) = &mut current {
                        audit.update(&bytes);
                    }
                    self.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
                    // Nobody takes buffers back once the last member was read.
                    let _ = self.done.send(bytes);
                }
                Job::Abandon => current = None,
                Job::End => {
                    if let Some((at, audit)) = current.take()
                        && let Err(problem) = audit.finish()
                    {
                        // The receiver outlives the scope of the threads.
                        let _ = self.report.send((at, problem));
                    }
                }
            }
        }
    }
}
