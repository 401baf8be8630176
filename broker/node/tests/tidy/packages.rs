//! What cargo knows of the workspace.

use crate::tree;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// One crate, of the workspace or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its `description`.
    pub(crate) description: String,
    /// Its licence.
    pub(crate) license: String,
    /// The folder of its manifest, from the root; empty for crates of others.
    pub(crate) folder: String,
    /// What it is built from, tests and benchmarks not counted.
    pub(crate) uses: BTreeSet<String>,
    /// What its tests and benchmarks need beside that.
    pub(crate) tests_use: BTreeSet<String>,
}

/// Every crate in the workspace's graph, by name. Where two versions of a crate are there, what both use counts as one.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Members of the workspace.
    pub(crate) members: BTreeMap<String, Package>,
    /// What every crate is built from, members included.
    pub(crate) uses: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Asks cargo.
    pub(crate) fn of_the_workspace() -> Self {
        let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--filter-platform", &platform])
            .current_dir(tree::root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::read(&serde_json::from_slice(&output.stdout).unwrap())
    }

    fn read(metadata: &Value) -> Self {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
        let root = format!("{}/", text(&metadata["workspace_root"]));
        let members: BTreeSet<String> =
            list(&metadata["workspace_members"]).iter().map(text).collect();
        let names: BTreeMap<String, String> = list(&metadata["packages"])
            .iter()
            .map(|p| (text(&p["id"]), text(&p["name"])))
            .collect();
        let mut graph = Self::default();
        for node in list(&metadata["resolve"]["nodes"]) {
            let mut package =
                Package { name: names[&text(&node["id"])].clone(), ..Package::default() };
            for dep in list(&node["deps"]) {
                let name = names[&text(&dep["pkg"])].clone();
                let kinds = list(&dep["dep_kinds"]);
                // A kind of null is a normal dependency.
                if kinds.iter().any(|k| k["kind"] != "dev") {
                    package.uses.insert(name);
                } else {
                    package.tests_use.insert(name);
                }
            }
            let uses = graph.uses.entry(package.name.clone()).or_default();
            uses.extend(package.uses.iter().cloned());
            if members.contains(&text(&node["id"])) {
                graph.members.insert(package.name.clone(), package);
            }
        }
        for p in list(&metadata["packages"]) {
            if members.contains(&text(&p["id"]))
                && let Some(member) = graph.members.get_mut(&text(&p["name"]))
            {
                member.description = text(&p["description"]);
                member.license = text(&p["license"]);
                let manifest = text(&p["manifest_path"]);
                let inside = manifest.strip_prefix(&root).unwrap_or(&manifest);
                member.folder =
                    inside.trim_end_matches("Cargo.toml").trim_end_matches('/').to_owned();
            }
        }
        graph
    }

    /// Everything that a crate is built from, through others too.
    pub(crate) fn reaches(&self, name: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut next = vec![name];
        while let Some(name) = next.pop() {
            for used in self.uses.get(name).into_iter().flatten() {
                if seen.insert(used.as_str()) {
                    next.push(used);
                }
            }
        }
        seen
    }
}
