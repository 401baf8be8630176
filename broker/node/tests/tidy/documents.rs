//! README.md and docs/ against the code.

use crate::table::rows;
use crate::tree::section;
use crate::{Complaints, named, none, tree};
use std::collections::BTreeSet;
use std::path::Path;

/// Every text between quotation marks.
fn quoted(source: &str) -> Vec<&str> {
    source.split('"').skip(1).step_by(2).collect()
}

/// Between two texts.
fn between<'a>(source: &'a str, from: &str, to: &str) -> &'a str {
    let after = source.split_once(from).unwrap_or_else(|| panic!("no {from}")).1;
    after.split_once(to).unwrap_or_else(|| panic!("no {to} after {from}")).0
}

/// What `cargo xtask test --install` may install, from its sources.
fn installed(install: &str, runtimes: &str) -> BTreeSet<String> {
    let compilers = between(install, "for (tool, package) in [", "]");
    let mut all: BTreeSet<String> =
        quoted(compilers).into_iter().skip(1).step_by(2).map(str::to_owned).collect();
    for list in runtimes.split("packages: &[").skip(1) {
        let list = list.split_once(']').map_or("", |(list, _)| list);
        all.extend(quoted(list).into_iter().map(str::to_owned));
    }
    all
}

fn packages(readme: &str, installed: &BTreeSet<String>) -> Complaints {
    let said: BTreeSet<String> = section(readme, "packages")
        .split_whitespace()
        .filter(|word| !word.starts_with("```"))
        .map(str::to_owned)
        .collect();
    let difference = said.symmetric_difference(installed);
    difference.map(|name| format!("{name} is only on one side")).collect()
}

/// Every key of ours is in the README, in back-ticks.
fn own_keys(readme: &str, config: &str) -> Complaints {
    let keys = quoted(between(config, "const KEYS", ";\n"));
    assert!(keys.len() > 5, "{keys:?}");
    let missing = keys.into_iter().filter(|key| !readme.contains(&format!("`{key}`")));
    missing.map(|key| format!("{key} is not explained")).collect()
}

/// The metrics of a table against the names in sources that begin so.
fn metrics(operations: &str, table: &str, prefix: &str, source: &str) -> Complaints {
    let names = quoted(source).into_iter().filter(|text| text.starts_with(prefix));
    let known: BTreeSet<String> = names.map(str::to_owned).collect();
    let said: BTreeSet<String> =
        rows(section(operations, table)).into_iter().map(|row| row[0].clone()).collect();
    said.symmetric_difference(&known).map(|name| format!("{name} is only on one side")).collect()
}

/// Every command that the binary's help lists is in the README.
fn commands(readme: &str, help: &str) -> Complaints {
    let list = help.split_once("Commands:").map_or("", |(_, rest)| rest);
    let lines = list.lines().skip(1).take_while(|line| line.starts_with("  "));
    let names = lines
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    if names.len() < 3 {
        return vec![format!("the help lists {names:?} only")];
    }
    let missing = names.into_iter().filter(|name| {
        !readme.contains(&format!("`ringwood {name}`"))
            && !readme.contains(&format!("`ringwood {name} "))
    });
    missing.map(|name| format!("ringwood {name} is not explained")).collect()
}

/// Rows of the table of limits that say something else than the code.
fn limits(operations: &str, expected: &[(&str, String)]) -> Complaints {
    let rows = rows(section(operations, "limits"));
    let said = |what: &str| rows.iter().find(|row| row[0] == what).map(|row| row[1].clone());
    let wrong = expected.iter().filter(|(what, limit)| said(what).as_ref() != Some(limit));
    wrong.map(|(what, limit)| format!("{what}: {:?}, not {limit}", said(what))).collect()
}

/// What the code has as its limits, in the words of the table.
fn limits_of_the_code() -> Vec<(&'static str, String)> {
    let server = server::Config::default();
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    let in_progress = (server.requests_in_flight_max, mib(server.request_bytes_in_flight_max));
    let topic = cluster::config::TopicConfig::defaults();
    let thousands = topic.max_message_bytes.to_string();
    vec![
        ("a request", mib(server.request_bytes_max)),
        ("what a batch decompresses to", mib(record::DECOMPRESSED_BYTES_MAX)),
        (
            "bytes of one partition in one fetch answer",
            format!("{}, or one batch", mib(store::READ_BYTES_MAX)),
        ),
        ("requests of one connection in progress", format!("{}, {}", in_progress.0, in_progress.1)),
        ("a batch, in bytes", thousands),
    ]
}

/// Links to files that are not there. `exists` is asked for paths from the root.
fn dead_links(path: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Complaints {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets
        .map(|(target, _)| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .filter(|target| !exists(&folder.join(target)))
        .map(|target| format!("{path} links to {target}, which is not there"))
        .collect()
}

/// Files of the repository that a document names in back-ticks, as far as they look like paths.
fn dead_paths(path: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Complaints {
    let roots = ["engine/", "net/", "replication/", "broker/", "xtask/", "perf/", "docs/"];
    let words = text.split('`').skip(1).step_by(2);
    words
        .filter(|word| roots.iter().any(|root| word.starts_with(root)))
        .filter(|word| !word.contains(['{', '*', '<', ' ']))
        .filter(|word| !exists(Path::new(word)))
        .map(|word| format!("{path} names {word}, which is not there"))
        .collect()
}

#[test]
fn the_readme_lists_what_install_installs() {
    let installed =
        installed(&tree::read("xtask/src/install.rs"), &tree::read("xtask/src/runtimes.rs"));
    assert!(installed.contains("g++") && installed.contains("maven"), "{installed:?}");
    none(&packages(&tree::read("README.md"), &installed));
}

#[test]
fn the_readme_explains_every_key_of_ours() {
    none(&own_keys(&tree::read("README.md"), &tree::read("broker/node/src/config/said.rs")));
}

#[test]
fn operations_lists_every_metric() {
    let operations = tree::read("docs/operations.md");
    let source = |wanted: &dyn Fn(&str) -> bool| -> String {
        let all = tree::files().into_iter().filter(|path| wanted(path));
        all.map(|path| tree::read(&path)).collect()
    };
    let below = "broker/node/src/metrics/";
    let own = source(&|p| p.starts_with(below) && !p.ends_with("tests.rs"));
    none(&metrics(&operations, "metrics", "ringwood_", &own));
    let compat = source(&|p| p.starts_with("broker/node/src/metrics/compat/"));
    none(&metrics(&operations, "compat metrics", "kafka_", &compat));
}

#[test]
fn the_readme_explains_every_command() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_ringwood")).arg("--help").output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    none(&commands(&tree::read("README.md"), &help));
}

#[test]
fn operations_has_the_limits_of_the_code() {
    none(&limits(&tree::read("docs/operations.md"), &limits_of_the_code()));
}

#[test]
fn links_and_paths_lead_somewhere() {
    let exists = |path: &Path| tree::root().join(path).exists();
    let documents = tree::files().into_iter().filter(|path| path.ends_with(".md"));
    let mut count = 0;
    for path in documents {
        let text = tree::read(&path);
        none(&dead_links(&path, &text, exists));
        none(&dead_paths(&path, &text, exists));
        count += 1;
    }
    assert!(count > 10, "{count} documents");
}

#[test]
fn what_is_missing_on_either_side_is_named() {
    let installed = installed(
        r#"for (tool, package) in [("cc", "gcc"), ("make", "make")] {"#,
        r#"packages: &["nodejs", "npm"], x packages: &["kcat"],"#,
    );
    assert_eq!(installed, ["gcc", "kcat", "make", "nodejs", "npm"].map(str::to_owned).into());
    let readme =
        "<!-- packages: begin -->\n```\ngcc make npm kcat cmake\n```\n<!-- packages: end -->";
    named(&packages(readme, &installed), &["nodejs", "cmake"]);

    let keys =
        "const KEYS: [&str; 6] = [\n\"a.a\", \"a.b\", \"a.c\", \"a.d\", \"a.e\", \"a.f\",\n];\n";
    named(&own_keys("`a.a` `a.b` `a.c` `a.d` `a.e`", keys), &["a.f"]);

    let table = "<!-- metrics: begin -->\n| n | w |\n|---|---|\n| `ringwood_a` | x |\n| `ringwood_b` | y |\n<!-- metrics: end -->";
    named(
        &metrics(
            table,
            "metrics",
            "ringwood_",
            r#"t.counter("ringwood_b"); t.gauge("ringwood_c", "help")"#,
        ),
        &["_a", "_c"],
    );
}

#[test]
fn a_command_that_is_not_explained_is_named() {
    let help = "A broker\n\nCommands:\n  start  Starts\n         one\n  topic  Topics\n  perf   Measures\n  help   Helps\n\nOptions:\n  -h  x\n";
    named(&commands("`ringwood start` and `ringwood topic list`", help), &["ringwood perf"]);
    named(&commands("", "no commands"), &["the help lists"]);
}

#[test]
fn a_wrong_limit_is_named() {
    let table = "<!-- limits: begin -->\n| w | l | s |\n|---|---|---|\n| a | 1 MiB | x |\n| b | 2 | y |\n<!-- limits: end -->";
    let expected = [("a", "1 MiB".to_owned()), ("b", "3".to_owned()), ("c", "4".to_owned())];
    named(&limits(table, &expected), &["b: ", "c: None"]);
}

#[test]
fn a_dead_link_is_named() {
    let exists = |path: &Path| [Path::new("docs/a.md"), Path::new("engine/log")].contains(&path);
    let text = "[a](a.md#part) [web](https://example.org) [b](b.md) `engine/log` `engine/lag` `engine/{a,b}`";
    named(&dead_links("docs/x.md", text, exists), &["b.md"]);
    named(&dead_paths("docs/x.md", text, exists), &["engine/lag"]);
}
