//! Facts about the machine that stand beside every number.

mod counters;
mod process;
mod storage;
mod whole;

use std::{fs, time::SystemTime};

pub use counters::Counters;
pub(crate) use counters::interval_log;
pub(crate) use process::is_local;
pub use process::{Usage, Used, listening_on};
pub use storage::Storage;
pub use whole::{Meanwhile, Whole};

/// The machine that the generator ran on. What cannot be read stays empty.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Cores of the machine, whichever of them this process keeps to.
    pub cores: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Operating system and kernel release.
    pub kernel: String,
    /// Frequency governor of the first core, where there is one.
    pub governor: String,
    /// Open files allowed, and the control group's CPU and memory bounds.
    pub limits: Vec<String>,
    /// Load average when the run began: who else was at work.
    pub load_average: String,
    /// The file system and device of the directory that matters.
    pub storage: Option<Storage>,
}

/// Bytes that could be given to somebody without pushing anybody out, within the control group's bound. `None`: the system does not tell.
pub(crate) fn memory_available() -> Option<u64> {
    let meminfo = text("/proc/meminfo");
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024;
    let group = |name| text(&format!("/sys/fs/cgroup/{name}")).trim().parse::<u64>().ok();
    let room = group("memory.max").zip(group("memory.current"));
    Some(room.map_or(free, |(most, now)| free.min(most.saturating_sub(now))))
}

impl Machine {
    /// Looks around. `directory` is the broker's data directory where it is known, else the run directory.
    #[must_use]
    pub fn look(directory: Option<&std::path::Path>) -> Self {
        let cpuinfo = text("/proc/cpuinfo");
        let field = |text: &str, name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))
                .map(|value| value.trim().to_owned())
                .unwrap_or_default()
        };
        let memory = field(&text("/proc/meminfo"), "MemTotal");
        let memory: u64 = memory.trim_end_matches("kB").trim().parse().unwrap_or(0);
        let mut limits = Vec::new();
        if let Some(line) =
            text("/proc/self/limits").lines().find(|l| l.starts_with("Max open files"))
        {
            limits.push(line.split_ascii_whitespace().take(4).collect::<Vec<_>>().join(" "));
        }
        for name in ["cpu.max", "memory.max"] {
            let value = text(&format!("/sys/fs/cgroup/{name}"));
            if !value.is_empty() {
                limits.push(format!("cgroup {name} {}", value.trim()));
            }
        }
        Self {
            cpu: field(&cpuinfo, "model name"),
            cores: match cpuinfo.lines().filter(|line| line.starts_with("processor")).count() {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                cores => cores,
            },
            memory_bytes: memory * 1024,
            kernel: format!(
                "{} {}",
                std::env::consts::OS,
                text("/proc/sys/kernel/osrelease").trim()
            ),
            governor: text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .trim()
                .to_owned(),
            limits,
            load_average: text("/proc/loadavg")
                .split_ascii_whitespace()
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
            storage: directory.and_then(Storage::of),
        }
    }
}

/// A small file's text; empty where it cannot be read (another system, a container).
fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A time as people write it in UTC: `2026-01-31T12:00:00Z`.
#[must_use]
pub fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 1 March of year 0, so that the leap day ends a year; an era is 400 years.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_machine_has_cores() {
        let machine = Machine::look(Some(&std::env::temp_dir()));
        assert!(machine.cores > 0);
        assert!(!machine.kernel.is_empty());
    }

    #[test]
    fn utc_knows_leap_days() {
        let at = |s| utc(SystemTime::UNIX_EPOCH + Duration::from_secs(s));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(at(1_767_225_600), "2026-01-01T00:00:00Z");
    }
}
