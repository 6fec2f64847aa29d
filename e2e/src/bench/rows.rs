//! What is measured: the rows of docs/benchmarks.md.

mod audits;
mod build;
mod check;
mod containerd;
mod load;
mod media;
mod suite;

use std::error::Error;

use media::Media;

/// The rows that there are.
const ROWS: [&str; 5] = ["audits", "build", "check", "load", "suite"];

/// Runs the rows named, or all, and prints each as a Markdown table when it is done.
pub fn run(names: &[String]) -> Result<(), Box<dyn Error>> {
    if let Some(unknown) = names.iter().find(|name| !ROWS.contains(&name.as_str())) {
        return Err(format!("there is no row {unknown:?}; the rows are {}", ROWS.join(", ")).into());
    }
    let chosen = |row: &str| names.is_empty() || names.iter().any(|name| name == row);
    println!("{}", machine());
    if chosen("audits") {
        println!("{}", audits::row().markdown());
    }
    if chosen("suite") {
        for row in suite::rows() {
            println!("{}", row.markdown());
        }
    }
    if ["build", "check", "load"].into_iter().any(chosen) {
        media_rows(chosen)?;
    }
    Ok(())
}

/// Measures what works on large archives.
fn media_rows(chosen: impl Fn(&str) -> bool) -> Result<(), Box<dyn Error>> {
    let media = Media::new()?;
    if chosen("build") {
        for row in build::rows(&media)? {
            println!("{}", row.markdown());
        }
        println!("{}", build::stages(&media)?);
    }
    let large = media.archive("large", media::ALL)?;
    if chosen("check") {
        println!("{}", check::row(&large).markdown());
    }
    if chosen("load") {
        let small = media.archive("small", media::SMALL)?;
        for row in load::rows(&small, &large)? {
            println!("{}", row.markdown());
        }
    }
    Ok(())
}

/// Returns a line that says what the figures were measured on.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default();
        line.split_once(':')
            .map_or("?", |(_, value)| value)
            .trim()
            .to_owned()
    };
    let cpu = read("/proc/cpuinfo");
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = value(&read("/proc/meminfo"), "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "Machine: {cores} x {}, {memory} of memory, Linux {}\n",
        value(&cpu, "model name"),
        kernel.trim()
    )
}
