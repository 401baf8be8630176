//! Where things lie in the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The revision of the checkout; with `+` if something in it differs. Empty where there is no git.
pub(crate) fn revision() -> String {
    let git = |words: &[&str]| {
        let out = Command::new("git").args(words).current_dir(root()).output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "HEAD"]).unwrap_or_default();
    let differs = git(&["status", "--porcelain"]).is_none_or(|changes| !changes.is_empty());
    if differs { format!("{head}+") } else { head }
}

/// Where the client programs live.
pub(crate) fn clients() -> PathBuf {
    root().join("broker/node/tests/clients")
}

/// Where everything that the client suites install and write goes.
pub(crate) fn work() -> PathBuf {
    target().join("clients")
}

/// A binary of this workspace, as the tests build it.
pub(crate) fn binary(name: &str) -> PathBuf {
    target().join("debug").join(name)
}

/// The same with all optimizations, as users run it.
pub(crate) fn release_binary(name: &str) -> PathBuf {
    target().join("release").join(name)
}
