//! `--install`: brings what the suites need from the distribution. The only code here that changes the system.

use std::path::Path;
use std::process::Command;

use crate::runtimes::{PROMTOOL, RUNTIMES};
use crate::{Fault, program, tally::say};

/// Installs what is missing and leaves what is there alone; cargo-deny, which takes minutes to build, only where it is required.
pub(crate) fn run(deny: bool) -> Result<(), Fault> {
    let mut packages: Vec<&str> = Vec::new();
    // Compilers, what the tests with interfaces and file systems of their own start, and what proofs count and make file systems
    // with. Whether a tool knows the word does not matter: none of them does anything else then.
    for (tool, package) in [
        ("cc", "gcc"),
        ("c++", "g++"),
        ("make", "make"),
        ("ip", "iproute2"),
        ("mkfs.ext4", "e2fsprogs"),
        ("mkfs.xfs", "xfsprogs"),
        ("valgrind", "valgrind"),
    ] {
        if Command::new(tool).arg("--version").output().is_err() {
            packages.push(package);
        }
    }
    for runtime in RUNTIMES.iter().chain([&PROMTOOL]).filter(|runtime| !runtime.is_here()) {
        packages.extend(runtime.packages);
    }
    if packages.is_empty() {
        say("install: no package is missing")?;
        return if deny { cargo_deny() } else { Ok(()) };
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
    program::three_tries(vec![apt(&["update"]), install])?;
    if deny { cargo_deny() } else { Ok(()) }
}

/// It is in no distribution, and cargo brings it.
fn cargo_deny() -> Result<(), Fault> {
    let here = Command::new("cargo-deny").arg("--version").output();
    if here.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    say("install: cargo-deny, by cargo")?;
    let mut install = Command::new("cargo");
    install.args(["install", "--locked", "cargo-deny"]);
    program::three_tries(vec![install]).map_err(Fault::from)
}
