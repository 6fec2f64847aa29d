//! Progress of long work: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::shown::shown;

/// The drawing board of one command. Cloned freely; all clones draw on the same board.
#[derive(Clone)]
pub struct Progress {
    board: Option<MultiProgress>,
    total: ProgressBar,
    quiet: bool,
    lines: Arc<Lines>,
}

/// State of the plain lines.
struct Lines {
    start: Instant,
    done: AtomicU64,
    length: AtomicU64,
    last: AtomicU64,
}

/// Without a terminal a line in total comes this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

impl Progress {
    /// Returns the board for stderr: bars where it is a terminal, plain lines where not, nothing when `quiet`.
    pub fn stderr(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let board = terminal.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8)));
        let total = board
            .as_ref()
            .map_or_else(ProgressBar::hidden, |board| board.add(ProgressBar::new(0)));
        total.set_style(style("{prefix:.bold} [{elapsed}] {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} eta {eta}"));
        let zero = || AtomicU64::new(0);
        let lines = Lines {
            start: Instant::now(),
            done: zero(),
            length: zero(),
            last: zero(),
        };
        Self {
            board,
            total,
            quiet,
            lines: Arc::new(lines),
        }
    }

    /// Names the work and sets its length in bytes, all items together.
    pub fn begin(&self, name: &str, length: u64) {
        let name = shown(name);
        self.total.set_prefix(name.clone());
        self.total.set_length(length);
        // Also shows the bar again that an earlier part of the work ended.
        self.total.reset();
        self.lines.done.store(0, Ordering::Relaxed);
        self.lines.length.store(length, Ordering::Relaxed);
        if length > 0 {
            self.say(&format!("{name}: {}", ByteSize(length)));
        }
    }

    /// Adds bytes that are part of no item.
    pub fn add(&self, bytes: u64) {
        self.total.inc(bytes);
        let done = self.lines.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.board.is_none() && !self.quiet {
            self.tick(done);
        }
    }

    /// Starts an item, for example a blob, with its length in bytes.
    pub fn item(&self, name: &str, length: u64) -> Item {
        let bar = match &self.board {
            Some(board) => board.insert_before(&self.total, ProgressBar::new(length)),
            None => ProgressBar::hidden(),
        };
        bar.set_style(style(
            "  {prefix:40!} {wide_bar} {binary_bytes}/{binary_total_bytes}",
        ));
        bar.set_prefix(shown(name));
        Item {
            bar,
            board: self.clone(),
        }
    }

    /// Prints a line above the bars.
    pub fn say(&self, line: &str) {
        use std::io::Write as _;
        // Much of what is told came from registries and archives.
        let line = shown(line);
        match &self.board {
            Some(board) => {
                let _ = board.println(&line);
            }
            None if !self.quiet => {
                let _ = writeln!(anstream::stderr(), "{line}");
            }
            None => {}
        }
    }

    /// Clears the bars.
    pub fn end(&self) {
        self.total.finish_and_clear();
    }

    fn tick(&self, done: u64) {
        let now = u64::try_from(self.lines.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.lines.last.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) >= u64::try_from(LINE_EVERY.as_millis()).unwrap_or(u64::MAX);
        if due
            && self
                .lines
                .last
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let length = self.lines.length.load(Ordering::Relaxed);
            self.say(&format!(
                "  {} of {} after {} s",
                ByteSize(done),
                ByteSize(length),
                now / 1000
            ));
        }
    }
}

/// One item of the work. Dropping it removes its bar.
pub struct Item {
    bar: ProgressBar,
    board: Progress,
}

impl Item {
    /// Adds bytes to the item and to the total.
    pub fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
        self.board.add(bytes);
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Returns a style; the templates are constants, so a bad one falls back to indicatif's own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
