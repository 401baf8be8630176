//! Who may use whom.

use crate::packages::{Graph, Package};
use crate::{Complaints, named, none, tree};

const WORDS: u8 = 0;
const BYTES: u8 = 1;
const DECISIONS: u8 = 2;
const SEAM: u8 = 3;
const DRIVERS: u8 = 4;
const ROOF: u8 = 5;
/// Tools use what they like, and nobody uses them.
const TOOLS: u8 = 6;

/// Every crate's floor. A crate uses only floors below its own.
const FLOORS: &[(&str, u8)] = &[
    ("ringwood-ids", WORDS),
    ("ringwood-stages", BYTES),
    ("ringwood-record", BYTES),
    ("ringwood-wire", BYTES),
    ("ringwood-log", DECISIONS),
    ("ringwood-replica", DECISIONS),
    ("ringwood-cluster", DECISIONS),
    ("ringwood-coordinator", DECISIONS),
    ("ringwood-runtime", SEAM),
    ("ringwood-store", DRIVERS),
    ("ringwood-server", DRIVERS),
    ("ringwood-client", DRIVERS),
    ("ringwood-quorum", DRIVERS),
    ("ringwood-cli", ROOF),
    ("ringwood-http", ROOF),
    ("ringwood-perf", ROOF),
    ("ringwood", ROOF),
    ("ringwood-bench-core", ROOF),
    ("ringwood-bench-glommio", ROOF),
    ("ringwood-bench", TOOLS),
    ("ringwood-clients-corpus", ROOF),
    ("ringwood-clients-rdkafka", TOOLS),
    ("xtask", TOOLS),
];

/// On one floor, who may use whom: the one binary has the commands in it.
const BESIDE: &[(&str, &str)] = &[
    ("ringwood", "ringwood-cli"),
    ("ringwood", "ringwood-http"),
    ("ringwood", "ringwood-perf"),
    ("ringwood-cli", "ringwood-perf"),
    ("ringwood-bench-glommio", "ringwood-bench-core"),
];

/// All that pure crates may use of others: none of these does I/O, reads a clock or starts a thread.
const PURE_USES: &[&str] = &[
    "bytes",
    "crc32c",
    "flate2",
    "foldhash",
    "hashbrown",
    "lz4",
    "lz4_flex",
    "regex",
    "slab",
    "siphasher",
    "smallvec",
    "snap",
    "twox-hash",
    "zstd",
];

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(n, _)| *n == name).map(|(_, floor)| *floor)
}

fn is_pure(name: &str) -> bool {
    floor(name).is_some_and(|f| f <= DECISIONS)
}

fn is_tool(name: &str) -> bool {
    // Baselines beside the reactor, and clients of others.
    name.starts_with("ringwood-bench") || name.starts_with("ringwood-clients") || name == "xtask"
}

fn edges(graph: &Graph) -> Complaints {
    let mut complaints = Complaints::new();
    for user in graph.members.values() {
        let Some(own) = floor(&user.name) else {
            complaints.push(format!("{} has no floor", user.name));
            continue;
        };
        for used in user.uses.iter().filter(|used| graph.members.contains_key(*used)) {
            let beside = BESIDE.contains(&(user.name.as_str(), used.as_str()));
            match floor(used) {
                Some(below) if below < own || beside => {}
                Some(_) => {
                    complaints.push(format!("{} uses {used}, which is not below it", user.name))
                }
                None => complaints.push(format!("{used} has no floor")),
            }
            let folders = [top(user), top(&graph.members[used])];
            if folders == ["net", "replication"] || folders == ["replication", "net"] {
                complaints.push(format!(
                    "{} uses {used}: net and replication do not know each other",
                    user.name
                ));
            }
        }
    }
    complaints
}

fn top(package: &Package) -> &str {
    package.folder.split('/').next().unwrap_or_default()
}

fn strangers(graph: &Graph) -> Complaints {
    let mut complaints = Complaints::new();
    for (name, package) in &graph.members {
        let foreign = package.uses.iter().filter(|used| !graph.members.contains_key(*used));
        for used in foreign.filter(|used| is_pure(name) && !PURE_USES.contains(&used.as_str())) {
            complaints.push(format!("{name} is pure and uses {used}"));
        }
        let direct = package.uses.contains("io-uring") || package.tests_use.contains("io-uring");
        if direct && name != "ringwood-runtime" {
            complaints.push(format!("{name} uses io-uring; only ringwood-runtime may"));
        }
        let low = floor(name).is_some_and(|f| f < ROOF) && name != "ringwood-quorum";
        if low && graph.reaches(name).contains("tokio") {
            complaints.push(format!("{name} reaches tokio, which is for the control thread"));
        }
    }
    complaints
}

/// What a manifest and its crate root must say.
fn manners(package: &Package, manifest: &str, crate_root: &str) -> Complaints {
    let name = &package.name;
    let mut complaints = Complaints::new();
    if package.description.len() < 20 {
        complaints.push(format!("{name} does not describe itself"));
    }
    if package.license != "Apache-2.0" {
        complaints.push(format!("{name} has the licence {:?}", package.license));
    }
    if !manifest.contains("[lints]\nworkspace = true") {
        complaints.push(format!("{name} does not take the workspace's lints"));
    }
    // The reactor is made of it; the binary asks for resource limits.
    let may_be_unsafe = ["ringwood-runtime", "ringwood"].contains(&name.as_str()) || is_tool(name);
    if !may_be_unsafe && !crate_root.contains("#![forbid(unsafe_code)]") {
        complaints.push(format!("{name} does not forbid unsafe code"));
    }
    complaints
}

#[test]
fn crates_use_only_floors_below() {
    let graph = Graph::of_the_workspace();
    assert!(graph.members.len() > 10, "cargo lists {:?}", graph.members.keys());
    none(&edges(&graph));
    none(&strangers(&graph));
}

#[test]
fn crates_describe_themselves_and_keep_to_the_rules() {
    let graph = Graph::of_the_workspace();
    for package in graph.members.values() {
        let manifest = tree::read(&format!("{}/Cargo.toml", package.folder));
        let sources = ["lib.rs", "main.rs"].map(|f| format!("{}/src/{f}", package.folder));
        let at = sources.iter().find(|path| tree::root().join(path).exists());
        let crate_root = at.map(|path| tree::read(path)).unwrap_or_default();
        none(&manners(package, &manifest, &crate_root));
    }
}

#[test]
fn pure_crates_share_one_configuration_of_clippy() {
    let graph = Graph::of_the_workspace();
    let shared = tree::read("clippy-pure.toml");
    assert!(shared.contains("std::time::Instant::now"));
    let pure: Vec<&Package> = graph.members.values().filter(|p| is_pure(&p.name)).collect();
    assert!(pure.len() >= 6, "{pure:?}");
    for package in pure {
        assert_eq!(
            tree::read(&format!("{}/clippy.toml", package.folder)),
            shared,
            "{}",
            package.name
        );
    }
}

/// A workspace in three words each: name, folder, what it uses.
fn planted(crates: &[(&str, &str, &[&str])]) -> Graph {
    let mut graph = Graph::default();
    for (name, folder, uses) in crates {
        let uses: std::collections::BTreeSet<String> =
            uses.iter().map(|u| (*u).to_owned()).collect();
        graph.uses.insert((*name).to_owned(), uses.clone());
        if !folder.is_empty() {
            let package = Package {
                name: (*name).to_owned(),
                folder: (*folder).to_owned(),
                uses,
                ..Package::default()
            };
            graph.members.insert((*name).to_owned(), package);
        }
    }
    graph
}

#[test]
fn a_forbidden_edge_is_named() {
    let graph = planted(&[
        ("ringwood-ids", "engine/ids", &["ringwood-log"]),
        ("ringwood-log", "engine/log", &["ringwood-ids", "ringwood-runtime"]),
        ("ringwood-runtime", "engine/runtime", &["ringwood-ids"]),
        ("ringwood-wire", "net/wire", &["ringwood-ids"]),
        ("ringwood-cluster", "replication/cluster", &["ringwood-wire"]),
        ("ringwood-new", "engine/new", &[]),
        ("ringwood-cli", "broker/cli", &["ringwood"]),
        ("ringwood", "broker/node", &["ringwood-cli"]),
    ]);
    named(
        &edges(&graph),
        &[
            "ringwood-ids uses ringwood-log",
            "ringwood-log uses ringwood-runtime",
            "ringwood-cluster uses ringwood-wire: net and replication",
            "ringwood-new has no floor",
            "ringwood-cli uses ringwood,",
        ],
    );
}

#[test]
fn a_forbidden_library_is_named_also_behind_another() {
    let graph = planted(&[
        ("ringwood-record", "engine/record", &["crc32c", "libc"]),
        ("ringwood-store", "engine/store", &["io-uring"]),
        ("ringwood-server", "net/server", &["friendly"]),
        ("friendly", "", &["tokio"]),
        ("ringwood", "broker/node", &["tokio"]),
    ]);
    named(
        &strangers(&graph),
        &[
            "ringwood-record is pure and uses libc",
            "ringwood-store uses io-uring",
            "ringwood-server reaches tokio",
        ],
    );
}

#[test]
fn bad_manners_are_named() {
    let package =
        Package { name: "ringwood-log".into(), license: "MIT".into(), ..Package::default() };
    let complaints = manners(&package, "[package]", "//! A story.");
    named(&complaints, &["describe", "licence", "lints", "unsafe"]);
}
