//! `--install`: brings what the suites need from the distribution. The only code here that changes the system.

use std::path::Path;
use std::process::Command;

use crate::runtimes::{PROMTOOL, RUNTIMES};
use crate::{Fault, program, tally::say};

/// Installs what is missing and leaves what is there alone.
pub(crate) fn run() -> Result<(), Fault> {
    let mut packages: Vec<&str> = Vec::new();
    for (tool, package) in [("cc", "gcc"), ("c++", "g++"), ("make", "make")] {
        if Command::new(tool).arg("--version").output().is_err() {
            packages.push(package);
        }
    }
    for runtime in RUNTIMES.iter().chain([&PROMTOOL]).filter(|runtime| !runtime.is_here()) {
        packages.extend(runtime.packages);
    }
    if packages.is_empty() {
        return say("install: nothing is missing");
    }
    if !Path::new("/etc/debian_version").exists() {
        return Err(format!(
            "--install knows the Debian family only; install by hand: {}",
            packages.join(" ")
        )
        .into());
    }
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    say(&format!("install: {}", packages.join(" ")))?;
    let mut install = apt(&["install", "--yes", "--no-install-recommends"]);
    install.args(&packages);
    program::three_tries(vec![apt(&["update"]), install]).map_err(Fault::from)
}
