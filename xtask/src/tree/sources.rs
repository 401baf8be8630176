//! What a proof is of, as one name: counts that were taken of the same sources may be added up, whatever else has been committed
//! meanwhile.
//!
//! The name covers a package and each package of the workspace that it is built with, all of them without their tests; the tests
//! that the proof consists of; the releases of all other packages, the build profiles and the compiler.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::root;
use crate::Fault;

/// Folders of a package that are not built into those that use it.
const APART: [&str; 4] = ["tests", "benches", "examples", "fuzz"];

/// The name of the sources of a package and of `tests`, folders below the root: as long as git's names are, with `+` behind it
/// if something is not committed.
pub(crate) fn sources(package: &str, tests: &[&str]) -> Result<String, Fault> {
    if !root().join(".git").exists() {
        // Sources without their history have no name, and their counts are nobody else's.
        return Ok("+".to_owned());
    }
    let metadata = said("cargo", &["metadata", "--format-version", "1", "--locked"])?;
    let made_of = ingredients(&serde_json::from_str(&metadata)?, package)?;
    let mut text = said("rustc", &["--version"])?;
    text.push_str(&profiles(&std::fs::read_to_string(root().join("Cargo.toml"))?));
    let mut looked_at: Vec<String> =
        ["Cargo.toml", "Cargo.lock", ".cargo"].map(str::to_owned).to_vec();
    for one in made_of {
        match one {
            Ingredient::Folder(folder) => {
                let entries = said("git", &["ls-tree", &format!("HEAD:{folder}")])?;
                for entry in entries.lines().filter(|entry| is_built(entry)) {
                    text.push_str(&format!("{folder} {entry}\n"));
                }
                looked_at.extend(APART.map(|apart| format!(":(exclude){folder}/{apart}")));
                looked_at.push(folder);
            }
            Ingredient::Release(release) => {
                text.push_str(&release);
                text.push('\n');
            }
        }
    }
    let mut differs = !said("git", &changes(&looked_at))?.is_empty();
    for folder in [&[".cargo"], tests].concat() {
        text.push_str(&said("git", &["rev-parse", &format!("HEAD:{folder}")])?);
        differs |= !said("git", &changes(&[folder.to_owned()]))?.is_empty();
    }
    let mut name = hash(&text)?;
    if differs {
        name.push('+');
    }
    Ok(name)
}

fn changes(paths: &[String]) -> Vec<&str> {
    ["status", "--porcelain", "--"].into_iter().chain(paths.iter().map(String::as_str)).collect()
}

/// Whether an entry of a package's folder, as `git ls-tree` prints it, matters to those that use the package.
fn is_built(entry: &str) -> bool {
    entry.rsplit('\t').next().is_none_or(|name| !APART.contains(&name))
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ingredient {
    /// A package of the workspace, by its folder below the root.
    Folder(String),
    /// Another package: its id names its registry and release.
    Release(String),
}

/// The package with its tests, and everything that these are built with.
fn ingredients(metadata: &Value, package: &str) -> Result<BTreeSet<Ingredient>, Fault> {
    let strange = || format!("cargo metadata does not tell what {package} is built from");
    let each = |list: &'static str| metadata[list].as_array().into_iter().flatten();
    let packages: HashMap<&str, &Value> =
        each("packages").filter_map(|p| Some((p["id"].as_str()?, p))).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().ok_or_else(strange)?;
    let nodes: HashMap<&str, &Value> =
        nodes.iter().filter_map(|n| Some((n["id"].as_str()?, n))).collect();
    let whole = metadata["workspace_root"].as_str().ok_or_else(strange)?;
    let ours = |p: &Value| p["source"].is_null();
    let (first, _) = packages
        .iter()
        .find(|(_, p)| p["name"] == package && ours(p))
        .ok_or_else(|| format!("no package of this workspace is called {package}"))?;
    let (mut found, mut known, mut open) =
        (BTreeSet::new(), BTreeSet::from([*first]), vec![*first]);
    while let Some(id) = open.pop() {
        let package = packages.get(id).ok_or_else(strange)?;
        found.insert(if ours(package) {
            let manifest = package["manifest_path"].as_str().ok_or_else(strange)?;
            let folder = manifest.strip_prefix(whole).and_then(|at| at.strip_suffix("/Cargo.toml"));
            Ingredient::Folder(folder.ok_or_else(strange)?.trim_start_matches('/').to_owned())
        } else {
            Ingredient::Release(id.to_owned())
        });
        let node = nodes.get(id).ok_or_else(strange)?;
        for dependency in node["deps"].as_array().into_iter().flatten() {
            let kinds = dependency["dep_kinds"].as_array().into_iter().flatten();
            let is_built = kinds.into_iter().any(|k| id == *first || k["kind"] != "dev");
            let to = dependency["pkg"].as_str().ok_or_else(strange)?;
            if is_built && known.insert(to) {
                open.push(to);
            }
        }
    }
    Ok(found)
}

/// The parts of the workspace's manifest that say how everything is built.
fn profiles(manifest: &str) -> String {
    let mut is_profile = false;
    let mut parts = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_profile = line.starts_with("[profile");
        }
        if is_profile {
            parts.push_str(line);
            parts.push('\n');
        }
    }
    parts
}

fn said(program: &str, words: &[&str]) -> Result<String, Fault> {
    let outcome = Command::new(program).args(words).current_dir(root()).output()?;
    if !outcome.status.success() {
        let complaint = String::from_utf8_lossy(&outcome.stderr);
        return Err(format!("{program} {}: {}", words.join(" "), complaint.trim()).into());
    }
    Ok(String::from_utf8(outcome.stdout)?)
}

fn hash(text: &str) -> Result<String, Fault> {
    let mut git = Command::new("git")
        .args(["hash-object", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .current_dir(root())
        .spawn()?;
    let mut input = git.stdin.take().ok_or("git hash-object has no input")?;
    input.write_all(text.as_bytes())?;
    drop(input);
    let outcome = git.wait_with_output()?;
    if !outcome.status.success() {
        return Err("git hash-object failed".into());
    }
    Ok(String::from_utf8(outcome.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_package_is_made_of_its_tests_and_of_all_that_others_are_built_with() {
        let package = |name: &str, source: Value| {
            json!({"id": name, "name": name, "source": source,
            "manifest_path": format!("/w/net/{name}/Cargo.toml")})
        };
        let to = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "workspace_root": "/w",
            "packages": [
                package("a", Value::Null), package("b", Value::Null), package("c", Value::Null),
                package("d", Value::Null), package("x 1.0", json!("registry")),
            ],
            "resolve": {"nodes": [
                {"id": "a", "deps": [to("b", Value::Null), to("c", json!("dev"))]},
                {"id": "b", "deps": [to("x 1.0", json!("build")), to("d", json!("dev"))]},
                {"id": "c", "deps": [to("a", Value::Null)]},
                {"id": "d", "deps": []},
                {"id": "x 1.0", "deps": []},
            ]},
        });
        let of =
            |name| ingredients(&metadata, name).map(|found| found.into_iter().collect::<Vec<_>>());
        let folder = |name: &str| Ingredient::Folder(format!("net/{name}"));
        let release = Ingredient::Release("x 1.0".to_owned());
        assert_eq!(of("a").unwrap(), [folder("a"), folder("b"), folder("c"), release]);
        assert_eq!(of("d").unwrap(), [folder("d")]);
        assert!(of("e").is_err() && of("x 1.0").is_err());
    }

    #[test]
    fn tests_of_a_package_are_not_built_into_others() {
        assert!(is_built("040000 tree 0a\tsrc") && is_built("100644 blob 0b\tbuild.rs"));
        assert!(!is_built("040000 tree 0c\ttests"));
    }

    #[test]
    fn only_profiles_are_taken_from_the_manifest() {
        let manifest =
            "[package]\na = 1\n[profile.dev]\nb = 2\n\n[lints]\nc = 3\n[profile.release]\nd = 4\n";
        assert_eq!(profiles(manifest), "[profile.dev]\nb = 2\n\n[profile.release]\nd = 4\n");
    }
}
