//! Tells the program which source it was built from, so that every run says what it measured with.
//!
//! `RINGWOOD_REVISION` in the environment wins. Otherwise a release build asks git; a development build says that it is one:
//! asking there would build the crate anew after every commit.

use std::{path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=RINGWOOD_REVISION");
    println!("cargo::rerun-if-changed=build.rs");
    let told = std::env::var("RINGWOOD_REVISION").ok().filter(|told| !told.is_empty());
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let revision = match told {
        Some(told) => told,
        None if is_release => described().unwrap_or_else(|| "unknown revision".into()),
        None => "development build".into(),
    };
    println!("cargo::rustc-env=RINGWOOD_REVISION={revision}");
}

/// The commit, marked where files differ from it.
fn described() -> Option<String> {
    for name in ["HEAD", "logs/HEAD"] {
        // Whatever moves the work tree to another commit changes one of these.
        if let Some(path) =
            git(&["rev-parse", "--git-path", name]).filter(|p| Path::new(p).exists())
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["describe", "--always", "--dirty", "--abbrev=12"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
