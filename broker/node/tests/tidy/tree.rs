//! The checkout: its root, its files, its texts.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A file's text, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What builds and runs leave behind.
const LEFTOVERS: [&str; 5] = ["target", "runs", ".git", "node_modules", "__pycache__"];

/// Every file of the checkout by its path from the root, sorted.
pub(crate) fn files() -> Vec<String> {
    let root = root();
    let mut all = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if LEFTOVERS.contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                all.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    all.sort();
    all
}

/// The part of a document between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
pub(crate) fn section<'a>(document: &'a str, name: &str) -> &'a str {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let after = document.split_once(&begin).unwrap_or_else(|| panic!("no {begin}")).1;
    after.split_once(&end).unwrap_or_else(|| panic!("no {end}")).0
}
