//! Which processors a broker has while it is measured, and which those that measure it.

use std::path::Path;
use std::process::Command;

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
