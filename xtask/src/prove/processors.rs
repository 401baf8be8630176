//! Which processors a broker has while it is measured, and which those that measure it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Fault;

/// A program on these processors, where they are named.
pub(super) fn on(processors: Option<&str>, program: &Path) -> Command {
    let Some(processors) = processors else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", processors]).arg(program);
    command
}

/// The processors of a broker of so many cores, and those that are left to the client. Nothing where none would be left, or
/// where there is no `taskset`: then they share them, and the client may be late by itself.
pub(super) fn sides(cores: u32) -> Option<(String, String)> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = usize::try_from(cores).ok().filter(|cores| *cores < all)?;
    Command::new("taskset").arg("--version").output().ok()?;
    Some((format!("0-{}", cores - 1), format!("{cores}-{}", all - 1)))
}

/// Keeps processors from sleeping, until it is dropped.
///
/// A virtual machine gives a processor that has nothing to do back to its host, and getting it again takes as long as the host
/// likes: a client that sleeps between records is late by that. What runs here is of the idle class: it gives way to everything.
pub(super) struct Awake(Child);

impl Awake {
    pub(super) fn keep(processors: &str) -> Result<Self, Fault> {
        let mut spin = on(Some(processors), Path::new("chrt"));
        // It ends by itself if whoever began it is killed.
        spin.args(["--idle", "0", "sh", "-c", "while kill -0 \"$1\"; do :; done", "sh"]);
        spin.arg(std::process::id().to_string()).stdin(Stdio::null()).stderr(Stdio::null());
        Ok(Self(spin.spawn().map_err(|error| format!("taskset: {error}"))?))
    }

    /// Whether it is still at it.
    pub(super) fn is_on(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        // It may have ended; there is nobody left to tell.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Clock ticks that a process has used.
    fn used(pid: u32) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    #[test]
    fn a_processor_is_kept_busy_until_it_is_let_go() {
        if Command::new("taskset").arg("--version").output().is_err() {
            eprintln!("SKIPPED: no taskset");
            return;
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let all = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let mut awake = Awake::keep(all.unwrap().trim()).unwrap();
        let pid = awake.0.id();
        let deadline = Instant::now() + Duration::from_secs(60);
        while used(pid) < 3 {
            assert!(awake.is_on() && Instant::now() < deadline, "it does nothing");
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(awake);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
