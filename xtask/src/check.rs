//! Formatting and lints, as every change must pass them.

use std::process::Command;

use crate::{Fault, program, tally::Tally, tree};

/// Each check with its command.
fn steps() -> Vec<(&'static str, Command)> {
    let cargo = |words: &[&str]| {
        let mut command = Command::new("cargo");
        command.args(words).current_dir(tree::root());
        command
    };
    vec![
        ("check/fmt", cargo(&["fmt", "--all", "--check"])),
        (
            "check/clippy",
            cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        ),
    ]
}

/// Counts both into a tally.
pub(crate) fn count(tally: &mut Tally) -> Result<(), Fault> {
    for (name, mut command) in steps() {
        let good = program::follow(&mut command, |_| {})?;
        tally.check(name, (!good).then_some("see above"))?;
    }
    Ok(())
}

/// `cargo xtask check`.
pub(crate) fn run() -> Result<bool, Fault> {
    let mut good = true;
    for (_, mut command) in steps() {
        good &= program::follow(&mut command, |_| {})?;
    }
    Ok(good)
}
