//! Where things lie in the checkout.

mod sources;

use std::path::{Path, PathBuf};

pub(crate) use self::sources::sources;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
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
