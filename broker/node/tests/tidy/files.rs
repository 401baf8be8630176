//! Files that should not be there, or not like this.

use crate::{Complaints, named, none, tree};

/// What may lie at the top.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "COMPAT.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bench",
    "broker",
    "clippy-pure.toml",
    "clippy.toml",
    "deny.toml",
    "docs",
    "engine",
    "net",
    "perf",
    "replication",
    "rustfmt.toml",
    "xtask",
];

/// Lines of a source file that should make its author think, and that are too many.
const LONG: usize = 600;
const TOO_LONG: usize = 1000;

fn strays(files: &[String]) -> Complaints {
    let tops = files.iter().map(|path| path.split('/').next().unwrap_or_default());
    let mut strays: Vec<&str> = tops.filter(|top| !TOP.contains(top)).collect();
    strays.dedup();
    strays.into_iter().map(|top| format!("{top} does not belong at the top")).collect()
}

/// Sources over a number of lines, longest first.
fn longer_than(limit: usize, files: &[(String, usize)]) -> Vec<String> {
    let mut long: Vec<_> = files.iter().filter(|(_, lines)| *lines > limit).collect();
    long.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
    long.into_iter().map(|(path, lines)| format!("{path} has {lines} lines")).collect()
}

/// Beginnings of paths of somebody's machine, put together so that this file does not hold them.
fn machine_paths() -> Vec<String> {
    [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"], ["/Us", "ers/"]]
        .iter()
        .map(|p| p.concat())
        .collect()
}

fn machine(path: &str, text: &str) -> Complaints {
    let needles = machine_paths();
    let mut complaints = Complaints::new();
    for (number, line) in (1..).zip(text.lines()) {
        for needle in needles.iter().filter(|needle| starts_a_path(line, needle)) {
            complaints.push(format!("{path}:{number} names {needle}"));
        }
    }
    complaints
}

/// Not within a longer path: a folder of ours may have such a name.
fn starts_a_path(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| {
        line[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && !".-_/".contains(c))
    })
}

/// A folder holds its module's name beside it, never in it.
fn mod_files(files: &[String]) -> Complaints {
    let inside = files.iter().filter(|path| path.ends_with("/mod.rs"));
    inside.map(|path| format!("{path}: foo.rs beside foo/, not foo/mod.rs")).collect()
}

fn sources() -> Vec<(String, usize)> {
    let rust = tree::files().into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| (path.clone(), tree::read(&path).lines().count())).collect()
}

#[test]
fn nothing_stray_lies_at_the_top() {
    let files = tree::files();
    assert!(files.len() > 100);
    none(&strays(&files));
    none(&mod_files(&files));
}

#[test]
fn no_source_is_too_long() {
    let sources = sources();
    for line in longer_than(LONG, &sources) {
        eprintln!("long: {line}");
    }
    none(&longer_than(TOO_LONG, &sources));
}

#[test]
fn nothing_names_a_path_of_somebodys_machine() {
    for path in tree::files() {
        // What is not text names nothing.
        if let Ok(text) = std::fs::read_to_string(tree::root().join(&path)) {
            none(&machine(&path, &text));
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let files =
        ["README.md", "notes.txt", "engine/ids/src/mod.rs", "tmp/a", "tmp/b"].map(str::to_owned);
    named(&strays(&files), &["notes.txt", "tmp"]);
    named(&mod_files(&files), &["engine/ids/src/mod.rs"]);
    let sizes = [("a.rs", 600), ("b.rs", 601), ("c.rs", 1001)].map(|(p, n)| (p.to_owned(), n));
    assert_eq!(longer_than(LONG, &sizes), ["c.rs has 1001 lines", "b.rs has 601 lines"]);
    named(&longer_than(TOO_LONG, &sizes), &["c.rs"]);
    let [work, root, ..] = &machine_paths()[..] else { panic!("no needles") };
    let text = format!("cd {work}main\nnet{work}x and ~{root}\n\"{root}.cargo\"\n");
    named(&machine("x", &text), &["x:1", "x:2", "x:3"]);
}
