//! Installs each suite's packages, by its lock file, below `target/clients`. Nothing outside of it is written.

use std::fs::{copy, create_dir_all};
use std::process::Command;

use crate::program::three_tries;
use crate::{Fault, tree};

/// Prepares a suite; the error says which step failed and how.
pub(crate) fn prepare(suite: &str) -> Result<(), String> {
    let steps = steps(suite).map_err(|fault| fault.to_string())?;
    three_tries(steps)
}

fn steps(suite: &str) -> Result<Vec<Command>, Fault> {
    let from = tree::clients().join(suite);
    let into = tree::work().join(suite);
    create_dir_all(&into)?;
    let command = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).current_dir(&into);
        command
    };
    Ok(match suite {
        "python" => {
            let mut pip = Command::new(into.join("venv/bin/python"));
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--requirement",
            ]);
            pip.arg(from.join("requirements.txt"));
            vec![command("python3", &["-m", "venv", "venv"]), pip]
        }
        "node" => {
            for file in ["package.json", "package-lock.json", "client.js", "codecs.js", "groups.js"]
            {
                copy(from.join(file), into.join(file))?;
            }
            vec![command("npm", &["ci", "--no-audit", "--no-fund"])]
        }
        "java" => {
            let mut fetch = command("mvn", &["--quiet", "--batch-mode", "--file"]);
            fetch
                .arg(from.join("pom.xml"))
                .arg(format!("-Dmaven.repo.local={}", into.join("repository").display()))
                .args(["dependency:copy-dependencies", "-Dmdep.overWriteReleases=true"])
                .arg(format!("-DoutputDirectory={}", into.join("lib").display()));
            let mut compile = command("javac", &["-d", "classes", "-cp", "lib/*"]);
            for source in ["Client.java", "Groups.java", "Consumers.java", "Turns.java"] {
                compile.arg(from.join(source));
            }
            vec![fetch, compile]
        }
        "go" => {
            let mut build = Command::new("go");
            build
                .args(["build", "-mod=readonly", "-modcacherw", "-o"])
                .arg(into.join("client"))
                .arg(".")
                .current_dir(&from)
                .env("GOMODCACHE", into.join("modules"))
                .env("GOCACHE", into.join("cache"))
                .env("GOFLAGS", "");
            vec![build]
        }
        _ => Vec::new(),
    })
}
