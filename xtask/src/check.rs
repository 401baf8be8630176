//! Formatting, lints, and what the dependencies may be, as every change must pass them.

use std::process::Command;
use std::time::Duration;

use crate::program::Outcome;
use crate::tally::{Tally, say};
use crate::{Fault, program, tree};

/// cargo-deny reads a lock file and, for advisories, fetches one repository.
const DENY_LIMIT: Duration = Duration::from_secs(300);
/// The rules of what is released, and those of the whole workspace with the bench's edition on glommio, which are judged apart:
/// what is checked, the name of the check, and the words before it.
const RULES: [(&str, &str, &[&str]); 2] = [
    ("check/deny", "check/advisories", &[]),
    (
        "check/deny-glommio",
        "check/advisories-glommio",
        &["--all-features", "--config", "bench/deny-glommio.toml"],
    ),
];
/// The lints, as for everybody, and of what is behind a feature.
const LINTS: [&[&str]; 2] = [
    &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
    &[
        "clippy",
        "--package",
        "ringwood-store",
        "--package",
        "ringwood-runtime",
        "--package",
        "ringwood",
        "--package",
        "ringwood-bench",
        "--all-targets",
        "--features",
        "ringwood-store/planted,ringwood/faults,ringwood-bench/glommio",
        "--",
        "-D",
        "warnings",
    ],
];

/// What came of one check.
enum Verdict {
    Good,
    Bad,
    /// It could not run: why.
    Skipped(&'static str),
}

fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(words).current_dir(tree::root());
    command
}

/// Runs every check in turn; `each` hears what came of it. What is behind features is built a second time for it, which takes
/// minutes: it is left out unless the `whole` is asked for.
fn every(
    whole: bool,
    mut each: impl FnMut(&str, Verdict) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let [everywhere, features] = LINTS;
    let lints = [
        ("check/fmt", &["fmt", "--all", "--check"][..]),
        ("check/clippy", everywhere),
        ("check/clippy-features", features),
    ];
    for (name, words) in lints.into_iter().take(if whole { 3 } else { 2 }) {
        let good = program::follow(&mut cargo(words), |_| {})?;
        each(name, if good { Verdict::Good } else { Verdict::Bad })?;
    }
    let here = Command::new("cargo-deny").arg("--version").output();
    if !here.is_ok_and(|output| output.status.success()) {
        let why = "no cargo-deny on PATH (cargo install cargo-deny --locked)";
        return each("check/deny", Verdict::Skipped(why));
    }
    for (rules, advisories, which) in RULES.into_iter().take(if whole { 2 } else { 1 }) {
        let found = deny(&[which, &["check", "bans", "licenses", "sources"]].concat())?;
        each(rules, judge(&found))?;
        let mut found = deny(&[which, &["check", "advisories"]].concat())?;
        if is_unfetched(&found) {
            say(&format!(
                "{advisories}: the database cannot be fetched; is there one from before?"
            ))?;
            found = deny(&[&["--offline"][..], which, &["check", "advisories"]].concat())?;
        }
        each(advisories, judge_advisories(&found))?;
    }
    Ok(())
}

/// Runs cargo-deny, says what it complains of, and keeps it.
fn deny(words: &[&str]) -> Result<Outcome, Fault> {
    // Two versions of one crate are a warning, and there are always some.
    let mut command = cargo(&["deny", "--log-level", "error"]);
    command.args(words);
    say(&format!("+ {}", program::line(&command)))?;
    let outcome = program::run(&mut command, None, DENY_LIMIT)?;
    let out = String::from_utf8_lossy(&outcome.out);
    for text in [&*out, &*outcome.err].into_iter().filter(|text| !text.trim().is_empty()) {
        say(text.trim_end())?;
    }
    Ok(outcome)
}

fn judge(outcome: &Outcome) -> Verdict {
    if outcome.status.success() && !outcome.timed_out { Verdict::Good } else { Verdict::Bad }
}

/// Whether cargo-deny ended because it has no network, and not because it found something.
fn is_unfetched(outcome: &Outcome) -> bool {
    !outcome.status.success() && is_about_fetching(&outcome.err)
}

fn judge_advisories(outcome: &Outcome) -> Verdict {
    if !outcome.status.success() && !has_finding(&outcome.err) {
        return Verdict::Skipped(
            "the advisory database cannot be fetched, nor is there a fresh one",
        );
    }
    judge(outcome)
}

/// A finding has a code in brackets behind its severity; everything else is cargo-deny's own trouble.
fn has_finding(text: &str) -> bool {
    text.contains("error[")
}

fn is_about_fetching(text: &str) -> bool {
    !has_finding(text) && text.contains("failed to fetch advisory database")
}

/// Counts all into a tally. A skip is no failure unless it is required: cargo-deny is not in the distributions.
pub(crate) fn count(tally: &mut Tally, whole: bool) -> Result<(), Fault> {
    if !whole {
        say("SKIPPED check: what is behind features, with --require all or --require check")?;
    }
    every(whole, |name, verdict| match verdict {
        Verdict::Good => tally.check(name, None),
        Verdict::Bad => tally.check(name, Some("see above")),
        Verdict::Skipped(why) => tally.skip(name, why),
    })
}

/// `cargo xtask check`.
pub(crate) fn run() -> Result<bool, Fault> {
    let mut tally = Tally::default();
    count(&mut tally, true)?;
    say(&format!("{} checks passed, {} failed", tally.passed, tally.failed))?;
    Ok(tally.failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_told_from_a_network_that_is_away() {
        let away = "[ERROR] failed to fetch advisory database https://example.org with cli: failed to clone";
        let found = "error[vulnerability]: memory exposure in some-crate";
        assert!(is_about_fetching(away) && !has_finding(away));
        assert!(has_finding(found) && !is_about_fetching(found));
        assert!(!is_about_fetching(&format!("{away}\n{found}")));
    }
}
