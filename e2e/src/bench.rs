//! Measures programs side by side: wall-clock time, peak memory and peak use of the disk, medians of alternating runs.

pub mod rows;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// One way to do the job of a row.
pub struct Contender<'a> {
    /// Its name in the table; ours begins with `bundler` or `verifier`.
    pub name: &'a str,
    /// Brings the world back to the state before the job.
    pub before: Box<dyn Fn() + 'a>,
    /// The job.
    pub command: Box<dyn Fn() -> Command + 'a>,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
struct Run {
    time: Duration,
    /// Peak resident set in bytes: of the process, or of the largest of those that it started.
    memory: u64,
    /// Peak use of the disk, in lengths of the result; zero where it was not looked at.
    copies: f64,
}

/// A directory in which all contenders work, and what each makes there.
pub struct Disk {
    /// The directory.
    pub directory: PathBuf,
    /// The result.
    pub result: PathBuf,
}

/// The row of a table: each contender with its runs.
pub struct Row {
    title: String,
    entries: Vec<(String, Vec<Run>)>,
}

/// Runs every contender `rounds` times, in turn, so that what the machine does meanwhile hits all alike.
///
/// # Panics
///
/// When a contender fails: a figure of a job that was not done means nothing.
pub fn compare(title: &str, rounds: usize, contenders: &[Contender<'_>]) -> Row {
    compare_on(title, rounds, contenders, None)
}

/// Like [`compare`], and looks at the use of a disk.
///
/// # Panics
///
/// When a contender fails.
pub fn compare_on(title: &str, rounds: usize, contenders: &[Contender<'_>], disk: Option<&Disk>) -> Row {
    let mut entries: Vec<(String, Vec<Run>)> = contenders
        .iter()
        .map(|c| (c.name.to_owned(), Vec::new()))
        .collect();
    for _ in 0..rounds {
        for (contender, (_, runs)) in contenders.iter().zip(&mut entries) {
            (contender.before)();
            runs.push(measure(contender.name, (contender.command)(), disk));
        }
    }
    Row {
        title: title.to_owned(),
        entries,
    }
}

/// Runs `command` to its end. The peak memory is the kernel's own high-water mark (`VmHWM`, proc(5)), read while it runs.
fn measure(name: &str, mut command: Command, disk: Option<&Disk>) -> Run {
    let before = disk.map_or(0, |disk| used(&disk.directory));
    let begin = Instant::now();
    let (mut peak, mut looked) = (0, begin);
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("start {name}: {error}"));
    let mut memory = 0;
    loop {
        for process in family(child.id()) {
            let status = std::fs::read_to_string(format!("/proc/{process}/status"));
            memory = memory.max(status.ok().and_then(|text| high_water_mark(&text)).unwrap_or(0));
        }
        if let Some(status) = child
            .try_wait()
            .unwrap_or_else(|error| panic!("wait for {name}: {error}"))
        {
            assert!(status.success(), "{name} ended with {status}: {command:?}");
            return Run {
                time: begin.elapsed(),
                memory,
                copies: disk.map_or(0.0, |disk| disk.copies(peak, before)),
            };
        }
        // Rarely: a directory of many blobs costs time to look at.
        if let Some(disk) = disk.filter(|_| looked.elapsed() > Duration::from_millis(50)) {
            peak = used(&disk.directory).max(peak);
            looked = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Disk {
    /// Returns how often the result would fit into what was used at most.
    fn copies(&self, peak: u64, before: u64) -> f64 {
        let length = fs::metadata(&self.result).map_or(0, |metadata| metadata.len());
        let peak = peak.max(used(&self.directory)).saturating_sub(before);
        // In KiB, which a float holds exactly.
        let kib = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX));
        kib(peak) / kib(length).max(1.0)
    }
}

/// Returns what a file or a directory takes on the disk, in bytes.
fn used(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    let mut used = metadata.blocks() * 512;
    if metadata.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        used += entries.map(|entry| self::used(&entry.path())).sum::<u64>();
    }
    used
}

/// Returns a process and all that descend from it: the job often runs below a shell, or below what enters a host.
fn family(process: u32) -> Vec<u32> {
    let mut family = vec![process];
    let mut at = 0;
    while let Some(parent) = family.get(at) {
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = children.unwrap_or_default();
        family.extend(
            children
                .split_whitespace()
                .filter_map(|child| child.parse::<u32>().ok()),
        );
        at += 1;
    }
    family
}

/// Returns the `VmHWM` of a `/proc/PID/status` in bytes.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib << 10)
}

impl Row {
    /// Returns the row as a Markdown table. Ratios are against the first contender, ours.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "### {}\n\n| | median s | of the first | all runs s | peak MiB | copies on disk |\n|---|---|---|---|---|---|\n",
            self.title
        );
        let ours = self.entries.first().map_or(0.0, |(_, runs)| median(runs));
        for (name, runs) in &self.entries {
            let all: Vec<String> = runs
                .iter()
                .map(|run| format!("{:.2}", run.time.as_secs_f64()))
                .collect();
            let memory = runs.iter().map(|run| run.memory >> 20).max().unwrap_or(0);
            let time = median(runs);
            let copies = runs.iter().map(|run| run.copies).fold(0.0, f64::max);
            let copies = if copies > 0.0 {
                format!("{copies:.2}")
            } else {
                "-".to_owned()
            };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {name} | {time:.2} | {:.2} | {} | {memory} | {copies} |",
                time / ours,
                all.join(" ")
            );
        }
        text
    }

    /// Returns the median time of a contender in seconds.
    pub fn median(&self, name: &str) -> Option<f64> {
        self.entries
            .iter()
            .find(|(entry, _)| entry == name)
            .map(|(_, runs)| median(runs))
    }
}

fn median(runs: &[Run]) -> f64 {
    let mut times: Vec<f64> = runs.iter().map(|run| run.time.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_in_bytes() {
        assert_eq!(
            high_water_mark("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(high_water_mark("Name:\tx\n"), None);
    }

    #[test]
    fn contenders_take_turns_and_are_compared_with_the_first() {
        let job = |name| Contender {
            name,
            before: Box::new(|| ()),
            command: Box::new(|| Command::new("true")),
        };
        let row = compare("nothing", 3, &[job("ours"), job("theirs")]);
        assert_eq!(
            row.markdown()
                .lines()
                .filter(|line| line.starts_with("| ours") || line.starts_with("| theirs"))
                .count(),
            2
        );
        assert!(row.median("theirs").is_some() && row.median("nobody").is_none());
    }
}
