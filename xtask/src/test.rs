//! `cargo xtask test`: everything that protects a release, in one command.
//!
//! The workspace's own tests and librdkafka must run. Every other client suite runs where its runtime is on PATH, and from there on everything
//! that goes wrong is a failure, its set-up included. What is not here is named once, with the packages that would bring it.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::program::Ending;
use crate::tally::{Tally, say};
use crate::{Fault, check, clients, histograms, install, program, prometheus, prove, tree};

/// A whole run should end within this time where there are two processors.
const MINUTES: u64 = 40;
/// Where this is set, a test that would be skipped fails.
const REQUIRE: &str = "RINGWOOD_REQUIRE";

/// What was asked on the command line.
#[derive(Default)]
struct Options {
    install: bool,
    /// The clients play no consumer groups.
    no_groups: bool,
    require: Vec<String>,
    only: Vec<String>,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let known = [
            "check",
            "workspace",
            "promtool",
            "librdkafka",
            "python",
            "node",
            "java",
            "go",
            "kcat",
            "tools",
            "powercut",
            "kill",
        ];
        let list = |text: &str| -> Result<Vec<String>, Fault> {
            let suites: Vec<String> = text.split(',').map(str::to_owned).collect();
            match suites.iter().find(|suite| *suite != "all" && !known.contains(&suite.as_str())) {
                Some(unknown) => {
                    Err(format!("no suite is called {unknown}; there are {}", known.join(", "))
                        .into())
                }
                None => Ok(suites),
            }
        };
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match (*word, words.as_slice().first()) {
                ("--install", _) => options.install = true,
                ("--no-groups", _) => options.no_groups = true,
                ("--require", Some(value)) => {
                    options.require = list(value)?;
                    words.next();
                }
                ("--only", Some(value)) => {
                    options.only = list(value)?;
                    words.next();
                }
                _ => return Err(format!("no such option: {word}").into()),
            }
        }
        Ok(options)
    }

    /// Whether a skip of this suite is a failure. `check` means each of its checks.
    fn requires(&self, suite: &str) -> bool {
        let part =
            |one: &String| suite.strip_prefix(one.as_str()).is_some_and(|r| r.starts_with('/'));
        self.require.iter().any(|one| one == "all" || one == suite || part(one))
    }

    fn wants(&self, suite: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|one| one == suite || one == "all")
    }
}

/// Runs what was asked; true if nothing failed.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    let (mut tally, begun) = (Tally::default(), Instant::now());
    if options.install {
        install::run(options.requires("check"))?;
    }
    if options.wants("check") {
        check::count(&mut tally, options.requires("check"))?;
    }
    if options.wants("workspace") {
        // The programs that the suites start are built with the tests of their packages.
        let required = options.requires("workspace");
        workspace(&mut tally, required)?;
        with_features(&mut tally, required)?;
        if options.requires("all") {
            tests(&mut tally, "features", required, WITH_A_SLOW_BROKER)?;
            // It has left a broker with faults where the suites look for theirs.
            build()?;
        } else {
            say(
                "SKIPPED slow: the broker with a slow stage is built and tested with --require all",
            )?;
        }
    } else {
        build()?;
    }
    if options.wants("promtool") {
        prometheus::run(&mut tally)?;
    }
    clients::run(&mut tally, !options.no_groups, |suite| options.wants(suite))?;
    // They run with the Java suite; by themselves only where they are asked for by name.
    if options.only.iter().any(|one| one == "tools") && !options.wants("java") {
        clients::tools(&mut tally)?;
    }
    histograms::run(&mut tally, |suite| options.wants(suite))?;
    if options.wants("powercut") {
        prove::powercut_smoke(&mut tally)?;
    }
    if options.wants("kill") {
        prove::kill_smoke(&mut tally)?;
    }
    let took = begun.elapsed().as_secs().div_ceil(60);
    let late = if took > MINUTES { ": too long for two processors" } else { "" };
    say(&format!("took {took} of {MINUTES} minutes{late}"))?;
    tally.close(clients::CLIENTS, |suite| options.requires(suite))
}

fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(words).current_dir(tree::root());
    command
}

/// What is behind a feature, and the bench's editions: `cargo test --workspace` leaves them out, so that no feature of a test
/// gets into the broker that is tested. Packages are still asked for as a workspace: what they stand on then has the features
/// that it was built with already, and only the package itself is built again.
const WITH_FEATURES: [&[&str]; 2] = [
    &["test", "--workspace", "--features", "ringwood-runtime/faults", "--test", "faults"],
    &["test", "--workspace", "--features", "ringwood-bench/glommio", "--test", "editions"],
];

/// The same for a broker that is built a second time for it, which takes minutes: where nothing may be left out
/// (`--require all`).
const WITH_A_SLOW_BROKER: &[&str] =
    &["test", "--package", "ringwood", "--features", "faults", "--test", "slow"];

/// The last crates of a build say nothing for long where others want the processors as well. A test is not given so much time.
const BUILDING: Duration = Duration::from_secs(60 * 60);

/// Builds the broker and the librdkafka client without running tests.
fn build() -> Result<(), Fault> {
    let words = ["build", "--package", "ringwood", "--package", "ringwood-clients-rdkafka"];
    if program::follow(&mut cargo(&words), |_| {})? {
        Ok(())
    } else {
        Err("the build failed".into())
    }
}

/// Every test of the workspace.
fn workspace(tally: &mut Tally, required: bool) -> Result<(), Fault> {
    tests(tally, "workspace", required, &["test", "--workspace", "--no-fail-fast"])
}

/// The tests behind features.
fn with_features(tally: &mut Tally, required: bool) -> Result<(), Fault> {
    WITH_FEATURES.iter().try_for_each(|words| tests(tally, "features", required, words))
}

/// Runs and counts tests. Some need root, or a program: where they are required they fail without, and are not skipped.
fn tests(tally: &mut Tally, what: &str, required: bool, words: &[&str]) -> Result<(), Fault> {
    let (mut passed, mut failed, mut named) = (0, 0, 0);
    let mut built = cargo(words);
    match program::watch(built.arg("--no-run"), BUILDING, |_| {})? {
        Ending::Good => {}
        Ending::Silent(words) => return tally.check(what, Some(&words)),
        Ending::Bad => return tally.check(what, Some("the build failed, see above")),
    }
    let mut command = cargo(words);
    if required {
        command.env(REQUIRE, "1");
    }
    let ending = program::watch(&mut command, program::SILENCE, |line| {
        if let Some((ok, bad)) = counts(line) {
            passed += ok;
            failed += bad;
        }
        named += u64::from(line.starts_with("test ") && line.ends_with("... FAILED"));
    })?;
    tally.passed += passed;
    for _ in 0..failed {
        tally.check(what, Some("a test failed, see above"))?;
    }
    match ending {
        Ending::Silent(words) => tally.check(what, Some(&words))?,
        Ending::Bad if failed == 0 => {
            tally.check(what, Some("cargo test failed without a failed test, see above"))?;
        }
        Ending::Good | Ending::Bad => {}
    }
    if passed == 0 {
        tally.check(what, Some("no test ran"))?;
    }
    say(&format!("{what}: {passed} passed, {failed} failed ({named} named above)"))
}

/// Passed and failed, from the closing line of one test binary.
fn counts(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |word: &str| rest.split(word).next()?.split_whitespace().last()?.parse().ok();
    Some((number(" passed")?, number(" failed")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_of_a_test_binary_is_understood() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.09s";
        assert_eq!(counts(line), Some((12, 3)));
        assert_eq!(counts("test tests::one ... ok"), None);
    }

    #[test]
    fn options_name_what_is_unknown() {
        let options =
            Options::parse(&["--require", "java,go", "--only", "java"]).expect("known suites");
        assert!(options.wants("java") && !options.wants("go") && !options.no_groups);
        assert!(
            options.requires("go") && !options.requires("kcat") && !options.requires("workspace")
        );
        let all = Options::parse(&["--require", "all"]).expect("all");
        assert!(all.requires("check/deny") && all.requires("workspace") && all.requires("kill"));
        let check = Options::parse(&["--require", "check"]).expect("a suite");
        assert!(check.requires("check/advisories") && !check.requires("checked"));
        assert!(Options::parse(&["--only", "ruby"]).is_err());
        assert!(Options::parse(&["--require"]).is_err());
    }
}
