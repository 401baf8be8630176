//! Facts about the machine and the build that stand beside every table.

use std::fs;
use std::path::Path;
use std::process::Command;

/// One line each; what cannot be read is left out.
#[must_use]
pub fn facts(directory: &Path) -> Vec<String> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            facts.push(format!("{name}: {value}"));
        }
    };
    fact("revision", revision());
    fact("build", build());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    fact("machine", format!("{processors} processors, {}", field("/proc/cpuinfo", "model name")));
    fact("kernel", text("/proc/sys/kernel/osrelease"));
    fact("file system", file_system(directory));
    let load = text("/proc/loadavg");
    let load: Vec<&str> = load.split_ascii_whitespace().take(3).collect();
    fact("load average at the start", load.join(" "));
    facts
}

fn build() -> String {
    let profile = if cfg!(debug_assertions) { "debug: NO FIGURES" } else { "release" };
    let glommio = if cfg!(feature = "glommio") { "with" } else { "without" };
    format!("{profile}, {glommio} glommio")
}

/// The commit, and whether files differ from it.
fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match git(&["rev-parse", "--short=12", "HEAD"]) {
        None => String::new(),
        Some(commit) => match git(&["status", "--porcelain", "--untracked-files=no"]) {
            Some(changes) if changes.is_empty() => commit,
            _ => format!("{commit} with changes"),
        },
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn field(path: &str, name: &str) -> String {
    text(path)
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))
        .map(|value| value.trim().to_owned())
        .unwrap_or_default()
}

/// Type and device of the mount that holds `directory`.
fn file_system(directory: &Path) -> String {
    let Ok(directory) = directory.canonicalize() else { return String::new() };
    let mounts = text("/proc/self/mounts");
    let mount = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (device, at, kind) = (words.next()?, words.next()?, words.next()?);
            directory.starts_with(at).then(|| (at.len(), format!("{kind} on {device}")))
        })
        .max_by_key(|(len, _)| *len);
    mount.map_or_else(String::new, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_processors_and_a_kernel() {
        let facts = facts(&std::env::temp_dir());
        for name in ["machine: ", "kernel: ", "build: debug"] {
            assert!(facts.iter().any(|f| f.starts_with(name)), "{name} is not in {facts:?}");
        }
    }
}
